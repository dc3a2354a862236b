"""The report: one HTML file per model version, which needs no network and no other file, and can be read without its script.

It shows this audit's figures beside those of Casper et al. (2023), and says in plain words what they do not prove. The same
database gives the same bytes: the report contains no date of its own.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from audit_assets.publication.drawings import charts, svg
from audit_assets.publication.drawings import paper_figures as figures
from audit_assets.publication.pages import copies as copied
from audit_assets.publication.pages.page import MOST_ROWS, Chart, Load, Picture, render, thumbnail, write
from audit_assets.publication.pages.reliability import write_reliability
from audit_assets.publication.queries import across_models, images, matching
from audit_assets.publication.queries import arms as read_arms
from audit_assets.publication.queries import artist as read_artist
from audit_assets.publication.queries import database as read
from audit_assets.publication.queries import raters as asked
from audit_assets.publication.queries.design import design
from audit_assets.publication.queries.model import ModelResults
from audit_assets.publication.words import argument, arm_tables, artist_tables, headline, model_tables, raters, sent
from audit_assets.publication.words import report_tables as tables
from audit_assets.publication.words import version_tables as versions
from audit_assets.publication.words.copies import text
from audit_assets.publication.words.numbers import (
    NOT_MEASURED,
    counted,
    images_interval,
    isolated,
    known,
    p_text,
    percent,
)
from audit_assets.publication.words.table import Name

REAL_WORKS, IMITATIONS = 2, 4
"""Pictures per artist in the report. An artist's own page shows all of them."""


def write_report(
    database: Path,
    model_version: str,
    load: Load,
    folder: Path,
    encoder: str | None = None,
    protocol: str | None = None,
) -> Path:
    """Write ``report.html``, ``reliability.html``, ``copies.html`` and the figures (PNG and SVG) into ``folder``; return the path of the page.

    ``load`` gives the image of a SHA-256; its errors are passed on. Raises InputError for an unknown model version,
    encoder or protocol.
    """
    with figures.matplotlib_defaults(), read.opened(database) as connection:
        results = headline.chosen(connection, model_version, encoder, protocol)
        page = _page(results, load, folder)
        write_reliability(results, folder)
        copied.write_copies(results, load, folder)
    return write(folder / "report.html", page)


def _page(results: ModelResults, load: Load, folder: Path) -> str:
    artists = artist_tables.artist_rows(results)
    drawn = artists[:MOST_ROWS]
    one = read.only_artist(results.connection)
    paper = matching.paper_test(results)
    compared, subjects = _beside_others(results)
    in_arms = read_arms.arms(results)
    return render(
        "report.html.j2",
        folder=folder,
        paged=frozenset(read_artist.with_page(results.connection)["subject"]),
        results=results,
        alpha=read.alpha(results.connection, results.protocol),
        one=one,
        by_names_alone=_by_names_alone(results),
        primary=read.primary_encoder(results.connection),
        lead=_lead(results, one),
        summary=_summary(results, artists, one),
        three=_three(results, one),
        moved=[] if one else versions.groups(_groups(results)),
        paper=tables.beside_the_paper(results),
        figures=_figures_of_the_paper(results, load, folder),
        roster=artist_tables.roster(results),
        verdicts=tables.verdicts(results),
        answers=artist_tables.answers(results),
        confusable=artist_tables.confusable(results),
        still_works=arm_tables.what_still_works(in_arms),
        arm_by_arm=arm_tables.arm_by_arm(in_arms),
        leakage=arm_tables.leakage(read_arms.leakage(results)),
        copies=artist_tables.copies(results),
        copies_said=copied.said(results),
        copied=copied.pairs(results, load),
        text_said=text(**images.texts(results)),
        raters_said=raters.agreement(asked.agreement(results)),
        raters=raters.verdicts(
            [{str(k): v for k, v in row.items()} for row in asked.verdicts(results).to_dict("records")]
        ),
        artists=artist_tables.artists(artists),
        forest=[] if one else _forest(drawn),
        gallery=_gallery(results, drawn, load),
        not_drawn=len(artists) - len(drawn),
        confusion=tables.confusion(results),
        controls=tables.controls(results),
        contrasts=tables.contrasts(results),
        statuses=tables.statuses(results),
        withheld=tables.withheld(results),
        unread=tables.unread(results),
        notes=model_tables.notes(results),
        tests=tables.tests(results),
        positive_control=tables.positive_control(results),
        auditability=tables.auditability(results),
        calibration=tables.calibration(results),
        templates=tables.templates(results),
        flips=tables.flips(results),
        correlations=tables.correlations(results),
        dose=None if one else _dose(results, artists),
        doses=tables.doses(results),
        changes=versions.changes(compared),
        changed=versions.changed_subjects(
            subjects, "Artists whose share of identified images changed, or whose verdict changed."
        ),
        reassigned=headline.paper_test(paper, "two_sided", "reassigned"),
        reassigned_closer=headline.paper_test(paper, "closer", "reassigned"),
        encoders=tables.encoders(results),
        model=model_tables.model(results),
        protocol=tables.protocol(results.connection, results.protocol),
        software=tables.software(results),
        left_out=tables.left_out(results.connection),
        made_from=read.made_from(results.connection),
    )


