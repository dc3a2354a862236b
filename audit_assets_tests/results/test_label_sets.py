"""Which labels a subject competes against, so that chance is that of the control names beside it."""

import pandas as pd

from audit_assets.config import Protocol
from audit_assets.results.beside_names import beside_control_names

NAMES = 49


def people() -> pd.DataFrame:
    """97 artists and 49 names of one origin, one artist and 49 names of another: 98 labels in either set."""
    kinds = ["artist"] * 98 + ["random_name"] * 98
    locales = ["en_US"] * 97 + ["fr_FR"] + ["en_US"] * NAMES + ["fr_FR"] * NAMES
    return pd.DataFrame(
        {
            "subject": [f"s{i}" for i in range(196)], "name": [f"Name{i} Own{i}" for i in range(196)], "kind": kinds, "locale": locales,
            "shares_name_parts": [None] * 98 + [False] * 98, "rosters": [["criteria"]] * 98 + [[]] * 98,
        }
    )  # fmt: skip


def trials(subjects: pd.DataFrame) -> pd.DataFrame:
    """The model draws what a name suggests of its origin: the only artist of an origin wins all images in the set of artists."""
    rows = []
    for subject, kind in zip(subjects["subject"], subjects["kind"], strict=True):
        for label_set in ("criteria" if kind == "artist" else "random_names", "joint"):
            won = subject == "s97" and label_set == "criteria"
            rows += [(label_set, subject, trial, subject if won else "s0", won) for trial in range(5)]
    table = pd.DataFrame(rows, columns=["label_set", "subject", "trial", "predicted_label", "correct"])
    return table.assign(template=0, label_template=0, margin=0.0, encoder="clip", model_version="model")


def test_the_only_artist_of_an_origin_competes_with_the_control_names_of_that_origin() -> None:
    subjects = people()
    protocol = Protocol(name="one", templates=("Artwork from {name}",), trials=5)
    found = beside_control_names(trials(subjects), subjects, protocol=protocol, unread={}).set_index("subject")
    assert (found["label_set"]["s97"], found["answer"]["s97"]) == ("joint", "no")
    assert found["label_set"]["s5"] == "criteria"
    assert set(found.loc[found["label_set"] == "random_names"].index) == {f"s{i}" for i in range(98, 196)}


def test_a_model_that_knows_nobody_is_not_steered_by_the_only_real_artist() -> None:
    """Every image looks like art, and among invented names the encoder gives the label of the only real artist to all art."""
    names = [f"n{i}" for i in range(99)]
    subjects = pd.DataFrame(
        {
            "subject": ["a", *names], "name": [f"Name{i} Own{i}" for i in range(100)], "kind": ["artist"] + ["random_name"] * 99, "locale": "",
            "shares_name_parts": [None] + [False] * 99, "rosters": [["criteria"]] + [[]] * 99,
        }
    )  # fmt: skip
    protocol = Protocol(name="one", templates=("Artwork from {name}",), trials=10)

    def answer(taken: int) -> pd.Series:
        """`taken` of ten images of every invented name fall to the artist's label; the artist's own all do."""
        rows = [
            (label_set, subject, trial, "a" if subject == "a" or trial < taken else "default:Artwork")
            for subject in subjects["subject"]
            for label_set in (("joint", "criteria") if subject == "a" else ("joint", "random_names"))
            for trial in range(10)
        ]
        table = pd.DataFrame(rows, columns=["label_set", "subject", "trial", "predicted_label"])
        correct = table["predicted_label"] == table["subject"]
        table = table.assign(
            correct=correct, template=0, label_template=0, margin=0.0, encoder="clip", model_version="m"
        )
        found = beside_control_names(table, subjects, protocol=protocol, unread={})
        return found[found["subject"] == "a"].iloc[0]

    assert answer(0)["answer"] == "yes"
    known = answer(6)
    assert (known["answer"], known["label_reaching"]) == ("yes", 0)
    nobody = answer(10)
    assert (nobody["answer"], nobody["names_reaching"], nobody["label_reaching"]) == ("could not be tested", 0, 99)
