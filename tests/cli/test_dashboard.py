"""``ulmfit dashboard``: what it refuses before it starts. The site itself is in tests/dashboard."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cli.main import run


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--root-path", "team"], "--root-path 'team': give a path"),
        (["--root-path", "//evil.example"], "--root-path '//evil.example': give a path"),
        (["--port", "70000"], "--port: Input should be less than"),
        (["--read-only-token", "there-is-none"], "--read-only-token there-is-none: cannot be read"),
        (["--rate", "-1"], "--rate: Input should be greater than"),
        (["--host", "no host"], "--host no host --port 8050: cannot listen there"),
    ],
)
def test_what_cannot_be_used_is_one_line(options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dashboard", "--workspace", str(tmp_path / "home"), *options]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1
    assert not (tmp_path / "home").exists()


def test_a_short_token_and_a_port_in_use_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "token").write_text("short\n")
    assert run(["dashboard", "--workspace", str(tmp_path), "--read-only-token", str(tmp_path / "token")]) == 2
    assert "no token of 16 or more" in capsys.readouterr().err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert run(["dashboard", "--workspace", str(tmp_path), "--port", str(taken.getsockname()[1])]) == 2
    assert "cannot listen there" in capsys.readouterr().err