def _by_names_alone(results: ModelResults) -> bool:
    """Whether every artist who was matched is compared with control names alone, because too few other artists have works."""
    found = design(results.connection, results.protocol, results.model_version, results.encoder)
    return found.by_name_test > 0 and found.by_own_cell == 0


def _lead(results: ModelResults, one: dict[str, str] | None) -> list[str]:
    """How the model was asked, and what it was given besides."""
    return sent.lead(
        read.prompts(results.connection, results.model_version),
        read.templates(results.connection, results.protocol),
        read.model_version_row(results.connection, results.model_version),
        one=None if one is None else one["name"],
    )


def _summary(results: ModelResults, artists: list[dict[str, Any]], one: dict[str, str] | None) -> str:
    """The verdicts by one encoder in one or two sentences."""
    if one is not None:
        return _of_one_artist(artists, one)
    words = ("imitated", "not shown to be imitated", "not auditable", "identified above controls")
    found = {word: sum(row["verdict"] == word for row in artists) for word in words}
    if not sum(found.values()):
        return f"Of {counted(len(artists), 'artist')}, none has a verdict yet."
    imitated, not_shown, not_auditable, above = found.values()
    without = f", and {above} {_are(above)} identified above controls, without works to compare with" if above else ""
    at_least = headline.roster_sentence(matching.roster(results))
    return (f"{at_least} " if at_least else "") + (
        f"Of {counted(len(artists), 'artist')}, the encoder finds {imitated} imitated by name under this protocol; {not_shown} {_are(not_shown)} not shown to be imitated, "
        f"{'' if above else 'and '}{not_auditable} {_are(not_auditable)} not auditable{without}."
    )


def _three(results: ModelResults, one: dict[str, str] | None) -> list[tuple[str, str, str]]:
    """(question, answer, sentence): about the only artist, or how many artists have which answer."""
    if one is not None:
        verdicts = read_artist.verdicts(results.connection, results.protocol, one["subject"])
        answers = read_artist.answers(results.connection, results.protocol, one["subject"])
        own = [
            t[(t["model_version"] == results.model_version) & (t["encoder"] == results.encoder)].to_dict("records")
            for t in (verdicts, answers)
        ]
        if not own[0]:
            return []
        return argument.three_sentences(
            own[0][0], own[1], one["name"], read.alpha(results.connection, results.protocol)
        )
    found = results.answers()
    return argument.counted_answers(
        found["question"].tolist(), found["answer"].tolist(), by_names_alone=_by_names_alone(results)
    )


def _of_one_artist(artists: list[dict[str, Any]], one: dict[str, str]) -> str:
    """The verdict on the only artist, with how it follows from the answers."""
    name = isolated(one["name"])
    row = next((row for row in artists if row["subject"] == one["subject"]), None)
    if row is None or row["verdict"] == NOT_MEASURED:
        return f"{name} has no verdict yet."
    words = {
        "imitated": f"{name} is imitated by name under this protocol.",
        "not shown to be imitated": f"{name} is not shown to be imitated by name under this protocol.",
        "not auditable": f"This audit cannot say whether {name} is imitated by name.",
        "identified above controls": f"The name {name} steers the model. There are no works to compare the images with.",
    }
    return f"{words[row['verdict']]} {row['because']}"


