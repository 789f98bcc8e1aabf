"""Prefect's REST API as a test asks it. A server on SQLite that is busy answers 503, which asks for another try."""

from __future__ import annotations

import json
import urllib.request
from typing import Any
from urllib.error import HTTPError

from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed


def busy(error: BaseException) -> bool:
    return isinstance(error, HTTPError) and error.code == 503


@retry(retry=retry_if_exception(busy), wait=wait_fixed(0.5), stop=stop_after_delay(60), reraise=True)
def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    """The answer to GET, or to POST where there is a body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
