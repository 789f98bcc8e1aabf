"""Figures for Prometheus, from the read model as it is now."""

import sqlite3
import time

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dashboard.queries.now import ModelNow, models
from dashboard.queries.sources import sources


class Found(Collector):
    """Metrics that are there already."""

    def __init__(self, metrics: list[Metric]):
        self.metrics = metrics

    def collect(self) -> list[Metric]:
        """All of them."""
        return self.metrics


def metrics(reading: sqlite3.Connection) -> bytes:
    """All figures in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(Found([*_of_models(models(reading)), *_of_runs(reading), *_of_sources(reading)]))
    return generate_latest(registry)


def _of_models(found: list[ModelNow]) -> list[Metric]:
    age = GaugeMetricFamily("ulmfit_champion_age_seconds", "Since when the champion is one", labels=["model", "version"])
    last = GaugeMetricFamily(
        "ulmfit_last_decision_timestamp_seconds", "When something was decided last", labels=["model", "decision", "outcome"]
    )
    documents = GaugeMetricFamily("ulmfit_documents_waiting", "Documents that landed since the last training", labels=["model"])
    labels = GaugeMetricFamily("ulmfit_labels_waiting", "Labels that landed or were corrected since the last training", labels=["model"])
    for model in found:
        if model.reign:
            age.add_metric([model.name, model.reign.version], max(0.0, time.time() - model.reign.since.timestamp()))
        if model.last:
            last.add_metric([model.name, model.last.what, model.last.outcome or ""], model.last.time.timestamp())
        documents.add_metric([model.name], model.waiting.documents)
        labels.add_metric([model.name], model.waiting.labels)
    return [age, last, documents, labels]


def _of_runs(reading: sqlite3.Connection) -> list[Metric]:
    """Sums over all runs that MLflow has, by flow, or by kind of stage."""
    number = GaugeMetricFamily("ulmfit_runs", "Runs by how they ended", labels=["flow", "status"])
    seconds = GaugeMetricFamily("ulmfit_run_seconds_sum", "How long runs took that ended, all together", labels=["flow", "status"])
    query = """select coalesce(flow, kind, 'trial') as flow, status, count(*) as number, sum(max(0, ended - started)) as seconds
      from runs group by 1, 2 order by 1, 2"""
    for row in reading.execute(query):
        labels = [row["flow"], row["status"]]
        number.add_metric(labels, row["number"])
        seconds.add_metric(labels, row["seconds"] or 0.0)
    failed = reading.execute("select count(*) from runs where status in ('FAILED', 'KILLED') and parent is null").fetchone()[0]
    return [number, seconds, GaugeMetricFamily("ulmfit_failures", "Flows' runs that failed or were killed", value=failed)]


def _of_sources(reading: sqlite3.Connection) -> list[Metric]:
    up = GaugeMetricFamily("ulmfit_source_up", "Whether a source of the dashboard answers", labels=["source"])
    for source in sources(reading):
        if source.state != "absent":
            up.add_metric([source.name], float(source.state == "read"))
    return [up]