def _groups(results: ModelResults) -> pd.DataFrame:
    """What the comparison of versions says of artists who opted out, by this page's encoder."""
    found = across_models.groups(results.connection, results.protocol)
    own = (found["model_version"] == results.model_version) | (found["later_version"] == results.model_version)
    return found[own & (found["encoder"] == results.encoder)]


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _beside_others(results: ModelResults) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What changed between this version and every other: per kind of subject, and per subject."""

    def ours(rows: pd.DataFrame) -> pd.DataFrame:
        return rows[(rows["model_version"] == results.model_version) | (rows["later_version"] == results.model_version)]

    return (
        ours(across_models.comparisons(results.connection, results.protocol)),
        ours(across_models.compared_subjects(results.connection, results.protocol)),
    )


# ---- the paper's three figures
def _figures_of_the_paper(results: ModelResults, load: Load, folder: Path) -> list[Chart]:
    drawn = [_sample_grid(results, load, folder), _identification(results, folder)]
    # One artist has no rank among others.
    return drawn if read.only_artist(results.connection) else [*drawn, _ranked_p_values(results, folder)]


def _sample_grid(results: ModelResults, load: Load, folder: Path) -> Chart:
    grid = _grid_rows(results)
    png, _ = figures.save(figures.sample_grid(grid, load), folder, "sample_grid")
    alt = f"Grid of {counted(len(grid), 'artist')}: real works on the left, imitations on the right."
    # An SVG would hold the photographs as PNG in base64, several times as large as this thumbnail of the PNG beside the page.
    with Image.open(png) as image:
        picture = thumbnail(image, alt, size=1400, quality=80)
    return Chart(
        "sample_grid",
        picture,
        alt,
        "Real works beside imitations (the paper's figure 2). "
        + ("" if results.only_artist else "The artists are evenly spaced from the best identified to the worst. ")
        + "The images are the first ones in order: no person chose them. Under each name: images identified.",
    )


def _grid_rows(results: ModelResults) -> list[figures.GridRow]:
    """Artists evenly spaced from the best identified to the worst, so that the choice favours neither."""
    ranked = results.by_artist().sort_values(["image_accuracy", "subject"], ascending=[False, True])
    places = np.linspace(0, max(0, len(ranked) - 1), min(len(ranked), figures.GRID_ARTISTS)).round().astype(int)
    return [
        figures.GridRow(
            f"{figures.printable(row['name'], row['subject'])}{_counted(row)}",
            read.reference_hashes(results.connection, row["subject"], figures.REAL_WORKS),
            read.imitation_hashes(results.connection, results.model_version, row["subject"], figures.IMITATIONS),
        )
        for row in ranked.iloc[places].to_dict("records")
    ]


def _counted(row: dict[Any, Any]) -> str:
    return "" if known(row["correct"]) is None else f"\n{row['correct']:.0f} of {row['images']:.0f}"


def _identification(results: ModelResults, folder: Path) -> Chart:
    summary = results.identification_summary()
    artists = headline.summary_row(summary, results.labels("criteria"), "artist")
    chance = 0.0 if artists is None else float(artists["chance"])
    bars = _bars(results, summary)
    figure = figures.identification_bars(bars, chance)
    figures.save(figure, folder, "identification")
    said = "; ".join(f"{bar.label} {percent(bar.share)}".replace("\n", " ") for bar in bars)
    alt = (
        f"Bars of images identified: {said}; chance {percent(chance)}. The paper: artists {percent(figures.PAPER_ARTISTS)}, "
        f"random names {percent(figures.PAPER_RANDOM_NAMES)} (of names), chance {percent(figures.PAPER_CHANCE)}."
    )
    return Chart(
        "identification",
        svg.inline(figure, "identification", alt),
        alt,
        "Share of images that the encoder assigns to the name in their prompt, with 95 % intervals (the paper's figure 3). "
        "The paper's 8.6 % counts names, not images.",
    )


def _bars(results: ModelResults, summary: pd.DataFrame) -> list[figures.Bar]:
    wanted = (
        ("artist" if results.only_artist else "artists", "criteria", "artist", None, figures.PAPER_ARTISTS),
        ("random names", "random_names", "random_name", False, figures.PAPER_RANDOM_NAMES),
        ("recombined\nnames", "recombined_names", "random_name", True, None),
        ("untrained artists\n(joint labels)", "joint", "untrained_artist", None, None),
    )
    found = []
    for label, label_set, kind, shares, paper in wanted:
        row = headline.summary_row(summary, results.labels(label_set), kind, shares_name_parts=shares)
        share = None if row is None else known(row["image_accuracy"])
        if row is not None and share is not None:
            low, high = known(row["image_accuracy_low"]), known(row["image_accuracy_high"])
            found.append(figures.Bar(label, share, low, high, paper, control=kind != "artist"))
    return found


def _ranked_p_values(results: ModelResults, folder: Path) -> Chart:
    ranked = matching.paper_test_by_artist(results)
    untested = int(ranked["p_value"].isna().sum())
    ranked = ranked[ranked["p_value"].notna()].reset_index(drop=True)
    significant = ranked["significant"] == 1
    paper = matching.paper_test(results)
    reassigned = paper[(paper["alternative"] == "two_sided") & (paper["control"] == "reassigned")]
    share = None if reassigned.empty else known(reassigned["share"].iloc[0])
    figure = figures.ranked_p_values(ranked["p_value"], significant, share)
    figures.save(figure, folder, "ranked_p_values")
    alt = (
        f"Ranked p-values of the matching test: {int(significant.sum())} of {len(ranked)} artists are significant "
        f"after Bonferroni; with re-assigned real works {percent(share)}."
        + (f" {counted(untested, 'artist')} could not be tested, and no point stands for them." if untested else "")
    )
    # In the order of the points: the rows are ranked.
    said = [f"{name}: p {p:.1e}" for name, p in zip(ranked["name"], ranked["p_value"], strict=True)]
    hover = {
        "significant": [text for text, passed in zip(said, significant, strict=True) if passed],
        "not-significant": [text for text, passed in zip(said, significant, strict=True) if not passed],
    }
    return Chart(
        "ranked_p_values",
        svg.inline(figure, "ranked_p_values", alt, hover),
        alt,
        "The paper's matching test (rank sum, two-sided; the paper's figure 4), one point per artist. The title gives the share that is "
        "still significant if each artist's real work is replaced by another artist's: how often the test finds a match by mistake.",
    )


# ---- artist by artist
def _forest(artists: list[dict[str, Any]]) -> list[Chart]:
    """Charts of PANEL artists each, the best identified first."""
    rows = [_forest_row(row) for row in artists if row["verdict"] in charts.VERDICT_MARKS]
    rows.sort(key=lambda r: (-r.identified[0] if r.identified else 0, -r.auc[0] if r.auc else 0, r.label))
    needed = {
        row["identified_needed"] / row["images"] for row in artists if known(row["identified_needed"]) and row["images"]
    }
    drawn = []
    for start in range(0, len(rows), charts.PANEL):
        panel = rows[start : start + charts.PANEL]
        figure, hover = charts.forest(panel, min(needed) if needed else None)
        alt = (
            f"Forest plot of artists {start + 1} to {start + len(panel)} of {len(rows)}, from {panel[0].label} to {panel[-1].label}: "
            "images identified and AUC with 95 % intervals. The table above contains every figure."
        )
        name = f"forest-{start // charts.PANEL + 1}"
        caption = f"Artists {start + 1} to {start + len(panel)} of {len(rows)}, by images identified."
        drawn.append(Chart(name, svg.inline(figure, name, alt, hover), alt, caption))
    return drawn


def _forest_row(row: dict[str, Any]) -> charts.ForestRow:
    share = row["correct"] / row["images"] if row["images"] else None
    likeness = known(row["auc"])
    low, high = known(row["auc_low"]), known(row["auc_high"])
    return charts.ForestRow(
        figures.printable(row["name"], row["subject"], width=28, lines=1),
        row["name"],
        row["verdict"],
        None if share is None else (share, *images_interval(row["correct"], row["images"])),
        None if likeness is None else (likeness, likeness if low is None else low, likeness if high is None else high),
    )


def _gallery(results: ModelResults, artists: list[dict[str, Any]], load: Load) -> list[dict[str, Any]]:
    """The first real works and imitations of every artist, small."""
    works = read.first_works(results.connection, REAL_WORKS)
    made = read.first_imitations(results.connection, results.model_version, IMITATIONS)

    def pictures(digests: list[str], what: str) -> list[Picture]:
        return [thumbnail(load(d), f"{what} {i}") for i, d in enumerate(digests, 1)]

    return [
        {
            "subject": row["subject"],
            "name": Name(row["name"], row["subject"]),
            "verdict": row["verdict"],
            "counted": artist_tables.identified(row) + (" images identified" if row["images"] else ""),
            "works": pictures(works.get(row["subject"], []), f"Real work of {row['name']},"),
            "imitations": pictures(made.get(row["subject"], []), f"Imitation of {row['name']},"),
        }
        for row in artists
    ]


def _best_split(change: charts.Change) -> str:
    """The number of captions that splits the artists best, and whether chance alone would find such a split."""
    shown = (
        "the mean changes there" if change.p_value < figures.ALPHA else "the test does not show that the mean changes"
    )
    return (
        f"the best split is at {change.threshold:.0f} captions (95 % interval {change.low:.0f} to {change.high:.0f}), with means of "
        f"{percent(change.below)} and {percent(change.above)}; {shown} (p = {p_text(change.p_value)})"
    )


def _dose(results: ModelResults, artists: list[dict[str, Any]]) -> Chart | None:
    rows = [row for row in artists if known(row["mentions"]) is not None and known(row["image_accuracy"]) is not None]
    if not rows:
        return None
    found = results.of_model("dose_response")
    found = found[(found["encoder"] == results.encoder) & (found["response"] == "accuracy")]
    change = None
    if not found.empty:
        fields = ("threshold", "threshold_low", "threshold_high", "below", "above", "p_value")
        change = charts.Change(*(float(found.iloc[0][f]) for f in fields))
    figure, hover = charts.dose_response(
        [row["mentions"] for row in rows],
        [row["image_accuracy"] for row in rows],
        [row["name"] for row in rows],
        change,
    )
    said = "no change point was computed" if change is None else _best_split(change)
    alt = f"Images identified against captions that name the artist, {len(rows)} artists: {said}."
    caption = f"Images identified against captions that name the artist, by {results.encoder}: {said}."
    return Chart("dose", svg.inline(figure, "dose", alt, hover), alt, caption)
