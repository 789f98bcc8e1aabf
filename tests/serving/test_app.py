"""The server: right answers in every form, one line for what is wrong, and well afterwards."""

from __future__ import annotations

import asyncio
import io
import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from httpx import Response
from prometheus_client.parser import text_string_to_metric_families

from serving.app import create_app
from serving.models import Folder, Models
from tests.prediction.test_predictor import LABELS, texts_of
from ulmfit.prediction.explain import explain
from ulmfit.prediction.explanation_page import coloured
from ulmfit.prediction.predictor import Predictor

TEXTS = ["the film was good", "a long story about cats and dogs"]
SECRET = "xyzzy-secret"


def test_texts_are_predicted(client: TestClient, predictor: Predictor) -> None:
    answer = client.post("/predict", json={"texts": TEXTS})
    expected = predictor.probabilities(TEXTS)
    assert answer.status_code == 200 and answer.json()["model"] == "bundle"
    rows = answer.json()["predictions"]
    np.testing.assert_allclose([list(row["probabilities"].values()) for row in rows], expected, atol=1e-6)
    assert [row["label"] for row in rows] == [LABELS[code] for code in expected.argmax(1)]
    assert [row["probability"] for row in rows] == [max(row["probabilities"].values()) for row in rows]


def test_a_label_that_is_not_sure_is_not_given(client: TestClient, predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = predictor.probabilities(TEXTS).max(1)
    monkeypatch.setattr(Predictor, "sure_from", lambda self, share: float(expected.mean()) if share == 0.95 else 0.0)
    rows = client.post("/predict", json={"texts": TEXTS, "abstain_below": 0.95}).json()["predictions"]
    assert [row["label"] is None for row in rows] == (expected < expected.mean()).tolist() and len({row["label"] for row in rows}) == 2
    assert [row["probability"] for row in rows] == pytest.approx(expected, abs=1e-6)
    for share in (0, 1, 2, "x"):
        check_refused(client.post("/predict", json={"texts": TEXTS, "abstain_below": share}))


def test_a_model_without_held_out_rows_cannot_abstain(client: TestClient) -> None:
    answer = client.post("/predict", json={"texts": TEXTS, "abstain_below": 0.95})
    check_refused(answer)
    assert "held-out rows" in answer.json()["message"]


def test_a_text_is_explained(client: TestClient, predictor: Predictor) -> None:
    answer = client.post("/explain", json={"text": "The film was <good>. A long story."})
    found = explain(predictor, "The film was <good>. A long story.")
    assert answer.status_code == 200 and answer.json() == {
        **json.loads(json.dumps(found.facts)),
        "model": "bundle",
        "html": coloured(found),
    }
    other = client.post("/explain", json={"text": "The film", "label": LABELS[2]}).json()
    assert other["label"] == LABELS[2] and "&lt;good&gt;" in answer.json()["html"]


@pytest.mark.parametrize(
    "body", [{"text": ""}, {"text": None}, {"text": [SECRET]}, {"text": SECRET, "label": SECRET}, {"text": SECRET * 2000}, {}]
)
def test_what_cannot_be_explained_is_told_in_one_line(client: TestClient, body: Any) -> None:
    check_refused(client.post("/explain", json=body))


def parquet_of(texts: list[Any]) -> bytes:
    file = io.BytesIO()
    pd.DataFrame({"text": texts}).to_parquet(file)
    return file.getvalue()


JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (JSON, {"dataframe_split": {"columns": ["id", "text"], "data": [[1, TEXTS[0]], [2, TEXTS[1]]]}}),
        (JSON, {"dataframe_split": {"data": [[text] for text in TEXTS]}}),
        (JSON, {"dataframe_records": [{"text": text} for text in TEXTS]}),
        (JSON, {"instances": TEXTS}),
        (JSON, {"instances": [{"text": text} for text in TEXTS]}),
        (JSON, {"instances": {"text": TEXTS}}),
        (JSON, {"inputs": TEXTS}),
        (JSON, {"inputs": {"text": TEXTS, "id": [1, 2]}, "params": None}),
        ("application/json; charset=utf-8", {"inputs": [{"text": text} for text in TEXTS]}),
        (CSV, f"id,text\n1,{TEXTS[0]}\n2,{TEXTS[1]}\n".encode()),
        (PARQUET, parquet_of(TEXTS)),
    ],
)
def test_every_form_of_mlflows_protocol(client: TestClient, predictor: Predictor, kind: str, body: Any) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = client.post("/invocations", content=content, headers={"content-type": kind})
    assert answer.status_code == 200, answer.text
    found = pd.DataFrame(answer.json()["predictions"])
    assert found.columns.tolist() == ["label", *(f"probability_{label}" for label in LABELS)]
    np.testing.assert_allclose(found.iloc[:, 1:], predictor.probabilities(TEXTS), atol=1e-6)


