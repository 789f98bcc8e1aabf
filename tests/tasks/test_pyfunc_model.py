"""The registered model in every form in which MLflow passes texts on, in Python and by its scoring protocol."""

from __future__ import annotations

import io
import json
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel, scoring_server

from tasks.registry import save_pyfunc
from tests.prediction.test_predictor import LABELS, VOCAB, save_classifier
from ulmfit.prediction.bundle import write_bundle
from ulmfit.text.tokenizer import Tokenizer

TEXTS = ["the film was good", "a long story about cats and dogs"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> PyFuncModel:
    folder = tmp_path_factory.mktemp("pyfunc")
    VOCAB.save(folder / "vocab.json")
    forward, backward = (save_classifier(folder / name, name, seed) for seed, name in enumerate(("forward", "backward"), 1))
    write_bundle(folder / "bundle", forward, backward, folder / "vocab.json", Tokenizer().definition)
    save_pyfunc(folder / "bundle", folder / "model")
    return mlflow.pyfunc.load_model(str(folder / "model"))


@pytest.fixture(scope="module")
def expected(model: PyFuncModel) -> pd.DataFrame:
    frame = model.predict(TEXTS)
    assert frame.columns.tolist() == ["label", *(f"probability_{label}" for label in LABELS)]
    assert not np.allclose(frame.iloc[0, 1:].astype(float), frame.iloc[1, 1:].astype(float)), "the texts are told apart"
    return frame


@pytest.mark.parametrize(
    "form",
    [
        TEXTS,
        tuple(TEXTS),
        np.array(TEXTS),
        np.array(TEXTS, dtype=object),
        np.array([[text] for text in TEXTS]),
        pd.Series(TEXTS),
        pd.Series(TEXTS, name="body", index=[7, 7]),
        pd.Series(TEXTS, dtype="string"),
        pd.DataFrame({"text": TEXTS}),
        pd.DataFrame({"id": ["no", "text"], "text": TEXTS, "label": [None, 1]}),
        pd.DataFrame({"text": pd.Categorical(TEXTS)}),
        pd.DataFrame(TEXTS),
        {"text": TEXTS},
        {"id": [1, 2], "text": np.array(TEXTS)},
        {"text": pd.Series(TEXTS)},
        [{"id": number, "text": text} for number, text in enumerate(TEXTS)],
    ],
    ids=lambda form: type(form).__name__,
)
def test_every_form_means_the_texts(model: PyFuncModel, expected: pd.DataFrame, form: Any) -> None:
    pd.testing.assert_frame_equal(model.predict(form), expected)


@pytest.mark.parametrize("form", [TEXTS[0], {"text": TEXTS[0]}, np.array(TEXTS[0]), pd.Series({"id": "a", "text": TEXTS[0]})])
def test_one_text(model: PyFuncModel, expected: pd.DataFrame, form: Any) -> None:
    pd.testing.assert_frame_equal(model.predict(form), expected[:1], rtol=1e-5)


def test_no_texts(model: PyFuncModel) -> None:
    assert len(model.predict([])) == len(model.predict(pd.DataFrame({"text": []}))) == 0


WRONG = [None, float("nan"), pd.NA, 0, 1.5, True, b"a", ["a"], {"text": None}]


@pytest.mark.parametrize("text", WRONG, ids=repr)
@pytest.mark.parametrize(
    "form", [lambda texts: texts, lambda texts: pd.DataFrame({"text": texts}), lambda texts: {"id": [1, 2], "text": texts}]
)
def test_what_is_no_text_is_refused_by_row(model: PyFuncModel, form: Any, text: Any) -> None:
    with pytest.raises(MlflowException, match=r"^the text in row 2 is (missing|of type \w+); give a string$"):
        model.predict(form(["a film", text]))


@pytest.mark.parametrize("form", [{"text": {"a": "b"}}, {"text": {"a film"}}, {"a film", "another"}, {"text": [{"a": "b"}]}])
def test_what_has_no_order_is_no_list_of_texts(model: PyFuncModel, form: Any) -> None:
    with pytest.raises(MlflowException, match=r"^the text in row 1 is of type (dict|set)"):
        model.predict(form)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (pd.DataFrame({"id": ["a"], "body": ["b"]}), "no columns have the name 'text' (there are: 'id', 'body')"),
        (pd.DataFrame([["a", "b"]], columns=["text", "text"]), "2 columns have the name 'text'"),
        ({"body": ["b"]}, "there is no 'text' (there are: 'body')"),
        ([{"text": "a"}, {"body": "b"}], "there is no 'text' (there are: 'body')"),
        (None, "the text in row 1 is missing"),
        (5, "the text in row 1 is of type int"),
        (np.array([["a", "b"]]), "the text in row 1 is of type ndarray"),
    ],
)
def test_a_form_without_texts(model: PyFuncModel, form: Any, said: str) -> None:
    with pytest.raises(MlflowException) as caught:
        model.predict(form)
    assert said in str(caught.value) and "\n" not in str(caught.value)


