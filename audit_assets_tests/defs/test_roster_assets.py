"""The roster's assets on real caption files: what is scanned when, what a broken file stops, and what every table says."""

import csv
import re
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dagster import AssetKey

from audit_assets.config import load_audit
from audit_assets.definitions import defs
from audit_assets.errors import InputError
from audit_assets.publication.stage import ROSTER_TABLES
from audit_assets.roster.mentions import MentionScan
from audit_assets.roster.name_forms import misread
from audit_assets.roster.normalise import tokens
from audit_assets.roster.parts import name_parts, parts_of
from audit_assets.roster.stage import RosterStage
from audit_assets.runs.driver import Driver, driver
from audit_assets.runs.driver import run_roster as run_roster_alone
from audit_assets.runs.remarks import roster_notes
from audit_assets.warehouse.database import publish, row_counts, schema_columns
from audit_assets.warehouse.seal import seal_file
from audit_assets.warehouse.store import Warehouse
from audit_assets_tests.roster.real_data import real_captions, real_captions_file, real_names

ARTISTS = ["Ada Brandvold", "Bruno Eklund", "Clara Farkas", "Dario Oduya", "C"]
Make = Callable[..., Path]


@pytest.fixture
def make(small_audit: Callable[..., Path], tmp_path: Path) -> Make:
    """Writes an audit of ARTISTS over caption files that the test puts into `captions/`."""

    def write(**changes: object) -> Path:
        folder = tmp_path / "audit"
        folder.mkdir(exist_ok=True)
        if not (folder / "artists.csv").exists():
            (folder / "artists.csv").write_text("name,aliases\n" + "".join(f"{n},\n" for n in ARTISTS))
        return small_audit(
            folder,
            **{
                "captions": {"path": "captions/*", "dataset": "laion-aesthetics-v2-6plus"},
                "roster": {"artists": "artists.csv", "criteria": 4, "most_mentioned": 2, "minimum_mentions": 1},
                "controls": {"random_names": 3, "recombined_names": 2},
                **changes,
            },
        )

    return write


def shard(folder: Path, name: str, texts: Sequence[str | None], **columns: list) -> Path:
    path = folder / "audit" / "captions" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    urls = columns.pop("URL", None) or [f"{name}/{i}" for i in range(len(texts))]
    pq.write_table(pa.table({"URL": urls, "TEXT": pa.array(texts, pa.string()), **columns}), path)
    return path


def run_roster(config: Path) -> Driver:
    with driver(config) as d:
        for step in d.roster_steps():
            d.run(step)
        return d


def events(d: Driver, asset: str) -> list[str | None]:
    """The partitions of every materialization, in order."""
    with dg.DagsterInstance.from_config(str(d.audit.dagster_home)) as instance:
        records = instance.fetch_materializations(AssetKey(asset), limit=1000, ascending=True).records
        return [record.partition_key for record in records]


def checks(d: Driver) -> dict[str, bool]:
    """Whether the last evaluation of every check of the roster's assets passed; those never evaluated are left out."""
    graph = defs().resolve_asset_graph()
    with dg.DagsterInstance.from_config(str(d.audit.dagster_home)) as instance:
        last = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(graph.asset_check_keys))
    return {key.name: record.status.value == "SUCCEEDED" for key, record in last.items()}


def failed(d: Driver) -> list[str]:
    return [name for name, passed in checks(d).items() if not passed]


def named(d: Driver) -> dict[str, int]:
    table = d.ws.warehouse.read("artist_mentions")
    return {
        name: int(n) for name, n in zip(table["name"], table["mentions"].fillna(-1), strict=True) if name in ARTISTS
    }


