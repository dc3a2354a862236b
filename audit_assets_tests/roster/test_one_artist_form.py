"""The artist of an audit of one artist is read as a row of a table of artists is: no spelling of the name loses anything."""

import unicodedata
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_assets.config import Audit, load_audit
from audit_assets.errors import InputError
from audit_assets.roster.artists import artists_of, notes_of
from audit_assets.roster.homes import names_of, works_of
from audit_assets.roster.prompt_names import called
from audit_assets.roster.slugs import slug

NFD = unicodedata.normalize("NFD", "José Brandvold")


def audit_of(folder: Path, artist: Any, prompt_name: str = "jbrv style") -> Audit:
    content = {
        "artist": artist,
        "references": "works",
        "models": [{"name": "m", "source": "diffusers", "path": "m", "approved": True, "prompt_name": prompt_name}],
        "encoders": [{"name": "c", "kind": "image_text", "path": "e"}],
    }
    (folder / "audit.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_audit(folder / "audit.yaml")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("José Brandvold", None),
        ("José Brandvold ", "white space around it"),
        ("\tJosé Brandvold\n", "white space around it"),
        ("José  Brandvold", "white space around it or between its words"),
        (NFD, "accents that are characters of their own"),
        ("José Brandvold\u200e", "left-to-right mark (U+200E)"),
        ("José\u00a0Brandvold", "no-break space (U+00A0)"),
        ("Jo\u00adsé Brandvold", "soft hyphen (U+00AD)"),
    ],
)
def test_a_name_that_cleaning_changes_keeps_its_works_its_aliases_and_its_words(
    written: str, said: str | None, tmp_path: Path
) -> None:
    (tmp_path / "works").mkdir()
    (tmp_path / "works" / "0.png").write_bytes(b"an image")
    audit = audit_of(tmp_path, {"name": written, "aliases": [unicodedata.normalize("NFD", "Zoë Zee") + " "]})
    (row,) = artists_of(audit).to_dict("records")
    assert row["name"] == "José Brandvold"
    assert called(audit, audit.model("m"), row["name"]) == "jbrv style"
    names = names_of(audit, pd.DataFrame({"subject": [slug(row["name"])], "name": [row["name"]]}))
    assert names == {"jose-brandvold": ["José Brandvold", "Zoë Zee"]}
    assert list(works_of(audit, names).files) == ["jose-brandvold"]
    notes = [note for note in notes_of(audit) if ", artist, name: " in note]
    assert len(notes) == (said is not None)
    assert all((said or "") in note for note in notes)


def test_a_name_of_marks_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"artist.name: String should have at least 1 character"):
        audit_of(tmp_path, " \u200b")


def test_items_of_lists_are_never_split(tmp_path: Path) -> None:
    one = {
        "name": "Ada Brandvold",
        "titles": ["Nude | Study", "B"],
        "indirect_prompts": ["red | blue; green"],
        "aliases": ["Ada; B", "A. B."],
    }
    audit = audit_of(tmp_path, one)
    (row,) = artists_of(audit).to_dict("records")
    assert (row["titles"], row["indirect_prompts"]) == (["Nude | Study", "B"], ["red | blue; green"])
    assert row["aliases"] == ["Ada; B", "A. B."]
    audit = audit_of(tmp_path, {**one, "titles": ["{x}"]})
    with pytest.raises(InputError, match=r"audit.yaml, artist, titles: '\{x\}' has a brace"):
        artists_of(audit)


def test_a_description_that_names_the_one_artist_is_refused(tmp_path: Path) -> None:
    one = {"name": "Ada Brandvold", "aliases": ["A. B."], "indirect_prompts": ["a boat", "a boat by A.B."]}
    with pytest.raises(
        InputError, match=r"audit.yaml, artist, indirect_prompts: 'a boat by A.B.' names the artist \('A. B.'\)"
    ):
        artists_of(audit_of(tmp_path, one))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12),
    st.sampled_from(["", " ", "\u200b"]),
)
def test_every_name_that_is_accepted_is_the_name_of_the_table(tmp_path: Path, name: str, mark: str) -> None:
    try:
        audit = audit_of(tmp_path, "Ada " + name + mark)
        (row,) = artists_of(audit).to_dict("records")
    except InputError:
        return
    assert audit.artist is not None
    assert called(audit, audit.model("m"), row["name"]) == "jbrv style"
    assert names_of(audit, pd.DataFrame({"subject": ["s"], "name": [row["name"]]})) == {"s": [audit.artist.name]}
