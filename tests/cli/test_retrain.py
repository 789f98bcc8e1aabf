"""``ulmfit retrain`` as a command: what it prints where nothing is to be trained, and its exit codes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli.main import run
from tests.flows.life import NAME, Life

Captured = pytest.CaptureFixture[str]


def command(life: Life, capsys: Captured, *more: str, **changed: object) -> tuple[int, str, str]:
    asked: dict[str, Any] = life.request(**changed).model_dump(exclude_defaults=True)
    code = run(["retrain", *(f"--{name.replace('_', '-')}={value}" for name, value in asked.items()), *more])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_what_would_be_done_and_nothing_to_do_are_told_in_words_and_in_json(older: Life, capsys: Captured) -> None:
    code, out, _ = command(older, capsys, "--dry-run", "--json")
    assert code == 0 and json.loads(out.splitlines()[-1])["outcome"] == "would train"
    assert out.startswith(f"{NAME}: would train\nwhy     80 new documents, and 40 are enough.") and "history" not in out.splitlines()[-2]
    older.retrain()
    for _ in range(2):
        code, out, _ = command(older, capsys, "--json")
    told = json.loads(out.splitlines()[-1])
    assert (code, told["outcome"], told["decision"]["what"]) == (0, "nothing to do", "nothing to do")
    assert out.splitlines()[:2] == [f"{NAME}: nothing to do", "why     Nothing new has landed."]
    home = str(older.root / "home")
    assert out.splitlines()[2] == f"history ulmfit history {NAME} --workspace {home}"

    assert run(["history", NAME, "--workspace", home, "--json"]) == 0
    out = capsys.readouterr().out
    decisions = json.loads(out.splitlines()[-1])["decisions"]
    assert [each["what"] for each in decisions[-4:]] == ["retrain", "compared", "promoted", "nothing to do"]
    assert decisions[-1]["looks"]["times"] == 1 and decisions[-4]["cycle"]["new"]["documents"] == 80
    assert "retrain 2, cold" in out and "(again 1" in out


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"landing": "/no/such"}, "no such folder"),
        ({"policy": "/no/such.yaml"}, "no such file"),
        ({"text_column": "[bold]"}, "[bold]"),
        ({"seed": 3, "options": ["nothing"]}, "nothing"),
    ],
)
def test_a_fault_is_one_line_and_exit_code_2(older: Life, capsys: Captured, changed: dict[str, Any], said: str) -> None:
    if "options" in changed:
        code = run(["retrain", "--landing", "x", "--model", "m", "--set", "nothing", "--workspace", str(older.root / "home")])
        err = capsys.readouterr().err
    else:
        code, _, err = command(older, capsys, **changed)
    assert code == 2 and said in err.splitlines()[-1] and "Traceback" not in err


def test_a_model_that_was_never_trained_has_a_history(life: Life, capsys: Captured) -> None:
    life.land("a.csv", 60, 1, ["good"])
    assert command(life, capsys)[0] == 0
    assert run(["history", NAME, "--workspace", str(life.root / "home")]) == 0
    out = capsys.readouterr().out
    assert "champion: none" in out and "held" in out and "one class" in out
