"""The answers that a rater's page saved: read with care, checked against the key, and kept in the warehouse.

A file of answers comes from a person. It is refused, with the reason, if it is no file of a page, is of no packet of this audit, was changed after the page saved it, lacks
an answer, or contradicts another file of the same packet. One bad file stops itself alone.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from audit_assets.errors import InputError, unreadable
from audit_assets.hashing import digest
from audit_assets.results.rating_questions import key_of
from audit_assets.untrusted.bounded import read_bounded
from audit_assets.untrusted.json_text import read_json
from audit_assets.warehouse.database import columns
from audit_assets.workspace import Workspace

MOST_BYTES = 4_000_000
FORMAT = 1


class _File(BaseModel):
    """What a page saves."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal[1]
    packet: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    answers: dict[Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}$")], Literal["left", "right"]]
    checksum: Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]


@dataclass
class Taken:
    """What came of the files: the packets that were accepted, by model version, and why the others were not."""

    accepted: dict[str, list[str]] = field(default_factory=dict)
    repeated: dict[str, list[str]] = field(default_factory=dict)
    """Those that were there before."""
    refused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def models(self) -> list[str]:
        """The model versions of all sound files. An import that was interrupted may have kept answers and not published them."""
        return list(dict.fromkeys([*self.accepted, *self.repeated]))


def answers_of(model: str) -> str:
    """Return the place of the answers to a model version's packets."""
    return f"rating_answers/{model}"


def checksum(packet: str, answers: dict[str, str]) -> str:
    """The checksum that the page saves: CRC-32 of the packet and of every answer. It finds a slip, not a forger."""
    lines = [packet, *(f"{position} {answers[position]}" for position in sorted(answers, key=int))]
    return f"{zlib.crc32(chr(10).join(lines).encode()):08x}"


def read_answers(path: Path) -> tuple[str, dict[str, str]]:
    """Return packet and answers of one file. InputError says what is wrong in it."""
    try:
        content = read_bounded(path, MOST_BYTES, "file that a rater's page saved")
    except OSError as error:
        raise InputError(f"{unreadable(path, error)}.") from None
    try:
        found = _File.model_validate(read_json(content))
    except (ValueError, RecursionError) as error:
        where = ""
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            where = f" ({'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']})"
        raise InputError(
            f"{path}: is no file that a rater's page saved{where}; give the file that the page saved."
        ) from None
    if checksum(found.packet, dict(found.answers)) != found.checksum:
        raise InputError(f"{path}: was changed after the page saved it; give the file as the page saved it.")
    return found.packet, dict(found.answers)


def take(ws: Workspace, files: Iterable[Path]) -> Taken:
    """Check the files against the keys of this audit, and keep the answers of those that are sound."""
    models = [m.name for m in ws.audit.models if ws.warehouse.made(key_of(m.name))]
    if not models:
        raise InputError("ratings: this audit has no packet; make packets with `audit-assets ratings export` first.")
    keys = {m: ws.warehouse.read(key_of(m)) for m in models}
    owner = {packet: m for m, key in keys.items() for packet in key["packet"].unique()}
    taken, known = Taken(), {m: _kept(ws, m) for m in models}
    for path in files:
        try:
            packet, answers = read_answers(path)
            if packet not in owner:
                raise InputError(
                    f"{path}: is of packet {packet}, of which this audit has no key. Name the audit that exported it with --config; if it was this one, a "
                    "later export replaced the key, and the answers are lost."
                )
            model = owner[packet]
            _check_complete(path, answers, int((keys[model]["packet"] == packet).sum()))
            if packet in known[model]:
                if known[model][packet] != answers:
                    raise InputError(
                        f"{path}: answers packet {packet} otherwise than a file before; a packet is one rater's, so give one file of it."
                    )
                taken.repeated.setdefault(model, []).append(packet)
                taken.notes.append(f"{path}: has the answers that were there before; they count once.")
                continue
            known[model][packet] = answers
            taken.accepted.setdefault(model, []).append(packet)
        except InputError as error:
            taken.refused.append(str(error))
    for model in taken.accepted:
        rows = [
            (packet, int(p), side) for packet, answers in sorted(known[model].items()) for p, side in answers.items()
        ]
        table = pd.DataFrame(rows, columns=["packet", "position", "side"]).sort_values(
            ["packet", "position"], ignore_index=True
        )
        about = {"protocol": ws.protocol.name, "model_version": model}
        table = table.assign(**about)[columns("rating_answers")]
        ws.warehouse.write(answers_of(model), table, digest(table.to_json()))
    return taken


def _kept(ws: Workspace, model: str) -> dict[str, dict[str, str]]:
    """The answers that were imported before, by packet."""
    if not ws.warehouse.made(answers_of(model)):
        return {}
    rows = ws.warehouse.read(answers_of(model))
    return {
        str(p): {str(i): str(s) for i, s in zip(g["position"], g["side"], strict=True)}
        for p, g in rows.groupby("packet")
    }


def _check_complete(path: Path, answers: dict[str, str], asked: int) -> None:
    """InputError if a question has no answer, or an answer no question."""
    wanted = {str(i) for i in range(1, asked + 1)}
    if missing := sorted(wanted - set(answers), key=int):
        named = ", ".join(missing[:10]) + (f" and {len(missing) - 10} more" if len(missing) > 10 else "")
        raise InputError(f"{path}: question {named} of {asked} has no answer; answer it on the page, and save again.")
    if extra := sorted(set(answers) - wanted, key=int):
        raise InputError(
            f"{path}: answers question {extra[0]}, and the packet has {asked}; give the file as the page saved it."
        )
