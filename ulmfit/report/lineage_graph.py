"""The lineage of a run, which artifact was made of which: as an SVG graph, and as Mermaid text; and the drawing of any such graph.

The boxes are placed here, since the page runs no script (as Mermaid needs) and Graphviz is no Python package.
"""

import html
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import networkx as nx

from ulmfit.report.numbers import duration
from ulmfit.report.summary import StageSummary

NODE_WIDTH, NODE_HEIGHT, GAP_X, GAP_Y = 176.0, 50.0, 22.0, 40.0
BEND_WIDTH = 14.0  # room for a line that passes through a layer
MARGIN = 6.0
SWEEPS = 8
LONGEST_NAME = 24  # letters that fit into a box

Stages = Sequence[StageSummary]
Node = Hashable  # the key of an artifact, or the bend of a line in a layer that it passes: (source, target, layer)


@dataclass(frozen=True)
class _Artifact:
    """An artifact as it is drawn; one that no stage of the run made has its role as name, and no ``seconds``."""

    name: str
    key: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    cached: bool = True
    seconds: float | None = None

    @property
    def how(self) -> str:
        return "given" if self.seconds is None else "cached" if self.cached else duration(self.seconds)

    @property
    def box(self) -> "Box":
        """It with its name, its key and how it came to be."""
        note, title = f"{self.key[:10]} · {self.how}", f"{self.name}: {self.key}"
        return Box(self.key, self.name, note, title, self.inputs.values(), "cached" if self.cached else "made")


def mermaid(stages: Stages) -> str:
    """The lineage as a Mermaid flow chart; every input has its role."""
    known = _artifacts(stages)
    numbers = {key: f"n{i}" for i, key in enumerate(known)}
    lines = ["flowchart TD"]
    for key, artifact in known.items():
        text = f"{artifact.name}<br/>{key[:12]}".replace('"', "'")
        lines.append(f'    {numbers[key]}["{text}"]')
    for key, artifact in known.items():
        lines += [f'    {numbers[source]} -->|"{role}"| {numbers[key]}' for role, source in artifact.inputs.items()]
    return "\n".join(lines) + "\n"


def lineage_svg(stages: Stages) -> str:
    """The lineage of a run as inline SVG; see :func:`graph_svg`."""
    boxes = [artifact.box for artifact in _artifacts(stages).values()]
    return graph_svg(boxes, f"Lineage graph of {len(boxes)} artifacts; the table of stages lists the same.")


@dataclass(frozen=True)
class Box:
    """A node of a graph. ``inputs``: keys of others; ``title``: told where the pointer rests; ``style``: a CSS class; ``address``: where it leads."""

    key: str
    name: str
    note: str
    title: str
    inputs: Iterable[str] = ()
    style: str = "made"
    address: str | None = None