def test_copies_count_once_across_shards_and_one_letter_is_refused_alone(make: Make, tmp_path: Path) -> None:
    texts: list[str | None] = ["by Ada Brandvold", "BRUNO EKLUND's", "C", None, "Clara Farkas, Dario Oduya", "x"]
    shard(tmp_path, "a.parquet", texts, URL=list("uvwxyz"))
    shard(tmp_path, "b.parquet", [*texts, "by Ada Brandvold"], URL=[*"uvwxyz", "another"])
    d = run_roster(make())
    assert named(d) == {"Ada Brandvold": 2, "Bruno Eklund": 1, "Clara Farkas": 1, "Dario Oduya": 1, "C": -1}
    table = d.ws.warehouse.read("artist_mentions").set_index("name")
    assert table["duplicates"]["Ada Brandvold"] == 1
    assert sorted(table["samples"]["Ada Brandvold"], key=lambda sample: sample["url"]) == [
        {"shard": "b.parquet", "row": 6, "url": "another", "caption": "by Ada Brandvold"},
        {"shard": "a.parquet", "row": 0, "url": "u", "caption": "by Ada Brandvold"},
    ]
    assert "one letter" in table["note"]["C"]
    shards = d.ws.warehouse.read("caption_shards")
    assert shards[["rows", "rows_read", "rows_kept", "rows_naming"]].to_numpy().tolist() == [[6, 6, 5, 3], [7, 7, 6, 4]]
    assert set(shards["score_version"]) == {"v2"}
    assert failed(d) == ["every_file_of_real_works_is_read"]  # works of artists whom this roster does not have


@pytest.mark.long
def test_filters_turn_rows_away_and_a_change_of_one_scans_again(make: Make, tmp_path: Path) -> None:
    shard(
        tmp_path,
        "a.parquet",
        ["Ada Brandvold"] * 4,
        AESTHETIC_SCORE=[6.5, 6.5, 5.0, 6.5],
        punsafe=[0.1, 0.9, 0.1, 0.1],
        pwatermark=[0.1, 0.1, 0.1, None],
    )
    path = "captions/*.parquet"
    roster = {"artists": "artists.csv", "criteria": 1, "most_mentioned": 1, "minimum_mentions": 1}
    few = {"roster": roster, "controls": {"random_names": 1}}
    for filters, mentions in (
        ({}, 4),
        ({"minimum_score": 6.0}, 3),
        ({"minimum_score": 6.0, "maximum_punsafe": 0.5}, 2),
        ({"minimum_score": 6.0, "maximum_punsafe": 0.5, "maximum_pwatermark": 0.8}, 1),
    ):
        d = run_roster(make(captions={"path": path, "dataset": "laion", "score_version": "v1", **filters}, **few))
        assert named(d)["Ada Brandvold"] == mentions
        shards = d.ws.warehouse.read("caption_shards")
        assert shards["rows_kept"].tolist() == [mentions]
        assert shards["score_version"].tolist() == ["v1"]
        assert shards["minimum_score"].fillna(0).tolist() == [filters.get("minimum_score", 0)]


def test_what_was_passed_over_in_captions_and_artists_is_listed(make: Make, tmp_path: Path) -> None:
    everybody = [f"by {name}" for name in ARTISTS]
    shard(tmp_path, "a.parquet", everybody)
    d = run_roster(make())
    assert roster_notes(d.ws) == []
    assert checks(d)["tables_and_captions_are_read_whole"]

    status = ["success", "failed_to_download", "success", "success", "success"]
    shard(tmp_path, "b.parquet", everybody, caption=["a river"] * 5, status=status)
    table = tmp_path / "audit" / "artists.csv"
    table.write_text("name;museum\n" + "".join(f"{name};here\n" for name in ARTISTS))
    d = run_roster(make())
    assert [note.partition(": ")[2] for note in roster_notes(d.ws)[1:]] == [
        "the captions are those of column 'TEXT'; not read, though of the kind: caption.",
        "1 rows that could not be downloaded are left out.",
    ]
    assert "not read: column 'museum'" in roster_notes(d.ws)[0]
    assert not checks(d)["tables_and_captions_are_read_whole"]
    assert (named(d)["Ada Brandvold"], named(d)["Bruno Eklund"]) == (2, 1)
    shards = d.ws.warehouse.read("caption_shards")
    assert shards[["rows_failed", "text_column", "other_texts"]].to_numpy().tolist() == [
        [0, "TEXT", ""], [1, "TEXT", "caption"],
    ]  # fmt: skip

    captions = {"path": "captions/*", "columns": {"text": "caption"}, "failed_downloads": "count"}
    (tmp_path / "audit" / "captions" / "a.parquet").unlink()
    with pytest.raises(InputError, match="no artist is left"):
        run_roster(make(captions=captions))