# ------------------------------------------------------------------------------------------- the scoring protocol


@pytest.fixture(scope="module")
def server(model: PyFuncModel) -> TestClient:
    return TestClient(scoring_server.init(model))


def csv_of(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False).encode()


def parquet_of(frame: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.to_parquet(file)
    return file.getvalue()


WITH_ID = pd.DataFrame({"id": ["x", "y"], "text": TEXTS})
RECORDS = WITH_ID.to_dict("records")


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": WITH_ID.to_dict("split")},
        {"dataframe_split": {"data": [[text] for text in TEXTS]}},
        {"dataframe_records": RECORDS},
        {"instances": TEXTS},
        {"instances": RECORDS},
        {"instances": {"text": TEXTS}},
        {"inputs": TEXTS},
        {"inputs": RECORDS},
        {"inputs": {"id": [1, 2], "text": TEXTS}},
        csv_of(WITH_ID),
        csv_of(WITH_ID[["text"]]),
        parquet_of(WITH_ID),
    ],
    ids=lambda body: next(iter(body)) if isinstance(body, dict) else "table",
)
def test_every_form_of_the_scoring_protocol(server: TestClient, expected: pd.DataFrame, body: Any) -> None:
    answer = post(server, body)
    assert answer.status_code == 200
    found = pd.DataFrame(answer.json()["predictions"])
    assert found["label"].tolist() == expected["label"].tolist()
    np.testing.assert_allclose(found.iloc[:, 1:], expected.iloc[:, 1:], atol=1e-6)


def post(server: TestClient, body: Any) -> Any:
    if isinstance(body, bytes):
        kind = "application/vnd.apache.parquet" if body.startswith(b"PAR1") else "text/csv"
        return server.post("/invocations", content=body, headers={"content-type": kind})
    return server.post("/invocations", content=json.dumps(body), headers={"content-type": "application/json"})


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["text"], "data": [["a"], [None]]}},
        {"dataframe_records": [{"text": "a"}, {"text": None}]},
        {"dataframe_records": [{"text": "a"}, {"id": 1}]},
        {"dataframe_records": [{"text": 0}]},
        {"dataframe_records": [{"body": "a"}]},
        {"instances": ["a", None]},
        {"instances": [{"text": "a"}, {"text": None}]},
        {"instances": [1, 2]},
        {"inputs": ["a", None]},
        {"inputs": {"text": ["a", None]}},
        {"inputs": [{"text": "a"}, {"text": None}]},
        {"inputs": {"body": ["a"]}},
        b"id,text\n1,a\n2,\n",
        b"id,body\n1,a\n",
        parquet_of(pd.DataFrame({"text": ["a", None]})),
    ],
    ids=repr,
)
def test_a_null_or_another_column_is_refused(server: TestClient, body: Any) -> None:
    answer = post(server, body)
    assert answer.status_code == 400 and "Traceback" not in answer.text
    assert "; give a string" in answer.json()["message"] or "; name " in answer.json()["message"]
