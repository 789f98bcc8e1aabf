"""The outbox: in order, each once, whatever the server does and whoever is killed."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException, RestException

from tasks import outbox
from tasks.calls import CALL, Points
from tasks.outbox import REFUSED, Entries, Outbox, Undelivered
from tasks.servers import away


class Server:
    """Takes entries, but for those that ``fails`` says."""

    def __init__(self, fails: Callable[[str, int], Undelivered | None] = lambda entry, tries: None):
        self.taken: list[str] = []
        self.fails, self.tries = fails, 0

    def __call__(self, entry: bytes) -> str | None:
        self.tries += 1
        if error := self.fails(entry.decode(), self.tries):
            raise error
        self.taken.append(entry.decode())
        return f"answer to {entry.decode()}"


AWAY = Undelivered("gone", None)


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(outbox, "LONGEST_PAUSE", 0.01)


def test_what_is_told_while_the_server_is_away_is_sent_later_in_order_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    gone = True
    server = Server(lambda entry, tries: AWAY if gone and entry != "0" else None)
    box = Outbox(tmp_path, "MLflow", server)
    promised = [box.put(str(number)) for number in range(300)]
    assert box.answer(promised[0]) == "answer to 0" and box.answer(promised[299]) is None
    assert box.wait(0.05) == 299
    gone = False
    assert box.close(10) == 0
    assert server.taken == [str(number) for number in range(300)] and promised[299].result() == "answer to 299"
    assert not list(tmp_path.iterdir())
    assert caplog.text.count("MLflow does not answer (gone)") == 1 and caplog.text.count("answers again") == 1


def test_what_a_killed_process_left_behind_is_sent_first_and_from_where_it_was(tmp_path: Path) -> None:
    for name in "ab":
        left = Entries.create(tmp_path)
        for number in range(3):
            left.append(f"{name}{number}".encode())
        left.done(b"a0")
        left.close()
        with left.path.open("ab") as file:
            file.write(b'{"cut')  # no end of the line
    server = Server()
    box = Outbox(tmp_path, "MLflow", server)
    box.put("mine")
    assert box.close(10) == 0
    assert server.taken == ["a1", "a2", "b1", "b2", "mine"]
    assert not list(tmp_path.iterdir())


def test_what_a_live_process_writes_is_its_own_affair(tmp_path: Path) -> None:
    neighbour = Entries.create(tmp_path)
    neighbour.append(b"theirs")
    server = Server()
    assert Outbox(tmp_path, "MLflow", server).close(10) == 0 and server.taken == []
    assert neighbour.next() == b"theirs"


def test_what_remains_at_the_end_is_counted_and_the_next_one_sends_it(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "box", "MLflow", Server(lambda entry, tries: AWAY if entry == "1" else None))
    for number in range(4):
        box.put(str(number))
    assert box.close(0.05) == 3
    shutil.copytree(tmp_path / "box", tmp_path / "left")  # files that nobody has locked, as when the process ends
    server = Server()
    assert Outbox(tmp_path / "left", "MLflow", server).close(10) == 0 and server.taken == ["1", "2", "3"]


def test_what_is_told_after_the_end_is_sent_all_the_same(tmp_path: Path) -> None:
    """By a stage that still runs when another one has failed."""
    server = Server()
    box = Outbox(tmp_path, "MLflow", server)
    for number in range(3):
        box.put(str(number))
        assert box.close(10) == 0
    assert server.taken == ["0", "1", "2"] and not list(tmp_path.iterdir())
    gone = Outbox(tmp_path, "MLflow", Server(lambda entry, tries: AWAY if tries < 40 else None))
    gone.put("0")
    assert gone.close(0) == 1
    gone.put("1")
    assert gone.close(10) == 0


@pytest.mark.parametrize("error", [Undelivered("no such run", 3), Undelivered("no bucket", 4)])
def test_what_is_refused_is_set_aside_and_the_rest_goes_on(tmp_path: Path, error: Undelivered, caplog: pytest.LogCaptureFixture) -> None:
    server = Server(lambda entry, tries: error if entry == "1" else None)
    box = Outbox(tmp_path, "MLflow", server)
    promised = [box.put(str(number)) for number in range(3)]
    assert box.close(10) == 0 and server.taken == ["0", "2"] and server.tries == 2 + (error.tries or 0)
    assert (tmp_path / REFUSED).read_text() == "1\n" and promised[1].result() is None
    assert str(error) in caplog.text and "set aside" in caplog.text
    assert Outbox(tmp_path, "MLflow", server).close(10) == 0 and server.taken == ["0", "2"]  # what is refused is not sent again by itself


def test_a_fault_of_ours_stops_no_sending(tmp_path: Path) -> None:
    server = Server()
    box = Outbox(tmp_path, "MLflow", lambda entry: 1 / 0 if entry == b"1" else server(entry))  # type: ignore[return-value, arg-type]
    for number in range(3):
        box.put(str(number))
    assert box.close(10) == 0 and server.taken == ["0", "2"]


def test_points_are_kept_as_they_are() -> None:
    points = [("loss", value, 1, 2) for value in (0.1, 1e-300, math.inf, -math.inf, math.nan)]
    kept = CALL.validate_json(Points(run="r", points=points).model_dump_json())
    assert isinstance(kept, Points) and repr(kept.points) == repr(points)


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (MlflowException("API request failed with exception Connection refused"), True),
        (MlflowException("no JSON", error_code=14), True),  # TEMPORARILY_UNAVAILABLE
        (RestException({"error_code": "TEMPORARILY_UNAVAILABLE"}), True),
        (RestException({"error_code": "REQUEST_LIMIT_EXCEEDED"}), True),
        (RestException({"error_code": "PERMISSION_DENIED"}), True),
        (RestException({"error_code": "RESOURCE_DOES_NOT_EXIST"}), False),
        (RestException({"error_code": "INVALID_PARAMETER_VALUE"}), False),
        (RestException({"error_code": "RESOURCE_ALREADY_EXISTS"}), False),
        (RestException({"error_code": "INTERNAL_ERROR"}), False),
    ],
)
def test_whether_mlflow_is_away(error: MlflowException, passing: bool) -> None:
    assert away(error) is passing
