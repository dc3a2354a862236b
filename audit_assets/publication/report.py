"""The report: one HTML file a model version that needs no script, no network and no other file.

Sets this audit beside the figures of Casper et al. (2023), and says in plain words what they do not prove. The same
database gives the same bytes: no clock is read.
"""

import base64
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import jinja2
import numpy as np
import pandas as pd
from PIL import Image

from audit_assets.publication import figures, read

NOT_MEASURED = "not measured"
TEMPLATES = Path(__file__).parent / "templates"
COMPARISON_COLUMNS = ("measure", "this_audit", "paper", "level")
LABEL_SETS = {
    "criteria": "the artists of the roster",
    "most_mentioned": "the most mentioned artists",
    "random_names": "random names alone",
    "recombined_names": "recombined names alone",
    "joint": "every prompted name",
}
KINDS = {
    "artist": "artists",
    "untrained_artist": "untrained artists",
    "random_name": "random names",
    "nonsense": "nonsense tokens",
}


@dataclass(frozen=True)
class Picture:
    """A figure in the page: its place in the folder, its ``data:`` address, what it shows for who cannot see it."""

    name: str
    source: str
    alt: str
    caption: str


@dataclass(frozen=True)
class Audit:
    """Which results are read: one model version by one encoder under one protocol."""

    connection: duckdb.DuckDBPyConnection
    protocol: str
    model_version: str
    encoder: str

    @property
    def key(self) -> tuple[duckdb.DuckDBPyConnection, str, str, str]:
        return self.connection, self.protocol, self.model_version, self.encoder


def paper_comparison(
    database: Path, model_version: str, encoder: str | None = None, protocol: str | None = None
) -> pd.DataFrame:
    """The headline: columns measure, this_audit, paper, level; all text, ready to print.

    ``encoder``: by default the first image-text encoder in the order of names; ``protocol``: by default ``paper_2023``.
    What was not measured says so. Raises InputError for an unknown model version, encoder or protocol.
    """
    with read.opened(database) as connection:
        return _comparison(_audit(connection, model_version, encoder, protocol))


def write_report(
    database: Path,
    model_version: str,
    load: Callable[[str], Image.Image],
    folder: Path,
    encoder: str | None = None,
    protocol: str | None = None,
) -> Path:
    """Write ``report.html`` and its figures (PNG and SVG) into ``folder``; return the path of the page.

    ``load`` gives the image of a SHA-256; its errors pass through. Raises InputError as ``paper_comparison`` does.
    """
    with read.opened(database) as connection:
        audit = _audit(connection, model_version, encoder, protocol)
        page = _page(audit, _pictures(audit, load, folder))
    path = folder / "report.html"
    partial = folder / ".report.html.partial"
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)
    return path


def percent(share: float | None, digits: int = 1) -> str:
    return NOT_MEASURED if share is None or math.isnan(share) else f"{100 * share:.{digits}f} %"


