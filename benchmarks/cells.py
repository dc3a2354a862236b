"""Measure Dagster at 100,000 cells: how long sensor ticks and the queries of an asset's page take in the served UI.

    python -m benchmarks.cells                                  5,000 artists x 20 model versions
    python -m benchmarks.cells --subjects 250 --models 4        smaller

Real runs make the roster, the registry and one cell. The benchmark then writes Dagster's rows about that cell again for
every other cell, because 100,000 cells would take half an hour to make. It starts `audit-assets dev` over that home and
leaves its daemon alone for some ticks, which the daemon times itself. A headless Chromium opens the page of
`imitations`, and the benchmark times every query that the page sends, once with nothing cached and then again. The peer
is the target of one second.
"""

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import dagster as dg
import yaml
from playwright.sync_api import Request

from audit_assets.config import load_audit
from audit_assets.definitions import defs
from audit_assets.defs.automation import CELLS as CELL_ASSETS
from audit_assets.defs.automation import registry_state
from audit_assets.runs.driver import Driver, driver
from audit_assets.runs.home import write_workspace
from audit_assets.runs.steps import Step
from audit_assets_tests.browser import page, served
from benchmarks.results import Results

MINIATURE = Path(__file__).parent.parent / "data" / "miniature"
CELLS = ("imitations", "imitation_embeddings")
RESULTS_OF_A_MODEL = ("replayed_imitations", "identification", "matching", "verdicts", "sensitivity", "audit_report")
RESULTS_OF_ALL = ("label_embeddings", "auditability", "model_comparison", "audit_database")
SENSORS = ("new_model_versions", "cell_automation", "result_automation")
PAGES = ("overview", "partitions", "events", "automation")
SECOND = 1.0


def write_audit(folder: Path, subjects: int, models: int) -> Path:
    """Write an audit of these numbers of artists and model versions: the same weights, one image each in one step."""
    folder.mkdir(parents=True)
    (folder / "references").mkdir()
    names = [f"Artist {'abcdefghij'[n % 10]}{'klmnopqrst'[n // 10 % 10]}ven {n:05}" for n in range(subjects)]
    (folder / "artists.csv").write_text("name\n" + "\n".join(names) + "\n")
    (folder / "protocol.yaml").write_text("name: cells\ntemplates: ['Artwork from {name}']\ntrials: 1\n")
    model = {"source": "diffusers", "path": str(MINIATURE / "models" / "miniature-1"), "approved": True}
    content = {
        "protocol": "protocol.yaml",
        "roster": {"artists": "artists.csv", "criteria": subjects, "most_mentioned": 0},
        "controls": {"random_names": 0},
        "models": [
            {"name": f"model-{n:02}", **model, "settings": {"steps": 1, "guidance": 1.0, "size": 16}}
            for n in range(models)
        ],
        "encoders": [{"name": "e", "kind": "image_text", "path": str(MINIATURE / "encoders" / "clip")}],
    }
    (folder / "audit.yaml").write_text(yaml.safe_dump(content))
    return folder / "audit.yaml"


def fill(d: Driver) -> int:
    """Make one cell, copy Dagster's rows about it to every other cell, and record that all results exist.

    Return the number of cells.
    """
    for step in (*d.roster_steps(), *d.registry_steps()):
        d.run(step)
    subjects, models = (d.instance.get_dynamic_partitions(name) for name in ("subject", "model_version"))
    first = f"{models[0]}|{subjects[0]}"
    d.run(Step("one cell", list(CELLS), {}, first))
    d.instance.add_dynamic_partitions("referenced_subject", subjects)
    works = ("reference_works", "reference_embeddings")
    for asset in works:
        d.instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=subjects[0]))
    with closing(sqlite3.connect(d.audit.dagster_home / "history" / "runs" / "index.db")) as events, events:
        repeat_rows(events, CELLS, first, [f"{m}|{s}" for m in models for s in subjects])
        repeat_rows(events, works, subjects[0], subjects)
    for asset in RESULTS_OF_ALL[:2]:
        d.instance.report_runless_asset_event(dg.AssetMaterialization(asset))
    for asset in RESULTS_OF_A_MODEL:
        for model in models:
            d.instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=model))
    for asset in RESULTS_OF_ALL[2:]:
        d.instance.report_runless_asset_event(dg.AssetMaterialization(asset))
    return len(models) * len(subjects)


