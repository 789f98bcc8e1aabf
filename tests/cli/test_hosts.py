"""Names to which a server without a token answers."""

from __future__ import annotations

import socket

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from cli.hosts import KnownHosts


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8050", "[::1]:8050", "10.0.0.5", "localhost:8050", "LOCALHOST", "team.example", "Team.Example.:80"]
)
def test_addresses_and_known_names_are_answered(host: str) -> None:
    assert asked(host) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8050",
        "team.example.evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "",
        "[::1",
        "a@b",
    ],
)
def test_other_names_are_refused(host: str) -> None:
    assert asked(host) == 400


def test_the_machine_is_known_by_its_own_name() -> None:
    assert asked(f"{socket.gethostname()}:8000") == 200


def asked(host: str) -> int:
    client = TestClient(KnownHosts(PlainTextResponse("here"), ["team.example"]), base_url="http://127.0.0.1")
    return client.get("/", headers={"host": host}).status_code
