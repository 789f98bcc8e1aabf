"""A health check: ``python -m infra.answers URL STATUS...`` ends with 0 where the URL answers with one of these; ``tcp://`` by a connection."""

import socket
import sys
import urllib.error
import urllib.request
from urllib.parse import urlsplit

PATIENCE = 4.0  # seconds


def answers(url: str, statuses: set[int]) -> bool:
    """Whether it does. OSError where nobody is there."""
    parts = urlsplit(url)
    if parts.scheme == "tcp":
        socket.create_connection((parts.hostname or "", parts.port or 0), PATIENCE).close()
        return True
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=PATIENCE) as answer:
            return answer.status in statuses
    except urllib.error.HTTPError as error:
        return error.code in statuses


if __name__ == "__main__":
    try:
        sys.exit(0 if answers(sys.argv[1], {int(status) for status in sys.argv[2:]}) else 1)
    except OSError as error:
        sys.exit(str(error))
