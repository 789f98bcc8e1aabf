"""Figures of the server in Prometheus' text."""

from collections.abc import Collection

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
TEXTS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """``paths``: those that are counted by name; any other is counted as "other", for clients can make up many."""

    def __init__(self, paths: Collection[str]):
        self._paths, self._registry = paths, CollectorRegistry()
        made = self._registry
        self._requests = Counter("ulmfit_requests", "Requests by path and status", ["path", "status"], registry=made)
        self._seconds = Histogram("ulmfit_request_seconds", "Time to the end of the answer", ["path"], buckets=SECONDS, registry=made)
        self._batches = Histogram("ulmfit_batch_texts", "Texts predicted together", buckets=TEXTS, registry=made)
        self._batch_seconds = Histogram("ulmfit_batch_seconds", "Time to predict a batch", buckets=SECONDS, registry=made)
        self._waiting = Gauge("ulmfit_waiting_texts", "Texts that wait to be predicted", registry=made)
        self._model = Gauge("ulmfit_model_info", "The model in use", ["model"], registry=made)
        self._changes = Gauge("ulmfit_model_changes", "Models put in use after the first", registry=made)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        name = path if path in self._paths else "other"
        self._requests.labels(name, str(status)).inc()
        self._seconds.labels(name).observe(seconds)

    def predicted(self, texts: int, seconds: float) -> None:
        """Count a batch."""
        self._batches.observe(texts)
        self._batch_seconds.observe(seconds)

    def text(self, model: str, changes: int, waiting: int) -> bytes:
        """All figures now."""
        self._model.clear()
        self._model.labels(model).set(1)
        self._changes.set(changes)
        self._waiting.set(waiting)
        return generate_latest(self._registry)