@pytest.mark.long
def test_a_new_file_is_scanned_alone_and_a_repaired_one_too(make: Make, tmp_path: Path) -> None:
    everybody = [f"by {name}" for name in ARTISTS]
    for name in ("a.parquet", "b.parquet"):
        shard(tmp_path, name, everybody)
    d = run_roster(make())

    def times() -> dict[str, int]:
        folder = d.ws.warehouse.root / "mention_rows"
        return {path.stem: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}

    before = times()
    shard(tmp_path, "c.parquet", everybody)
    run_roster(make())
    after = times()
    assert {key for key in after if after[key] != before.get(key)} == {"c.parquet"}
    assert named(d)["Ada Brandvold"] == 3

    whole = (tmp_path / "audit" / "captions" / "b.parquet").read_bytes()
    (tmp_path / "audit" / "captions" / "b.parquet").write_bytes(whole[:-30])
    with pytest.raises(
        InputError, match=r"1 caption files failed, 2 others were scanned and kept:\n.*b\.parquet: not readable"
    ):
        run_roster(make())
    shard(tmp_path, "b.parquet", [*everybody, "Ada Brandvold again"])
    run_roster(make())
    assert {key for key, time in times().items() if time != after[key]} == {"b.parquet"}
    assert named(d)["Ada Brandvold"] == 4


@pytest.mark.long
def test_subjects_are_others_for_what_follows_if_a_file_is_not_read(make: Make, tmp_path: Path) -> None:
    """What is published names the file, so it must be published again. Made again as they were, they are the same."""
    shard(tmp_path, "a.parquet", [f"by {name}" for name in ARTISTS])
    works = tmp_path / "works"
    works.mkdir()

    def version() -> str | None:
        d = run_roster(make(references=str(works)))
        event = d.instance.get_latest_materialization_event(AssetKey("subjects"))
        assert event is not None
        assert event.asset_materialization is not None
        return (event.asset_materialization.tags or {}).get("dagster/data_version")

    first = version()
    assert version() == first
    (works / "Nobody Known").mkdir()
    assert version() != first