def p_text(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"


def _audit(
    connection: duckdb.DuckDBPyConnection, model_version: str, encoder: str | None, protocol: str | None
) -> Audit:
    read.model_version_row(connection, model_version)
    chosen = read.primary_protocol(connection, model_version, protocol)
    return Audit(connection, chosen, model_version, read.primary_encoder(connection, encoder))


def _number(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


def _summary_row(summary: pd.DataFrame, label_set: str, kind: str) -> dict[str, Any] | None:
    found = summary[(summary["label_set"] == label_set) & (summary["kind"] == kind)]
    return None if found.empty else {str(key): value for key, value in found.iloc[0].to_dict().items()}


def _images(row: Mapping[Any, Any] | None) -> str:
    if row is None:
        return NOT_MEASURED
    low, high = _number(row["image_accuracy_low"]), _number(row["image_accuracy_high"])
    interval = "" if low is None or high is None else f" ({100 * low:.1f} – {100 * high:.1f})"
    return f"{percent(_number(row['image_accuracy']))}{interval}"


def _count(found: float, of: float) -> str:
    return f"{found:.0f} / {of:.0f} = {percent(found / of)}" if of else NOT_MEASURED


def _subjects(row: Mapping[Any, Any] | None) -> str:
    if row is None or _number(row["subjects_correct"]) is None:
        return NOT_MEASURED
    return _count(row["subjects_correct"], row["subjects"])


def _matching(summary: pd.DataFrame, alternative: str, control: str) -> str:
    found = summary[(summary["alternative"] == alternative) & (summary["control"] == control)]
    if found.empty:
        return NOT_MEASURED
    row = found.iloc[0]
    if control == "none":
        return _count(row["significant"], row["subjects"])
    return f"{row['significant']:.1f} / {row['subjects']:.0f} = {percent(_number(row['share']))}"


def _comparison(audit: Audit) -> pd.DataFrame:
    summary = read.identification_summary(*audit.key)
    matching = read.matching_summary(*audit.key)
    artists = _summary_row(summary, "criteria", "artist")
    random = _summary_row(summary, "random_names", "random_name")
    positive = read.real_work_accuracy(audit.connection, audit.encoder)
    lines = [
        ("images of artists identified", _images(artists), "81.0 %", "image"),
        ("artists that win a plurality of their images", _subjects(artists), "69 / 70 = 98.6 %", "artist"),
        ("images of random names identified", _images(random), "not reported", "image"),
        ("random names that win a plurality", _subjects(random), "6 / 70 = 8.6 %", "name"),
        ("chance", NOT_MEASURED if artists is None else percent(_number(artists["chance"])), "1 / 73 = 1.4 %", "image"),
        (
            "images of untrained artists identified (joint labels)",
            _images(_summary_row(summary, "joint", "untrained_artist")),
            "not done",
            "image",
        ),
        (
            "images of recombined names identified",
            _images(_summary_row(summary, "recombined_names", "random_name")),
            "not done",
            "image",
        ),
    ]
    for control, name, paper in (
        ("none", "paper's matching test significant", "63 / 70 = 90.0 %"),
        ("reassigned", "the same, real works re-assigned", "16 / 70 = 22.8 %"),
    ):
        for alternative, said in (("two_sided", "two-sided"), ("closer", "closer")):
            lines.append((f"{name} ({said})", _matching(matching, alternative, control), paper, "artist"))
    found = NOT_MEASURED if positive.empty else _count(positive["correct"].iloc[0], positive["real_works"].iloc[0])
    lines.append(("encoder on held-out real works of artists", found, "not done", "work"))
    return pd.DataFrame(lines + _corrected(audit), columns=list(COMPARISON_COLUMNS))


def _corrected(audit: Audit) -> list[tuple[str, str, str, str]]:
    """The headline again by statistics that keep their level; the paper has none of these."""
    gaps = read.contrasts(*audit.key)
    random = gaps[(gaps["contrast"] == "gap") & (gaps["control_label_set"] == "random_names")]
    ratio = gaps[gaps["contrast"] == "ratio_to_real_works"]
    tests = read.tests(audit.connection, audit.protocol, audit.model_version)
    own = tests[
        (tests["encoder"] == audit.encoder)
        & (tests["test"] == "own_rank")
        & (tests["adjustment"] == "benjamini_hochberg")
    ]
    pairing = read.pairing(audit.connection, audit.protocol, audit.model_version)
    pairing = pairing[pairing["encoder"] == audit.encoder]
    counts = read.verdict_counts(audit.connection, audit.protocol, audit.model_version)
    counts = counts[counts["encoder"] == audit.encoder]
    names = counts[(counts["kind"] == "random_name") & (counts["shares_name_parts"] == False)]  # noqa: E712 - NULL is neither
    lines = [
        ("gap between artists and random names", _points(random), "image"),
        ("ratio of imitations to real works identified", _points(ratio), "image"),
        (
            "corrected matching test significant (own rank, q < 0.05)",
            NOT_MEASURED if own.empty else _count(own["significant"].iloc[0], own["subjects"].iloc[0]),
            "artist",
        ),
        (
            "the same, real works re-assigned",
            NOT_MEASURED if own.empty else percent(_number(own["reassigned"].iloc[0])),
            "artist",
        ),
        (
            "all artists together (pairing test), p",
            NOT_MEASURED if pairing.empty else _p_with_floor(pairing.iloc[0]),
            "audit",
        ),
        ("artists with the verdict `imitated`", _verdicts(counts[counts["kind"] == "artist"], "imitated"), "artist"),
        (
            "random names `identified above controls`",
            _verdicts(names, "identified above controls"),
            "name",
        ),
    ]
    return [(measure, said, "not done", level) for measure, said, level in lines]


def _points(contrast: pd.DataFrame) -> str:
    if contrast.empty:
        return NOT_MEASURED
    estimate, low, high = (_number(contrast[c].iloc[0]) for c in ("estimate", "low", "high"))
    interval = "" if low is None or high is None else f" ({100 * low:.1f} – {100 * high:.1f})"
    return f"{percent(estimate)}{interval}"


def _p_with_floor(row: pd.Series) -> str:
    floor = " (the smallest possible)" if row["p_value"] <= row["p_floor"] else ""
    return f"{p_text(_number(row['p_value']))}{floor}"


def _verdicts(counts: pd.DataFrame, verdict: str) -> str:
    return _count(counts.loc[counts["verdict"] == verdict, "subjects"].sum(), counts["subjects"].sum())


def _bars(summary: pd.DataFrame) -> list[figures.Bar]:
    wanted = (
        ("artists", "criteria", "artist", figures.PAPER_ARTISTS),
        ("random names", "random_names", "random_name", figures.PAPER_RANDOM_NAMES),
        ("recombined\nnames", "recombined_names", "random_name", None),
        ("untrained artists\n(joint labels)", "joint", "untrained_artist", None),
    )
    found = []
    for label, label_set, kind, paper in wanted:
        row = _summary_row(summary, label_set, kind)
        share = None if row is None else _number(row["image_accuracy"])
        if row is not None and share is not None:
            low, high = _number(row["image_accuracy_low"]), _number(row["image_accuracy_high"])
            found.append(figures.Bar(label, share, low, high, paper, control=kind != "artist"))
    return found


def _grid_rows(audit: Audit) -> list[figures.GridRow]:
    """Artists evenly spaced from the best identified to the worst: a choice that flatters nobody."""
    ranked = read.by_artist(*audit.key).sort_values(["image_accuracy", "subject"], ascending=[False, True])
    places = np.linspace(0, max(0, len(ranked) - 1), min(len(ranked), figures.GRID_ARTISTS)).round().astype(int)
    return [
        figures.GridRow(
            f"{figures.printable(row['name'], row['subject'])}\n{row['correct']} of {row['images']}",
            read.reference_hashes(audit.connection, row["subject"], figures.REAL_WORKS),
            read.imitation_hashes(audit.connection, audit.model_version, row["subject"], figures.IMITATIONS),
        )
        for row in ranked.iloc[places].to_dict("records")
    ]


def _pictures(audit: Audit, load: Callable[[str], Image.Image], folder: Path) -> list[Picture]:
    summary = read.identification_summary(*audit.key)
    matching = read.matching_summary(*audit.key)
    ranked = read.matching_by_artist(*audit.key)
    significant = ranked["significant"] == 1
    reassigned = matching[(matching["alternative"] == "two_sided") & (matching["control"] == "reassigned")]
    share = None if reassigned.empty else _number(reassigned["share"].iloc[0])
    artists = _summary_row(summary, "criteria", "artist")
    chance = 0.0 if artists is None else float(artists["chance"])
    bars, grid = _bars(summary), _grid_rows(audit)
    said = "; ".join(f"{bar.label} {percent(bar.share)}".replace("\n", " ") for bar in bars)
    drawn = (
        (
            "sample_grid",
            figures.sample_grid(grid, load),
            f"Grid of {len(grid)} artists: real works on the left, imitations on the right.",
            "Real works beside imitations. The artists are evenly spaced from the best identified to the worst; images "
            "are the first ones in order, not chosen. Under each name: images identified.",
        ),
        (
            "identification",
            figures.identification_bars(bars, chance),
            f"Bars of images identified: {said}; chance {percent(chance)}. "
            "The paper: artists 81.0 %, random names 8.6 % (of names), chance 1.4 %.",
            "Share of images that the encoder assigns to the name they were prompted with, with 95 % intervals. "
            "The paper's 8.6 % counts names, not images.",
        ),
        (
            "ranked_p_values",
            figures.ranked_p_values(ranked["p_value"], significant, share),
            f"Ranked p-values of the matching test: {int(significant.sum())} of {len(ranked)} artists are significant "
            f"after Bonferroni; with re-assigned real works {percent(share)}.",
            "The paper's matching test (rank sum, two-sided), one point an artist. The title gives the share that stays "
            "significant when each artist's real work is swapped for somebody else's: what the test finds by mistake.",
        ),
    )
    return [_picture(folder, name, figure, alt, caption) for name, figure, alt, caption in drawn]


def _picture(folder: Path, name: str, figure: Any, alt: str, caption: str) -> Picture:
    png, svg = figures.save(figure, folder, name)
    # Photographs in an SVG are PNG in base64 twice over; charts are sharper as SVG.
    path, kind = (png, "image/png") if name == "sample_grid" else (svg, "image/svg+xml")
    return Picture(name, f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}", alt, caption)


def _controls(summary: pd.DataFrame) -> list[dict[str, str]]:
    return [
        {
            "labels": f"{LABEL_SETS.get(row['label_set'], row['label_set'])} ({row['labels']})",
            "kind": KINDS.get(row["kind"], row["kind"]),
            "parts": "–" if pd.isna(row["shares_name_parts"]) else "yes" if row["shares_name_parts"] else "no",
            "images": _images(row),
            "subjects": _subjects(row),
            "chance": percent(_number(row["chance"])),
        }
        for row in summary.to_dict("records")
    ]


def _artists(audit: Audit) -> list[dict[str, str]]:
    verdicts = read.verdicts_by_artist(*audit.key).set_index("subject").to_dict("index")
    return [
        {
            "verdict": verdicts[row["subject"]]["verdict"] if row["subject"] in verdicts else NOT_MEASURED,
            "agree": _agreement(verdicts.get(row["subject"])),
            "q": p_text(_number(verdicts.get(row["subject"], {}).get("own_rank_q"))),
            "name": row["name"],
            "subject": row["subject"],
            "opted_out": "opted out" if not pd.isna(row["opted_out"]) and row["opted_out"] else "",
            "images": str(row["images"]),
            "correct": str(row["correct"]),
            "plurality": "tie" if pd.isna(row["plurality_name"]) else str(row["plurality_name"]),
            "won": "yes" if not pd.isna(row["plurality_correct"]) and row["plurality_correct"] else "no",
            "p": p_text(_number(row["p_value"])),
            "p_adjusted": p_text(_number(row["p_adjusted"])),
        }
        for row in read.by_artist(*audit.key).to_dict("records")
    ]


def _agreement(verdict: Mapping[Any, Any] | None) -> str:
    if verdict is None:
        return "–"
    return f"{verdict['encoders_imitated']} of {verdict['encoders_auditable']}"


TESTS = {
    "rank_sum_asymptotic": "the paper's rank sum",
    "rank_sum_exact": "rank sum, exact, all works",
    "own_rank": "own rank (corrected)",
}
ALTERNATIVES = {"two_sided": "two-sided", "closer": "closer"}


def _tests(audit: Audit) -> list[dict[str, str]]:
    """Every test, and what it says of works that are somebody else's."""
    found = [
        {
            "encoder": row["encoder"],
            "test": TESTS.get(row["test"], row["test"]),
            "alternative": ALTERNATIVES.get(row["alternative"], row["alternative"]),
            "adjustment": row["adjustment"].replace("_", "-"),
            "significant": "out of reach: too few artists with real works"
            if row["unreachable"] is True
            else _count(row["significant"], row["subjects"]),
            "reassigned": percent(_number(row["reassigned"])),
            "deranged": percent(_number(row["deranged"])),
        }
        for row in read.tests(audit.connection, audit.protocol, audit.model_version).to_dict("records")
    ]
    return found + [
        {
            "encoder": row["encoder"],
            "test": "pairing, all artists together",
            "alternative": "closer",
            "adjustment": "none",
            "significant": f"p = {_p_with_floor(pd.Series(row))}",
            "reassigned": percent(_number(row["reassigned"])),
            "deranged": percent(_number(row["deranged"])),
        }
        for row in read.pairing(audit.connection, audit.protocol, audit.model_version).to_dict("records")
    ]


def _verdict_table(audit: Audit) -> list[dict[str, str]]:
    counts = read.verdict_counts(audit.connection, audit.protocol, audit.model_version)
    return [
        {
            "encoder": row["encoder"],
            "kind": KINDS.get(row["kind"], row["kind"])
            + (
                " with parts of artists' names"
                if not pd.isna(row["shares_name_parts"]) and row["shares_name_parts"]
                else ""
            ),
            "verdict": row["verdict"],
            "basis": row["basis"],
            "subjects": str(row["subjects"]),
            "needed": "–"
            if pd.isna(row["identified_needed"])
            else f"{row['identified_needed']:.0f} of {row['images']:.0f}",
        }
        for row in counts.to_dict("records")
    ]


def _auditability(audit: Audit) -> list[dict[str, str]]:
    return [
        {
            "encoder": row["encoder"],
            "kind": KINDS.get(row["kind"], row["kind"]),
            "correct": "no text side" if pd.isna(row["correct"]) else _count(row["correct"], row["real_works"]),
            "auditable": _count(row["auditable"], row["artists"]),
        }
        for row in read.auditability(audit.connection).to_dict("records")
    ]


def _dependence(audit: Audit) -> dict[str, list[dict[str, str]]]:
    """What the results depend on, as rows of text."""

    def table(name: str) -> list[dict[str, Any]]:
        found = read.of_model(audit.connection, name, audit.protocol, audit.model_version)
        return [{str(k): v for k, v in row.items()} for row in found.to_dict("records")]

    def template(index: int) -> str:
        return "described, not named" if index < 0 else str(index)

    return {
        "templates": [
            {
                "encoder": row["encoder"],
                "prompted": template(row["template"]),
                "labelled": template(row["label_template"]),
                "accuracy": percent(row["image_accuracy"]),
                "images": str(row["images"]),
            }
            for row in table("template_matrix")
            if row["label_set"] == "criteria" and row["kind"] == "artist"
        ],
        "flips": [
            {"setting": row["setting"], "subjects": str(row["subjects"]), "flipped": _count(row["flipped"], row["subjects"]),
             "lost": str(row["lost"]), "gained": str(row["gained"])}
            for row in table("verdict_flips")
        ],
        "doses": [
            {
                "encoder": row["encoder"],
                "response": row["response"],
                "artists": str(row["artists"]),
                "spearman": f"{row['spearman']:.2f} (p {p_text(_number(row['spearman_p']))})",
                "threshold": f"{row['threshold']:.0f} ({row['threshold_low']:.0f} – {row['threshold_high']:.0f})",
                "sides": f"{row['below']:.2f} | {row['above']:.2f}",
                "p": p_text(_number(row["p_value"])),
            }
            for row in table("dose_response")
        ],
    }  # fmt: skip


RELATIONS = {"shared": "yes", "independent": "no", "image only": "no", "unknown": "not known"}
"""Whether an encoder shares a text encoder with the generator."""


def _encoders(audit: Audit) -> list[dict[str, str]]:
    found = []
    table = read.of_model(audit.connection, "encoder_independence", audit.protocol, audit.model_version)
    relations = dict(zip(table["encoder"], table["relation"], strict=True))
    for row in read.encoders(audit.connection).to_dict("records"):
        name = row["encoder"]
        summary = read.identification_summary(audit.connection, audit.protocol, audit.model_version, name)
        matching = read.matching_summary(audit.connection, audit.protocol, audit.model_version, name)
        found.append(
            {
                "encoder": name,
                "kind": row["kind"].replace("_", "-"),
                "shared": RELATIONS.get(relations.get(name, ""), NOT_MEASURED),
                "identified": _images(_summary_row(summary, "criteria", "artist")),
                "matching": _matching(matching, "two_sided", "none"),
                "reassigned": _matching(matching, "two_sided", "reassigned"),
                "revision": _shown(row["revision"]),
                "files_sha256": _shown(row["files_sha256"]),
            }
        )
    return found


def _shown(value: Any) -> str:
    """A value of the database as text: lists by commas, JSON as it is, nothing for NULL."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return ", ".join(str(part) for part in value)
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True)
    return "" if value is None or pd.isna(value) else str(value)


def _page(audit: Audit, pictures: list[Picture]) -> str:
    model = read.model_version_row(audit.connection, audit.model_version)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("report.html.j2")
    used = read.protocols(audit.connection)
    return template.render(
        model_version=audit.model_version,
        encoder=audit.encoder,
        protocol=audit.protocol,
        comparison=_comparison(audit).to_dict("records"),
        pictures=pictures,
        artists=_artists(audit),
        tests=_tests(audit),
        verdicts=_verdict_table(audit),
        auditability=_auditability(audit),
        calibration=[
            {
                "encoder": row["encoder"],
                "works": str(row["works"]),
                "temperature": "none: all works right" if row["at_bound"] else f"{row['temperature']:.2f}",
                "raw": percent(row["expected_calibration_error"]),
                "calibrated": percent(_number(row["calibrated_expected_calibration_error"])),
            }
            for row in read.calibration(audit.connection).to_dict("records")
        ],
        dependence=_dependence(audit),
        confusion=[{**row, "share": percent(row["share"])} for row in read.confusion(*audit.key).to_dict("records")],
        controls=_controls(read.identification_summary(*audit.key)),
        statuses=read.image_statuses(audit.connection, audit.model_version).to_dict("records"),
        kinds=KINDS,
        reassigned=_matching(read.matching_summary(*audit.key), "two_sided", "reassigned"),
        reassigned_closer=_matching(read.matching_summary(*audit.key), "closer", "reassigned"),
        encoders=_encoders(audit),
        model={key: _shown(value) for key, value in model.items()},
        protocols=used[used["protocol"] == audit.protocol].to_dict("records"),
    )
