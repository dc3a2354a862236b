"""What a user writes in `audit.yaml`, and what is said when it is wrong."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from audit_assets.config import PROTOCOLS, Audit, MatchingTests, Protocol, load_audit, load_protocol
from audit_assets.errors import InputError

MINIATURE = Path(__file__).parents[1] / "data" / "miniature"
GOOD = """protocol: paper_2023
roster: {artists: artists.csv}
models:
  - {name: sd-1.5, source: diffusers, path: m}
encoders:
  - {name: clip, kind: image_text, path: e}
"""


def load(folder: Path, text: str) -> Audit:
    path = folder / "audit.yaml"
    path.write_text(text, encoding="utf-8")
    return load_audit(path)


def protocol(**changes: Any) -> Protocol:
    return Protocol.model_validate({"name": "p", "templates": ("Artwork from {name}",), **changes})


@pytest.mark.parametrize("file", ["audit.yaml", "small.yaml"])
def test_the_shipped_audits_load_with_their_protocols(file: str) -> None:
    audit = load_audit(MINIATURE / file)
    assert load_protocol(audit).name == audit.protocol
    assert audit.dagster_home.name == Path(file).stem


@pytest.mark.parametrize("path", sorted(PROTOCOLS.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_protocol_loads_under_its_own_name(path: Path, tmp_path: Path) -> None:
    assert load_protocol(load(tmp_path, GOOD.replace("paper_2023", path.stem))).name == path.stem


def test_a_protocol_can_be_a_file_beside_the_audit(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("name: own\ntemplates: ['by {name}']\n")
    assert load_protocol(load(tmp_path, GOOD.replace("paper_2023", "own.yaml"))).templates == ("by {name}",)
    with pytest.raises(InputError, match=r"nowhere.*paper_2023, paper_2023_arms, paper_2023_small"):
        load_protocol(load(tmp_path, GOOD.replace("paper_2023", "nowhere")))


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "remedy"),
    [
        ("protocol: paper_2023", "protocol: paper_2023\nbatchsize: 3", 2, "batchsize", "correct its name"),
        ("path: m}", "path: m, sise: 3}", 4, "models.0.sise", "correct its name"),
        ("source: diffusers", "source: web", 4, "models.0.source", "'diffusers', 'image_folder' or 'api'"),
        ("sd-1.5", "SD 1.5", 4, "models.0.name", "should match pattern"),
        ("sd-1.5", "../up", 4, "models.0.name", "should match pattern"),
        ("{artists: artists.csv}", "{}", 1, "the file", "give either `artist: <name>` or `roster: {artists: artists.csv}`"),
        ("artists.csv}", "artists.csv, criteria: 0}", 2, "roster.criteria", "greater than 0"),
        ("artists.csv}", "artists.csv, criteria: many}", 2, "roster.criteria", "valid integer"),
        ("path: e}", "path: e}\nbatch_size: -1", 7, "batch_size", "greater than 0"),
        ("path: m}", "path: m}\n  - {name: sd-1.5, source: diffusers, path: n}", 1, "models", "rename one"),
        ("path: e}", "path: e}\n  - {name: a.b, kind: image, path: e}\n  - {name: a-b, kind: image, path: e}",
         1, "encoders", "'a_b' occurs twice"),
        ("image_text", "image", 1, "encoders", "add one"),
        ("path: m}", "path: m, settings: {steps: 020}}", 4, "models.0.settings.steps", "YAML reads 020 in base 8, as 16; write the number without the 0"),
        ("path: m}", "path: m, settings: {steps: -020}}", 4, "models.0.settings.steps", "as -16"),
        ("path: m}", "path: m, settings: {size: 5:12}}", 4, "models.0.settings.size", "YAML reads 5:12 in base 60, as 312; write the number in digits"),
        ("path: m}", "path: m, settings: {guidance: 1:30.5}}", 4, "models.0.settings.guidance", "in base 60, as 90.5"),
        ("path: e}", "path: e}\nbatch_size: yes", 7, "batch_size", "YAML reads True there, which is no number; write the number"),
        ("artists.csv}", "artists.csv, minimum_mentions: off}", 2, "roster.minimum_mentions", "YAML reads False there, which is no number"),
        ("path: m}", "path: m, lora: [{path: l, weight: on}]}", 4, "models.0.lora.0.weight", "which is no number"),
        ("path: m}", "path: m, revision: 0123456}", 4, "models.0.revision", "or put quotes around it if it is a text"),
        ("path: m}", "path: m, revision: 1234567}", 4, "models.0.revision", "YAML reads 1234567 there, which is no text (int); put quotes"),
        ("sd-1.5", "no", 4, "models.0.name", "YAML reads False there, which is no text (bool); put quotes"),
        ("sd-1.5", "1.10", 4, "models.0.name", "YAML reads 1.1 there"),
        ("path: e}", "path: e}\nyes: 3", 1, "1", "put quotes around the text"),
        ("path: e}", "path: e}\ncontrols: {seed: 0123}", 7, "controls.seed", "in base 8, as 83"),
        ("roster: {artists: artists.csv}", "artist: 1984", 2, "artist", "YAML reads 1984 there, which is no name; put quotes"),
        ("roster: {artists: artists.csv}", "artist: No", 2, "artist", "YAML reads False there, which is no name; put quotes"),
        ("roster: {artists: artists.csv}", "artist: 2020-01-01", 2, "artist", "which is no name; put quotes"),
        ("roster: {artists: artists.csv}", "artist: [Ada A, Ben B]", 2, "artist", "`roster: {artists: artists.csv}`"),
        ("roster: {artists: artists.csv}", "artist: {name: Ada, aliases: Zee}", 2, "artist.aliases", "takes a list; write [Zee]"),
        ("roster: {artists: artists.csv}", "artist: {name: Ada, aliases: [12]}", 2, "artist.aliases.0", "YAML reads 12 there"),
    ],
)  # fmt: skip
def test_an_error_names_file_line_field_and_remedy(
    tmp_path: Path, old: str, new: str, line: int, field: str, remedy: str
) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises(InputError) as error:
        load(tmp_path, GOOD.replace(old, new))
    message = str(error.value)
    assert message.startswith(f"{tmp_path / 'audit.yaml'}, line {line}, ")
    assert field in message
    assert remedy in message


@pytest.mark.parametrize(
    "path",
    [
        "file:///etc/*.csv",
        "https://example.org/c.csv",
        "memory://c.csv",
        "zip://*.csv::https://example.org/c.zip",
        "simplecache::s3://bucket/c.csv",
        "hf://datasets/a/b/c.csv::https://example.org/c.csv",
        "S3://bucket/c.csv",
    ],
)
def test_captions_at_any_other_address_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(
        InputError, match=r"line 7, captions\.path: .* is neither a local path nor one address that begins"
    ):
        load(tmp_path, f"{GOOD}captions: {{path: '{path}'}}\n")


@pytest.mark.parametrize("path", ["c/*.csv", "/data/a::b.csv", "s3://bucket/*.parquet", "hf://datasets/a/b@main/*.csv"])
def test_captions_that_are_local_or_in_a_known_store_are_taken(tmp_path: Path, path: str) -> None:
    captions = load(tmp_path, f"{GOOD}captions: {{path: '{path}'}}\n").captions
    assert captions is not None
    assert captions.path == path


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("0", 0),
        ("20", 20),
        ("1_000", 1000),
        ("0.5", 0.5),
        ("'020'", "020"),
        ("1e1", "1e1"),
        ("'5:12'", "5:12"),
        ("16:9000", "16:9000"),
    ],
)
def test_other_numbers_and_quoted_texts_are_read_as_they_stand(tmp_path: Path, written: str, read: Any) -> None:
    audit = load(tmp_path, GOOD.replace("path: m}", f"path: m, settings: {{x: {written}}}}}"))
    assert audit.models[0].settings["x"] == read


def test_a_list_is_not_called_too_short_because_of_its_only_item(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        load(tmp_path, GOOD.replace("sd-1.5", "SD 1.5"))
    assert len(str(error.value).splitlines()) == 1


def test_all_errors_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        load(tmp_path, GOOD.replace("artists: artists.csv", "artist: x"))
    assert "roster.artist: no such field exists" in str(error.value)


def test_a_name_is_enough_for_an_audit_of_one_artist(tmp_path: Path) -> None:
    one = load(tmp_path, GOOD.replace("roster: {artists: artists.csv}", "artist: Ada Brandvold"))
    assert one.artist is not None
    assert one.artist.name == "Ada Brandvold"
    assert one.controls.random_names == 199
    with pytest.raises(InputError, match="primary: no encoder is named 'x'"):
        load(tmp_path, GOOD + "primary: x\n")
    with pytest.raises(InputError, match="give either"):
        load(tmp_path, GOOD + "artist: Ada Brandvold\n")


@pytest.mark.parametrize(
    "text",
    ["models: [", "a: b: c", "\tx: 1", "- a list", "", "just text", "a: 2023-99-99", "? [a, b]\n: c", "x: " + "[" * 1000,
     "x: !!python/object/apply:os.system [ls]", "1: x"],
    ids=range(11),
)  # fmt: skip
def test_what_is_no_mapping_of_fields_is_refused_by_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"audit\.yaml"):
        load(tmp_path, text)


def test_bad_yaml_is_located(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"audit\.yaml, line 3: not YAML"):
        load(tmp_path, "protocol: x\nroster: {}\nmodels: ]\n")


def test_a_missing_or_binary_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.yaml: cannot read the audit file .*AUDIT_CONFIG"):
        load_audit(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"binary\.yaml: is not UTF-8 .*save it as UTF-8"):
        load_audit(tmp_path / "binary.yaml")


def test_an_alias_bomb_is_refused_before_it_expands(tmp_path: Path) -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
    for text in (bomb, "models: &m [*m]\n", GOOD.replace("path: m", "path: m, settings: &s {s: *s}")):
        with pytest.raises(InputError, match=r"audit\.yaml, line \d+: not YAML \(the alias \*"):
            load(tmp_path, text)


@pytest.mark.parametrize(
    "template", ["no place", "{name} and {name}", "{name} {x}", "{name!r}", "{{name}}", "{name} {", "{}"]
)
def test_a_template_holds_the_name_once_and_no_other_brace(template: str) -> None:
    with pytest.raises(ValidationError, match="must contain"):
        protocol(templates=(template,))


def test_a_template_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="occurs twice"):
        protocol(templates=("by {name}", "by {name}"))


@pytest.mark.parametrize("name", ["{name}", "{0.__class__}", "%s", "a}b{", "\\1"])
def test_braces_in_a_name_stay_data(name: str) -> None:
    assert protocol().prompt(0, name) == f"Artwork from {name}"


@pytest.mark.parametrize(
    ("changes", "generates", "measures"),
    [
        ({"templates": ("by {name}",)}, True, False),
        ({"trials": 3}, True, False),
        ({"seed": 1}, False, True),
        ({"default_labels": ("Art",)}, False, True),
        ({"matching": MatchingTests(alpha=0.1)}, False, True),
        ({"name": "q"}, False, False),
    ],
)
def test_a_change_regenerates_or_remeasures_and_never_both(
    changes: dict[str, Any], generates: bool, measures: bool
) -> None:
    before, after = protocol(), protocol(**changes)
    assert (before.generation_hash != after.generation_hash) is generates
    assert (before.measurement_hash != after.measurement_hash) is measures


def test_paths_start_at_the_files_folder_and_unknown_names_list_the_known(tmp_path: Path) -> None:
    audit = load(tmp_path, GOOD)
    assert audit.local("x/y") == tmp_path.resolve() / "x" / "y"
    assert audit.local("/abs") == Path("/abs")
    assert audit.model("sd-1.5").path == "m"
    with pytest.raises(InputError, match=r"no encoder 'dino'.*clip"):
        audit.encoder("dino")


def test_a_field_given_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "audit.yaml").write_text("protocol: a\nroster: {artists: a.csv}\nprotocol: b\n")
    with pytest.raises(InputError, match=r"line 3.*protocol is given twice"):
        load_audit(tmp_path / "audit.yaml")


@pytest.mark.parametrize("field", ["base", "file"])
def test_a_field_that_the_program_fills_in_is_not_taken_from_the_file(tmp_path: Path, field: str) -> None:
    (tmp_path / "audit.yaml").write_text(f"protocol: a\n{field}: /elsewhere\n")
    with pytest.raises(InputError, match=rf"line 2, {field}"):
        load_audit(tmp_path / "audit.yaml")


def test_a_terminal_without_the_characters_of_a_message_shows_it_all_the_same(tmp_path: Path) -> None:
    """Before, what cannot be encoded ended the command with a traceback, after all its work."""
    done = subprocess.run(
        [sys.executable, "-m", "audit_assets.cli", "sql", "SELECT 1", "--config", str(tmp_path / "ünï – 97 %.yaml")],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert "cannot read the audit file" in done.stdout
    assert "Traceback" not in done.stderr
