import re

import pytest

from tests.report.example import Page, summary_of
from ulmfit.report import lineage_graph
from ulmfit.report.summary import Summary


@pytest.fixture(scope="module")
def stages():
    return Summary.model_validate(summary_of()).stages


def test_the_lineage_shows_every_artifact_and_mermaid_every_input(stages):
    drawn, text = lineage_graph.lineage_svg(stages), lineage_graph.mermaid(stages)
    Page(drawn)
    for name in [item.name for item in stages]:
        assert f">{name}</text>" in drawn and f'"{name}<br/>' in text
    assert "given" in drawn  # what no stage of this run made
    assert text.count("-->") == sum(len(item.inputs) for item in stages)


def test_boxes_of_the_lineage_do_not_overlap(stages):
    boxes = [tuple(map(float, box)) for box in re.findall(r'<rect x="([\d.-]+)" y="([\d.]+)"', lineage_graph.lineage_svg(stages))]
    assert len(boxes) == len(stages) + 1
    for i, (x, y) in enumerate(boxes):
        assert x >= 0
        assert all(y != other_y or abs(x - other_x) >= lineage_graph.NODE_WIDTH for other_x, other_y in boxes[:i])
