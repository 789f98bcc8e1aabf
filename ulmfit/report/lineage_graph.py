"""The lineage of a run, which artifact was made of which: as an SVG graph, and as Mermaid text.

The layout is done here, since the page runs no script (as Mermaid needs) and Graphviz is no Python package.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ulmfit.report.numbers import duration
from ulmfit.report.summary import StageSummary

NODE_WIDTH, NODE_HEIGHT, GAP_X, GAP_Y = 176.0, 50.0, 22.0, 40.0
BEND_WIDTH = 14.0  # room for a line that passes through a layer
MARGIN = 6.0
SWEEPS = 8

Stages = Sequence[StageSummary]


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


Artifacts = Mapping[str, _Artifact]  # by key


@dataclass
class _Node:
    """An artifact, or the bend of a line in a layer that it passes."""

    layer: int
    artifact: _Artifact | None = None
    above: list[_Node] = field(default_factory=list)
    below: list[_Node] = field(default_factory=list)
    x: float = 0.0  # centre

    @property
    def half(self) -> float:
        return (NODE_WIDTH if self.artifact else BEND_WIDTH) / 2


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
    """The lineage as inline SVG, every artifact below its inputs; colours are the page's CSS variables.

    A line that a longer way implies is left out; the Mermaid text has all of them.
    """
    layers = _arrange(_artifacts(stages))
    nodes = [node for layer in layers for node in layer]
    left = min(node.x - node.half for node in nodes) - MARGIN
    width = max(node.x + node.half for node in nodes) + MARGIN - left
    height = len(layers) * (NODE_HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN
    parts = [_line(node, child, left) for node in nodes for child in node.below]
    parts += [_box(node, left) for node in nodes if node.artifact]
    label = f"Lineage graph of {sum(node.artifact is not None for node in nodes)} artifacts; the table of stages lists the same."
    opening = f'<svg class="lineage" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="img" aria-label="{label}">'
    return opening + "".join(parts) + "</svg>"


def _artifacts(stages: Stages) -> Artifacts:
    """The artifacts of the stages, and inputs that none of the stages made, such as a language model that the user gave."""
    known = {stage.key: _Artifact(stage.name, stage.key, stage.inputs, stage.cached, stage.seconds) for stage in stages}
    given = {key: _Artifact(role, key) for stage in stages for role, key in stage.inputs.items() if key not in known}
    return given | known


def _arrange(known: Artifacts) -> list[list[_Node]]:
    """Layers of nodes with their positions: by longest path and barycentres, then pushed apart (Sugiyama et al. 1981)."""
    depths: dict[str, int] = {}

    def depth(key: str) -> int:
        if key not in depths:
            depths[key] = 1 + max((depth(source) for source in known[key].inputs.values()), default=-1)
        return depths[key]

    nodes = {key: _Node(depth(key), artifact) for key, artifact in known.items()}
    layers: list[list[_Node]] = [[] for _ in range(max(depths.values(), default=0) + 1)]
    for node in nodes.values():
        layers[node.layer].append(node)
    for key, artifact in known.items():
        for source in _direct(artifact, known):
            _connect(nodes[source], nodes[key], layers)
    for layer in layers:
        _spread(layer, [0.0] * len(layer))
    for sweep in range(SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            _settle(layer, upwards=sweep % 2 == 1)
    return layers


def _direct(artifact: _Artifact, known: Artifacts) -> set[str]:
    """Inputs that none of the artifact's other inputs was made of."""
    inputs = set(artifact.inputs.values())
    return {source for source in inputs if not any(source in _ancestors(other, known) for other in inputs - {source})}


def _ancestors(key: str, known: Artifacts) -> set[str]:
    found: set[str] = set()
    waiting = list(known[key].inputs.values())
    while waiting:
        source = waiting.pop()
        if source not in found:
            found.add(source)
            waiting += known[source].inputs.values()
    return found


def _connect(top: _Node, bottom: _Node, layers: list[list[_Node]]) -> None:
    """Link two nodes, with a bend in each layer between them."""
    upper = top
    for layer in range(top.layer + 1, bottom.layer):
        bend = _Node(layer)
        layers[layer].append(bend)
        upper.below.append(bend)
        bend.above.append(upper)
        upper = bend
    upper.below.append(bottom)
    bottom.above.append(upper)


def _settle(layer: list[_Node], upwards: bool) -> None:
    """Move each node of a layer to the mean of its neighbours, then order and spread the nodes."""
    wishes = []
    for node in layer:
        near = node.below if upwards else node.above
        wishes.append(sum(other.x for other in near) / len(near) if near else node.x)
    order = sorted(range(len(layer)), key=lambda i: wishes[i])
    layer[:] = [layer[i] for i in order]
    _spread(layer, [wishes[i] for i in order])


def _spread(layer: list[_Node], wishes: list[float]) -> None:
    """Set nodes left to right as near to their wished positions as their widths allow; the mean of the layer stays."""
    edge = float("-inf")
    for node, wish in zip(layer, wishes, strict=True):
        node.x = max(wish, edge + node.half)
        edge = node.x + node.half + GAP_X
    shift = sum(node.x - wish for node, wish in zip(layer, wishes, strict=True)) / max(len(layer), 1)
    for node in layer:
        node.x -= shift


def _line(top: _Node, bottom: _Node, left: float) -> str:
    """A curve between two layers, and straight on past the boxes of a layer where ``bottom`` is a bend."""
    x1, x2 = top.x - left, bottom.x - left
    y1 = MARGIN + top.layer * (NODE_HEIGHT + GAP_Y) + NODE_HEIGHT
    y2 = MARGIN + bottom.layer * (NODE_HEIGHT + GAP_Y)
    middle = (y1 + y2) / 2
    onwards = "" if bottom.artifact else f"V{y2 + NODE_HEIGHT:.1f}"
    return f'<path d="M{x1:.1f} {y1:.1f}C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} {x2:.1f} {y2:.1f}{onwards}"/>'


def _box(node: _Node, left: float) -> str:
    artifact = node.artifact
    assert artifact is not None
    x, y = node.x - left, MARGIN + node.layer * (NODE_HEIGHT + GAP_Y)
    name = artifact.name if len(artifact.name) <= 24 else artifact.name[:23] + "…"
    return (
        f'<g class="{"cached" if artifact.cached else "made"}"><title>{html.escape(artifact.name)}: {html.escape(artifact.key)}</title>'
        f'<rect x="{x - NODE_WIDTH / 2:.1f}" y="{y:.1f}" width="{NODE_WIDTH:.0f}" height="{NODE_HEIGHT:.0f}" rx="9"/>'
        f'<text class="name" x="{x:.1f}" y="{y + 21:.1f}">{html.escape(name)}</text>'
        f'<text class="note" x="{x:.1f}" y="{y + 38:.1f}">{html.escape(artifact.key[:10])} · {artifact.how}</text></g>'
    )
