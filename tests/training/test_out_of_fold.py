"""Where validation documents are few, folds of the training documents tell how sure to be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.integration.survival import CLASSIFY, LABELS, MODEL, TEXT, VOCAB, topics
from ulmfit.directions import DIRECTIONS
from ulmfit.evaluation.calibration import fit_temperature
from ulmfit.evaluation.predictions import FILE, read_predictions
from ulmfit.evaluation.weighing import Witnesses
from ulmfit.labels.label_set import LabelSet, probabilities
from ulmfit.models.saving import load_classifier, read_saved_model
from ulmfit.prediction.logits import predict_logits
from ulmfit.shards.documents import Documents
from ulmfit.training import method, out_of_fold
from ulmfit.training.interruption import Interrupted, Interruption
from ulmfit.training.out_of_fold import ENOUGH, MOST, SYSTEM, number_of_folds, parts, read_left_out, witnesses
from ulmfit.training.placement import Placement
from ulmfit.training.rehearsal import classifier_task
from ulmfit.training.specs import TrainingText
from ulmfit.training.words import train_words

FEW = TrainingText(topics(40, seed=2), topics(12, seed=3), VOCAB, "forward", LABELS)
FOLDED = CLASSIFY.model_copy(update={"folds": 3})


pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_temperature_is_that_of_validation_documents_and_of_all_folds_by_classifiers_of_the_others(tmp_path: Path) -> None:
    record = method.train_classifier(FEW, None, MODEL, FOLDED, tmp_path / "whole")
    fold = np.zeros(40, int)
    logits, codes = [], []

    def learn(name: str, train: Documents, unseen: Documents) -> None:
        method.train_classifier(replace(FEW, train=train), None, MODEL, CLASSIFY, tmp_path / name)
        logits.append(predict_logits(load_classifier(tmp_path / name), unseen, "forward", None))
        codes.append(unseen.labels)

    learn("plain", FEW.train, FEW.valid)
    for number, (learnt, left_out) in enumerate(parts(classifier_task(FEW, MODEL, FOLDED)), 1):
        learn(f"fold-{number}", learnt, left_out)
        fold[[int(name) for name in left_out.ids]] += number
        assert not set(learnt.ids) & set(left_out.ids) and len(learnt) + len(left_out) == 40
    assert np.bincount(fold).tolist() == [0, 14, 13, 13], "each document stands in one fold"
    targets = LabelSet.of(LABELS, CLASSIFY).targets_of(np.concatenate(codes))
    assert record.temperature == pytest.approx(fit_temperature(torch.cat(logits), targets, "multi-class"), rel=1e-4)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "plain")]
    assert weights[0] == weights[1], "folds change nothing but the confidence"
    kept = read_predictions(tmp_path / "whole", SYSTEM)
    shares = np.concatenate([probabilities(each, "multi-class", record.temperature).numpy() for each in logits[1:]])
    assert np.allclose(kept.probabilities, shares, atol=1e-5) and kept.labels.tolist() == np.concatenate(codes[1:]).tolist()
    assert {path.name for path in (tmp_path / "whole").iterdir()} == {FILE, *(path.name for path in (tmp_path / "plain").iterdir())}


@pytest.mark.parametrize(
    ("folds", "calibrate", "train", "valid", "number"),
    [
        (3, True, 40, 12, 3),
        (3, True, 40, 0, 3),
        (3, True, 40, ENOUGH, 0),
        (3, False, 40, 12, 0),
        (None, True, 40, 12, 0),
        (3, True, 6, 2, 3),
        (3, True, 5, 2, 0),
        (3, True, MOST + 1, 2, 0),
    ],
)
def test_folds_are_for_few_documents(folds: int | None, calibrate: bool, train: int, valid: int, number: int) -> None:
    config = CLASSIFY.model_copy(update={"folds": folds, "calibrate": calibrate})
    one = lambda number: Documents.of([np.array([9, 10, 11], np.uint16)] * number, np.arange(number) % 2)
    task = classifier_task(TrainingText(one(train), one(valid), VOCAB, "forward", LABELS), MODEL, config)
    assert number_of_folds(task) == number and len(list(parts(task))) == number


def test_a_document_that_is_repeated_stands_in_one_fold_alone() -> None:
    train = FEW.train.take(np.sort(np.r_[np.arange(40), np.arange(0, 40, 4), np.arange(0, 40, 4)]))
    left = []
    for learnt, left_out in parts(classifier_task(replace(FEW, train=train), MODEL, FOLDED)):
        assert not set(learnt.ids) & set(left_out.ids) and len(learnt.ids) > len(set(learnt.ids))
        left += left_out.ids
    assert sorted(left, key=int) == [str(number) for number in range(40)]


@pytest.mark.parametrize("step", [1, 7])
def test_a_training_that_is_interrupted_in_a_fold_goes_on_to_the_same_temperature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    undisturbed = method.train_classifier(TEXT, None, MODEL, FOLDED, tmp_path / "undisturbed")
    interruption, trained = Interruption(), list[str]()
    monkeypatch.setattr("ulmfit.training.loop.INTERRUPTION", interruption)
    fit = out_of_fold.fit

    def stopped(task, curves):  # in the second fold
        trained.append(task.name)
        take = task.forward_backward

        def counted(batch, parts):
            stopped.steps += 1
            interruption.asked = len(trained) == 2 and stopped.steps == step
            return take(batch, parts)

        stopped.steps, task.forward_backward = 0, counted
        return fit(task, curves)

    monkeypatch.setattr(out_of_fold, "fit", stopped)
    folder, place = tmp_path / "disturbed", Placement(checkpoint_seconds=3600)
    with pytest.raises(Interrupted, match="classify forward, from scratch, without fold 2: interrupted after step"):
        method.train_classifier(TEXT, None, MODEL, FOLDED, folder, place)
    interruption.asked = False
    assert not (folder / "model.safetensors").exists(), "what is there is whole"
    record = method.train_classifier(TEXT, None, MODEL, FOLDED, folder, place)
    assert record.temperature == undisturbed.temperature and not (folder / "checkpoints").exists()
    assert read_saved_model(folder).calibration == read_saved_model(tmp_path / "undisturbed").calibration
    names = [name.rpartition(" ")[2] for name in trained]
    assert names == ["1", "2", "1", "2", "3"], "the first fold is found, not trained again"


def test_members_are_weighed_by_folds_where_none_of_them_has_learnt_from_what_it_speaks_of(tmp_path: Path) -> None:
    texts = {name: " ".join(VOCAB.tokens[code] for code in FEW.train.doc(int(name))) for name in FEW.train.ids}
    folders = {direction: tmp_path / direction for direction in DIRECTIONS}
    assert read_left_out(folders) == {}, "where no folds were left out"
    for direction, folder in folders.items():
        method.train_classifier(replace(FEW, direction=direction), None, MODEL, FOLDED, folder)
    model = train_words(list(texts.values()), FEW.train.labels, 2, 0)
    found = witnesses(read_left_out(folders), model, texts, 0)
    assert list(found.members) == ["forward", "backward", "words"] and len(found.truth) == 40
    by_id = {str(number): label for number, label in enumerate(FEW.train.labels.tolist())}
    assert found.truth.tolist() == [by_id[name] for name in read_left_out(folders)["forward"].ids]
    changed = {name: text if name != "0" else "nothing else" for name, text in texts.items()}
    other = witnesses(read_left_out(folders), model, changed, 0)
    differ = np.flatnonzero(np.abs(other.members["words"] - found.members["words"]).max(1) > 1e-9)
    assert 0 < len(differ) < 40, "its own fold does not learn from it"
    known = Witnesses({member: shares[:7] for member, shares in found.members.items()}, found.truth[:7])
    both = known.joined(found)
    assert len(both.truth) == 47 and np.array_equal(both.members["words"][7:], found.members["words"])
