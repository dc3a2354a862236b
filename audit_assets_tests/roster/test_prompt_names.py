"""Prompts use the words that a model was taught for an artist; everything else keeps the artist's name."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from audit_assets.config import Audit, load_audit
from audit_assets.errors import InputError
from audit_assets.roster.artists import artists_of
from audit_assets.roster.prompt_names import called, check_prompt_names, unspoken


def audit_of(folder: Path, prompt_name: Any = None, rows: str = "", one: dict[str, Any] | None = None) -> Audit:
    (folder / "artists.csv").write_text("name,kind,prompt_name\n" + rows, encoding="utf-8")
    model = {"name": "m", "source": "diffusers", "path": "m", "approved": True}
    content = {
        "protocol": "paper_2023",
        **({"artist": one} if one else {"roster": {"artists": "artists.csv"}}),
        "models": [model if prompt_name is None else {**model, "prompt_name": prompt_name}],
        "encoders": [{"name": "c", "kind": "image_text", "path": "e"}],
    }
    (folder / "audit.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_audit(folder / "audit.yaml")


TWO = "Ada Brandvold,,adabrv style\nNils Oduya,,\n"


@pytest.mark.parametrize(
    ("said", "ada", "nils", "control"),
    [
        (None, "adabrv style", "Nils Oduya", "Ola Vik"),
        ("{name}", "Ada Brandvold", "Nils Oduya", "Ola Vik"),
        ("{name}, sks style", "Ada Brandvold, sks style", "Nils Oduya, sks style", "Ola Vik, sks style"),
        ({"Nils Oduya": "<nils>"}, "adabrv style", "<nils>", "Ola Vik"),
        ({"ada  BRANDVOLD": "{name} in sks style"}, "Ada Brandvold in sks style", "Nils Oduya", "Ola Vik"),
    ],
)
def test_the_entry_of_a_model_decides_before_the_table_and_controls_stay_names(
    said: Any, ada: str, nils: str, control: str, tmp_path: Path
) -> None:
    audit = audit_of(tmp_path, said, TWO)
    artists = artists_of(audit)
    own = dict(zip(artists["name"], artists["prompt_name"], strict=True))
    check_prompt_names(audit, audit.model("m"), artists)
    found = [called(audit, audit.model("m"), n, own.get(n, "")) for n in ("Ada Brandvold", "Nils Oduya", "Ola Vik")]
    assert found == [ada, nils, control]


def test_the_words_of_one_artist_are_not_those_of_control_names(tmp_path: Path) -> None:
    audit = audit_of(tmp_path, "sks style", one={"name": "Ada Brandvold"})
    assert called(audit, audit.model("m"), "Ada Brandvold") == "sks style"
    assert called(audit, audit.model("m"), "Ola Vik") == "Ola Vik"
    audit = audit_of(tmp_path, one={"name": "Ada Brandvold", "prompt_name": "adabrv"})
    (own,) = artists_of(audit)["prompt_name"]
    assert called(audit, audit.model("m"), "Ada Brandvold", own) == "adabrv"
    assert called(audit, None, "Ada Brandvold", own) == "adabrv"


def test_an_artist_whom_no_row_has_is_not_left_out_in_silence(tmp_path: Path) -> None:
    audit = audit_of(tmp_path, {"Ada Brandwold": "adabrv"}, TWO)
    with pytest.raises(InputError, match="prompt_name: 'Ada Brandwold' is the name of no artist"):
        check_prompt_names(audit, audit.model("m"), artists_of(audit))


@pytest.mark.parametrize(
    "said", [{"Nils Oduya": "Adabrv Style"}, {"Nils Oduya": "Ada Brandvold", "Ada Brandvold": "{name}"}]
)
def test_two_artists_are_not_asked_for_by_the_same_words(said: Any, tmp_path: Path) -> None:
    audit = audit_of(tmp_path, said, TWO)
    with pytest.raises(InputError, match=r"stands for 'Ada Brandvold' and for 'Nils Oduya'"):
        check_prompt_names(audit, audit.model("m"), artists_of(audit))


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("sks style", r"would be asked for every artist by 'sks style'"),
        ("{name} {name}", "at most once"),
        ("{artist} style", "no other brace"),
        (" ", "must be words"),
        ("sks\nstyle", "one line"),
        ({"Ada Brandvold": ""}, "must be words"),
        ("x" * 201, "up to 200"),
    ],
)
def test_words_that_cannot_be_meant_are_refused_in_audit_yaml(said: Any, problem: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=problem):
        audit_of(tmp_path, said, TWO)


def test_words_of_the_table_are_at_most_as_long_as_a_name(tmp_path: Path) -> None:
    audit = audit_of(tmp_path, None, f"Ada Brandvold,,{'x' * 201}\n")
    with pytest.raises(InputError, match=r"row 2, column prompt_name: has 201 characters"):
        artists_of(audit)


def test_words_that_no_prompt_contains_are_found() -> None:
    assert unspoken(["sks", "<ada>"], ["Artwork from <ada>", "Art by Nils"]) == ["sks"]
