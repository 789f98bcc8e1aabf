"""What commands print: values are shown as they are, also where they look like markup."""

from __future__ import annotations

import io
import shlex

import pytest
from rich.console import Console, RenderableType

from cli.convert import describe
from cli.doctor import Finding, finding_table
from cli.lineage_tree import lineage_tree
from cli.workflows import show_result
from tasks.registry import VersionLineage
from tests.report.example import summary_of
from ulmfit.decisions.decision import Author, Decision
from ulmfit.evaluation.verdict import Verdict
from ulmfit.interop.exchange import Converted
from ulmfit.report.summary import Summary
from ulmfit.store.lineage import Ancestor, Lineage


def printed(shown: RenderableType) -> str:
    screen = io.StringIO()
    Console(file=screen, width=200).print(shown)
    return screen.getvalue()


def test_findings_with_brackets() -> None:
    text = printed(finding_table([Finding("error", "[/x]", "[bold]fact", "pip install 'a[b]'"), Finding("ok", "disk", "free")]))
    assert all(part in text for part in ("error", "[/x]", "[bold]fact", "'a[b]'", "ok"))


def test_a_lineage_shows_each_artifact_once() -> None:
    corpus = Ancestor(kind="corpus", version=1, config={"seed": 0}, inputs={}, record={"name": "[/x].csv", "documents": 3, "other": 1})
    inputs = {"corpus": "c" * 64, "text": "c" * 64}
    model = Ancestor(kind="model", version=1, config={}, inputs=inputs, record={"seconds": 1.23456789}, run_id="r1")
    lineage = Lineage(key="a" * 64, artifacts={"a" * 64: model, "c" * 64: corpus})
    text = printed(lineage_tree(VersionLineage("m[/]", "1", ["champion"], {}, lineage)))
    assert "m[/] version 1 (champion)" in text and "name [/x].csv, documents 3" in text and "seconds 1.23457" in text
    assert "run r1" in text and text.count("settings seed=0") == 1 and text.count("(see above)") == 1 and "other" not in text


def test_commands_to_try_can_be_given_to_a_shell(capsys: pytest.CaptureFixture[str]) -> None:
    facts = summary_of()
    facts["model"]["name"], facts["run"]["tracking_uri"] = "my $(model)", "sqlite+pysqlite:////a b/c%3F #;x/mlflow.db"
    show_result(Summary.model_validate(facts), "/a b/it's")
    said = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line.startswith(("try it", "look")))
    assert shlex.split(said["look"])[-1] == "sqlite+pysqlite:////a b/c%3F #;x/mlflow.db"
    assert shlex.split(said["try"].removeprefix("it "))[2:5] == ["models:/my $(model)@challenger", "--workspace", "/a b/it's"]


def test_the_verdict_on_a_new_version_comes_with_the_command_to_promote(capsys: pytest.CaptureFixture[str]) -> None:
    held = Verdict(outcome="held", reasons=["The labels differ: only the champion has '[/x]'."])
    decision = Decision.new("my $(model)", "compared", Author(kind="training"), version="3", champion="2", verdict=held)
    show_result(Summary.model_validate(summary_of() | {"decision": decision.model_dump(mode="json")}), "/a b/it's")
    said = capsys.readouterr().out
    assert "verdict held: The labels differ: only the champion has '[/x]'.\n" in said and "in use  version 2, as before" in said
    command = said.partition("champion: ulmfit ")[2].splitlines()[0]
    assert shlex.split(command)[:6] == ["promote", "my $(model)", "3", "--workspace", "/a b/it's", "--because"]


def test_a_converted_model_is_described() -> None:
    sizes = {"words": 60_000, "embedding": 400, "layers": 3, "hidden": 1152}
    text = describe(Converted(kind="language_model", direction=None, **sizes, labels=None, encoder_only=True, folder="out"))
    assert "language model, direction unknown: 60,000 words, embedding 400, 3 LSTM layers of 1,152" in text
    assert "encoder alone" in text and text.endswith("model    out")
    text = describe(Converted(kind="classifier", direction="forward", **sizes, labels=["a", "[/x]"], weights="w.pth"))
    assert "labels   a, [/x]" in text and text.endswith("weights  w.pth") and "encoder" not in text
