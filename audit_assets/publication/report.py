"""The report of a model version: one self-contained HTML file, its figures also as PNG and SVG. Reads the published database only."""

import base64
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from audit_assets.publication import read
from audit_assets.publication.figures import Bar, GridRow, identification_bars, printable, ranked_p_values, sample_grid, save

ARTISTS_SHOWN = 8
REAL_SHOWN, IMITATIONS_SHOWN = 3, 6

# Casper et al. 2023: image accuracy of artists, its random-name control (names, not images), and chance.
PAPER_ARTISTS, PAPER_RANDOM_NAMES, PAPER_CHANCE = 0.81, 6 / 70, 1 / 73


def paper_comparison(database: Path, model_version: str, encoder: str | None = None) -> pd.DataFrame:
    """This audit beside the paper's figures: columns measure, this_audit, paper, level."""
    with read.opened(database) as connection:
        encoder = read.primary_encoder(connection, encoder)
        protocol = read.primary_protocol(connection, model_version)
        summary = read.identification_summary(connection, protocol, model_version, encoder)
        matching = read.matching_summary(connection, protocol, model_version, encoder)
        real = read.real_work_accuracy(connection, encoder)
    rows: list[tuple[str, str, str, str]] = []

    def add(label_set: str, kind: str, measure: str, paper: str, *, by_name: str | None = None, paper_names: str = "") -> None:
        found = summary[(summary["label_set"] == label_set) & (summary["kind"] == kind)]
        if found.empty:
            return
        row = found.iloc[0]
        interval = "" if pd.isna(row["image_accuracy_low"]) else f" ({row['image_accuracy_low']:.1%} to {row['image_accuracy_high']:.1%})"
        rows.append((f"{measure}, {int(row['labels'])} labels", f"{row['image_accuracy']:.1%}{interval}", paper, "image"))
        if by_name:
            n, correct = int(row["subjects"]), int(row["subjects_correct"])
            rows.append((by_name, f"{correct} of {n} = {correct / n:.1%}", paper_names, "name"))

    add("criteria", "artist", "artists identified", "81.0 %", by_name="artists that win a plurality of their images", paper_names="69 of 70 = 98.6 %")
    add("most_mentioned", "artist", "the most mentioned artists identified", "81.2 % (250 artists)")
    add("random_names", "random_name", "random names identified", "not printed", by_name="random names that win a plurality", paper_names="6 of 70 = 8.6 %")
    add("recombined_names", "random_name", "names recombined from the artists' parts identified", "not done", by_name="recombined names that win a plurality", paper_names="not done")
    add("joint", "untrained_artist", "artists the model never saw identified", "not done")
    chance = summary[summary["label_set"] == "criteria"]["chance"]
    if len(chance):
        rows.append(("a random guess", f"{chance.iloc[0]:.1%}", "1.4 %", "image"))
    for alternative, words in (("two_sided", "two-sided"), ("closer", "one-sided")):
        for control, measure, paper in (("none", "paper's matching test, artists significant", "63 of 70 = 90 %"), ("reassigned", "the same, real works re-assigned at random", "16 of 70 = 22.8 %")):
            found = matching[(matching["alternative"] == alternative) & (matching["control"] == control)]
            if len(found):
                row = found.iloc[0]
                rows.append((f"{measure} ({words})", f"{row['significant']:.3g} of {int(row['subjects'])} = {row['share']:.1%}", paper, "artist"))
    if len(real) and real["real_works"].iloc[0]:
        row = real.iloc[0]
        rows.append(("the encoder on held-out real works of the artists", f"{int(row['correct'])} of {int(row['real_works'])} = {row['correct'] / row['real_works']:.1%}", "not done", "work"))
    return pd.DataFrame(rows, columns=["measure", "this_audit", "paper", "level"])