DEEP = b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
BAD: dict[str, tuple[str, Any]] = {
    "no content type": ("", b'{"inputs": ["a"]}'),
    "other content type": ("application/pdf", b"%PDF"),
    "other charset": ("text/csv; charset=latin-1", b"text\ncaf\xe9\n"),
    "empty": (JSON, b""),
    "malformed": (JSON, f'{{"inputs": ["{SECRET}"'.encode()),
    "deep": (JSON, DEEP),
    "not utf-8": (JSON, b'{"inputs": ["xyzzy-secret caf\xe9"]}'),
    "null": (JSON, b"null"),
    "a list": (JSON, json.dumps([SECRET]).encode()),
    "long number": (JSON, b'{"inputs": [' + b"1" * 10_000 + b"]}"),
    "no form": (JSON, json.dumps({SECRET: [SECRET]}).encode()),
    "two forms": (JSON, json.dumps({"inputs": [SECRET], "instances": [SECRET]}).encode()),
    "null text": (JSON, json.dumps({"inputs": [SECRET, None]}).encode()),
    "null form": (JSON, b'{"inputs": null}'),
    "numbers": (JSON, b'{"instances": [1, 2]}'),
    "ragged": (JSON, json.dumps({"instances": [[SECRET], [SECRET, "b"]]}).encode()),
    "ragged columns": (JSON, json.dumps({"inputs": {"text": [SECRET], "id": [1, [2]]}, "instances": 1}).encode()),
    "ragged split": (JSON, json.dumps({"dataframe_split": {"columns": ["text", "b"], "data": [[SECRET]]}}).encode()),
    "split of no object": (JSON, json.dumps({"dataframe_split": SECRET}).encode()),
    "records of no list": (JSON, json.dumps({"dataframe_records": {SECRET: SECRET}}).encode()),
    "other column": (JSON, json.dumps({"dataframe_records": [{SECRET: SECRET}]}).encode()),
    "csv of no column": (CSV, f"{SECRET}\n".encode()),
    "csv without end": (CSV, f'text\n"{SECRET}\n'.encode()),
    "empty csv": (CSV, b""),
    "csv not utf-8": (CSV, b"text\ncaf\xe9\n"),
    "no parquet": (PARQUET, f"PAR1{SECRET}".encode()),
    "half a parquet": (PARQUET, parquet_of(TEXTS)[:-9]),
    "parquet with null": (PARQUET, parquet_of(["a", None])),
    "too many": (CSV, b"text\n" + b"a film\n" * 10_001),
    "too long": (JSON, json.dumps({"inputs": ["a film", SECRET * 20_000]}).encode()),
    "too much": (JSON, json.dumps({"inputs": [SECRET * 10_000] * 10}).encode()),
    "huge": (JSON, json.dumps({"inputs": [SECRET * 420_000]}).encode()),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_told_in_one_line(client: TestClient, name: str) -> None:
    kind, body = BAD[name]
    check_refused(client.post("/invocations", content=body, headers={"content-type": kind} if kind else {}))
    assert client.post("/invocations", json={"inputs": ["a film"]}).status_code == 200


OWN: dict[str, Any] = {
    "empty": b"",
    "malformed": f'{{"texts": ["{SECRET}"'.encode(),
    "deep": DEEP.replace(b"inputs", b"texts"),
    "not utf-8": b'{"texts": ["xyzzy-secret caf\xe9"]}',
    "null": b"null",
    "null texts": {"texts": None},
    "null text": {"texts": [SECRET, None]},
    "a string": {"texts": SECRET},
    "no texts": {"texts": []},
    "an empty text": {"texts": [SECRET, ""]},
    "a blank text": {"texts": [" \n\t"]},
    "a number": {"texts": [1]},
    "nested": {"texts": [[SECRET]]},
    "another name": {SECRET: ["a"]},
    "a list": [SECRET],
    "half a character": b'{"texts": ["xyzzy-secret \\ud800"]}',
    "too many": {"texts": ["a"] * 10_001},
    "too long": {"texts": [SECRET * 20_000]},
    "huge": {"texts": [SECRET * 420_000]},
}


@pytest.mark.parametrize("name", OWN)
def test_what_is_no_list_of_texts_is_told_in_one_line(client: TestClient, name: str) -> None:
    body = OWN[name]
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    check_refused(client.post("/predict", content=content, headers={"content-type": JSON}))
    assert client.post("/predict", json={"texts": ["a film"]}).status_code == 200


def check_refused(answer: Response) -> None:
    assert 400 <= answer.status_code < 500
    assert answer.json().keys() == {"error_code", "message"} and "\n" not in answer.text
    assert "Traceback" not in answer.text and SECRET not in answer.text and len(answer.text) < 300
    assert not any(word in answer.text.lower() for word in ("exception", "pydantic", "pandas.", "errno"))


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/predict", 405), ("POST", "/nothing", 404), ("GET", "/../etc/passwd", 404)]
)
def test_other_paths_and_methods(client: TestClient, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    check_refused(answer)
    assert answer.status_code == status


def test_an_error_of_ours_shows_nothing(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Predictor, texts: list[str], shown: bool = True) -> None:
        raise RuntimeError(f"about {texts[0]}")

    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "probabilities", fail)
        answer = client.post("/predict", json={"texts": [SECRET]})
    assert answer.status_code == 500 and SECRET not in answer.text and "its log has the reason" in answer.json()["message"]
    assert client.post("/predict", json={"texts": ["a film"]}).status_code == 200


