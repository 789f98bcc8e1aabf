"""The application: MLflow's protocol, a typed one of our own, and what operators ask."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import numpy as np
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, PlainTextResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from serving.batching import Batcher, Busy
from serving.guard import Guard, fault
from serving.metrics import Metrics
from serving.models import Models, Served
from serving.page import page_of
from serving.schema import MOST_TEXTS, Predictions, Question, Reasons, Texts, excess
from tasks.scoring_protocol import VERSION, UnknownKind, answer_of, texts_in
from ulmfit.errors import UserError
from ulmfit.prediction.explain import explain
from ulmfit.prediction.explanation import Explanation
from ulmfit.prediction.explanation_page import coloured
from ulmfit.prediction.predictor import Probabilities

log = logging.getLogger(__name__)

HEALTH = ("/healthz", "/readyz", "/ping", "/health")  # which need no token
PATHS = (*HEALTH, "/predict", "/explain", "/invocations", "/metrics", "/version", "/docs", "/openapi.json")
MOST_QUESTIONS = 8  # texts that wait to be explained
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


def create_app(models: Models, token: str | None = None) -> Guard:
    """The server of ``models``. ``token``: what a client has to send; None: nothing."""
    metrics = Metrics(PATHS)
    answers = Answers(models, metrics)
    app = FastAPI(
        title="ULMFiT", summary="Predictions of a text classifier", docs_url=None, redoc_url=None, lifespan=answers.lifespan, version="1"
    )
    _answer_faults(app)
    _add_predictions(app, answers)
    _add_operations(app, answers)
    return Guard(app, metrics, token, HEALTH)


class Answers:
    """Texts to probabilities, by the model that is in use when they come."""

    def __init__(self, models: Models, metrics: Metrics):
        self.models, self.metrics = models, metrics
        self.batcher: Batcher | None = None
        self.turn, self.questions = asyncio.Lock(), 0

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """What works as long as the server does."""
        self.batcher = Batcher(self.metrics.predicted)
        self.models.watch()
        try:
            yield
        finally:
            self.models.close()
            self.batcher.close()

    @property
    def ready(self) -> bool:
        """Whether texts can be predicted."""
        return self.batcher is not None and self.batcher.alive

    async def probabilities(self, served: Served, texts: Sequence[str]) -> Probabilities:
        """float32 [N, L]. HTTPException where there are too many."""
        assert self.batcher, "the server has started"
        if found := excess(texts):
            raise HTTPException(413, found)
        try:
            waiting = self.batcher.submit(served.predictor, texts)
        except Busy as error:
            raise HTTPException(503, "too many texts wait; try again later", {"retry-after": "5"}) from error
        rows = await asyncio.gather(*map(asyncio.wrap_future, waiting))
        return np.array(rows, dtype=np.float32).reshape(len(rows), len(served.predictor.labels))

    async def explanation(self, served: Served, given: Question) -> Explanation:
        """One after the other, beside the predictions. HTTPException for a label that there is none, and where too many wait."""
        if given.label is not None and given.label not in served.predictor.labels:
            raise HTTPException(422, "the model has no such label; choose one that /predict gives")
        if self.questions >= MOST_QUESTIONS:
            raise HTTPException(503, "too many texts wait to be explained; try again later", {"retry-after": "5"})
        self.questions += 1
        try:
            async with self.turn:
                return await asyncio.to_thread(explain, served.predictor, given.text, given.label)
        finally:
            self.questions -= 1


def _add_predictions(app: FastAPI, answers: Answers) -> None:
    @app.post("/predict")
    async def predict(given: Texts) -> Predictions:
        """Labels and probabilities of texts."""
        served = answers.models.now
        try:
            sure_from = served.predictor.sure_from(given.abstain_below) if given.abstain_below else 0.0
        except UserError as error:
            raise HTTPException(422, str(error)) from error
        return Predictions.of(served.name, served.predictor, await answers.probabilities(served, given.texts), sure_from)

    @app.post("/explain")
    async def why(given: Question) -> Reasons:
        """The sentences and words that carry a label, by what happens without them."""
        served = answers.models.now
        found = await answers.explanation(served, given)
        return Reasons.model_validate({**found.facts, "model": served.name, "html": coloured(found)})

    @app.post("/invocations")
    async def invocations(request: Request) -> Response:
        """MLflow's scoring protocol: dataframe_split, dataframe_records, instances or inputs in JSON, csv, Parquet."""
        served = answers.models.now
        try:
            texts = await asyncio.to_thread(texts_in, await request.body(), request.headers.get("content-type"))
        except UnknownKind as error:
            raise HTTPException(415, str(error)) from error
        except UserError as error:
            raise HTTPException(400, str(error)) from error
        return Response(answer_of(served.predictor, await answers.probabilities(served, texts)), media_type="application/json")


def _add_operations(app: FastAPI, answers: Answers) -> None:
    @app.get("/healthz")
    @app.get("/readyz")
    async def health() -> PlainTextResponse:
        """Whether the server is well, and ready for texts."""
        return PlainTextResponse("ready\n") if answers.ready else PlainTextResponse("not ready\n", 503)

    @app.get("/ping", include_in_schema=False)
    @app.get("/health", include_in_schema=False)
    async def ping() -> Response:
        """MLflow's own."""
        return Response("\n", 200 if answers.ready else 404, media_type="application/json")

    @app.get("/version", include_in_schema=False)
    async def version() -> Response:
        """MLflow's own."""
        return Response(VERSION, media_type="application/json")

    @app.get("/metrics")
    async def metrics() -> Response:
        """Figures for Prometheus."""
        waiting = answers.batcher.waiting if answers.batcher else 0
        return Response(answers.metrics.text(answers.models.now.name, answers.models.changes, waiting), media_type=PROMETHEUS)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        """How to ask."""
        return HTMLResponse(page_of(app.openapi()))


def _answer_faults(app: FastAPI) -> None:
    """Each fault is one line, and nothing of the request is in it."""

    @app.exception_handler(StarletteHTTPException)
    async def refused(request: Request, error: StarletteHTTPException) -> Response:
        return _response(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return _response(422, _reason(error))

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        return _response(500, "an error in the server; its log has the reason")


def _response(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(fault(status, message), status, dict(headers or {}), "application/json")


NO_SHARE = "{where} is no number between 0 and 1"
FAULTS = {  # pydantic's type of an error -> what is wrong, and the remedy
    "json_invalid": "the body is not JSON; see /docs",
    "missing": "there is no {where}; send a JSON object that has it, as application/json",
    "too_short": "{where} is empty; give a text or more",
    "too_long": f"{{where}} has more than {MOST_TEXTS:,} texts; send fewer at a time",
    "string_pattern_mismatch": "{where} is empty; give a text",
    "string_type": "{where} is not a string; give a text",
    "string_unicode": "{where} is not Unicode; give a text",
    "string_too_long": "{where} is too long; cut it into several",
    "list_type": "{where} is not a list; give a list of strings",
    "greater_than": NO_SHARE,
    "less_than": NO_SHARE,
    "float_parsing": NO_SHARE,
    "float_type": NO_SHARE,
    "finite_number": NO_SHARE,
}


def _reason(error: RequestValidationError) -> str:
    """What is wrong with the first thing that is; the names of its place are ours."""
    first = error.errors()[0]
    _, *place = first["loc"]
    where = "".join(f"[{step}]" if isinstance(step, int) else str(step) for step in place) or "body"
    return FAULTS.get(first["type"], "{where} is no JSON object; send one as application/json").format(where=where)
