"""Matplotlib figures as SVG inside the page: text stays text, and a point shows its artist on hovering.

A drawing passes through an XML parser, so that only matplotlib's own elements are markup.
"""

import io
import re
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"


def inline(figure: Figure, name: str, alt: str, hover: Mapping[str, Sequence[str]] | None = None) -> Markup:
    """The figure as one ``<svg role="img">``; the same figure gives the same bytes.

    ``name`` keeps its identifiers apart from those of other figures of the page. ``hover``: for the artist with this gid,
    the text of each of its points in the order drawn. Raises ValueError if their numbers differ.
    """
    drawn = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    # Written by matplotlib a line above: not an untrusted file.
    root = ElementTree.fromstring(drawn.getvalue())
    for group, texts in (hover or {}).items():
        _name_points(root, group, texts)
    _make_unique(root, name)
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    # The page sets the width: the drawing shrinks with it, and its viewBox keeps the proportions.
    width = root.attrib.pop("width").removesuffix("pt")
    root.attrib.pop("height")
    root.set("style", f"max-width: {float(width) * 4 / 3:.0f}px")
    root.set("role", "img")
    root.set("aria-label", alt)
    # The prefixes are the whole process's, and other libraries take them (WeasyPrint takes the empty one as it is imported): a browser
    # draws no element `ns0:svg`.
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _name_points(root: ElementTree.Element, group: str, texts: Sequence[str]) -> None:
    found = root.find(f".//*[@id='{group}']")
    points = [] if found is None else found.findall(f".//{{{_SVG}}}use")
    if len(points) != len(texts):
        raise ValueError(f"{group}: {len(points)} points are drawn, and {len(texts)} are named")
    for point, text in zip(points, texts, strict=True):
        ElementTree.SubElement(point, f"{{{_SVG}}}title").text = text


def _make_unique(root: ElementTree.Element, name: str) -> None:
    known = {own: f"{name}-{own}" for e in root.iter() if (own := e.get("id"))}
    for element in root.iter():
        if own := element.get("id"):
            element.set("id", known[own])
        for key, value in element.attrib.items():
            if value.startswith("#") and value[1:] in known:
                element.set(key, f"#{known[value[1:]]}")
            elif "url(#" in value:
                element.set(key, re.sub(r"url\(#([^)]+)\)", lambda m: f"url(#{known.get(m[1], m[1])})", value))