@pytest.mark.long
def test_a_broken_shard_fails_alone_and_the_others_land(make: Make, tmp_path: Path) -> None:
    whole = shard(tmp_path, "whole.parquet", [f"by {name}" for name in ARTISTS] * 100).read_bytes()
    captions = tmp_path / "audit" / "captions"
    (captions / "truncated.parquet").write_bytes(whole[: len(whole) // 2])
    (captions / "empty.parquet").write_bytes(b"")
    (captions / "foreign.parquet").write_bytes(b"<html>404</html>" * 100)
    pq.write_table(pa.table({"URL": ["u"], "title": ["t"]}), captions / "no_text.parquet")
    pq.write_table(
        pa.table({"URL": pa.array([], pa.string()), "TEXT": pa.array([], pa.string())}), captions / "none.parquet"
    )
    (captions / "big.csv").write_bytes(b'URL,TEXT\nu,"' + b"y, " * 400_000 + b' ada brandvold\xff"\nu,\x00\n')
    config = make()
    with pytest.raises(InputError, match="4 caption files failed, 3 others were scanned and kept") as caught:
        run_roster(config)
    for name in ("truncated", "empty", "foreign", "no_text"):
        assert f"{name}.parquet" in str(caught.value)
    with driver(config) as d:
        pass
    assert set(events(d, "artist_mentions")) == {"whole.parquet", "none.parquet", "big.csv"}
    assert not checks(d)["files_are_whole_and_scores_within_range"]
    with pytest.raises(InputError, match=r"no scan of the current file .*materialize artist_mentions again"):
        MentionScan(d.audit, d.ws.warehouse).total(["Ada Brandvold"])
    for name in ("truncated", "empty", "foreign", "no_text"):
        (captions / f"{name}.parquet").unlink()
    assert named(run_roster(config))["Ada Brandvold"] == 101


@pytest.mark.long
def test_a_roster_that_captions_cannot_fill_says_how_many_it_found(make: Make, tmp_path: Path) -> None:
    shard(tmp_path, "a.parquet", ["Ada Brandvold", "Bruno Eklund", "Clara Farkas"])
    d = run_roster(make(roster={"artists": "artists.csv", "criteria": 5, "most_mentioned": 4, "minimum_mentions": 1}))
    attrition = d.ws.warehouse.read("roster_attrition")
    assert attrition.loc[attrition["criterion"] == "size", "note"].tolist() == [
        "3 of the 5 asked for", "3 of the 4 asked for",
    ]  # fmt: skip
    assert not checks(d)["rosters_have_the_size_asked_for"]
    with pytest.raises(InputError, match=r"no artist is left for the roster .*minimum_mentions removed 5"):
        run_roster(make(roster={"artists": "artists.csv", "criteria": 5, "minimum_mentions": 9}))


@pytest.mark.long
def test_a_score_in_percent_is_noticed(make: Make, tmp_path: Path) -> None:
    shard(tmp_path, "a.parquet", [f"by {name}" for name in ARTISTS], punsafe=[5.0, 10.0, 0.0, 50.0, 99.0])
    assert not checks(run_roster(make()))["files_are_whole_and_scores_within_range"]


def test_a_planted_miscount_is_found_by_the_plain_reference(make: Make, tmp_path: Path) -> None:
    shard(tmp_path, "a.parquet", [f"by {name}" for name in ARTISTS])
    config = make()
    d = run_roster(config)
    w = d.ws.warehouse
    rows = pq.read_table(w.path("mention_rows/a.parquet"))
    pq.write_table(rows.slice(1), w.path("mention_rows/a.parquet"))
    seal_file(w.path("mention_rows/a.parquet"))
    w.path("mention_recounts/a.parquet").unlink()
    assert MentionScan(d.audit, w).recount("a.parquet") == (5, ["row 0: Ada Brandvold"])
    w.path("mention_recounts/a.parquet").unlink()
    with pytest.raises(dg.DagsterError, match="counts_equal_the_plain_reference"):
        run_roster(config)


@pytest.mark.long
def test_names_that_others_bear_are_flagged_with_captions_to_look_at(make: Make, tmp_path: Path) -> None:
    others = ["Ada Brandvold tickets", "Ada Brandvold movie trailer", "art by Ada Brandvold"]
    shard(tmp_path, "a.parquet", [*others, "painting by Bruno Eklund", "Clara Farkas", "Dario Oduya"])
    table = run_roster(make()).ws.warehouse.read("artist_roster")
    criteria = table[table["roster"] == "criteria"].set_index("subject")
    assert criteria["name_collision"].to_dict() == {
        "ada-brandvold": True, "bruno-eklund": False, "clara-farkas": False, "dario-oduya": False,
    }  # fmt: skip
    assert list(criteria["sample_captions"]["ada-brandvold"]) == others[:2]
    assert criteria["mentions"]["ada-brandvold"] == 3


@pytest.mark.long
def test_the_draw_is_stored_and_outlives_another_faker(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard(tmp_path, "a.parquet", [f"by {name}" for name in ARTISTS])
    d = run_roster(make(controls={"random_names": 3, "recombined_names": 0, "nonsense": 2}))
    before = d.ws.warehouse.read("controls")
    monkeypatch.setattr("audit_assets.roster.random_names._draw", lambda faker, wanted: "Somebody Else")
    monkeypatch.setattr("audit_assets.roster.controls.FAKER_VERSION", "99")
    run_roster(make(controls={"random_names": 3, "recombined_names": 0, "nonsense": 2}))
    pd.testing.assert_frame_equal(d.ws.warehouse.read("controls"), before)
    subjects = d.ws.warehouse.read("subjects")
    assert Counter(subjects["kind"]) == {"artist": 4, "random_name": 3, "nonsense": 2}
    drawn = before[before["pool"] == "nonsense"]
    assert (drawn["pieces"] > 0).all()


@pytest.mark.long
def test_names_are_proposed_where_there_is_no_artists_table_and_enter_no_roster(make: Make, tmp_path: Path) -> None:
    rows = ["painting by Ada Brandvold"] * 12 + ["art by Zoe Unheard"] * 12 + ["by Calvin Klein"] * 12
    shard(tmp_path, "a.parquet", rows)
    d = run_roster(make(controls={"random_names": 2}))
    table = d.ws.warehouse.read("mined_names").set_index("name")
    assert table["proposed"].to_dict() == {"Ada Brandvold": True, "Zoe Unheard": True, "Calvin Klein": False}
    assert table["kind"].fillna("").to_dict() == {"Ada Brandvold": "artist", "Zoe Unheard": "", "Calvin Klein": ""}
    assert table["samples"]["Zoe Unheard"][0] == {"shard": "a.parquet", "row": 12}
    assert "Zoe Unheard" not in d.ws.warehouse.read("artist_roster")["name"].tolist()

    (tmp_path / "audit" / "artists.csv").unlink()
    (tmp_path / "audit" / "warehouse" / "mined_names.csv").unlink()
    with pytest.raises(InputError, match=r"artists\.csv: does not exist\. .*mined_names\.csv proposes names"):
        run_roster_alone(d.audit.file, lambda step: nullcontext())
    with (tmp_path / "audit" / "warehouse" / "mined_names.csv").open(newline="") as file:
        proposals = list(csv.DictReader(file))
    assert [row["name"] for row in proposals] == ["Ada Brandvold", "Zoe Unheard"]
    shutil.copy(tmp_path / "audit" / "warehouse" / "mined_names.csv", tmp_path / "audit" / "artists.csv")
    assert sorted(MentionScan(d.audit, d.ws.warehouse).artists["name"]) == ["Ada Brandvold", "Zoe Unheard"]


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"columns": {"text": "re_caption"}}, {"Ada Brandvold"}),
        ({"encoding": "utf-8"}, {"Zoe Unheard"}),
        ({"failed_downloads": "count"}, {"Zoe Unheard", "Ben Unread"}),
        ({"maximum_punsafe": 0.5}, set()),
    ],
)
def test_names_are_proposed_again_if_captions_are_read_otherwise(
    make: Make, tmp_path: Path, changed: dict[str, object], found: set[str]
) -> None:
    texts = ["painting by Zoe Unheard"] * 12 + ["painting by Ben Unread"] * 12
    status = ["success"] * 12 + ["failed_to_download"] * 12
    others = ["painting by Ada Brandvold"] * 24
    shard(tmp_path, "a.parquet", texts, re_caption=others, status=status, punsafe=[0.9] * 24)

    def stage(**more: object) -> RosterStage:
        return RosterStage(load_audit(make(captions={"path": "captions/*", **more})), Warehouse(tmp_path / "warehouse"))

    first = stage()
    assert first.make_mined_names()["name"].tolist() == ["Zoe Unheard"]
    assert first.mined_done()
    again = stage(**changed)
    assert not again.mined_done()
    assert set(again.make_mined_names()["name"]) == found
    assert again.mined_done()


