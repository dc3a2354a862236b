"""Audit each artist of an audit alone, with the artist's works and images, all control names, and the background.

    .venv/bin/python -m benchmarks.alone CONFIG [MODEL]

No image is made: the audit must exist already. The script prints how many artists and untrained artists are called
imitated, and each one that is not as expected.
"""

import sys
from dataclasses import dataclass
from typing import Any

import pandas as pd

from audit_assets.config import EncoderEntry
from audit_assets.results.auditability import reference_trials
from audit_assets.results.beside_names import in_both_ranks
from audit_assets.results.identification import identification_trials, text_side
from audit_assets.results.matched import matched
from audit_assets.results.matching import BY_SUBJECT_COLUMNS
from audit_assets.results.own_cells import matrix_rows
from audit_assets.results.recipe import images_of, works_of
from audit_assets.results.rows import Writer
from audit_assets.results.verdicts import evidence
from audit_assets.roster.strata import TESTED
from audit_assets.workspace import Workspace


@dataclass(frozen=True)
class Alone(Workspace):
    """A workspace in which one subject is the only artist; all other subjects are controls and background."""

    artist: str = ""
    background: bool = True

    def subjects(self) -> pd.DataFrame:
        table = super().subjects()
        own = table[(table["subject"] == self.artist) | ~table["kind"].isin(TESTED)]
        if not self.background:
            own = own[own["kind"] != "background"]
        own = own.copy()
        own.loc[own["subject"] == self.artist, "kind"] = "artist"
        own["rosters"] = [["criteria"] if s == self.artist else [] for s in own["subject"]]
        return own.reset_index(drop=True)


def verdict_alone(ws: Alone, model: str, encoder: EncoderEntry) -> pd.Series:
    """Return the row of `verdicts` for the one artist."""
    subjects, protocol = ws.subjects(), ws.protocol
    about: dict[str, Any] = {"protocol": protocol, "encoder": encoder.name}
    beside, works = pd.DataFrame({"subject": [], "answer": []}), pd.DataFrame()
    if encoder.kind == "image_text":
        labels = ws.warehouse.read(f"label_embeddings/{encoder.name}")
        text = text_side(ws, encoder, 1.0)
        images = ws.warehouse.read_all(images_of(ws, [encoder], model))
        trials = identification_trials(images, labels, subjects, model_version=model, text=text, **about)
        beside = in_both_ranks(trials, subjects, protocol=protocol, unread={}).assign(
            at_best=None
        )  # nothing is withheld
        real = ws.warehouse.read_all(works_of(ws, [encoder]))
        works = reference_trials(real, labels, subjects, logit_scale=text.logit_scale, **about)
    found = matched(ws, model, encoder)
    out = Writer(protocol, model, encoder.name)
    if found is not None:
        matrix_rows(out, found, subjects, protocol)
    tests = pd.concat(out.tables, ignore_index=True) if out.tables else pd.DataFrame(columns=list(BY_SUBJECT_COLUMNS))
    rows = evidence(ws, model, encoder, found, beside, tests, works, {})["verdicts"]
    return rows[rows["subject"] == ws.artist].iloc[0]


def main(config: str, model: str | None = None) -> None:
    whole = Workspace.existing(config)
    version = model or whole.audit.models[0].name
    subjects = whole.subjects()
    for encoder in whole.audit.encoders:
        for background in (True, False):
            for kind in TESTED:
                called, others = 0, []
                tested = subjects.loc[subjects["kind"] == kind, "subject"].astype(str).tolist()
                for subject in tested:
                    ws = Alone(whole.audit, whole.protocol, whole.warehouse, whole.images, subject, background)
                    row = verdict_alone(ws, version, encoder)
                    called += row["verdict"] == "imitated"
                    if (row["verdict"] == "imitated") != (kind == "artist"):
                        others.append(f"{subject}: {row['verdict']} (steers {row['steers']}, towards {row['towards']})")
                beside = "with the background" if background else "without any other artist"
                print(f"{encoder.name}, {kind}, alone {beside}: {called} of {len(tested)} imitated")
                print("".join(f"  {line}\n" for line in others), end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
