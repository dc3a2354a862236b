"""Make the imitations of one subject in a fixed batch plan. A subject is the unit of generation and of resuming."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple
from typing import Protocol as Interface

import pandas as pd
from PIL.Image import Image

from audit_assets.config import INDIRECT, Protocol
from audit_assets.generation.seeds import image_seed
from audit_assets.generation.tables import absent_rows, imitation_table
from audit_assets.warehouse.images import ImageStore, status_of


class Upload(NamedTuple):
    """A picture that a model is given beside the prompt."""

    picture: Image
    strength: float
    """How far the model leaves the picture: 1 ignores it."""


class Source(Interface):
    """A model that makes images from prompts and seeds, and if it takes pictures, from a picture beside them."""

    def generate(
        self, prompts: Sequence[str], seeds: Sequence[int], *, batch_size: int, upload: Upload | None = None
    ) -> Iterator[Image]: ...

    def lost_words(self, prompt: str) -> list[str]: ...

    @property
    def plan(self) -> Mapping[str, Any]: ...

    @property
    def largest_batch(self) -> int | None: ...


def imitations(
    source: Source,
    protocol: Protocol,
    *,
    model_version: str,
    subject: str,
    name: str,
    indirect: str = "",
    batch_size: int,
    store: ImageStore,
    writer: Executor,
    progress: Callable[[int], None] = lambda images: None,
) -> pd.DataFrame:
    """One row per image: every trial of every template, and of the indirect prompt if the protocol uses it.

    `writer` stores images while the model draws. A black or empty image is kept and marked `blank`, and one that the model's
    safety checker replaced `blocked`. Both show nothing, and are never replaced. If a tokenizer cuts a prompt short, no image is made for it: its rows are `not_supplied`, and
    `problem` names the lost words.
    """
    rows: list[dict[str, Any]] = []
    absent: list[dict[str, Any]] = []
    for template, (prompt, text) in protocol.wordings(name, indirect).items():
        if problem := cut_short(source, prompt):
            about = {"model_version": model_version, "subject": subject}
            absent += absent_rows(protocol, templates=[template], problem=problem, **about)
            continue
        seeds = [image_seed(subject, text, trial) for trial in range(protocol.trials)]
        given = protocol.upload(template)
        upload = Upload(store.get(given), protocol.strength) if given else None
        images = source.generate([prompt] * len(seeds), seeds, batch_size=batch_size, upload=upload)
        for trial, (seed, image) in enumerate(zip(seeds, images, strict=True)):
            rows.append(
                {
                    "model_version": model_version,
                    "subject": subject,
                    "template": template,
                    "trial": trial,
                    "prompt": prompt,
                    "seed": seed,
                    "generation_hash": protocol.generation_hash,
                    "width": image.width,
                    "height": image.height,
                    "stored": writer.submit(_stored, store, image),
                }
            )
            progress(1)
    plan = json.dumps(
        {**source.plan, "batch_size": min(batch_size, source.largest_batch or batch_size)}, sort_keys=True
    )
    for row in rows:
        sha256, status = row.pop("stored").result()
        row.update(image_sha256=sha256, status=status, plan=plan)
    return imitation_table([*rows, *absent])


def _stored(store: ImageStore, image: Image) -> tuple[str, str]:
    return store.put(image), status_of(image)


def cut_short(source: Source, prompt: str) -> str | None:
    """A sentence with the words of a prompt that a tokenizer of the model loses, and the remedy; None if it loses none."""
    if lost := source.lost_words(prompt):
        return (
            f"the model does not read all of {prompt!r}: it loses {' '.join(lost)!r}; shorten the name or the template, or give the name in "
            "letters that the model knows as `prompt_name`"
        )
    return None


def check_imitations(table: pd.DataFrame, protocol: Protocol, subject: str) -> list[str]:
    """One sentence per problem of a subject's rows: missing or duplicate images, and wrong seeds.

    A refused prompt (its rows have a `problem`) has no images; this counts as no problem.
    """
    refused = table["problem"].notna()
    texts = {t: text for t, text in enumerate(protocol.templates) if t not in set(table.loc[refused, "template"])}
    indirect = table.loc[(table["template"] == INDIRECT) & ~refused, "prompt"]
    if len(indirect):
        texts[INDIRECT] = str(indirect.iloc[0])
    expected = {(t, k): image_seed(subject, text, k) for t, text in texts.items() for k in range(protocol.trials)}
    supplied = table[table["status"] != "not_supplied"]
    found = dict(zip(zip(supplied["template"], supplied["trial"], strict=True), supplied["seed"], strict=True))
    problems = doubled(table, subject)
    if missing := sorted(expected.keys() - found.keys()):
        problems.append(
            f"{subject}: no image for (template, trial) {missing[0]}"
            + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
        )
    wrong = [key for key, seed in found.items() if not pd.isna(seed) and expected.get(key) != int(seed)]
    if wrong:
        problems.append(f"{subject}: the seed of (template, trial) {wrong[0]} is not the protocol's")
    return problems


def doubled(table: pd.DataFrame, subject: str) -> list[str]:
    return [f"{subject}: an image occurs twice"] if table.duplicated(["template", "trial"]).any() else []
