"""From a folder of works and a model to an audit file, and what stands in the way of an audit, before it starts."""

import shlex
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner, Result

from audit_assets.cli import LEFT_OUT, app
from audit_assets.config import PROTOCOLS, load_audit
from audit_assets.errors import InputError
from audit_assets.preparation.check import check
from audit_assets.preparation.init import Found, Wanted, _names, write_audit
from audit_assets.roster.artists import artists_of
from audit_assets.roster.homes import works_of
from audit_assets.roster.slugs import slug
from audit_assets.untrusted.tables import clean
from audit_assets.workspace import Workspace
from audit_assets_tests.encoders import tiny_encoders

SETTINGS = ("--steps", "15", "--guidance", "3", "--size", "32")


@pytest.fixture
def works(miniature: Path, tmp_path: Path) -> Path:
    """What a person has of one artist: works, and files that are none."""
    folder = Path(shutil.copytree(miniature / "generated" / "references" / "mara-ulvang", tmp_path / "works"))
    (folder / "notes.txt").write_text("not a work")
    (folder / "Scan 3.psd").write_bytes(b"8BPS")
    (folder / "cut.png").write_bytes((folder / "00.png").read_bytes()[:60])
    return folder


@pytest.fixture
def wanted(works: Path, miniature: Path) -> Callable[..., Wanted]:
    def make(**changes: object) -> Wanted:
        said = {
            "works": works,
            "models": [str(miniature / "models" / "miniature-1")],
            "encoders": [str(miniature / "encoders" / "clip")],
            "artist": "Mara Ulvang",
            **changes,
        }
        return Wanted(**said)  # type: ignore[arg-type]

    return make


def init(works: Path, miniature: Path, config: Path, *more: str) -> Result:
    model, encoder = miniature / "models" / "miniature-1", miniature / "encoders" / "clip"
    asked = ["--works", str(works), "--model", str(model), "--encoder", str(encoder), "--config", str(config)]
    return CliRunner().invoke(app, ["init", *asked, *SETTINGS, *more])


def test_init_writes_a_file_that_is_checked_lists_what_it_found_and_plans(
    works: Path, miniature: Path, tmp_path: Path
) -> None:
    config = tmp_path / "audit.yaml"
    shown = init(works, miniature, config, "--artist", "Mara Ulvang")
    said = " ".join(shown.output.split())
    assert shown.exit_code == 0, shown.output
    used, _, rest = said.partition("not used:")
    number = len(list((miniature / "generated" / "references" / "mara-ulvang").glob("*.png")))
    assert f"Mara Ulvang: {number} works" in used
    assert "model miniature-1: StableDiffusionPipeline, steps 15, guidance 3.0, size 32" in used
    assert "encoder clip: clip, reads names and images" in used
    for name, why in (
        ("notes.txt", "no format"),
        ("Scan 3.psd", "no format"),
        ("cut.png", "cannot be read as an image"),
    ):
        assert name in rest
        assert why in rest
    assert "roster and subjects" in said
    assert "what would settle it" in said
    assert f"audit-assets run --config {config}" in said.replace(" /", "/").replace("--config/", "--config /")
    audit = load_audit(config)
    assert audit.artist is not None
    assert audit.artist.name == "Mara Ulvang"
    assert audit.references == "works/"
    assert audit.models[0].approved
    assert audit.models[0].settings == {"steps": 15, "guidance": 3.0, "size": 32}


