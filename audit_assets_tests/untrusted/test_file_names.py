"""Names of files that are not UTF-8, longer than a filesystem takes, or of files that nobody may read: said by name, and no traceback."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_assets.config import load_audit
from audit_assets.errors import InputError, in_utf8, said, writing
from audit_assets.evidence.archive_file import imported
from audit_assets.evidence.manifest import read_manifest as parsed_manifest
from audit_assets.evidence.timestamp import stated
from audit_assets.generation.image_folder import fingerprint
from audit_assets.generation.sorting import copy_all, sorted_into
from audit_assets.hashing import digest
from audit_assets.models.registry import registry
from audit_assets.references.works import reference_works
from audit_assets.results.rating_answers import read_answers
from audit_assets.roster.artists import artists_of, read_artists
from audit_assets.roster.homes import file_hashes, homes, shared, unread_of, unread_table, works_of
from audit_assets.roster.pictures import different
from audit_assets.untrusted.folders import REFERENCE_FIELDS, artist_folders, contents, folder_problems, read_manifest
from audit_assets.untrusted.weights import check_safetensors, is_torchscript, licence, read_json
from audit_assets.warehouse.images import ImageStore
from audit_assets.warehouse.left_out import WORK, LeftOut, leave_out, records
from audit_assets.warehouse.places import whole
from audit_assets.warehouse.store import Warehouse
from audit_assets_tests.rights import without_rights
from audit_assets_tests.roster.test_homes import NAMES, audit_of, fill

LATIN_1 = os.fsdecode(b"caf\xe9")
HUNDRED_KANJI = "風" * 80  # 240 bytes


@given(st.binary(max_size=40))
def test_a_name_in_any_bytes_becomes_text_that_a_table_can_hold(name: bytes) -> None:
    text = in_utf8(os.fsdecode(name))
    assert text.encode().decode() == text
    assert in_utf8(text) == text  # a text in UTF-8 stays as it is
    assert str(InputError(os.fsdecode(name))) == text


def test_a_name_that_is_not_utf_8_is_written_with_its_codes() -> None:
    assert in_utf8(LATIN_1) == r"caf\xe9"
    assert in_utf8("a\ud800") == r"a\ud800"
    assert said(OSError(LATIN_1)) == r"OSError: caf\xe9"
    assert said(PermissionError(13, "Permission denied", f"/m/{LATIN_1}")).startswith(
        r"/m/caf\xe9: cannot be read (Permission denied); give yourself the right to read it"
    )
    assert in_utf8("café 風") == "café 風"


def test_a_work_whose_name_is_not_utf_8_is_a_work_like_another(tmp_path: Path) -> None:
    own = fill(tmp_path / "ada-example", 3)
    (own / "0.png").rename(own / f"{LATIN_1}.png")
    files = contents(own).images
    refused: dict[str, str] = {}
    assert len(reference_works(files, "ada-example", ImageStore(tmp_path / "images"), refused)) == 3
    assert refused == {}
    assert len(fingerprint(files)) == 64


def test_what_is_not_read_has_a_name_in_a_table_whatever_its_bytes(tmp_path: Path) -> None:
    own = fill(tmp_path / "works" / "ada-example", 2)
    (own / f"{LATIN_1}.psd").write_bytes(b"8BPS")
    (own / f".{LATIN_1}").write_bytes(b"left by a program")
    (own / f"{LATIN_1}.png").write_bytes((own / "0.png").read_bytes())
    fill(tmp_path / "works" / LATIN_1)
    found = unread_of("references", homes(tmp_path / "works", NAMES), REFERENCE_FIELDS)
    assert {one.file for one in found} == {
        "ada-example/caf\\xe9.psd",
        "ada-example/",
        "ada-example/caf\\xe9.png",
        "caf\\xe9",
    }
    warehouse = Warehouse(tmp_path / "warehouse")
    table = unread_table(found)
    warehouse.write("unread_works", table, digest(table.to_json()))
    assert warehouse.read("unread_works")["file"].tolist() == [one.file for one in found]
    (own / f"{LATIN_1}.png").write_bytes(b"no image")
    refused: dict[str, str] = {}
    reference_works(contents(own).images, "ada-example", ImageStore(tmp_path / "images"), refused)
    parts = [LeftOut(WORK, why, "real works", subject="ada-example") for why in refused.values()]
    leave_out(warehouse, "reference_works/ada-example", parts, tmp_path)
    assert "caf\\xe9.png" in records(warehouse)["left_out/reference_works/ada-example"][0].reason


def test_a_download_with_such_names_and_with_long_ones_is_sorted(tmp_path: Path) -> None:
    download = fill(tmp_path / "download", 2)
    (download / "0.png").rename(download / f"ada-example-{LATIN_1}.png")
    (download / "1.png").rename(download / f"ben-sample-{HUNDRED_KANJI}.png")
    placed = sorted_into(download, tmp_path / "images", NAMES)
    assert copy_all(placed) == 2
    assert len(os.listdir(tmp_path / "images" / "ada-example")) == 1
    assert os.listdir(tmp_path / "images" / "ben-sample") == [f"ben-sample-{HUNDRED_KANJI}.png"]


def test_a_background_folder_whose_name_is_not_utf_8_is_named(tmp_path: Path) -> None:
    fill(tmp_path / "works" / "0")
    fill(tmp_path / "background" / LATIN_1)
    config = audit_of(tmp_path, "artist: Ada Example\nreferences: works/\nbackground: background/\n")
    with pytest.raises(InputError, match=r"'caf\\\\xe9' is not UTF-8; rename the folder"):
        artists_of(load_audit(config))


def test_an_audit_in_a_folder_whose_name_is_not_utf_8_says_so(tmp_path: Path) -> None:
    folder = tmp_path / LATIN_1
    folder.mkdir()
    config = audit_of(folder, "artist: Ada Example\n")
    with pytest.raises(InputError, match=r"caf\\xe9/audit\.yaml: .* is not UTF-8.*rename that folder"):
        load_audit(config)


def test_a_file_with_the_longest_name_is_written_whole_and_a_longer_one_is_named(tmp_path: Path) -> None:
    with whole(tmp_path / ("x" * 255)) as file:
        file.write_text("y")
    assert (tmp_path / ("x" * 255)).read_text() == "y"
    assert len(os.listdir(tmp_path)) == 1
    with (
        pytest.raises(InputError, match="its name is longer than this filesystem allows; shorten it"),
        writing(tmp_path),
    ):
        (tmp_path / ("風" * 100)).write_text("y")


# ---- files without the right to read them
def hidden_work(works: Path) -> None:
    (works / "ada-example" / "0.png").chmod(0)


def hidden_folder(works: Path) -> None:
    (works / "ada-example").chmod(0)


def closed_folder(works: Path) -> None:
    """Its names can be listed, and nothing in it can be opened."""
    (works / "ada-example").chmod(0o444)


def hidden_manifest(works: Path) -> None:
    (works / "ada-example" / "manifest.csv").write_text("file,licence\n0.png,CC0\n")
    (works / "ada-example" / "manifest.csv").chmod(0)


@pytest.mark.parametrize("hide", [hidden_work, hidden_folder, closed_folder, hidden_manifest])
def test_what_one_artist_hides_is_said_and_stops_that_artist_alone(
    open_place: Path, hide: Callable[[Path], None]
) -> None:
    place = open_place / "place"
    fill(place / "works" / "ada-example", 2)
    fill(place / "works" / "ben-sample", 2, 5)
    audit = load_audit(audit_of(place, "artist: Ada Example\nreferences: works/\n"))
    with without_rights(place):
        hide(place / "works")
        found = works_of(audit, NAMES)
        unread = unread_of("references", found.homes[0][1], REFERENCE_FIELDS)
        said_of = [*found.refused.values(), *(one.sentence() for one in unread)]
        assert any("Permission denied" in line and "ada-example" in line for line in said_of)
        assert not any("ben-sample" in line for line in said_of)
        assert different(found.files["ben-sample"]) == 2
        assert different(found.files.get("ada-example", [])) == {"hidden_work": 1, "hidden_manifest": 2}.get(
            hide.__name__, 0
        )
        assert shared(file_hashes(found.files), NAMES) == []
        assert any("Permission denied" in problem for problem in folder_problems(place / "works"))
    (place / "works" / "ada-example").chmod(0o755)


def test_a_folder_of_artists_that_cannot_be_read_says_so(open_place: Path) -> None:
    place = open_place / "place"
    fill(place / "works" / "ada-example", 2)
    with without_rights(place):
        (place / "works").chmod(0)
        for ask in (lambda: homes(place / "works", NAMES), lambda: artist_folders(place / "works")):
            with pytest.raises(
                InputError, match=r"works: cannot be read \(Permission denied\); give yourself the right"
            ):
                ask()
        (place / "works").chmod(0o755)
        assert len(artist_folders(place / "works")) == 1


def test_a_manifest_that_cannot_be_read_is_not_taken_for_none(open_place: Path) -> None:
    place = open_place / "place"
    own = fill(place / "ada-example", 2)
    assert read_manifest(own, REFERENCE_FIELDS, ["0.png"]).rows == {}
    (own / "manifest.csv").write_text("file,licence\n0.png,CC0\n")
    assert read_manifest(own, REFERENCE_FIELDS, ["0.png"]).rows == {"0.png": {"licence": "CC0"}}
    with without_rights(place):
        for path, mode in ((own / "manifest.csv", 0), (own, 0o444)):
            before = path.stat().st_mode
            path.chmod(mode)
            with pytest.raises(InputError, match="give yourself the right to read it"):
                read_manifest(own, REFERENCE_FIELDS, ["0.png"])
            path.chmod(before)


def test_a_download_that_cannot_be_read_leaves_no_half_file(open_place: Path) -> None:
    place = open_place / "place"
    download = fill(place / "download", 1)
    (download / "0.png").rename(download / "ada-example.png")
    with without_rights(place):
        placed = sorted_into(download, place / "images", NAMES)
        (download / "ada-example.png").chmod(0)
        with pytest.raises(InputError, match=r"ada-example\.png: cannot be read \(Permission denied\)"):
            copy_all(placed)
        assert not [p for p in (place / "images").rglob("*") if p.is_file()]
        (download / "ada-example.png").chmod(0o644)
        assert copy_all(placed) == 1
        copy = place / "images" / "ada-example" / "ada-example.png"
        assert copy.read_bytes() == (download / "ada-example.png").read_bytes()


# ---- what is no file
def test_a_pipe_is_not_waited_for_and_an_endless_file_is_not_read(tmp_path: Path) -> None:
    """A pipe waits for a writer for ever; a sparse file of a terabyte takes no room on a disk."""
    config = audit_of(tmp_path, "roster: {artists: artists.csv}\n")
    own = fill(tmp_path / "ada-example", 1)
    readers = {
        config: lambda: load_audit(config),
        tmp_path / "artists.csv": lambda: read_artists(tmp_path / "artists.csv"),
        own / "manifest.csv": lambda: read_manifest(own, REFERENCE_FIELDS, ["0.png"]),
        tmp_path / "config.json": lambda: read_json(tmp_path / "config.json"),
        tmp_path / "m.json": lambda: parsed_manifest(tmp_path / "m.json"),
        tmp_path / "archive.json": lambda: imported(tmp_path),
        tmp_path / "answers.json": lambda: read_answers(tmp_path / "answers.json"),
        tmp_path / "tsa.pem": lambda: stated(b"", b"", tmp_path / "tsa.pem"),
    }
    for file, read in readers.items():
        file.unlink(missing_ok=True)
        os.mkfifo(file)
        with pytest.raises(InputError, match=rf"{file.name}: is a pipe or a device, and not a file"):
            read()
        file.unlink()
        with file.open("wb") as sparse:
            sparse.truncate(1 << 40)
        with pytest.raises(InputError, match=rf"{file.name}: has more than \d+ bytes"):
            read()


def test_a_pipe_in_a_models_folder_is_not_waited_for(tmp_path: Path) -> None:
    for name in ("model.safetensors", "README.md", "model.pt"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=r"model\.safetensors: is a pipe or a device, and not a file"):
        check_safetensors(tmp_path / "model.safetensors")
    assert licence(tmp_path) is None
    assert not is_torchscript(tmp_path / "model.pt")


def test_a_pipe_under_an_images_name_is_refused(tmp_path: Path) -> None:
    own = fill(tmp_path / "ada-example", 1)
    os.mkfifo(own / "1.png")
    with pytest.raises(InputError, match=r"1\.png: is not a file"):
        contents(own)
    assert ("1.png", "is a link, or not a file") in contents(own, check=False).unread


def test_a_model_whose_folder_cannot_be_read_is_left_out_alone(open_place: Path) -> None:
    place = open_place / "place"
    for model in ("closed", "open"):
        fill(place / model / "ada-example", 1)
    models = "".join(
        f"  - {{name: {m}, source: image_folder, path: {m}, approved: true}}\n" for m in ("closed", "open")
    )
    (place / "audit.yaml").write_text(
        f"artist: Ada Example\nmodels:\n{models}encoders: [{{name: e, kind: image_text, path: e}}]\n"
    )
    with without_rights(place):
        (place / "closed").chmod(0)
        known = registry(load_audit(place / "audit.yaml"), Warehouse(place / "warehouse"))
        assert set(known.resolved) == {"open"}
        assert "closed: cannot be read (Permission denied); give yourself the right" in known.refused["closed"]
        (place / "closed").chmod(0o755)
        known = registry(load_audit(place / "audit.yaml"), Warehouse(place / "warehouse"))
        assert (set(known.resolved), known.refused) == ({"closed", "open"}, {})