def test_the_sensor_asks_for_each_new_file_alone_and_fails_where_the_listing_does(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.parquet", "b.parquet"):
        shard(tmp_path, name, ["x"])
    monkeypatch.setenv("AUDIT_CONFIG", str(make()))
    defs()  # loads the folder as the server does
    from audit_assets.defs.resources import AuditResource
    from audit_assets.defs.roster import new_caption_files

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("shard", ["a.parquet"])

        def tick() -> tuple[list[str | None], list[str]]:
            found = new_caption_files(dg.build_sensor_context(instance, resources={"audit": AuditResource()}))
            assert isinstance(found, dg.SensorResult)
            added = [key for request in found.dynamic_partitions_requests or [] for key in request.partition_keys]
            return [request.partition_key for request in found.run_requests or []], added

        assert tick() == (["b.parquet"], ["b.parquet"])
        shutil.rmtree(tmp_path / "audit" / "captions")
        with pytest.raises(InputError, match="matches no file"):
            tick()


@pytest.fixture(scope="module")
def miniature_roster(miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> Driver:
    """The whole miniature's roster, in a warehouse of the test's own."""
    import yaml

    content = yaml.safe_load((miniature / "audit.yaml").read_text(encoding="utf-8"))
    content["captions"]["path"] = str(miniature / content["captions"]["path"])
    content["roster"]["artists"] = str(miniature / content["roster"]["artists"])
    content["references"] = str(miniature / content["references"])
    for entry in [*content["models"], *content["encoders"]]:
        entry["path"] = str(miniature / entry["path"])
    folder = tmp_path_factory.mktemp("miniature")
    (folder / "audit.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return run_roster(folder / "audit.yaml")


def test_the_miniatures_roster_is_exactly_the_artists_that_qualify(miniature_roster: Driver) -> None:
    from audit_assets.miniature import world

    table = miniature_roster.ws.warehouse.read("artist_roster")
    qualify = {person.name for person in world.artists() if person.kind == "artist"}
    assert set(table.loc[table["roster"] == "criteria", "name"]) == qualify
    assert (table["roster"] == "most_mentioned").sum() == 50
    assert failed(miniature_roster) == ["every_file_of_real_works_is_read"]  # two artists share a work by chance


def test_mining_the_miniature_finds_its_roster_and_next_to_nobody_else(miniature_roster: Driver) -> None:
    w = miniature_roster.ws.warehouse
    mined = w.read("mined_names")
    proposed = mined[mined["proposed"].astype(bool)]
    artists = w.read("artist_roster")
    roster = artists.loc[artists["roster"] == "criteria", "name"].map(tokens)
    assert roster.isin(proposed["name"].map(tokens)).mean() >= 0.95
    assert proposed["kind"].notna().mean() >= 0.9
    assert 0.5 < proposed["probability"].mean() < 1


def test_the_miniature_has_seventy_clean_controls_of_each_kind(miniature_roster: Driver) -> None:
    w = miniature_roster.ws.warehouse
    controls, roster = w.read("controls"), w.read("artist_roster")["name"].drop_duplicates().tolist()
    used = controls[controls["status"] == "used"]
    assert used["pool"].value_counts().to_dict() == {
        "random_names": 70, "recombined_names": 70, "untrained_artists": 14,
    }  # fmt: skip
    names = used[used["pool"] != "untrained_artists"]
    assert (names["mentions"] == 0).all()
    assert (names["captions"] == 24_000).all()
    recombined = used.loc[used["pool"] == "recombined_names", "name"]
    assert all(name_parts(name) <= parts_of(roster) for name in recombined)
    assert controls.loc[controls["status"] == "refused", "why"].str.len().min() > 10


def test_the_rosters_tables_fit_the_published_schema(miniature_roster: Driver, tmp_path: Path) -> None:
    """Also where nothing was scanned: every column is there, and of its type."""
    columns = schema_columns({})
    tables = {name: miniature_roster.ws.warehouse.read(name) for name in (*ROSTER_TABLES, "mined_names")}
    for name, frames in (("full", tables), ("empty", {n: t.iloc[:0] for n, t in tables.items()})):
        published = {n: t[[c for c in t if c in columns[n]]] for n, t in frames.items()}
        publish(tmp_path / f"{name}.duckdb", published, {})
        counts = row_counts(tmp_path / f"{name}.duckdb")
        assert {n: counts[n] for n in tables} == {n: len(t) for n, t in frames.items()}
    assert {n: sorted(columns[n] - set(t)) for n, t in tables.items()} == {n: [] for n in tables}


@pytest.mark.long
def test_the_assets_count_the_real_captions_as_the_plain_reference_does(make: Make, tmp_path: Path) -> None:
    """Ten thousand real captions, as a CSV and, half of them again, as a parquet file: copies count once."""
    from audit_assets.roster.scan import scan_reference

    captions, names = real_captions(), real_names()[::4]
    folder = tmp_path / "audit" / "captions"
    folder.mkdir(parents=True)
    shutil.copy(real_captions_file(), folder / "real.csv")
    table = pd.read_csv(folder / "real.csv", dtype=str, keep_default_na=False)[["URL", "TEXT"]]
    table.head(5000).to_parquet(folder / "half.parquet", index=False)
    unique: dict[tuple[str, ...], str] = {}
    for name in names:
        if len(spelling := tuple(tokens(name))) and len(name) <= 200 and misread(name) is None:
            unique.setdefault(spelling, name)
    with (tmp_path / "audit" / "artists.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["name"], *([name] for name in unique.values())])
    d = run_roster(make(roster={"artists": "artists.csv", "criteria": 5, "most_mentioned": 5, "minimum_mentions": 1}))
    merged = d.ws.warehouse.read("artist_mentions")
    counted = {n: int(m) for n, m in zip(merged["name"], merged["mentions"].fillna(0), strict=True) if m}
    distinct = list(dict.fromkeys(zip(table["URL"], table["TEXT"], strict=True)))
    assert [text for _, text in zip(table["URL"], table["TEXT"], strict=True)] == captions
    rows = [pa.record_batch({"text": pa.array([text for _, text in distinct], pa.string())})]
    expected = scan_reference(rows, MentionScan(d.audit, d.ws.warehouse).names).mentions
    assert counted == {name: n for name, n in expected.items() if n}
    assert len(counted) > 10
    assert merged["duplicates"].fillna(0).sum() > 0


def test_the_small_audit_has_rows_for_the_most_mentioned(audited: Path) -> None:
    """The label set of the second roster is audited, with the roster's size and the default labels."""
    with driver(audited) as d:
        ws = d.ws
    with duckdb.connect(str(ws.database), read_only=True) as connection:
        rows = connection.execute(
            "SELECT labels, subjects FROM identification_summary WHERE label_set = 'most_mentioned'"
        ).fetchall()
        by_subject = connection.execute(
            "SELECT DISTINCT subject FROM identification_by_subject WHERE label_set = 'most_mentioned' ORDER BY ALL"
        ).fetchall()
        roster = connection.execute(
            "SELECT subject FROM artist_roster WHERE roster = 'most_mentioned' ORDER BY ALL"
        ).fetchall()
    size = d.audit.roster.most_mentioned
    assert rows == [(size + len(d.ws.protocol.default_labels), size)]
    assert by_subject == roster
    assert len(roster) == size


def test_the_rosters_tables_are_published_and_the_pages_queries_run_on_them(audited: Path) -> None:
    with driver(audited) as d:
        ws = d.ws
    page = (Path(__file__).resolve().parents[2] / "docs" / "sql.md").read_text(encoding="utf-8")
    queries = re.findall(r"^```sql\n(.*?)^```", page.split("## The roster")[1], flags=re.DOTALL | re.MULTILINE)
    assert len(queries) >= 6
    with duckdb.connect(str(ws.database), read_only=True) as connection:
        for query in queries:
            connection.execute(query).fetchall()
        sizes = {
            table: connection.table(table).count("*").fetchall()[0][0]
            for table in (
                "caption_shards",
                "artist_mentions",
                "artist_roster",
                "roster_attrition",
                "controls",
                "mined_names",
            )
        }
        used = connection.execute("SELECT pool, count(*) FROM controls WHERE status = 'used' GROUP BY pool").fetchall()
    assert all(sizes.values()), sizes
    assert sizes["artist_roster"] == 14
    assert dict(used) == {"random_names": 49, "recombined_names": 8, "untrained_artists": 2}
