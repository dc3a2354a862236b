"""Draws docs/architecture.svg from the code location's own asset graph, and nothing else.

    .venv/bin/python docs/architecture.py

Assets stand below everything they are made from; an arrow that a longer way already says is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import dagster as dg
import networkx as nx

from audit_assets.definitions import defs

PICTURE = Path(__file__).with_name("architecture.svg")
# Fill and edge by group, in the order that data flows; every pair reads at 4.5:1 with the text's #111.
COLOURS = {
    "roster": ("#dbeafe", "#1d4ed8"),
    "registry": ("#e5e7eb", "#374151"),
    "imitation": ("#fce7f3", "#be185d"),
    "reference": ("#dcfce7", "#15803d"),
    "embedding": ("#ede9fe", "#6d28d9"),
    "measurement": ("#fef3c7", "#b45309"),
    "publication": ("#ffe4e6", "#be123c"),
}
WIDTH, BOX_WIDTH, BOX_HEIGHT, ROW, TOP = 980, 168, 40, 78, 64


@dataclass(frozen=True)
class Asset:
    name: str
    group: str
    partitions: str
    """The names of its dynamic partitions, '' where it has none."""
    made_from: tuple[str, ...]


def assets() -> list[Asset]:
    """Every asset of the code location, in the order of its name."""
    graph = defs().resolve_asset_graph()
    found = []
    for key in sorted(graph.get_all_asset_keys(), key=lambda k: k.to_user_string()):
        node = graph.get(key)
        parents = tuple(sorted(p.to_user_string() for p in node.parent_keys))
        found.append(Asset(key.to_user_string(), node.group_name, partitions(node.partitions_def), parents))
    return found


def partitions(definition: dg.PartitionsDefinition | None) -> str:
    if isinstance(definition, dg.MultiPartitionsDefinition):
        return " x ".join(partitions(d.partitions_def) for d in definition.partitions_defs)
    return definition.name or "" if isinstance(definition, dg.DynamicPartitionsDefinition) else ""


def rows(graph: nx.DiGraph) -> list[list[str]]:
    """Assets by their longest way from a source, and a source right above its first user; in a row, near to what they are made from."""
    depth: dict[str, int] = {}
    for name in nx.lexicographical_topological_sort(graph):
        depth[name] = 1 + max((depth[p] for p in graph.predecessors(name)), default=-1)
    for name in (n for n in list(depth) if not graph.in_degree(n)):
        depth[name] = max(0, min((depth[child] for child in graph.successors(name)), default=1) - 1)
    placed: dict[str, float] = {}
    ordered = []

    def wanted(name: str) -> float:
        above = [placed[p] for p in graph.predecessors(name)]
        return sum(above) / len(above) if above else 0.5

    for level in range(max(depth.values()) + 1):
        names = sorted(n for n, d in depth.items() if d == level)
        names.sort(key=lambda n: (wanted(n), n))
        placed.update({n: (i + 1) / (len(names) + 1) for i, n in enumerate(names)})
        ordered.append(names)
    return ordered


def picture(found: Sequence[Asset]) -> str:
    """The SVG's text: the same graph always gives the same bytes."""
    by_name = {a.name: a for a in found}
    graph = nx.DiGraph([(p, a.name) for a in found for p in a.made_from])
    graph.add_nodes_from(by_name)
    layers = rows(graph)
    places = {
        name: (WIDTH * (n + 1) / (len(layer) + 1), TOP + ROW * level)
        for level, layer in enumerate(layers)
        for n, name in enumerate(layer)
    }
    height = TOP + ROW * len(layers)
    arrows = sorted(nx.transitive_reduction(graph).edges)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" role="img">',
        f"<title>The {len(found)} assets of audit_assets and what each is made from</title>",
        '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#6b7280"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        *legend({a.group for a in found}),
        *(arrow(places[a], places[b]) for a, b in arrows),
        *(box(by_name[name], *place) for name, place in places.items()),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def legend(groups: set[str]) -> list[str]:
    found = []
    for n, group in enumerate(g for g in COLOURS if g in groups):
        fill, edge = COLOURS[group]
        found.append(
            f'<rect x="{16 + 136 * n}" y="12" width="14" height="14" rx="3" fill="{fill}" stroke="{edge}"/>'
            f'<text x="{36 + 136 * n}" y="23" font-size="12" fill="#111">{escape(group)}</text>'
        )
    return found


def arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x1, y1), (x2, y2) = start, end
    y1, y2 = y1 + BOX_HEIGHT, y2 - 1
    bend = min(60.0, (y2 - y1) / 2)
    return (
        f'<path d="M{x1:.0f} {y1:.0f}C{x1:.0f} {y1 + bend:.0f} {x2:.0f} {y2 - bend:.0f} {x2:.0f} {y2:.0f}" '
        'fill="none" stroke="#6b7280" marker-end="url(#end)"/>'
    )


def box(asset: Asset, x: float, y: float) -> str:
    fill, edge = COLOURS.get(asset.group, ("#fff", "#111"))
    name_at = y + (17 if asset.partitions else 25)
    small = (
        f'<text x="{x:.0f}" y="{y + 32:.0f}" font-size="10" fill="#374151" text-anchor="middle">{escape(asset.partitions)}</text>'
        if asset.partitions
        else ""
    )
    return (
        f'<rect x="{x - BOX_WIDTH / 2:.0f}" y="{y:.0f}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6" fill="{fill}" stroke="{edge}"/>'
        f'<text x="{x:.0f}" y="{name_at:.0f}" font-size="13" fill="#111" text-anchor="middle">{escape(asset.name)}</text>{small}'
    )


def drawn() -> Mapping[Path, str]:
    return {PICTURE: picture(assets())}


if __name__ == "__main__":
    for path, text in drawn().items():
        path.write_text(text, encoding="utf-8")
        print(path)
