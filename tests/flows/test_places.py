"""What a request that arrives at a deployment may name, and that every flow of a deployment asks."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from pydantic import BaseModel

from flows.deployments import declared
from flows.places import FIELDS, check_places, refusal
from flows.request import PretrainRequest, RetrainRequest, ScoreRequest, TrainRequest
from tasks.sent import SentStage
from ulmfit.errors import UserError

PUBLIC = "93.184.216.34"
# Text of a request that names no place: a value is checked against a list, or goes nowhere but into reports and tables.
NO_PLACES = {"text_column", "label_column", "id_column", "encoding", "options", "model_name", "model", "because", "tag", "stages"}
NO_PLACES |= {"stage", "key", "experiment", "run", "arguments"}  # of a stage that is sent; its text is asked for by itself


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ULMFIT_PLACES", "ULMFIT_HOME", "ULMFIT_ARTIFACTS", "ULMFIT_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    known = {"open.example": PUBLIC, "inside.example": "10.0.0.7", "both.example": PUBLIC}

    def resolve(host: str, *_: object) -> list[Any]:
        if host == "localhost":
            return [(0, 0, 0, "", ("127.0.0.1", 0))]
        if host not in known and not host.replace(".", "").replace(":", "").isalnum():
            raise socket.gaierror(-2, "unknown")
        found = [known.get(host, host)] + (["169.254.169.254"] if host == "both.example" else [])
        return [(0, 0, 0, "", (address, 0)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.mark.parametrize(
    "place",
    [
        "/etc/passwd",
        "/etc",
        "/proc/self/environ",
        "../../../../../../../../../../etc/passwd",
        "/tmp/../etc/shadow",
        "~/.ssh/id_rsa",
        "~/.aws/credentials",
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "ftp://open.example/x",
        "gs://bucket/x",
        "http://open.example/lm",
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.169.254/latest/meta-data",
        "https://127.0.0.1:4200/api",
        "https://localhost/x",
        "https://[::1]/x",
        "https://inside.example/x",
        "https://both.example/x",
        "https://nowhere.example.-/x",
        "https:///x",
        "https://[/x",
    ],
)
def test_what_no_worker_reads_for_a_request(place: str) -> None:
    for request in (TrainRequest(corpus=place), TrainRequest(pretrained=place), RetrainRequest(landing=place, model="m")):
        with pytest.raises(UserError, match="a request may not name it") as error:
            check_places(request)
        assert "\n" not in str(error.value)


def test_a_link_is_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "innocent.csv").symlink_to("/etc/passwd")
    assert refusal(str(tmp_path / "innocent.csv"))


def test_the_home_is_what_its_link_leads_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "disk" / "ann" / ".aws").mkdir(parents=True)
    (tmp_path / "home").symlink_to(tmp_path / "disk" / "ann")
    assert refusal("~/.aws/credentials") and refusal(str(tmp_path / "disk" / "ann" / ".aws")) and not refusal("~/tickets.csv")


def test_a_name_that_no_place_has_is_refused_in_one_line() -> None:
    assert refusal("tickets\0.csv")


def test_what_a_request_names_as_a_rule(tmp_path: Path) -> None:
    fine = [str(tmp_path / "tickets.csv"), "tickets.csv", "s3://bucket/tickets", "https://open.example/lm", "~/tickets.csv"]
    for place in fine:
        check_places(TrainRequest(corpus=place, more=[place], test=place, unlabelled=place, pretrained=place))
    check_places(TrainRequest(corpus="imdb", pretrain="wikitext-103"))
    check_places(PretrainRequest(corpus="wikitext-2", export="s3://bucket/lm"))
    check_places(TrainRequest(corpus="imdb", pretrained="small"))


def test_what_is_written_is_asked_too(tmp_path: Path) -> None:
    for fields in ({"out": "/etc/x"}, {"workspace": "/usr/lib"}, {"export": "/etc/cron.d"}):
        with pytest.raises(UserError, match=f"{next(iter(fields))}: "):
            check_places(PretrainRequest.model_validate(fields))


def test_a_list_of_places_is_all_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "out").symlink_to("/etc")
    monkeypatch.setenv("ULMFIT_PLACES", f"{tmp_path}/landing s3://team/in https://models.inside/lm")
    monkeypatch.setenv("ULMFIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ULMFIT_ARTIFACTS", "s3://team/artifacts")
    fine = ["landing/a.csv", "landing", "home", "home/x"]
    assert not any(refusal(str(tmp_path / name)) for name in fine)
    assert not any(map(refusal, ["s3://team/in", "s3://team/in/a.csv", "s3://team/artifacts", "https://models.inside/lm/1"]))
    others = [str(tmp_path), str(tmp_path / "landing2"), f"{tmp_path}/landing/../x", f"{tmp_path}/landing/out/passwd", "/tmp"]
    others += ["s3://team/inner", "s3://team/in/../secret", "s3://other", "https://models.inside/lm2", "https://models.inside/lm/../x"]
    others += ["https://models.inside/lm/%2e%2e/x", "https://models.inside.evil/lm", "https://open.example/lm", "file:///landing"]
    assert [place for place in others if not refusal(place)] == []
    check_places(TrainRequest(corpus="imdb"))
    monkeypatch.setenv("ULMFIT_PLACES", "")
    assert refusal(str(tmp_path / "landing")), "an empty list lists nothing"


def test_a_scheduler_is_believed_and_so_it_is_one_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("3", "tcp://inside.example:8786", "tls://127.0.0.1:7304", "10.0.0.3:8786"):
        check_places(TrainRequest(corpus="imdb", dask=address))
    mixed, unknown = "tcp://both.example:8786", "tcp://nowhere.example.-:8786"
    for address in ("tcp://open.example:8786", f"{PUBLIC}:8786", "tcp://[::", "inproc://", mixed, unknown):
        with pytest.raises(UserError, match=r"dask: .* a request may not name it"):
            check_places(TrainRequest(corpus="imdb", dask=address))
    monkeypatch.setenv("ULMFIT_PLACES", "s3://team tls://dask-scheduler:8786")
    check_places(TrainRequest(corpus="imdb", dask="tls://dask-scheduler:8786"))
    with pytest.raises(UserError, match="dask: "):
        check_places(TrainRequest(corpus="imdb", dask="tls://127.0.0.1:7304"))


def test_the_text_of_a_stage_that_is_sent(tmp_path: Path) -> None:
    fields = {"stage": "ingest", "kind": "ingest", "artifacts": "s3://x/y", "workspace": str(tmp_path), "experiment": "1", "run": "1"}
    source = {"source": str(tmp_path / "a.csv"), "test": None, "unlabelled": None, "more": []}
    check_places(SentStage.model_validate({**fields, "arguments": {"source": source}}))
    for bad in ({"source": "/etc/passwd"}, {"test": "/etc/passwd"}, {"unlabelled": "/etc/passwd"}, {"more": ["a.csv", "/etc/passwd"]}):
        with pytest.raises(UserError, match=next(iter(bad))):
            check_places(SentStage.model_validate({**fields, "arguments": {"source": source | bad}}))
    with pytest.raises(UserError, match="artifacts"):
        check_places(SentStage.model_validate({**fields, "artifacts": "/etc", "arguments": {}}))


def test_the_folder_of_a_model_is_asked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").symlink_to("/etc")
    monkeypatch.chdir(tmp_path)
    fields = {"dataset": "s3://x/data", "output": "s3://x/scored"}
    check_places(ScoreRequest.model_validate({**fields, "model": "models:/tickets@champion"}))
    for bad in ({"model": "/etc/model"}, {"model": "etc"}, {"dataset": "/etc"}, {"output": "/etc/x"}):
        with pytest.raises(UserError, match=next(iter(bad))):
            check_places(ScoreRequest.model_validate({**fields, "model": "models:/tickets/1", **bad}))


@pytest.mark.parametrize("deployment", declared(), ids=lambda one: f"{one.flow.name}/{one.name}")
def test_every_deployment_asks_and_no_field_is_forgotten(deployment: Any, tmp_path: Path) -> None:
    (request,) = [hint for name, hint in get_type_hints(deployment.flow.fn).items() if name != "return"]
    assert issubclass(request, BaseModel)
    strings = {name for name, field in request.model_fields.items() if "str" in str(field.annotation)}
    assert strings - set(FIELDS) - {"dask"} <= NO_PLACES, "a field that may name a place is to be checked: FIELDS in flows/places.py"
    if not strings & set(FIELDS):
        return
    needed = {"landing": "x", "model": "m", "stage": "encode", "kind": "encode", "arguments": {}, "experiment": "1", "run": "1"}
    needed |= {"artifacts": "s3://x/y", "dataset": "x", "output": "y"}
    given = request.model_validate({name: needed[name] for name in needed if name in request.model_fields} | {"workspace": "/etc/x"})
    try:
        state = deployment.flow.fn(given)
        assert "workspace: '/etc/x': a request may not name it" in state.message
    except UserError as error:
        assert "workspace: '/etc/x': a request may not name it" in str(error)
