"""Pretraining by its own command, and training that starts from what it exported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import CommandLine, write_general, write_tickets

SIZES = ["--set", "model.embedding=20", "--set", "model.hidden=24", "--set", "pretrain.sampled=64", "--set", "general_vocab.max_size=100"]


@pytest.fixture(scope="module")
def exported(ulmfit: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("pretrain")
    general, target = write_general(folder / "general.txt"), folder / "lm"
    given = ["--corpus", str(general), "--preset", "tiny", *SIZES, "--workspace", str(folder / "workspace")]
    first = ulmfit("pretrain", *given, "--json")
    assert first.code == 0, first.err
    again = ulmfit("pretrain", *given, "--export", str(target), "--json")
    assert again.code == 0 and "pretrain-forward: found" in again.err, "what is trained is not trained again to be exported"
    return target, again.json


def test_both_directions_are_exported_with_what_they_are(exported: tuple[Path, dict]) -> None:
    target, summary = exported
    manifest = json.loads((target / "manifest.json").read_text())
    assert sorted(manifest["directions"]) == ["backward", "forward"] and manifest["model"]["hidden"] == 24
    assert all(found["trained_tokens"] > 1_000 and found["valid_perplexity"] > 1 for found in summary["directions"].values())
    assert str(target.parent) not in (target / "manifest.json").read_text(), "a manifest names no folder of the machine it was made on"


@pytest.mark.slow
def test_training_starts_from_it_with_its_sizes_and_says_so_in_the_lineage(
    ulmfit: CommandLine, exported: tuple[Path, dict], tmp_path: Path
) -> None:
    tickets = write_tickets(tmp_path / "tickets.csv", 200)
    given = [
        "--corpus",
        str(tickets),
        "--text-column",
        "body",
        "--label-column",
        "topic",
        "--preset",
        "tiny",
        "--workspace",
        str(tmp_path / "w"),
    ]
    done = ulmfit("train", *given, "--pretrained", str(exported[0]), "--json")
    assert done.code == 0, done.err
    summary = done.json
    assert (summary["settings"]["model"]["embedding"], summary["settings"]["model"]["hidden"]) == (20, 24)
    names = {stage["name"]: stage for stage in summary["stages"]}
    assert {"pretrained-forward", "pretrained-backward"} <= set(names) and not any(name.startswith("pretrain-") for name in names)
    assert names["finetune-forward"]["inputs"]["language_model"] == names["pretrained-forward"]["key"]
    assert "trained_tokens" in names["pretrained-forward"]["record"]
    assert summary["general"] is None
    moved = tmp_path / "moved"
    exported[0].rename(moved)
    again = ulmfit("train", *given, "--pretrained", str(moved), "--json")
    moved.rename(exported[0])
    assert all(stage["cached"] for stage in again.json["stages"]), "it is known by its bytes, not its place"


@pytest.mark.slow
def test_pretraining_goes_on_from_a_language_model(ulmfit: CommandLine, exported: tuple[Path, dict], tmp_path: Path) -> None:
    general = write_general(tmp_path / "more.txt", 100, seed=9)
    given = ["--corpus", str(general), "--preset", "tiny", "--workspace", str(tmp_path / "w"), "--direction", "backward"]
    done = ulmfit("pretrain", *given, "--pretrained", str(exported[0]), "--export", str(tmp_path / "more"), "--json")
    assert done.code == 0, done.err
    assert list(done.json["directions"]) == ["backward"] and done.json["model"]["hidden"] == 24
    assert sorted(path.name for path in (tmp_path / "more").iterdir()) == ["backward", "manifest.json"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--pretrained", "/no/such/folder"], "no such pretrained language model"),
        (["--pretrained", "small", "--pretrain", "wikitext-2"], "give one of them"),
        (["--pretrained", "http://127.0.0.1:9/lm"], "cannot be fetched"),
        (["--pretrained", "small", "--set", "text.lang=de"], "set text.lang and text.rules to match"),
    ],
)
def test_what_cannot_be_started_from_is_one_line(ulmfit: CommandLine, tmp_path: Path, given: list[str], said: str) -> None:
    tickets = write_tickets(tmp_path / "tickets.csv", 40)
    ended = ulmfit(
        "train", "--corpus", str(tickets), "--text-column", "body", "--label-column", "topic", "--workspace", str(tmp_path / "w"), *given
    )
    assert ended.code == 2 and said in ended.err and ended.err.strip().count("\n") == 0


def test_a_direction_that_is_none_is_refused(ulmfit: CommandLine, tmp_path: Path) -> None:
    ended = ulmfit("pretrain", "--corpus", "wikitext-2", "--direction", "sideways", "--workspace", str(tmp_path))
    assert ended.code == 2 and "sideways" in ended.err
