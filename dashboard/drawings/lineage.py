"""The graph of a lineage, drawn as the report draws it; each box leads to its facts in the list below."""

from collections.abc import Sequence

from markupsafe import Markup

from dashboard.plain import plain
from dashboard.queries.lineage import Node
from ulmfit.report.lineage_graph import Box, graph_svg
from ulmfit.report.numbers import duration

STYLES = {"version": "end", "alias": "end", "files": "files"}


def lineage_graph(nodes: Sequence[Node]) -> Markup:
    """The SVG, whose strings the report's drawing escapes."""
    label = f"Lineage graph of {len(nodes)} nodes, each of which leads to its facts; the list below has the same."
    return Markup(graph_svg([_box(node) for node in nodes], label))


def _box(node: Node) -> Box:
    name, note = plain(node.name), plain(_note(node))
    style = "gone" if node.gone else STYLES.get(node.kind, "made")
    return Box(node.key, name, note, f"{name}: {note}", tuple(node.inputs.values()), style, f"#n-{node.key}")


def _note(node: Node) -> str:
    if node.gone:
        return f"{node.key[:10]} · removed since"
    if node.files:
        return f"in {node.files.arrivals:,} arrivals"
    if node.kind == "files":
        return "named by the user"
    if node.kind == "alias":
        return "alias"
    if node.kind == "version":
        return f"registered {node.finished:%Y-%m-%d}" if node.finished else "registered"
    return f"{node.key[:10]} · {duration(node.seconds)}"