def write_report(database: Path, model_version: str, load: Callable[[str], Image.Image], folder: Path) -> Path:
    """Write `report.html` and the figures into `folder`; the path of the page. `load` gives the image of a sha256.

    Raises InputError where the database or the model version is not there.
    """
    with read.opened(database) as connection:
        encoder = read.primary_encoder(connection)
        protocol = read.primary_protocol(connection, model_version)
        page = {
            "model": read.model_version_row(connection, model_version),
            "encoder": encoder,
            "protocol": protocol,
            "protocols": read.protocols(connection).to_dict("records"),
            "encoders": read.encoders(connection).to_dict("records"),
            "artists": read.by_artist(connection, protocol, model_version, encoder).to_dict("records"),
            "confusion": read.confusion(connection, protocol, model_version, encoder).to_dict("records"),
            "statuses": read.image_statuses(connection, model_version).to_dict("records"),
            "comparison": paper_comparison(database, model_version, encoder).to_dict("records"),
        }
        figures = _figures(connection, protocol, model_version, encoder, load)
    folder.mkdir(parents=True, exist_ok=True)
    inlined = {}
    for name, figure in figures.items():
        png, _ = save(figure, folder, name)
        inlined[name] = base64.b64encode(png.read_bytes()).decode()
    environment = Environment(loader=PackageLoader("audit_assets.publication"), autoescape=True, undefined=StrictUndefined)
    environment.filters["share"] = lambda value: "" if value is None or pd.isna(value) else f"{value:.1%}"
    environment.filters["p"] = lambda value: "" if value is None or pd.isna(value) else f"{value:.2g}"
    environment.filters["shown"] = lambda value: "" if value is None or (not isinstance(value, list) and pd.api.types.is_scalar(value) and pd.isna(value)) else value
    report = folder / "report.html"
    report.write_text(environment.get_template("report.html.j2").render(figures=inlined, **page), encoding="utf-8")
    return report


def _figures(connection: duckdb.DuckDBPyConnection, protocol: str, model_version: str, encoder: str, load: Callable[[str], Image.Image]):  # type: ignore[no-untyped-def]  # noqa: ANN202
    artists = read.by_artist(connection, protocol, model_version, encoder)
    shown = artists.iloc[:: max(1, len(artists) // ARTISTS_SHOWN)].head(ARTISTS_SHOWN)  # evenly through the alphabet: chosen by nobody
    grid = [
        GridRow(printable(str(a.name), str(a.subject)), read.reference_hashes(connection, str(a.subject), REAL_SHOWN), read.imitation_hashes(connection, model_version, str(a.subject), IMITATIONS_SHOWN))
        for a in shown.itertuples()
    ]
    summary = read.identification_summary(connection, protocol, model_version, encoder)
    bars = []
    for label_set, kind, label, paper in (
        ("criteria", "artist", "artists", PAPER_ARTISTS), ("random_names", "random_name", "random names", PAPER_RANDOM_NAMES),
        ("recombined_names", "random_name", "recombined names", None), ("joint", "untrained_artist", "artists the model\nnever saw", None),
    ):  # fmt: skip
        for row in summary[(summary["label_set"] == label_set) & (summary["kind"] == kind)].itertuples():
            low, high = (None, None) if pd.isna(row.image_accuracy_low) else (float(row.image_accuracy_low), float(row.image_accuracy_high))  # type: ignore[arg-type]
            bars.append(Bar(label, float(row.image_accuracy), low, high, paper, control=kind != "artist"))  # type: ignore[arg-type]
    chance = summary[summary["label_set"] == "criteria"]["chance"]
    tests = read.matching_by_artist(connection, protocol, model_version, encoder)
    control = read.matching_summary(connection, protocol, model_version, encoder)
    again = control[(control["alternative"] == "two_sided") & (control["control"] == "reassigned")]["share"]
    return {
        "sample_grid": sample_grid(grid, load),
        "identification": identification_bars(bars, float(chance.iloc[0]) if len(chance) else 0.0),
        "matching": ranked_p_values(tests["p_value"], tests["significant"] == 1, float(again.iloc[0]) if len(again) else None),
    }