def test_init_for_a_folder_per_artist_takes_the_folders_for_names_and_says_so(
    wanted: Callable[..., Wanted], miniature: Path, tmp_path: Path
) -> None:
    roster = tmp_path / "roster"
    for source, name in (
        ("mara-ulvang", "mara-ulvang"),
        ("nils-oduya", "Nils Oduya"),
        ("olga-ulvang", "Ulvang, Ólga"),
    ):
        shutil.copytree(miniature / "generated" / "references" / source, roster / name)
    (roster / "empty").mkdir()
    config = tmp_path / "audit.yaml"
    found = write_audit(config, wanted(works=roster, artist=""))
    audit = load_audit(config)
    names = artists_of(audit)["name"].tolist()
    assert sorted(names) == sorted(["Mara Ulvang", "Nils Oduya", "Ólga Ulvang"])
    assert set(works_of(audit, {slug(n): [n] for n in names}).files) == {slug(n) for n in names}
    assert any("mara-ulvang is taken for the artist 'Mara Ulvang'" in line for line in found.used)
    assert any("empty: holds no image" in line for line in found.not_used)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("jos\u00e9-de-la-cruz", "Jos\u00e9 De La Cruz"),
        (unicodedata.normalize("NFD", "zo\u00eb_m\u00fcller"), "Zo\u00eb M\u00fcller"),
        ("georgia-o\u2019keeffe", "Georgia O\u2019Keeffe"),
        ("georgia-o'keeffe", "Georgia O'Keeffe"),
        ("king's-painter", "King's Painter"),
        ("иван-петров", "Иван Петров"),
        ("ada-example-2", "Ada Example 2"),
        ("rembrandt", "rembrandt"),
        ("o'neill", "o'neill"),
        ("Ada Saint-Example", "Ada Saint-Example"),
        ("山田-太郎", "山田-太郎"),  # no letter shows whether this is a key, and the words are the same
        ("محمد-علي", "محمد-علي"),
        (unicodedata.normalize("NFD", "Zo\u00eb M\u00fcller"), "Zo\u00eb M\u00fcller"),
    ],
)
def test_a_folder_with_the_look_of_a_key_gets_capitals_whatever_its_letters(
    tmp_path: Path, folder: str, name: str
) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "0.png").touch()
    found = Found()
    assert list(_names(tmp_path, found).values()) == [name]
    taken = [f"the folder {folder} is taken for the artist {name!r}; correct artists.csv if that is not the name"]
    assert found.used == (taken if unicodedata.normalize("NFC", folder) != name else [])


def folders(roster: Path, miniature: Path, *names: str) -> Path:
    sources = sorted(p for p in (miniature / "generated" / "references").iterdir() if p.is_dir())
    for source, name in zip(sources, names, strict=False):
        (roster / name).mkdir(parents=True)
        shutil.copy(next(source.glob("*.png")), roster / name)
    return roster