def test_a_server_that_is_stopped_says_so(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gather(*waiting: object) -> None:
        raise asyncio.CancelledError  # as uvicorn ends what takes longer than its grace

    with monkeypatch.context() as patch:
        patch.setattr("serving.app.asyncio.gather", gather)
        answer = client.post("/predict", json={"texts": ["a film"]})
    assert answer.status_code == 503 and "is being stopped" in answer.json()["message"]


def test_many_at_once_get_their_own_answers(client: TestClient, predictor: Predictor) -> None:
    rng = random.Random(0)
    texts = texts_of(*(rng.choice([1, 3, 20, 200, 900]) for _ in range(60)))
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda text: client.post("/predict", json={"texts": [text]}).json(), texts))
    found = [list(answer["predictions"][0]["probabilities"].values()) for answer in answers]
    np.testing.assert_allclose(found, predictor.probabilities(texts), atol=1e-6)


def test_what_operators_ask(client: TestClient) -> None:
    for path in ("/healthz", "/readyz", "/ping", "/health", "/version"):
        assert client.get(path).status_code == 200
    client.post("/predict", json={"texts": TEXTS})
    client.get(f"/{SECRET}")
    found = client.get("/metrics")
    assert found.headers["content-type"].startswith("text/plain") and SECRET not in found.text
    families = {family.name: family for family in text_string_to_metric_families(found.text)}
    counts = {
        (sample.labels["path"], sample.labels["status"]): sample.value
        for sample in families["ulmfit_requests"].samples
        if sample.name.endswith("_total")
    }
    assert counts["/predict", "200"] >= 1 and counts["other", "404"] >= 1
    assert families["ulmfit_model_info"].samples[0].labels == {"model": "bundle"}


def test_the_page_needs_no_other_host(client: TestClient) -> None:
    page, description = client.get("/docs").text, client.get("/openapi.json").json()
    assert "/predict" in page and "probabilities" in page and "http" not in page.replace("http-", "") and "<script" not in page
    assert {"/predict", "/invocations"} <= description["paths"].keys()


def test_who_has_no_token_is_refused(folder: Path) -> None:
    token = "a-token-of-some-length"
    with TestClient(create_app(Models(Folder(folder)), token)) as client:
        for given in (
            {},
            {"authorization": "Bearer wrong"},
            {"authorization": token},
            {"authorization": f"Basic {token}"},
            {"authorization": f"Bearer {token}é".encode()},
        ):
            answer = client.post("/predict", json={"texts": [SECRET]}, headers=given)
            check_refused(answer)
            assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
            assert client.get("/metrics", headers=given).status_code == 401
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
        for scheme in ("Bearer", "bearer"):
            assert client.post("/predict", json={"texts": TEXTS}, headers={"authorization": f"{scheme} {token}"}).status_code == 200
