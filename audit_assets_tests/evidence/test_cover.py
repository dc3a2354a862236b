"""Every page says who made the audit, of what, when, and with which root; the root depends on none of it, and a false block is found."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from audit_assets.config import load_audit
from audit_assets.defs.dates import image_times, said, since, times
from audit_assets.errors import InputError
from audit_assets.evidence.cover import stamp
from audit_assets.evidence.manifest import make_manifest, manifest_file, root_hash
from audit_assets.evidence.verify import Check, verify
from audit_assets.publication.sealed import END, START, filled, sealed, sealed_file
from audit_assets_tests.evidence.forging import MODEL, files_checked, findings, read, workspace_of

PAGES = (f"{MODEL}/report.html", "index.html", "artists/nils-oduya.html")


def cover_check(config: Path) -> Check:
    return next(check for check in verify(workspace_of(config), MODEL) if check.title == "cover blocks")


def named(config: Path, **fields: str) -> None:
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    config.write_text(yaml.safe_dump({**content, **fields}), encoding="utf-8")


def test_every_page_has_the_root_and_the_times_of_the_log(audited: Path) -> None:
    manifest, reports = read(audited), workspace_of(audited).warehouse.root / "reports"
    assert manifest.dated is not None
    times = [manifest.dated.first_image, manifest.dated.last_image, manifest.dated.measured, manifest.dated.reported]
    assert all(times)
    assert times == sorted(times, key=str)
    images = list((workspace_of(audited).warehouse.root / "images").rglob("*.png"))
    drawn = [datetime.fromtimestamp(image.stat().st_mtime, UTC).isoformat(timespec="seconds") for image in images]
    imitations = {Path(imitation.path).stem for _, imitation in manifest.imitations()}
    shown = [time for image, time in zip(images, drawn, strict=True) if image.stem in imitations]
    assert str(times[0]) <= min(shown) <= max(shown) <= str(times[1])
    for page in PAGES:
        text = (reports / page).read_text(encoding="utf-8")
        block = text[text.index(START.decode()) : text.index(END.decode())]
        assert manifest.root in block
        assert all(str(time)[:10] in block for time in times)
        assert f"audit-assets verify --config audit.yaml --model {MODEL} --root {manifest.root}" in block
        assert "Compare the root first with one that you got apart from this page" in block
        assert "not named (audit.yaml: auditor)" in block
    assert cover_check(audited).findings == []


def test_who_audits_stands_on_every_page_and_changes_no_root(copied: Path) -> None:
    before, reports = read(copied), workspace_of(copied).warehouse.root / "reports"
    sizes = {page: sealed_file(reports / page) for page in PAGES}
    named(copied, auditor="<b>Ola Nordmann</b>", organisation="Institute", case_number="12 O 345/26")
    ws = workspace_of(copied)
    after = make_manifest(ws, MODEL)
    stamp(ws)
    assert after.root == before.root
    assert after.dated is not None
    assert before.dated is not None
    assert after.dated.first_image == before.dated.first_image
    for page in PAGES:
        text = (reports / page).read_text(encoding="utf-8")
        assert "&lt;b&gt;Ola Nordmann&lt;/b&gt;" in text
        assert "12 O 345/26" in text
        assert sealed_file(reports / page) == sizes[page]
    assert findings(files_checked(copied)) == []


def test_verify_says_that_nothing_vouches_for_who_and_when(copied: Path) -> None:
    """Whoever writes another name and time into the manifest and the blocks has the same root, and the same signature."""
    ws, before = workspace_of(copied), read(copied)
    path = manifest_file(ws.warehouse, MODEL)
    content = json.loads(path.read_text(encoding="utf-8"))
    content["dated"] |= {"auditor": "Another", "reported": "1999-01-01T00:00:00+00:00"}
    path.write_text(json.dumps(content), encoding="utf-8")
    stamp(ws)
    assert read(copied).root == before.root
    check = cover_check(copied)
    assert check.findings == []
    (said,) = check.unchecked
    assert "who made the audit and when" in said
    assert "neither the root nor a signature covers this" in said
    content["format"], content["dated"] = 3, None
    content["root"] = root_hash(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    assert cover_check(copied).unchecked == []  # nothing is said, so nothing is to be vouched for


@pytest.mark.parametrize("page", PAGES)
def test_a_block_that_says_something_else_is_found_and_written_anew(copied: Path, page: str) -> None:
    ws = workspace_of(copied)
    path = ws.warehouse.root / "reports" / page
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(read(copied).root, "f" * 64), encoding="utf-8")
    (found,) = cover_check(copied).findings
    assert str(path) in found
    stamp(ws)
    assert cover_check(copied).findings == []


def test_pages_of_other_tables_than_the_manifests_name_no_root(copied: Path, tmp_path: Path) -> None:
    ws = workspace_of(copied)
    root, path = read(copied).root, ws.warehouse.root / "manifests" / f"{MODEL}.json"
    path.write_text(
        path.read_text().replace(
            f'"published_from": "{read(copied).database.published_from}"', '"published_from": "old"'
        )
    )
    stamp(ws)
    text = (ws.warehouse.root / "reports" / PAGES[0]).read_text(encoding="utf-8")
    assert root not in text
    assert "not sealed yet" in text
    shutil.copy(path, tmp_path / "kept")
    path.write_text("no JSON")
    with pytest.raises(InputError, match=r"miniature-1\.json: cannot be read.*restore it"):
        stamp(ws)


@pytest.mark.parametrize("value", [7, None, ["a"]])
def test_a_case_number_that_yaml_reads_as_a_number_is_refused(audited: Path, tmp_path: Path, value: object) -> None:
    content = yaml.safe_load(audited.read_text(encoding="utf-8"))
    (tmp_path / "audit.yaml").write_text(yaml.safe_dump({**content, "case_number": value}), encoding="utf-8")
    with pytest.raises(InputError, match=r"case_number.*write it in quotes"):
        load_audit(tmp_path / "audit.yaml")


@given(st.binary(), st.text(), st.text())
def test_a_block_is_put_in_and_taken_out_and_nothing_else(rest: bytes, one: str, other: str) -> None:
    block = [text.replace("<!--", "").encode("utf-8", "replace").decode() for text in (one, other)]
    page = b"<p>" + START + END + rest
    first = filled(page, block[0])
    assert sealed(first) == sealed(page)
    assert filled(first, block[1]) == filled(page, block[1])
    assert sealed(rest) == rest or START in rest


# ---- times, from the log of Dagster
def events(*rows: tuple[str, dict[str, Any]], asset: str = "imitations") -> list[dg.EventLogRecord]:
    """Records of materializations in the order of the rows: partition, and metadata; newest first, with times 1, 2, 3 ..."""
    with dg.DagsterInstance.ephemeral() as instance:
        for partition, metadata in rows:
            tags = {"dagster/data_version": str(metadata.pop("version"))} if "version" in metadata else None
            event = dg.AssetMaterialization(asset, partition=partition, metadata=metadata, tags=tags)
            instance.report_runless_asset_event(event)
        return list(instance.fetch_materializations(dg.AssetKey(asset), limit=100).records)


def places(found: list[dg.EventLogRecord], *times: float | None) -> tuple[int, ...]:
    """At which event, counted from the oldest, each time is."""
    ordered = [event.timestamp for event in reversed(found)]
    return tuple(ordered.index(time) if time is not None else -1 for time in times)


def own_time(event: dg.EventLogRecord) -> float:
    return event.timestamp


def test_images_of_a_run_over_many_cells_are_as_old_as_the_run() -> None:
    """Its events come at its end, all at once."""
    found = events(("m|a", {"images_made_now": 20, "dagster/row_count": 20}))
    assert image_times(found, lambda event: event.timestamp - 450) == (found[0].timestamp - 450, found[0].timestamp)


def test_the_first_and_the_last_image_are_those_of_cells_that_were_made() -> None:
    kept: dict[str, Any] = {"images_made_now": 0, "dagster/row_count": 20}
    all_made: dict[str, Any] = {"images_made_now": 20, "dagster/row_count": 20}
    found = events(("m|a", {"seconds": 3.0}), ("m|b", {"seconds": 2.0}), ("m|a", {**kept}), ("m|b", {**kept}))
    first, last = image_times(found, own_time)
    assert first == found[-1].timestamp - 3
    assert places(found, last) == (1,)
    found = events(("m|a", {**all_made}), ("m|b", {**all_made}), ("m|a", {**kept}), ("m|b", {**all_made}))
    assert places(found, *image_times(found, own_time)) == (0, 3)
    some: dict[str, Any] = {"images_made_now": 10, "dagster/row_count": 20}
    found = events(("m|a", {**all_made}), ("m|b", {**some}), ("m|a", {**some}))
    assert places(found, *image_times(found, own_time)) == (0, 2)
    assert image_times([], own_time) == (None, None)


def test_images_of_artists_who_left_the_audit_are_none_of_its_images() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for subject, seconds in (("gone", 500.0), ("a", 10.0)):
            made = dg.AssetMaterialization("imitations", partition=f"m|{subject}", metadata={"seconds": seconds})
            instance.report_runless_asset_event(made)
        found = list(instance.fetch_materializations(dg.AssetKey("imitations"), limit=10).records)
        told = [times(instance, "m", subjects).first_image for subjects in ({"a"}, {"a", "gone"}, set[str]())]
    assert told == [said(found[0].timestamp - 10), said(found[1].timestamp - 500), None]


def test_results_are_as_old_as_the_first_event_with_their_data_version() -> None:
    found = events(("m", {"version": "x"}), ("m", {"version": "y"}), ("m", {"version": "y"}), asset="verdicts")
    assert places(found, since(found)) == (1,)
    assert since([]) is None