def test_init_takes_folders_of_a_catalogue_for_the_turned_names_and_their_works(
    wanted: Callable[..., Wanted], miniature: Path, tmp_path: Path
) -> None:
    own = folders(
        tmp_path / "r", miniature, "Thomas, James", "James, Thomas", "Davis, Sammy, Jr.", "Ann Lee, Jr.", "Ola_Vik"
    )
    write_audit(tmp_path / "audit.yaml", wanted(works=own, artist=""))
    audit = load_audit(tmp_path / "audit.yaml")
    names = artists_of(audit)["name"].tolist()
    assert sorted(names) == sorted(["James Thomas", "Thomas James", "Sammy Davis, Jr.", "Ann Lee, Jr.", "Ola Vik"])
    found = works_of(audit, {slug(n): [n] for n in names}).files
    assert {s: f[0].parent.name for s, f in found.items()} == {
        "james-thomas": "Thomas, James",
        "thomas-james": "James, Thomas",
        "sammy-davis-jr": "Davis, Sammy, Jr.",
        "ann-lee-jr": "Ann Lee, Jr.",
        "ola-vik": "Ola_Vik",
    }


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["Ada Example", "ada_example"], r"r/Ada Example and .*r/ada_example: both are the folder of '[Aa]da Example'"),
        (
            ["Ada Example (1920-1990)", "Ben Sample"],
            r"r/Ada Example \(1920-1990\): .*Rename the folder to 'Ada Example'",
        ),
        (
            ["Ad?le Example", "Ben Sample"],
            r"r/Ad\?le Example: the name of this folder: 'Ad\?le Example' has lost a letter",
        ),
        (["!!!", "Ben Sample"], r"r/!!!: the name of this folder: .* has no letter or digit"),
        (["Ada\x01", "Ben Sample"], r"the name of this folder: control character U\+0001"),
    ],
)
def test_init_names_the_folders_that_it_cannot_take_for_artists(
    names: list[str], said: str, wanted: Callable[..., Wanted], miniature: Path, tmp_path: Path
) -> None:
    own = folders(tmp_path / "r", miniature, *names)
    with pytest.raises(InputError, match=said) as refused:
        write_audit(tmp_path / "out" / "audit.yaml", wanted(works=own, artist=""))
    assert "artists.csv" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_init_refuses_a_name_that_no_audit_accepts(wanted: Callable[..., Wanted], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--artist: 'Ada Exampl\?' has lost a letter"):
        write_audit(tmp_path / "audit.yaml", wanted(artist="Ada Exampl?"))


@pytest.mark.parametrize("existing", ["audit.yaml", "artists.csv"])
def test_init_overwrites_nothing(wanted: Callable[..., Wanted], miniature: Path, tmp_path: Path, existing: str) -> None:
    own = tmp_path / "out" / existing
    own.parent.mkdir()
    own.write_text("mine")
    roster = miniature / "generated" / "references"
    with pytest.raises(InputError, match=f"{existing}: exists, and is not overwritten"):
        write_audit(tmp_path / "out" / "audit.yaml", wanted(works=roster, artist=""))
    assert own.read_text() == "mine"
    assert [p.name for p in own.parent.iterdir()] == [existing]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"artist": ""}, "give the artist's name with --artist"),
        ({"models": ["/nowhere/model"]}, "/nowhere/model: there is no such folder"),
        ({"encoders": ["/nowhere/clip"]}, "/nowhere/clip: there is no such folder"),
        ({"works": Path("/nowhere/works")}, "/nowhere/works: there is no such folder"),
        ({"works": Path(__file__)}, "is a file; unpack it if it is an archive"),
        ({"artist": "x" * 300}, "at most 200 characters"),
        ({"settings": {"steps": 0}}, "settings.steps"),
        ({"captions": "/nowhere/*.parquet"}, r"captions.path: '/nowhere/\*.parquet' matches no file"),
        ({"captions": __file__}, "is neither .parquet nor"),
        ({"revision": "c" * 40}, "--revision: is the commit of a model or encoder on the hub"),
    ],
)
def test_init_writes_nothing_if_a_part_is_refused(
    wanted: Callable[..., Wanted], tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        write_audit(tmp_path / "out" / "audit.yaml", wanted(**changes))
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_init_and_check_count_a_picture_in_two_formats_once_and_leave_a_blank_one_out(
    wanted: Callable[..., Wanted], works: Path, tmp_path: Path
) -> None:
    own = shutil.copytree(works, tmp_path / "own")
    count = 10  # one file of the folder is broken
    Image.open(next(own.glob("*.png"))).convert("RGB").save(own / "again.bmp")
    Image.new("RGB", (8, 8), "white").save(own / "white.png")
    found = write_audit(tmp_path / "audit.yaml", wanted(works=own))
    assert f"Mara Ulvang: {count} works" in found.used
    assert [line for line in found.not_used if "white.png" in line and "is blank" in line]
    (copy,) = [line for line in found.not_used if "is the same picture as" in line]
    assert "again.bmp" in copy
    (row,) = [row for row in check(tmp_path / "audit.yaml") if row.part == "real works"]
    assert row.understood.startswith(f"{count} works of 1 artist")
    assert copy in row.understood
    assert len(row.problems) == 2


def test_a_second_audit_in_a_folder_has_a_warehouse_of_its_own_and_takes_none_with_images(
    wanted: Callable[..., Wanted], tmp_path: Path
) -> None:
    """In one warehouse, the run of the second artist would replace the first one's results, pages and root."""
    one, other = tmp_path / "audit.yaml", tmp_path / "Other artist.yaml"
    for file in (one, other):
        write_audit(file, wanted())
    first, second = (load_audit(file).warehouse for file in (one, other))
    assert (first, second) == ("warehouse/", "warehouse-other-artist/")
    for file, warehouse in ((one, first), (other, second)):
        (tmp_path / warehouse / "imitations").mkdir(parents=True)
        file.unlink()
        with pytest.raises(InputError, match=f"{warehouse[:-1]}: has the images of an audit that was made"):
            write_audit(file, wanted())
        assert not file.exists()


def test_init_writes_no_file_into_a_folder_in_which_no_audit_can_run(
    wanted: Callable[..., Wanted], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"which Dagster takes for a pattern.*\nNothing was written"):
        write_audit(tmp_path / "n [2026]" / "audit.yaml", wanted())
    assert not (tmp_path / "n [2026]" / "audit.yaml").exists()


@pytest.mark.long
def test_the_commands_that_init_names_can_be_pasted(works: Path, miniature: Path, tmp_path: Path) -> None:
    config = tmp_path / "my case" / "case 1.yaml"
    shown = init(works, miniature, config, "--artist", "Mara Ulvang")
    assert shown.exit_code == 0, shown.output
    last = next(line for line in shown.output.splitlines() if line.startswith("next "))
    assert shlex.split(last) == ["next", "audit-assets", "run", "--config", str(config)]


def test_init_names_the_caption_files_that_it_found(wanted: Callable[..., Wanted], tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("url,text\nu,by Mara Ulvang\n", encoding="utf-8")
    found = write_audit(tmp_path / "audit.yaml", wanted(captions=str(tmp_path / "few.csv")))
    assert "captions: 1 file" in found.used
    (tmp_path / "few.csv").write_text("url,words\nu,by Mara Ulvang\n", encoding="utf-8")
    found = write_audit(tmp_path / "other.yaml", wanted(captions=str(tmp_path / "few.csv")))
    assert (tmp_path / "other.yaml").exists()  # the remedy is a line of this file
    assert [line for line in found.not_used if "no column 'text' or" in line and "captions: {columns:" in line]


def test_init_says_how_to_bring_images_and_works_into_folders(
    wanted: Callable[..., Wanted], works: Path, tmp_path: Path
) -> None:
    flat = shutil.copytree(works, tmp_path / "flat")
    with pytest.raises(InputError, match=r"holds images themselves, and no folder per artist.*audit-assets sort"):
        write_audit(tmp_path / "audit.yaml", wanted(models=[str(flat)]))
    years = tmp_path / "years"
    shutil.copytree(works, years / "2019")
    shutil.copytree(works, years / "2020")
    with pytest.raises(InputError, match=r"holds folders \(2019, 2020\) and no image itself.*put them into one folder"):
        write_audit(tmp_path / "audit.yaml", wanted(works=years))
    assert not (tmp_path / "audit.yaml").exists()


def test_init_refuses_an_encoder_that_reads_no_names_if_it_is_the_only_one(
    wanted: Callable[..., Wanted], tmp_path: Path
) -> None:
    vision = str(tiny_encoders.save("dinov2", tmp_path / "dinov2"))
    with pytest.raises(InputError, match="reads images and no names"):
        write_audit(tmp_path / "a" / "audit.yaml", wanted(encoders=[vision]))
    both = wanted(encoders=[*wanted().encoders, vision])
    write_audit(tmp_path / "b" / "audit.yaml", both)
    assert [e.kind for e in load_audit(tmp_path / "b" / "audit.yaml").encoders] == ["image_text", "image"]


def test_init_takes_no_encoder_of_names_for_one_of_images_because_its_tokenizer_is_missing(
    wanted: Callable[..., Wanted], tmp_path: Path
) -> None:
    broken = tiny_encoders.save("clip", tmp_path / "broken")
    for file in broken.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(InputError, match="has no tokenizer, which labels need"):
        write_audit(tmp_path / "a" / "audit.yaml", wanted(encoders=[*wanted().encoders, str(broken)]))


@pytest.mark.parametrize(
    ("part", "path", "commit"),
    [("models", f"hub:o/m@{'a' * 40}", "a"), ("encoders", f"hub:o/e@{'a' * 40}", "a"), ("models", "hub:o/m", "b")],
)
def test_init_takes_a_commit_of_its_own_for_each_part_on_the_hub(
    wanted: Callable[..., Wanted], tmp_path: Path, part: str, path: str, commit: str
) -> None:
    said = wanted(**{part: [path]}, revision="b" * 40)
    with pytest.raises(InputError, match=rf"{path.partition('@')[0]}: commit {commit * 40} is not in the cache"):
        write_audit(tmp_path / "a" / "audit.yaml", said)


def test_init_asks_for_what_is_missing_and_names_the_flag_where_nobody_can_be_asked(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["init", "--config", str(tmp_path / "audit.yaml")])
    assert shown.exit_code == 2
    assert "--works: is missing" in shown.output


@given(name=st.text(min_size=1, max_size=200))
@example(name="Ana\x85Lima")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_artists_name_is_data(
    name: str, wanted: Callable[..., Wanted], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever a name is, the file has this name, or the name is refused and no file exists."""
    config = tmp_path_factory.mktemp("name") / "audit.yaml"
    try:
        write_audit(config, wanted(artist=name))
    except InputError:
        assert not config.exists()
        return
    audit = load_audit(config)
    assert audit.artist is not None
    assert audit.artist.name == clean(name.strip())[0]
    assert len(audit.models) == len(audit.encoders) == 1


# ---- check
def rows_of(output: str) -> str:
    """The text of a table without its frame."""
    return " ".join(output.translate(str.maketrans("│┃┏┓┗┛┡┩├┤└┘┬┴┼╇━─╋┳┻", " " * 21)).split())


def test_check_opens_everything_and_says_what_it_understood(works: Path, miniature: Path, tmp_path: Path) -> None:
    config = tmp_path / "audit.yaml"
    assert init(works, miniature, config, "--artist", "Mara Ulvang").exit_code == 0
    (works / "cut.png").unlink()
    before = sorted(tmp_path.rglob("*"))
    shown = CliRunner().invoke(app, ["check", "--config", str(config)], env={"COLUMNS": "220"})
    assert shown.exit_code == 0, shown.output
    said = rows_of(shown.output)
    assert "drew 32 x 32 pixels from 'Artwork from Mara Ulvang'" in said
    assert "clip, 64 values" in said
    assert "works of 1 artist" in said
    assert "refused" not in said
    assert sorted(tmp_path.rglob("*")) == before


def test_check_names_each_part_that_an_audit_would_leave_out(copied: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(copied.read_text(encoding="utf-8"))
    for n in range(3):
        (tmp_path / "saved" / "Nils Oduya").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (n, 9, 9)).save(tmp_path / "saved" / "Nils Oduya" / f"{n}.png")
    (tmp_path / "saved" / "Nils Oduya" / "3.png").write_bytes(b"no image")
    content["models"] = [
        {"name": "gone", "source": "diffusers", "path": "/nowhere/model", "approved": True},
        {"name": "saved", "source": "image_folder", "path": str(tmp_path / "saved"), "approved": True},
        *content["models"],
    ]
    headless = tiny_encoders.save("dinov2", tmp_path / "headless")
    (headless / "model.safetensors").unlink()
    content["encoders"].append({"name": "headless", "kind": "image", "path": str(headless)})
    copied.write_text(yaml.safe_dump(content), encoding="utf-8")
    shown = CliRunner().invoke(app, ["check", "--config", str(copied)], env={"COLUMNS": "300"})
    said = rows_of(shown.output)
    assert shown.exit_code == LEFT_OUT, shown.output
    assert "/nowhere/model: there is no such folder" in said
    assert "3.png: cannot be read as an image" in said
    assert said.count("refused:") == 3
    assert "The audit would leave out what is refused." in said


@pytest.mark.parametrize(
    ("prompt_name", "prompt"),
    [
        pytest.param("Olga Ulvang", "Artwork from Olga Ulvang", marks=pytest.mark.long),
        ("{name} by hand", "Artwork from Mara Ulvang by hand"),
    ],
)
def test_check_draws_by_the_words_that_the_model_is_asked_by(
    works: Path, miniature: Path, tmp_path: Path, prompt_name: str, prompt: str
) -> None:
    config = tmp_path / "audit.yaml"
    assert init(works, miniature, config, "--artist", "Mara Ulvang").exit_code == 0
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    content["models"][0]["prompt_name"] = prompt_name
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    said = {(row.part, row.name): row for row in check(config)}
    model = said["model", content["models"][0]["name"]]
    assert model.ok, model.problems
    assert f"drew 32 x 32 pixels from {prompt!r}" in model.understood


@pytest.mark.long
def test_check_asks_each_template_and_says_which_settings_are_not_sent(
    works: Path, miniature: Path, tmp_path: Path
) -> None:
    """The first template is short. The name stands at the end of the second, after more tokens than are kept."""
    config = tmp_path / "audit.yaml"
    assert init(works, miniature, config, "--artist", "Mara Ulvang").exit_code == 0
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    protocol = yaml.safe_load((PROTOCOLS / f"{content['protocol']}.yaml").read_text(encoding="utf-8"))
    protocol |= {"name": "long", "templates": [*protocol["templates"], f"{'art ' * 90}{{name}}"]}
    (tmp_path / "long.yaml").write_text(yaml.safe_dump(protocol), encoding="utf-8")
    content["protocol"] = "long.yaml"
    content["models"][0]["settings"]["max_sequence_length"] = 9
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    said = {row.part: row for row in check(config)}
    assert "its tokenizer does not read the whole names 'Mara Ulvang'" in " ".join(said["model"].problems)
    # An audit runs with such an encoder, and gives no answer by the names that it does not read.
    assert "does not read the whole names 'Mara Ulvang'" in said["encoder"].understood
    assert said["encoder"].ok
    assert "settings.max_sequence_length is not sent" in said["model"].understood


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"prompt_name": {"Mara Ulwang": "sks"}}, "'Mara Ulwang' is the name of no artist"),
        pytest.param(
            {"prompt_name": "sks " * 49},
            "its tokenizer does not read the whole names 'sks sks",
            marks=pytest.mark.long,
        ),
        pytest.param(
            {"embeddings": [{"path": "a.safetensors", "token": "<a>"}]},
            "no prompt contains '<a>'",
            marks=pytest.mark.long,
        ),
    ],
)
def test_check_refuses_words_that_would_not_reach_the_model(
    works: Path, miniature: Path, tmp_path: Path, entry: dict[str, object], problem: str
) -> None:
    config = tmp_path / "audit.yaml"
    assert init(works, miniature, config, "--artist", "Mara Ulvang").exit_code == 0
    save_file({"emb_params": torch.ones(1, 8)}, tmp_path / "a.safetensors")
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    content["models"][0] |= entry
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    (model,) = (row for row in check(config) if row.part == "model")
    assert problem in " ".join(model.problems)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"references": "nowhere/"}, "does not exist; make it"),
        ({"captions": {"path": "nowhere/*.parquet"}}, "matches no file"),
    ],
)
def test_check_fails_if_a_needed_part_is_refused(
    small_audit: Callable[..., Path], tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    shown = CliRunner().invoke(
        app, ["check", "--config", str(small_audit(tmp_path, **changes))], env={"COLUMNS": "300"}
    )
    assert shown.exit_code == 2
    assert said in rows_of(shown.output)
    assert "cannot run before these are repaired" in shown.output


@pytest.mark.parametrize(
    ("content", "asked", "understood", "problem"),
    [
        ("URL,re_caption\nu,art by Ada", {"columns": {"text": "re_caption"}}, "'art by Ada'", ""),
        ("URL,TEXT,re_caption\nu,another,art by Ada", {"columns": {"text": "re_caption"}}, "'art by Ada'", ""),
        ("URL,TEXT\nu,José", {"encoding": "cp1252"}, "'José'", ""),
        ("URL,TEXT\nu,José\nv,b", {}, "'Jos\ufffd'", ""),  # one stray byte
        ("URL,TEXT\nu,text", {"minimum_score": 6.0}, "1 file", "no column 'aesthetic_score'"),
        ("URL,TEXT,aesthetic\nu,low,5\nv,high,7", {"minimum_score": 6.0}, "'high'", ""),
        ("URL,TEXT,aesthetic\nu,low,5", {"minimum_score": 6.0}, "no caption among the first rows counts", ""),
    ],
)
def test_check_reads_captions_as_the_scan_reads_them(
    small_audit: Callable[..., Path],
    tmp_path: Path,
    content: str,
    asked: dict[str, object],
    understood: str,
    problem: str,
) -> None:
    (tmp_path / "few.csv").write_bytes(content.encode("cp1252"))
    config = small_audit(tmp_path, captions={"path": "few.csv", **asked})
    row = next(row for row in check(config) if row.part == "captions")
    assert understood in row.understood
    assert problem in " ".join(row.problems)
    assert row.ok == (not problem)


def test_check_needs_the_encoder_that_decides(copied: Path) -> None:
    content = yaml.safe_load(copied.read_text(encoding="utf-8"))
    content["encoders"][0]["path"] = "/nowhere/clip"
    content["models"] = content["models"][1:]  # none is approved, so none is drawn
    copied.write_text(yaml.safe_dump(content), encoding="utf-8")
    shown = CliRunner().invoke(app, ["check", "--config", str(copied)], env={"COLUMNS": "300"})
    assert shown.exit_code == 2
    assert "/nowhere/clip: there is no such folder" in rows_of(shown.output)


@pytest.mark.long
def test_two_commands_lead_from_a_folder_of_works_and_a_model_to_a_verdict(
    works: Path, miniature: Path, tmp_path: Path
) -> None:
    (works / "cut.png").unlink()
    config = tmp_path / "audit.yaml"
    assert init(works, miniature, config, "--artist", "Mara Ulvang").exit_code == 0
    shown = CliRunner().invoke(app, ["run", "--config", str(config)])
    assert shown.exit_code == 0, shown.output
    verdicts = Workspace.open(config).warehouse.read("verdicts/miniature-1")
    assert verdicts.loc[verdicts["kind"] == "artist", "verdict"].tolist() == ["imitated"]
