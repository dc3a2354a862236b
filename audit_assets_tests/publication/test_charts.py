"""Charts in the page: names stay text, points say whose they are, the same figure gives the same bytes."""

from pathlib import Path
from typing import cast
from xml.etree import ElementTree

import pandas as pd
import pytest

from audit_assets.publication.drawings import charts, svg
from audit_assets.publication.drawings.paper_figures import printable
from audit_assets.publication.drawings.strips import Strip, strips
from audit_assets.publication.pages import report
from audit_assets.publication.queries.model import ModelResults
from audit_assets_tests.publication.world import HOSTILE

SVG = "{http://www.w3.org/2000/svg}"


def rows() -> list[charts.ForestRow]:
    verdicts = list(charts.VERDICT_MARKS)
    return [
        charts.ForestRow(
            printable(name, "slug", 28, 1), name, verdicts[i % 3], (0.5, 0.2, 0.8), None if i == 4 else (0.9, 0.8, 1.0)
        )
        for i, name in enumerate(HOSTILE)
    ]


def titles(drawn: str) -> list[str]:
    return [e.text or "" for e in ElementTree.fromstring(drawn).iter(f"{SVG}title")]


def test_a_point_says_whose_it_is_on_hovering() -> None:
    figure, hover = charts.forest(rows(), 0.2)
    drawn = svg.inline(figure, "forest", "a forest", hover)
    said = titles(drawn)
    assert len(said) == len(HOSTILE) + len(HOSTILE) - 1  # one artist has no AUC
    assert f"{HOSTILE[0]}: 50 (20 to 80), imitated" in said
    assert not [e.tag for e in ElementTree.fromstring(drawn).iter() if not e.tag.startswith(SVG)]
    assert not {"script", "image", "foreignObject"} & {
        e.tag.removeprefix(SVG) for e in ElementTree.fromstring(drawn).iter()
    }


def test_a_browser_draws_a_chart_whatever_prefix_a_library_gave_its_elements() -> None:
    """WeasyPrint, with which pages are printed, takes the empty prefix for the whole process as it is imported."""

    def drawn() -> str:
        figure, hover = charts.forest(rows(), 0.2)
        return svg.inline(figure, "forest", "a forest", hover)

    before = drawn()
    ElementTree.register_namespace("", "")
    ElementTree.register_namespace("picture", SVG.strip("{}"))
    assert before.startswith("<svg ")
    assert drawn() == before


def test_points_and_texts_must_be_as_many() -> None:
    figure, hover = charts.forest(rows(), None)
    with pytest.raises(ValueError, match="points are drawn"):
        svg.inline(figure, "forest", "a forest", {**hover, "auc-imitated": ["one"]})


def test_two_charts_of_a_page_share_no_identifier_and_lose_no_reference() -> None:
    def drawn(name: str) -> ElementTree.Element:
        figure, hover = charts.dose_response(
            [10, 100, 2000], [0.1, 0.5, 0.9], ["a", "b", "c"], charts.Change(90, 20, 200, 0.1, 0.7, 0.01)
        )
        return ElementTree.fromstring(svg.inline(figure, name, "doses", hover))

    first, second = ({e.get("id") for e in drawn(n).iter() if e.get("id")} for n in ("one", "two"))
    assert not first & second
    used = {v[5:-1] for e in drawn("one").iter() for v in e.attrib.values() if v.startswith("url(#")}
    used |= {v[1:] for e in drawn("one").iter() for v in e.attrib.values() if v.startswith("#")}
    assert used
    assert used <= first


def strip_chart(lines: list[Strip], *, logarithmic: bool) -> str:
    return strips(lines, "probability <of> a label", "strips & more", logarithmic=logarithmic)


def test_the_same_chart_gives_the_same_bytes_and_hides_no_name() -> None:
    lines = [
        Strip("own", [0.5, 0.9, 1e-9], [*HOSTILE[:2], "y"], own=True),
        Strip(HOSTILE[3], [i / 1000 for i in range(999)]),
    ]
    drawn = strip_chart(lines, logarithmic=True)
    assert drawn == strip_chart(lines, logarithmic=True)
    assert titles(drawn) == [*HOSTILE[:2], "y"]
    tags = {e.tag.removeprefix(SVG) for e in ElementTree.fromstring(drawn).iter()}
    assert tags == {"svg", "text", "path", "circle", "title"}
    assert drawn.count("v12") == 100  # quantiles of 999 values


def test_points_lie_where_the_axis_says() -> None:
    drawn = ElementTree.fromstring(strip_chart([Strip("own", [0.01, 1.0], ["a", "b"], own=True)], logarithmic=True))
    points = [float(e.attrib["cx"]) for e in drawn.iter(f"{SVG}circle")]
    ticks = {e.text: float(e.attrib["x"]) for e in drawn.iter(f"{SVG}text") if e.get("text-anchor")}
    assert points == [ticks["0.01"], ticks["1"]]


def test_a_strip_with_a_missing_value_is_refused() -> None:
    with pytest.raises(ValueError, match="a value is missing"):
        strip_chart([Strip("own", [0.5, float("nan")])], logarithmic=False)


def test_an_empty_strip_and_a_lone_artist_are_drawn() -> None:
    assert "nobody (0)" in strip_chart([Strip("nobody", [])], logarithmic=False)
    figure, hover = charts.dose_response([0], [0.5], ["a"], None)
    assert titles(svg.inline(figure, "lone", "one artist", hover)) == ["a: 50 % of images, 0 captions"]


def test_ranked_p_values_claim_no_cause_for_artists_who_could_not_be_tested(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = {"name": ["A", "B", "C"], "p_value": [0.001, 0.2, None], "significant": [1, 0, None]}
    monkeypatch.setattr(report.matching, "paper_test_by_artist", lambda results: pd.DataFrame(rows))
    none = pd.DataFrame(columns=["alternative", "control", "share"])
    monkeypatch.setattr(report.matching, "paper_test", lambda results: none)
    drawn = report._ranked_p_values(cast("ModelResults", None), tmp_path)
    assert drawn.alt.endswith(" 1 artist could not be tested, and no point stands for them.")