def repeat_rows(events: sqlite3.Connection, assets: Sequence[str], like: str, keys: Sequence[str]) -> None:
    """Copy every row of the event log about one partition of some assets, with its tags, to the other partitions."""
    columns = [c[1] for c in events.execute("PRAGMA table_info(event_logs)") if c[1] != "id"]
    at, marks = {c: n for n, c in enumerate(columns)}, ",".join("?" * (len(columns) + 1))
    named = [json.dumps([asset]) for asset in assets]
    chosen = ",".join("?" * len(named))
    rows = events.execute(
        f"SELECT id, {','.join(columns)} FROM event_logs WHERE partition = ? AND asset_key IN ({chosen}) ORDER BY id",  # noqa: S608 - columns of its own table
        [like, *named],
    ).fetchall()
    number = events.execute("SELECT max(id) FROM event_logs").fetchone()[0]
    for old, *row in rows:
        tags = events.execute(
            "SELECT asset_key, key, value, event_timestamp FROM asset_event_tags WHERE event_id = ?", [old]
        ).fetchall()
        others = [key for key in keys if key != like]
        events.executemany(
            f"INSERT INTO event_logs (id, {','.join(columns)}) VALUES ({marks})",  # noqa: S608 - columns of its own table
            (
                [
                    n,
                    *row[: at["event"]],
                    row[at["event"]].replace(like, key),
                    *row[at["event"] + 1 : at["partition"]],
                    key,
                    *row[at["partition"] + 1 :],
                ]
                for n, key in enumerate(others, number + 1)
            ),
        )
        events.executemany(
            "INSERT INTO asset_event_tags (event_id, asset_key, key, value, event_timestamp) VALUES (?, ?, ?, ?, ?)",
            ((n, *tag) for n in range(number + 1, number + 1 + len(others)) for tag in tags),
        )
        number += len(others)


def seen_by_the_sensor(config: Path, home: Path) -> None:
    """Set the sensor's cursor as after an audit of the registry; otherwise its first tick would request that audit."""
    audit = load_audit(config)
    state, workspace = json.dumps(registry_state(audit)), write_workspace(audit, home)
    # Setting a cursor also leaves the sensor stopped.
    for command in (["cursor", "new_model_versions", "--set", state], ["start", "new_model_versions"]):
        subprocess.run(
            [sys.executable, "-m", "dagster", "sensor", *command, "-w", str(workspace)],
            check=True,
            capture_output=True,
            cwd=MINIATURE.parents[1],
            env={**os.environ, "DAGSTER_HOME": str(home), "AUDIT_CONFIG": str(config)},
        )


def ticks(instance: dg.DagsterInstance) -> dict[str, list[float]]:
    """Return the seconds of each sensor's finished ticks, oldest first. Fail if a tick requested runs or failed."""
    taken: dict[str, list[float]] = {}
    for state in instance.all_instigator_state():
        if state.name not in SENSORS:
            continue
        ended = [t for t in instance.get_ticks(state.instigator_origin_id, state.selector_id) if t.end_timestamp]
        for tick in ended:
            if tick.error or tick.run_ids:
                raise RuntimeError(f"{state.name}: nothing was to be done, but {tick.error or tick.run_ids}")
        taken[state.name] = [t.end_timestamp - t.timestamp for t in reversed(ended) if t.end_timestamp]
    return taken


def queries_of_page(address: str, view: str) -> Iterator[dict[str, Any]]:
    """Return the GraphQL queries that the asset's page sends until it stops sending, each once."""
    sent: dict[str, dict[str, Any]] = {}

    def keep(request: Request) -> None:
        if request.method == "POST" and "/graphql" in request.url and request.post_data_json:
            sent.setdefault(request.post_data_json["operationName"], request.post_data_json)

    with page() as tab:
        tab.on("request", keep)
        tab.goto(f"{address}/assets/imitations?view={view}")
        tab.wait_for_timeout(8_000)
    yield from sent.values()


def answered(address: str, query: dict[str, Any]) -> float:
    """Return the seconds until the whole answer has arrived. Raise RuntimeError if the answer has errors."""
    request = urllib.request.Request(
        f"{address}/graphql", json.dumps(query).encode(), {"Content-Type": "application/json"}
    )
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=120) as response:
        content = response.read()
    taken = time.perf_counter() - began
    if b'"errors"' in content[:2000] or b'"errors": [' in content[-2000:]:
        raise RuntimeError(f"{query['operationName']}: {content[:500]!r}")
    return taken


