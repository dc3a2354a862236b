"""Which labels a subject competes against, so that chance is that of the control names beside it."""

import pandas as pd

from audit_assets.config import Protocol
from audit_assets.results.beside_names import beside_control_names
from audit_assets.results.leakage import taken_for

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


def test_the_habit_of_an_encoder_is_measured_among_the_labels_that_unprompted_images_have() -> None:
    """Works of background artists have no label of their own there: an encoder that takes them for the only artist has a habit."""
    subjects = pd.DataFrame(
        {
            "subject": ["a", "n", "back"], "name": ["A A", "N N", "B B"], "kind": ["artist", "random_name", "background"],
            "shares_name_parts": [None, False, None], "rosters": [["criteria"], [], []],
        }
    )  # fmt: skip
    axes = {"a": [1.0, 0.0, 0.0], "n": [0.0, 1.0, 0.0], "back": [0.8, 0.0, 0.6], "default:Artwork": [0.0, 0.0, 1.0]}
    labels = pd.DataFrame({"label": list(axes), "template": 0, "embedding": list(axes.values())})
    works = pd.DataFrame({"subject": ["a"] * 3 + ["back"] * 4, "embedding": [axes["a"]] * 3 + [axes["back"]] * 4})
    assert taken_for(works, labels, subjects) == {"a": ([4], [4]), "n": ([0, 0], [3, 4])}
    far = works.assign(embedding=pd.Series([axes["a"]] * 3 + [axes["default:Artwork"]] * 4))
    assert taken_for(far, labels, subjects) == {"a": ([0], [4]), "n": ([0, 0], [3, 4])}
    assert taken_for(works.iloc[:0], labels, subjects) == {}


def test_words_that_nobody_bears_are_no_control_names() -> None:
    subjects = people().assign(kind=["artist"] * 98 + ["nonsense"] * 10 + ["random_name"] * 88)
    protocol = Protocol(name="one", templates=("Artwork from {name}",), trials=5)
    found = beside_control_names(trials(subjects), subjects, protocol=protocol, unread={}).set_index("subject")
    assert found["names"]["s5"] == NAMES - 10
    assert found["answer"]["s5"] == "could not be tested"
    assert found["names"]["s97"] == NAMES
