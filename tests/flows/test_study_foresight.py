"""The plan of a study before it runs: what is shared, what is there, and that more work is foreseen to take longer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from flows import study_foresight
from flows.study_foresight import StudyOutlook, foresee
from flows.study_plan import resolve_study
from flows.study_request import DataQuantityRequest
from tests.conftest import write_tickets
from ulmfit.errors import UserError
from ulmfit.training.rehearsal import lm_task
from ulmfit.training.specs import TrainingText

Foresee = Callable[..., StudyOutlook]


@pytest.fixture(scope="module")
def foreseen(tmp_path_factory: pytest.TempPathFactory) -> Foresee:
    folder = tmp_path_factory.mktemp("foresight")
    given: dict[str, object] = {
        "corpus": str(write_tickets(folder / "tickets.csv", 240)),
        "text_column": "body",
        "label_column": "topic",
        "device": "cpu",
    }
    given |= {"preset": "small", "trials": 2, "workspace": str(folder / "workspace"), "methods": "ulmfit,tfidf"}

    def made(**asked: object) -> StudyOutlook:
        return foresee(resolve_study(DataQuantityRequest.model_validate({**given, **asked})))

    return made


@pytest.fixture(autouse=True)
def known_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every training, so that nothing is measured."""
    monkeypatch.setattr(study_foresight, "speed_of", lambda *rest: 1e10)
    monkeypatch.setattr(study_foresight, "cores", lambda: 2)


def test_what_trials_share_is_counted_once(foreseen: Foresee) -> None:
    found = foreseen(labels="20,60")
    assert found.trials == 8 and found.found == 4, "the text was read for the plan"
    assert found.stages == {"pretrained": 2, "finetune": 2, "classify": 8, "word-model": 4, "judge": 4, "words": 4}
    assert (found.language_models, found.shared) == (2, 4)
    assert "2 trainings of language models, for 4 trials" in "\n".join(found.lines())


def test_more_work_takes_longer(foreseen: Foresee) -> None:
    words, few, more, apart = (
        foreseen(**asked).seconds
        for asked in ({"labels": "20", "methods": "tfidf"}, {"labels": "20"}, {"labels": "20,60,100"}, {"labels": "20,60,100", "documents": "5,all"})
    )  # fmt: skip
    assert 0 < words < few < more < apart


@pytest.mark.parametrize("methods", ["tfidf", "ulmfit"])
def test_fewer_documents_that_judge_take_less_time(foreseen: Foresee, methods: str) -> None:
    few, every = (foreseen(labels="20", methods=methods, options=options).seconds for options in (["evaluate.max_documents=5"], []))
    assert few < every


def test_a_sample_of_the_corpus_is_foreseen_with_its_own_validation_documents(foreseen: Foresee, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[TrainingText] = []

    def noted(text: TrainingText, *rest: Any) -> Any:
        seen.append(text)
        return lm_task(text, *rest)

    monkeypatch.setattr(study_foresight, "lm_task", noted)
    foreseen(labels="20", documents="10,all", methods="ulmfit", trials=1, reading="forward")
    (read, held_out), (whole, of_whole) = sorted({(len(text.train), len(text.valid)) for text in seen})
    assert read == 30
    assert held_out == math.ceil(of_whole * 20 / whole) < of_whole


def test_less_text_of_its_own_is_another_language_model_for_each_trial(foreseen: Foresee) -> None:
    found = foreseen(labels="20", documents="10", methods="ulmfit")
    assert found.language_models == 4 and found.shared == 2 and found.stages["ingest"] == 2


def test_numbers_that_the_corpus_does_not_have(foreseen: Foresee) -> None:
    with pytest.raises(UserError, match="--labels: 9000"):
        foreseen(labels="20,9000")