def busy_ticks(results: Results, what: str, home: Path) -> None:
    """Measure the conditions when work is due: a new model version, and a run that made 1,000 cells anew.

    The function evaluates them as the daemon does, and starts nothing. The figure is reported without a target, because
    such a tick happens once for hours of work.
    """
    location = defs()
    with dg.DagsterInstance.from_config(str(home)) as instance:
        subjects, models = (instance.get_dynamic_partitions(name) for name in ("subject", "model_version"))
        cursor = dg.evaluate_automation_conditions(location, instance, asset_selection=CELL_ASSETS).cursor
        instance.add_dynamic_partitions("model_version", ["one-more"])
        instance.report_runless_asset_event(dg.AssetMaterialization("model_versions"))
        began = time.perf_counter()
        found = dg.evaluate_automation_conditions(location, instance, asset_selection=CELL_ASSETS, cursor=cursor)
        taken = time.perf_counter() - began
        asked = found.get_num_requested(dg.AssetKey("imitations"))
        if asked != len(subjects):
            raise RuntimeError(f"of {len(subjects)} cells of a new version {asked} were asked for")
        results.reported(f"{what}: finding the {len(subjects):,} cells of a new version in s", taken)
        for subject in subjects[:1000]:
            event = dg.AssetMaterialization("imitations", partition=f"{models[-1]}|{subject}")
            instance.report_runless_asset_event(event)
        began = time.perf_counter()
        dg.evaluate_automation_conditions(location, instance, asset_selection=CELL_ASSETS, cursor=found.cursor)
        results.reported(f"{what}: what follows from 1,000 cells made anew, in s", time.perf_counter() - began)


def server_seconds(address: str) -> float:
    """Return the CPU seconds that the process behind an address has used so far: the wait on an idle machine."""
    port = address.rsplit(":", 1)[1].encode()
    for process in Path("/proc").glob("[0-9]*"):
        words = (process / "cmdline").read_bytes().split(b"\0")
        if port in words and any(b"webserver" in w for w in words):
            used = (process / "stat").read_text().rsplit(")", 1)[1].split()
            return (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")
    raise RuntimeError(f"no process serves {address}")


def measure(results: Results, folder: Path, subjects: int, models: int, wanted_ticks: int) -> None:
    config = write_audit(folder / "audit", subjects, models)
    with driver(config) as d:
        d.preflight()
        cells, home = fill(d), d.audit.dagster_home
    what = f"{cells:,} cells"
    seen_by_the_sensor(config, home)
    observe(results, what, config, home, folder / "dev.log", wanted_ticks)
    results.reported(f"{what}: Dagster's storage in MB", sum(p.stat().st_size for p in home.rglob("*.db")) / 1e6)
    busy_ticks(results, what, home)


def observe(results: Results, what: str, config: Path, home: Path, log: Path, wanted_ticks: int) -> None:
    """Measure sensors and the asset's page while the UI is served and no work is due."""
    with dg.DagsterInstance.from_config(str(home)) as instance, served(config, log) as address:
        deadline = time.monotonic() + 60 * wanted_ticks
        taken: dict[str, list[float]] = {}
        while len(taken) < len(SENSORS) or min(len(t) for t in taken.values()) < wanted_ticks:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the sensors ticked {taken}")
            time.sleep(2)
            taken = ticks(instance)
        for sensor in SENSORS:
            results.within(f"{what}: tick of {sensor} in s, median of those after the first", median(taken[sensor][1:]), SECOND)  # fmt: skip
            results.reported(f"{what}: first tick of {sensor} in s, nothing cached", taken[sensor][0])
        queries = {q["operationName"]: q for view in PAGES for q in queries_of_page(address, view)}
        again = {name: median(answered(address, query) for _ in range(5)) for name, query in queries.items()}
        slowest = max(again, key=lambda name: again[name])
        results.within(f"{what}: slowest query of the page of imitations in s ({slowest})", again[slowest], SECOND)
        before = server_seconds(address)
        for _ in range(5):
            answered(address, queries[slowest])
        results.reported(f"{what}: the same in CPU s of the server", (server_seconds(address) - before) / 5)
        for name in sorted(again, key=lambda name: -again[name])[1:6]:
            results.reported(f"{what}: query {name} in s", again[name])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=5000)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--ticks", type=int, default=6, help="of each sensor; the first does not count")
    parser.add_argument("--output", type=Path, help="instead of benchmarks/results/cells.json")
    parser.add_argument("--folder", type=Path, help="keep what is made here")
    chosen = parser.parse_args()
    results = Results("cells", "seconds, or as said")
    with tempfile.TemporaryDirectory() as temporary:
        measure(results, chosen.folder or Path(temporary), chosen.subjects, chosen.models, chosen.ticks)
    return results.finish(chosen.output)


if __name__ == "__main__":
    sys.exit(main())
