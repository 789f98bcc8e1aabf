"""A policy is read from yaml, and what is wrong with it is told in one line that names the settings there are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ulmfit.decisions.retrain_policy import RetrainPolicy, read_policy
from ulmfit.errors import UserError


def written(folder: Path, text: str) -> str:
    (folder / "policy.yaml").write_text(text)
    return str(folder / "policy.yaml")


def test_without_a_file_and_with_an_empty_one_the_defaults_hold(tmp_path: Path) -> None:
    for text in ("", "# nothing\n", "---\n"):
        assert read_policy(written(tmp_path, text)) == read_policy(None) == RetrainPolicy()


def test_settings_of_the_policy_of_drift_and_of_the_gate_are_read(tmp_path: Path) -> None:
    text = "min_documents: 7\nmax_age_days: null\nwhen_busy: refuse\ngate: {mode: not-worse, min_rows: 30}\ndrift: {min_documents: 9}\n"
    found = read_policy(written(tmp_path, text))
    assert (found.min_documents, found.max_age_days, found.when_busy) == (7, None, "refuse")
    assert (found.gate.mode, found.gate.min_rows, found.drift.min_documents) == ("not-worse", 30, 9)
    assert found.min_labels == RetrainPolicy().min_labels


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("min_document: 5", r"no setting 'min_document'; there are: min_documents, min_labels, "),
        ("gate: {mod: better}", r"no setting 'gate\.mod'; there are: mode, alpha, "),
        ("drift: {sampel: 5}", r"no setting 'drift\.sampel'; there are: false_alarms, "),
        ("warm: {replays: 5}", r"no setting 'warm\.replays'; there are: replay, "),
        ("min_documents: 0", r"min_documents: .*greater than or equal to 1"),
        ("min_documents: .nan", r"min_documents: "),
        ("min_documents: 1e30", r"min_documents: "),
        ("max_age_days: -1", r"max_age_days: "),
        ("max_age_days: .inf", r"max_age_days: "),
        ("cold_every: two", r"cold_every: .*\(given: 'two'\)"),
        ("when_busy: maybe", r"when_busy: .*'wait' or 'refuse'"),
        ("gate: better", r"gate: "),
        ("gate: {alpha: 0.9}", r"gate\.alpha: "),
        ("settle_seconds: 1000000", r"settle_seconds: "),
        ("- min_documents", r"write settings, as min_labels: 50; there are: "),
        ("just words", r"write settings"),
        ("1: 2", r"there are: "),
        ("a: [", r"line 1.*no yaml"),
        ("warm: {epochs: .inf}", r"warm\.epochs: "),
        ("warm: {replay: 1e300}", r"warm\.replay: "),
        ("drift: {sample: 1e30}", r"drift\.sample: "),
        ("gate: {min_rows: 1e30}", r"gate\.min_rows: "),
        ("min_labels: 2026-13-45", "a value cannot be read"),
        ("min_labels: 0x_", "a value cannot be read"),
        ("min_labels: 1" + "0" * 5000, "a value cannot be read"),
        ("[" * 2000, "a value cannot be read"),
        ("min_labels: 1" + "0" * 400, r"min_labels: .{,200}$"),
        ('"\\ud800": 1', "the name of a setting: "),
        ("min_labels: 3\nmin_labels: 5", r"line 1.*given twice"),
        ("gate: {margin: 0.1, margin: 0.2}", "given twice"),
        ("min_labels: yes", "min_labels: no setting is a yes or no"),
        ("max_age_days: off", "max_age_days: no setting is a yes or no"),
        ("gate: {min_rows: true}", "min_rows: no setting is a yes or no"),
        ("!!python/object/apply:os.system ['true']", r"no yaml"),
    ],
)
def test_a_fault_is_one_line_that_names_the_file_and_the_setting(tmp_path: Path, text: str, said: str) -> None:
    location = written(tmp_path, text)
    with pytest.raises(UserError, match=said) as error:
        read_policy(location)
    assert str(error.value).startswith(f"--policy {location}") and "\n" not in str(error.value)


def test_files_that_are_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00a")
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "large.yaml").write_bytes(b"#" * (2 << 20))
    for name, said in (
        ("missing.yaml", "no such file"),
        ("binary.yaml", "no text in UTF-8"),
        ("large.yaml", "bytes"),
        (".", "this is no file"),
        ("pipe.yaml", "this is no file"),
        ("/dev/zero", "this is no file"),
        ("a\0b", "cannot be the name of a file"),
    ):
        with pytest.raises(UserError, match=said):
            read_policy(str(tmp_path / name))


def test_the_example_in_the_documentation_is_a_policy() -> None:
    found = read_policy(str(Path(__file__).parents[2] / "docs" / "policy.yaml"))
    assert (found.min_documents, found.gate.mode, found.when_busy) == (500, "not-worse", "refuse")
