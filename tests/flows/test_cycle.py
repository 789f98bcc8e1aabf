"""The cycles of a model's life: what is decided of what has landed, recorded once, and carried out, also by a run after one that was killed."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from flows.cycle import cycle
from tasks.champion import RegisteredModel, promote, roll_back
from tests.flows.life import NAME, Killed, Life, kill_at, last
from ulmfit.decisions.decision import Author
from ulmfit.errors import RunFailed, UserError

PERSON = Author(kind="person", because="tried by hand")


def test_the_first_text_makes_the_first_version_and_the_champion(life: Life) -> None:
    life.land("a.csv", 150, 1)
    summary = life.retrain()
    assert summary.outcome == "first version" and life.model.champion() == "1"
    assert life.said == [("retrain", None), ("first version", "1")]
    begun, first = life.history.decisions
    assert begun.cycle is not None and begun.cycle.training == "cold" and begun.cycle.number == 1
    assert (begun.cycle.new.files, begun.cycle.new.documents, begun.cycle.new.labels) == (1, 150, 150)
    assert first.retraining == begun.id and first.by.kind == "schedule" and life.history.followed[begun.id].done


def test_better_text_is_promoted_by_a_decision_with_its_reasons(older: Life) -> None:
    summary = older.retrain()
    assert summary.outcome == "promoted" and older.model.champion() == "2"
    assert older.said[2:] == [("retrain", None), ("compared", "2"), ("promoted", "2")]
    begun, compared, promoted = older.history.decisions[2:]
    assert compared.retraining == promoted.retraining == begun.id and compared.champion == promoted.champion == "1"
    assert compared.verdict is not None and compared.verdict.outcome == "promoted" and promoted.why == compared.why
    assert older.history.followed[promoted.id].done and older.history.followed[begun.id].done
    assert begun.cycle is not None and begun.cycle.new.documents == 80 and begun.cycle.number == 2
    assert older.history.comparisons == 1, "the promotion is no second look at the held-out rows"
    assert roll_back(older.workspace, NAME, None, PERSON)[0].version == "1"


def test_worse_text_is_blocked_and_the_champion_stays(older: Life) -> None:
    older.right = 0.0
    summary = older.retrain()
    assert summary.outcome == "blocked" and "shown to be more than" in summary.decision.why
    assert older.model.champion() == "1" and older.said[2:] == [("retrain", None), ("compared", "2")]
    assert older.retrain().outcome == "nothing to do", "what was trained on is not new"


def test_renamed_labels_are_held(older: Life) -> None:
    older.labels = ["bad", "good", "middling", "so-so"]
    older.land("c.csv", 80, 3, older.labels)
    summary = older.retrain()
    assert summary.outcome == "held" and "only the challenger has 'middling'" in summary.decision.why and older.model.champion() == "1"


def test_a_registry_that_lost_the_champion_is_told_and_nothing_is_decided(older: Life) -> None:
    older.model.client.delete_registered_model_alias(NAME, "champion")
    before = len(older.said)
    with pytest.raises(UserError, match="by its history version 1 is the champion, and the registry has none"):
        older.retrain()
    assert len(older.said) == before and not older.trained


def test_nothing_new_is_recorded_once_and_its_repetitions_counted(older: Life) -> None:
    older.retrain()
    before = len(older.said)
    for _ in range(3):
        summary = older.retrain()
        assert summary.outcome == "nothing to do" and summary.decision.why == "Nothing new has landed."
    assert len(older.said) == before + 1 and older.history.looks[last(older).id].times == 2
    assert last(older).cycle is not None and last(older).cycle.training == "none"


def test_too_little_is_recorded_with_its_figures_and_adds_up_until_it_is_enough(older: Life) -> None:
    older.retrain()
    older.land("c.csv", 30, 3)
    assert older.retrain().decision.why.startswith("30 new documents, and the policy asks for 40.")
    older.land("d.csv", 30, 4)
    older.retrain()
    begun = older.history.retrainings()[-1]
    assert begun.cycle is not None and (begun.cycle.new.documents, begun.cycle.new.files) == (60, 2)


def test_a_person_can_force_a_training_and_the_history_knows_who_and_why(older: Life) -> None:
    older.retrain()
    summary = older.retrain(force=True, because="the annotators want to see it")
    assert summary.outcome == "the same model", "the same text and settings make the same version"
    begun = older.history.retrainings()[-1]
    assert begun.by.kind == "person" and begun.by.because == "the annotators want to see it" and begun.cycle and begun.cycle.forced
    assert older.history.followed[begun.id].note == "the same text and settings make the champion again"


def test_a_dry_run_says_what_would_be_done_and_leaves_everything_as_it_is(older: Life) -> None:
    files = lambda: {path: path.read_bytes() for path in (older.root / "home" / "artifacts").rglob("*") if path.is_file()}
    before = files()
    summary = older.retrain(dry_run=True)
    assert summary.outcome == "would train" and not older.trained
    assert summary.decision.cycle is not None and summary.decision.cycle.new.documents == 80
    assert {path: held for path, held in files().items() if ".locks" not in path.parts} == {
        path: held for path, held in before.items() if ".locks" not in path.parts
    }
    assert older.retrain().outcome == "promoted"


def test_text_that_cannot_be_trained_on_is_held_without_a_training(life: Life) -> None:
    life.land("a.csv", 60, 1, ["good"])
    for _ in range(2):
        summary = life.retrain()
        assert summary.outcome == "held" and "of one class only" in summary.decision.why
    assert not life.trained and life.said == [("held", None)] and life.history.looks[last(life).id].times == 1
    life.land("b.csv", 100, 2)
    assert life.retrain().outcome == "first version", "more text makes good what was missing"


def test_too_few_held_out_rows_to_compare_are_held_before_the_training(older: Life) -> None:
    policy = older.root / "strict.yaml"
    policy.write_text("min_documents: 40\nsettle_seconds: 0\n")  # the gate asks for 200 rows
    assert older.retrain(policy=str(policy), dry_run=True).outcome == "held", "a dry run says what the run will say"
    summary = older.retrain(policy=str(policy))
    assert summary.outcome == "held" and "Too few held-out rows" in summary.decision.why and older.said[2:] == [("held", None)]
    assert older.retrain(policy=str(policy), force=True, because="now").outcome == "held", "the gate says so then"
    assert older.said[3:] == [("retrain", None), ("compared", "2")]


ENTRY, ALIAS = "ulmfit.store.journal.Journal.append", "mlflow.MlflowClient.set_registered_model_alias"
BOUNDARIES = [
    pytest.param(target, number, after, id=f"{target.rpartition('.')[2]} {number} {'after' if after else 'before'}", marks=marks)
    for target, numbers in ((ENTRY, range(1, 7)), (ALIAS, (1, 2)))
    for number in numbers
    for after in (False, True)
    for marks in ([] if (target, number, after) in ((ENTRY, 3, True), (ALIAS, 2, True)) else [pytest.mark.slow],)
]


@pytest.mark.parametrize(("target", "number", "after"), BOUNDARIES)
def test_killed_at_any_boundary_the_next_run_ends_what_was_begun(
    older: Life, monkeypatch: pytest.MonkeyPatch, target: str, number: int, after: bool
) -> None:
    """Entries of journals: the arrival, the retraining, the comparison, the promotion, and what followed from the last two; aliases: two."""
    with monkeypatch.context() as patch:
        kill_at(patch, target, number, after)
        with pytest.raises(Killed):
            older.retrain()
    older.retrain()
    assert older.model.champion() == "2"
    assert older.said[2:5] == [("retrain", None), ("compared", "2"), ("promoted", "2")]
    assert set(older.said[5:]) <= {("nothing to do", None)}
    history = older.history
    assert all(history.followed[decision.id].done for decision in history.decisions if decision.what in ("retrain", "promoted"))
    assert history.comparisons == 1 and len(history.marks) == 4
    state = older.trained[0].asked.ledger.state()
    assert state.documents.live.sum() == 230 and len(state.arrivals) == 2


def test_other_text_that_landed_after_a_kill_makes_another_training(older: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        kill_at(patch, "flows.retrain.settle", 1, False)
        with pytest.raises(Killed):
            older.retrain()
    older.land("c.csv", 50, 3)
    assert older.retrain(dry_run=True).outcome == "would train" and older.history.under_way(), "a dry run gives nothing up"
    assert older.retrain().outcome == "promoted"
    first, second = (decision for decision in older.history.decisions[2:] if decision.what == "retrain")
    assert not older.history.followed[first.id].done and older.history.followed[second.id].done
    assert second.cycle is not None and second.cycle.new.documents == 130, "the text of the first counts as new again"


@pytest.mark.slow
def test_a_champion_that_a_person_changes_meanwhile_is_not_overruled(older: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    older.right = 0.0
    older.retrain()
    older.land("c.csv", 50, 3)
    older.right, other = 0.95, "2"
    real = RegisteredModel.carry_out

    def meanwhile(self: RegisteredModel, *arguments: Any, **keywords: Any) -> Any:
        monkeypatch.setattr(RegisteredModel, "carry_out", real)
        promote(self.workspace, NAME, other, PERSON)
        return real(self, *arguments, **keywords)

    monkeypatch.setattr(RegisteredModel, "carry_out", meanwhile)
    summary = older.retrain()
    assert summary.outcome == "not promoted" and older.model.champion() == other
    assert older.history.under_way() is None and older.retrain().outcome == "nothing to do"


def test_a_second_retraining_waits_or_is_refused_by_the_policy(older: Life) -> None:
    policy = older.root / "refuse.yaml"
    policy.write_text("when_busy: refuse\nsettle_seconds: 0\n")

    def meanwhile(due: Any) -> Any:
        with pytest.raises(RunFailed, match="another retraining of it is under way"):
            older.retrain(policy=str(policy))
        return older.train(due)

    assert cycle(older.request(), meanwhile).outcome == "promoted"
    assert older.retrain(policy=str(policy)).outcome == "nothing to do"


def test_files_in_which_a_column_was_missing_are_read_once_its_name_is_right(older: Life) -> None:
    with pytest.raises(UserError, match="body"):
        older.retrain(text_column="body")
    assert older.retrain().outcome == "promoted"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"landing": "/no/such"}, "no such folder"),
        ({"policy": "/no/such.yaml"}, "no such file"),
        ({"model": "a/b"}, "--model a/b"),
        ({"force": True}, "--force and --because"),
        ({"because": "x"}, "--force and --because"),
        ({"force": True, "because": " "}, "--because"),
        ({"options": ["classifier.epoch=1"]}, "epochs"),
        ({"label_column": "topic"}, "topic"),
        ({"encoding": "utf-99"}, "utf-99"),
    ],
)
def test_a_fault_of_the_request_is_told_before_anything_is_decided(older: Life, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        older.retrain(**changed)
    assert "\n" not in str(error.value) and not older.trained and len(older.said) == 2


def test_nothing_to_do_needs_none_of_what_takes_seconds_to_import() -> None:
    code = "import sys, flows.cycle; print(sorted({'torch', 'spacy', 'prefect', 'distributed', 'matplotlib'} & sys.modules.keys()))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert found.stdout.strip() == "[]"