def graph_svg(boxes: Sequence[Box], label: str) -> str:
    """The boxes as inline SVG, each below its inputs, without lines that a longer way implies; colours are CSS variables.

    ``label``: what it shows, in words. Inputs that are no boxes are left out. Where boxes lead somewhere, each is a link.
    """
    drawing = _Drawing({box.key: box for box in boxes})
    left = min(x - drawing.half(node) for node, x in drawing.centres.items()) - MARGIN
    width = max(x + drawing.half(node) for node, x in drawing.centres.items()) + MARGIN - left
    height = len(drawing.layers) * (NODE_HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN
    parts = [drawing.line(top, bottom, left) for top, bottom in drawing.lines.edges]
    parts += [drawing.box(box, left) for box in drawing.boxes.values()]
    role = "group" if any(box.address for box in boxes) else "img"
    opening = (
        f'<svg class="lineage" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="{role}" aria-label="{html.escape(label)}">'
    )
    return opening + "".join(parts) + "</svg>"


def _artifacts(stages: Stages) -> dict[str, _Artifact]:
    """By key: the artifacts of the stages, and inputs that none of the stages made, such as a language model that the user gave."""
    known = {stage.key: _Artifact(stage.name, stage.key, stage.inputs, stage.cached, stage.seconds) for stage in stages}
    given = {key: _Artifact(role, key) for stage in stages for role, key in stage.inputs.items() if key not in known}
    return given | known


class _Drawing:
    """Boxes in ``layers`` by longest path, ordered by barycentres, then pushed apart (Sugiyama et al. 1981).

    ``lines``: the graph of lines, each with a bend in every layer that it passes. ``centres``: of nodes, from left to right.
    """

    def __init__(self, boxes: Mapping[str, Box]):
        self.boxes = boxes
        inputs = nx.DiGraph([(source, key) for key, box in boxes.items() for source in box.inputs if source in boxes])
        inputs.add_nodes_from(boxes)
        depths = {key: depth for depth, keys in enumerate(nx.topological_generations(inputs)) for key in keys}
        self.lines = nx.DiGraph()
        self.lines.add_nodes_from(boxes)
        reduced = nx.transitive_reduction(inputs)
        for source, key in filter(lambda edge: reduced.has_edge(*edge), inputs.edges):  # in this order: ``reduced`` has that of a set
            nx.add_path(self.lines, [source, *((source, key, layer) for layer in range(depths[source] + 1, depths[key])), key])
        self.layer = {node: depths[node] if node in depths else node[-1] for node in self.lines}
        self.layers: list[list[Node]] = [[] for _ in range(max(depths.values(), default=0) + 1)]
        for node, layer in self.layer.items():
            self.layers[layer].append(node)
        self.centres: dict[Node, float] = dict.fromkeys(self.lines, 0.0)
        for layer in self.layers:
            self._spread(layer)
        for sweep in range(SWEEPS):
            for layer in self.layers if sweep % 2 == 0 else reversed(self.layers):
                self._settle(layer, self.lines.pred if sweep % 2 == 0 else self.lines.succ)

    def half(self, node: Node) -> float:
        """Half the width of a node."""
        return (NODE_WIDTH if node in self.boxes else BEND_WIDTH) / 2

    def _settle(self, layer: list[Node], near: Mapping[Node, Sequence[Node]]) -> None:
        """Move each node of a layer to the mean of its neighbours above or below, then order and spread the nodes."""
        means = {node: sum(self.centres[other] for other in near[node]) / len(near[node]) for node in layer if near[node]}
        self.centres |= means
        layer.sort(key=self.centres.__getitem__)
        self._spread(layer)

    def _spread(self, layer: list[Node]) -> None:
        """Set nodes left to right as near to their positions as their widths allow; the mean of the layer stays."""
        edge, shift = float("-inf"), 0.0
        for node in layer:
            wish = self.centres[node]
            self.centres[node] = max(wish, edge + self.half(node))
            edge = self.centres[node] + self.half(node) + GAP_X
            shift += (self.centres[node] - wish) / len(layer)
        for node in layer:
            self.centres[node] -= shift

    def _top(self, node: Node) -> float:
        return MARGIN + self.layer[node] * (NODE_HEIGHT + GAP_Y)

    def line(self, top: Node, bottom: Node, left: float) -> str:
        """A curve between two layers, and straight on past the boxes of a layer where ``bottom`` is a bend."""
        x1, x2 = self.centres[top] - left, self.centres[bottom] - left
        y1, y2 = self._top(top) + NODE_HEIGHT, self._top(bottom)
        middle = (y1 + y2) / 2
        onwards = "" if bottom in self.boxes else f"V{y2 + NODE_HEIGHT:.1f}"
        return f'<path d="M{x1:.1f} {y1:.1f}C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} {x2:.1f} {y2:.1f}{onwards}"/>'

    def box(self, box: Box, left: float) -> str:
        """A node with its name and note, as a link where it leads somewhere."""
        x, y = self.centres[box.key] - left, self._top(box.key)
        name = box.name if len(box.name) <= LONGEST_NAME else box.name[: LONGEST_NAME - 1] + "…"
        drawn = (
            f'<g class="{box.style}"><title>{html.escape(box.title)}</title>'
            f'<rect x="{x - NODE_WIDTH / 2:.1f}" y="{y:.1f}" width="{NODE_WIDTH:.0f}" height="{NODE_HEIGHT:.0f}" rx="9"/>'
            f'<text class="name" x="{x:.1f}" y="{y + 21:.1f}">{html.escape(name)}</text>'
            f'<text class="note" x="{x:.1f}" y="{y + 38:.1f}">{html.escape(box.note)}</text></g>'
        )
        return f'<a href="{html.escape(box.address)}">{drawn}</a>' if box.address else drawn
