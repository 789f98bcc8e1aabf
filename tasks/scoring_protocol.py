"""MLflow's scoring protocol: the body of a request to ``/invocations`` as texts, predictions as its answer.

MLflow's own functions read the forms. Theirs are the messages that hold a traceback, or the whole request; here they hold neither.
"""

import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow.parquet as pq
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server

from tasks.pyfunc_model import Refusal, frame_of, texts_of
from ulmfit.errors import UserError
from ulmfit.prediction.predictor import Predictor, Probabilities

UNPACKED = 64_000_000  # bytes of a Parquet file's columns, at most
VERSION = scoring_server.VERSION  # of MLflow
FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")


class UnknownKind(UserError):
    """The content type of a request is none that is read."""


def texts_in(body: bytes, content_type: str | None) -> list[str]:
    """The texts of a request. UserError of one line, which holds nothing of the body, where it has none."""
    kind, *parameters = [part.strip().lower() for part in (content_type or "").split(";")]
    reader = READERS.get(kind)
    if reader is None or any(parameter.replace('"', "") not in ("", "charset=utf-8", "charset=utf8") for parameter in parameters):
        raise UnknownKind(f"the content type is none of {', '.join(READERS)} (in UTF-8); send it in the header content-type")
    try:
        return texts_of(reader(body))
    except UserError:
        raise
    except Refusal as error:
        raise UserError(error.brief) from error
    except (MlflowException, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        raise UserError(f"the body cannot be read as {kind} with texts; send a form of MLflow's protocol, with a column 'text'") from error


def answer_of(predictor: Predictor, probabilities: Probabilities) -> str:
    """The answer to texts of these ``probabilities`` [N, L], as a registered model's server gives it."""
    answer = io.StringIO()
    scoring_server.predictions_to_json(frame_of(predictor, probabilities), answer)
    return answer.getvalue()


def _of_json(body: bytes) -> Any:
    try:
        given = json.loads(body)
    except RecursionError as error:
        raise UserError("the body is nested too deeply; send a form of MLflow's protocol") from error
    except ValueError as error:  # a wrong byte or a number of thousands of digits too
        raise UserError("the body is not JSON in UTF-8; send a form of MLflow's protocol") from error
    forms = [form for form in FORMS if form in given] if isinstance(given, dict) else []
    if len(forms) != 1:
        raise UserError(f"the body is no JSON object with one of {', '.join(FORMS)}; send one of these forms")
    return scoring_server.infer_and_parse_data({forms[0]: given[forms[0]]})


def _of_csv(body: bytes) -> Any:
    try:
        return scoring_server.parse_csv_input(io.StringIO(body.decode()))
    except UnicodeDecodeError as error:
        raise UserError("the body is not UTF-8; send csv in UTF-8") from error


def _of_parquet(body: bytes) -> Any:
    try:
        metadata = pq.ParquetFile(io.BytesIO(body)).metadata
        unpacked = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    except OSError as error:
        raise UserError("the body is not a Parquet file; send one as pandas' to_parquet writes it") from error
    if unpacked > UNPACKED:
        raise UserError(f"the Parquet file has more than {UNPACKED:,} bytes; send fewer texts at a time")
    return scoring_server.parse_parquet_input(io.BytesIO(body))


READERS: dict[str, Callable[[bytes], Any]] = {
    scoring_server.CONTENT_TYPE_JSON: _of_json,
    scoring_server.CONTENT_TYPE_CSV: _of_csv,
    scoring_server.CONTENT_TYPE_PARQUET: _of_parquet,
}
