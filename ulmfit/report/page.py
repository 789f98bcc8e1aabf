"""Writes the report of a run: ``report.html`` for people, ``summary.json`` for programs; and the model card."""

from pathlib import Path

from ulmfit.decisions.decision import Decision
from ulmfit.prediction.explanation_page import coloured
from ulmfit.report import numbers, plots
from ulmfit.report.card import Card, markdown
from ulmfit.report.commands import commands_of, settings_by_stage
from ulmfit.report.corpus_quality import FEW, Lengths, findings
from ulmfit.report.lineage_graph import lineage_svg, mermaid
from ulmfit.report.scores import Axis, matrix_of, metric_titles, verdict
from ulmfit.report.summary import Summary
from ulmfit.report.templating import environment
from ulmfit.report.training_curves import trainings_of
from ulmfit.store.filesystem import write_bytes

CARD = "card.md"
NO_LABEL = "no label"


def render(summary: Summary, folder: Path) -> None:
    """Write ``summary.json`` and ``report.html`` into ``folder``, made as needed; numbers that are not finite become null and dashes."""
    folder.mkdir(parents=True, exist_ok=True)
    data = summary.to_json()
    write_bytes(folder / "summary.json", data.encode())
    write_bytes(folder / "report.html", page_of(Summary.model_validate_json(data)).encode())


def render_card(card: Card, folder: Path) -> None:
    """Write ``card.md`` and ``card.html`` into ``folder``, made as needed."""
    write_bytes(folder / CARD, markdown(card).encode())
    write_bytes(folder / "card.html", environment().get_template("card.html").render(card=card).encode())


def page_of(summary: Summary) -> str:
    """The page as one HTML file that loads nothing from elsewhere."""
    shown = (numbers.percent, numbers.portion, numbers.points, numbers.signed, numbers.count, numbers.size, numbers.duration)
    pages = environment(*shown, numbers.interval, label_text, compared_text, coloured)
    pages.globals |= {"findings": findings, "lengths_of": Lengths.of, "few": FEW}
    results, stages = summary.results, summary.stages
    return pages.get_template("report.html").render(
        summary=summary,
        results=results,
        run=summary.run,
        model=summary.model,
        stages=stages,
        metrics=metric_titles(results),
        verdict=verdict(results.differences.get(results.headline)),
        axis=Axis.of(scores["accuracy"] for scores in results.systems.values()),
        matrix=matrix_of(results.labels, results.confusion) if results.confusion else None,
        labels=list(zip(results.labels, results.per_label, strict=True)),
        reliability=plots.reliability_svg(results.headline, results.calibration.reliability),
        trainings=trainings_of(summary),
        settings=settings_by_stage(summary.settings),
        commands=commands_of(summary.model, summary.run),
        run_link=summary.run.runs_url,
        longest=max((stage.seconds or 0 for stage in stages), default=0) or 1,
        names={stage.key: stage.name for stage in stages},
        lineage=lineage_svg(stages) if stages else "",
        mermaid=mermaid(stages),
    )


def compared_text(decision: Decision) -> str:
    """A comparison with the champion in one paragraph."""
    return f"Compared with the champion, version {decision.champion}, this version is {decision.why}"


def label_text(labels: str | list[str]) -> str:
    """A label, or labels in one line."""
    return labels if isinstance(labels, str) else ", ".join(labels) or NO_LABEL
