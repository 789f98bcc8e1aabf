import json
import shutil

import numpy as np
import pytest
import torch

from ulmfit.config import Dropouts, ModelConfig
from ulmfit.errors import UserError
from ulmfit.models.classifier import Classifier, HeadConfig
from ulmfit.models.saving import Calibration, ModelFacts, load_classifier, save_model
from ulmfit.prediction import predictor as module
from ulmfit.prediction.bundle import FILES, write_bundle
from ulmfit.prediction.logits import FoldedClassifier
from ulmfit.prediction.predictor import Predictor
from ulmfit.shards import Documents
from ulmfit.text.rules import SPECIALS
from ulmfit.text.tokenizer import Tokenizer
from ulmfit.text.vocab import Vocab

LABELS = ["bad", "good", "so-so"]
WORDS = ["the", "film", "was", "good", "bad", "long", "short", "and", "a", "story", "about", "cats", "dogs", "trains"]
VOCAB = Vocab([*SPECIALS, *WORDS])


def save_classifier(folder, direction, seed, labels=LABELS, vocab=VOCAB, calibration=None):
    """A classifier with weights of chance, large enough to tell documents apart."""
    folder.mkdir(parents=True)
    dropouts = Dropouts(output=0.4, hidden=0.4, input=0.4, embedding=0.4, weight=0.4)
    model = Classifier(len(vocab), len(labels), ModelConfig(embedding=8, hidden=12, layers=2), dropouts, HeadConfig(6), seed=seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    facts = ModelFacts(direction=direction, labels=tuple(labels), bptt=7, calibration=calibration)
    save_model(folder, model, facts)
    return folder


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    VOCAB.save(folder / "vocab.json")
    return {
        "forward": save_classifier(folder / "forward", "forward", seed=1),
        "backward": save_classifier(folder / "backward", "backward", seed=2),
        "vocab": folder / "vocab.json",
        "tokenizer": Tokenizer().definition,
    }


@pytest.fixture
def bundle(parts, tmp_path):
    write_bundle(tmp_path / "model", **parts)
    return tmp_path / "model"


def texts_of(*lengths):
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, size=length)) for length in lengths]


def test_a_document_does_not_depend_on_its_batch_mates(bundle):
    predictor = Predictor(bundle)
    texts = texts_of(1, 300, 3, 40, 250, 0, 7, 900, 7, 14)
    together = predictor.probabilities(texts)
    alone = np.concatenate([predictor.probabilities([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-6
    assert len(np.unique(together.round(4), axis=0)) > 5, "the documents are told apart, so their order is seen"


def test_batches_of_any_size_give_the_same(bundle, monkeypatch):
    predictor, texts = Predictor(bundle), texts_of(*range(1, 40))
    whole = predictor.probabilities(texts)
    monkeypatch.setattr(module, "TEXTS", 4)
    monkeypatch.setattr("ulmfit.prediction.logits.INFERENCE_POSITIONS", 50)
    assert np.abs(predictor.probabilities(texts) - whole).max() < 1e-6


def test_probabilities_are_the_mean_of_both_directions(bundle):
    predictor, texts = Predictor(bundle), texts_of(5, 30)
    directions = predictor.members(texts)
    probabilities = predictor.probabilities(texts)
    assert list(directions) == ["forward", "backward"]
    assert np.allclose(probabilities, (directions["forward"] + directions["backward"]) / 2)
    assert not np.allclose(directions["forward"], directions["backward"])
    assert probabilities.shape == (2, 3) and probabilities.dtype == np.float32
    assert probabilities.sum(1) == pytest.approx(1, abs=1e-6)


def test_backward_reads_the_ids_from_the_end(parts, tmp_path):
    same = save_classifier(tmp_path / "same", "backward", seed=1)  # the forward classifier's weights
    write_bundle(tmp_path / "model", **parts | {"backward": same})
    predictor = Predictor(tmp_path / "model")
    document = predictor.encode(texts_of(20)).doc(0)
    forward = predictor.read(predictor.logits_of(Documents.of([document])))["forward"]
    backward = predictor.read(predictor.logits_of(Documents.of([document[::-1]])))["backward"]
    assert np.allclose(forward, backward, atol=1e-7)


def test_vectors_are_what_the_last_layers_read(bundle):
    predictor, texts = Predictor(bundle), texts_of(3, 30, 1, 12)
    vectors, logits = predictor.vectors(texts), predictor.logits_of(predictor.encode(texts))
    assert vectors.shape == (4, 12) and (vectors >= 0).all()
    for states, (direction, expected) in zip(np.split(vectors, 2, axis=1), logits.items(), strict=True):
        weight, bias = FoldedClassifier(load_classifier(bundle / direction), torch.float32).linear2
        assert np.allclose(states @ weight.detach().numpy().T + bias.detach().numpy(), expected, atol=1e-5)


def test_no_dropout_when_predicting(bundle):
    predictor, texts = Predictor(bundle), texts_of(10, 20)
    assert np.array_equal(predictor.probabilities(texts), predictor.probabilities(texts))


def test_documents_already_encoded(bundle):
    predictor, texts = Predictor(bundle), texts_of(10, 20)
    assert np.array_equal(predictor.join(predictor.read(predictor.logits_of(predictor.encode(texts)))), predictor.probabilities(texts))


def test_no_texts(bundle):
    probabilities = Predictor(bundle).probabilities([])
    assert probabilities.shape == (0, 3) and probabilities.dtype == np.float32


def test_many_documents_show_their_progress(bundle, monkeypatch, caplog):
    monkeypatch.setattr(module, "LONG", 3)
    with caplog.at_level("INFO", logger="ulmfit.progress"):
        Predictor(bundle).probabilities(texts_of(5, 5, 5))
    assert "predict backward: 3 documents" in caplog.text


def test_saved_and_loaded_it_says_the_same(bundle, tmp_path):
    (bundle / "lineage.json").write_text('{"key": "abc"}')
    predictor, texts = Predictor(bundle), texts_of(10, 20)
    predictor.save(tmp_path / "copy")
    for name in (*FILES, "lineage.json"):
        if name.endswith(".json"):
            assert json.loads((tmp_path / "copy" / name).read_text()) == json.loads((bundle / name).read_text()), name
    assert np.array_equal(Predictor(tmp_path / "copy").probabilities(texts), predictor.probabilities(texts))


# ------------------------------------------------------------------------------------------- temperatures and several labels


def bundled(folder, labels=LABELS, **directions):
    """A bundle whose directions are calibrated as ``directions`` say."""
    (folder / "parts").mkdir(parents=True)
    VOCAB.save(folder / "parts" / "vocab.json")
    forward, backward = (
        save_classifier(folder / "parts" / name, name, seed, labels, calibration=directions.get(name))
        for seed, name in enumerate(("forward", "backward"), 1)
    )
    write_bundle(folder / "model", forward, backward, folder / "parts" / "vocab.json", Tokenizer().definition)
    return Predictor(folder / "model")


def test_each_direction_has_its_temperature(bundle, tmp_path):
    texts, plain = texts_of(5, 30, 12), Predictor(bundle)
    warm = bundled(tmp_path, forward=Calibration(temperature=2.0), backward=Calibration(temperature=0.5))
    logits = plain.logits_of(plain.encode(texts))
    found = warm.members(texts)
    for direction, temperature in (("forward", 2.0), ("backward", 0.5)):
        powers = np.exp(logits[direction].double().numpy() / temperature)
        assert np.allclose(found[direction], powers / powers.sum(1, keepdims=True), atol=1e-6)
    assert np.allclose(warm.probabilities(texts), (found["forward"] + found["backward"]) / 2)
    before = warm.read(warm.logits_of(warm.encode(texts)), calibrated=False)
    assert all(np.array_equal(before[direction], shares) for direction, shares in plain.members(texts).items())
    assert warm.thresholds is None
    assert warm.decide(warm.probabilities(texts)) == [[LABELS[code]] for code in warm.probabilities(texts).argmax(1)]


def several(thresholds, **further):
    return Calibration(task="multi-label", label_separator=";", temperature=1.5, thresholds=thresholds, **further)


def test_several_labels_are_decided_by_the_mean_of_the_thresholds(tmp_path):
    limits = [0.2, 0.5, 0.9], [0.4, 0.3, 0.7]
    predictor = bundled(tmp_path, forward=several(limits[0]), backward=several(limits[1], ece_before=0.2, ece_after=0.1))
    texts = texts_of(5, 30, 12, 1, 80)
    logits = predictor.logits_of(predictor.encode(texts))
    expected = np.mean([1 / (1 + np.exp(-logits[direction].double().numpy() / 1.5)) for direction in ("forward", "backward")], axis=0)
    probabilities = predictor.probabilities(texts)
    assert np.allclose(probabilities, expected, atol=1e-6) and not np.allclose(probabilities.sum(1), 1)
    assert predictor.thresholds == pytest.approx([0.3, 0.4, 0.8]) and predictor.thresholds_of("backward").tolist() == limits[1]
    decided = [[name for name, p, t in zip(LABELS, row, (0.3, 0.4, 0.8), strict=True) if p >= t] for row in expected]
    assert predictor.decide(probabilities) == decided and len({tuple(labels) for labels in decided}) > 1
    predictor.save(tmp_path / "copy")
    again = Predictor(tmp_path / "copy")
    assert np.array_equal(again.probabilities(texts), probabilities) and again.decide(probabilities) == decided
    assert (again.task, again.separator) == ("multi-label", ";")
    for name in ("forward/config.json", "backward/config.json"):
        assert json.loads((tmp_path / "copy" / name).read_text()) == json.loads((tmp_path / "model" / name).read_text())


def test_one_label_alone_may_be_predicted(tmp_path):
    predictor = bundled(tmp_path, ["spam"], forward=Calibration(task="multi-label"), backward=Calibration(task="multi-label"))
    probabilities = predictor.probabilities(texts_of(5, 30))
    assert probabilities.shape == (2, 1) and predictor.thresholds.tolist() == [0.5]
    assert predictor.decide(probabilities) == [["spam"] if p >= 0.5 else [] for (p,) in probabilities]


def test_the_command_line_and_the_registry_tell_several_labels(tmp_path):
    from types import SimpleNamespace

    from tasks.pyfunc_model import TextClassifierModel
    from ulmfit.prediction.answers import answers
    from ulmfit.prediction.records import records_of_texts

    predictor, texts = bundled(tmp_path, forward=several([0.3] * 3), backward=several([0.3] * 3)), texts_of(5, 30, 12)
    decided = predictor.decide(predictor.probabilities(texts))
    (piece,) = answers(predictor, records_of_texts(texts).read())
    assert [answer.labels for answer in piece] == decided
    served = TextClassifierModel()
    served.load_context(SimpleNamespace(artifacts={"bundle": str(tmp_path / "model")}))
    frame = served.predict(None, texts)
    assert frame["labels"].tolist() == decided and frame.columns.tolist()[1:] == [f"probability_{label}" for label in LABELS]


def test_answers_do_not_depend_on_their_piece(bundle, monkeypatch):
    from ulmfit.prediction import answers as pieces
    from ulmfit.prediction.records import records_of_texts

    predictor, texts = Predictor(bundle), ["", *texts_of(*range(1, 30)), " ", *texts_of(300, 2)]
    found = lambda: [answer for piece in pieces.answers(predictor, records_of_texts(texts).read()) for answer in piece]
    whole = found()
    for name, limit in (("PIECE_RECORDS", 3), ("PIECE_CHARACTERS", 200)):
        monkeypatch.setattr(pieces, name, limit)
        parts = found()
        assert [answer.record.text for answer in parts] == [answer.record.text for answer in whole]
        assert [answer.labels for answer in parts] == [answer.labels for answer in whole]
        for one, other in zip(parts, whole, strict=True):
            assert (one.probabilities is None) == (not one.record.text.strip())
            assert one.probabilities is None or np.abs(np.subtract(one.probabilities, other.probabilities)).max() < 1e-6


def test_logits_of_different_tasks_or_thresholds_do_not_belong_together(tmp_path):
    with pytest.raises(UserError, match="its task is multi-class, the model's multi-label"):
        bundled(tmp_path / "a", forward=several([0.5] * 3), backward=None)
    with pytest.raises(UserError, match="its number of thresholds is 2, the model's 3"):
        bundled(tmp_path / "b", forward=several([0.5] * 3), backward=several([0.5] * 2))


def refusal(folder):
    with pytest.raises(UserError) as caught:
        Predictor(folder)
    message = str(caught.value)
    assert "\n" not in message and str(folder) in message
    return message


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(bundle, name):
    (bundle / name).unlink()
    assert f"{name} is missing;" in refusal(bundle)


def test_folders_that_are_no_model(tmp_path):
    assert "labels.json is missing (and 6 other files)" in refusal(tmp_path)
    assert "there is no such folder" in refusal(tmp_path / "absent")
    (tmp_path / "file").write_text("x")
    assert "not a folder" in refusal(tmp_path / "file")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("labels.json", "[", "damaged"),
        ("labels.json", '["one"]', "not a list of two or more labels"),
        ("labels.json", '["bad", "good", "ugly"]', "its labels is"),
        ("tokenizer.json", "{}", "not a tokenizer's definition"),
        ("tokenizer.json", '{"lang": "en", "rules": "default", "rules_version": 999}', "version 999"),
        ("vocab.json", "{}", "not a vocabulary file"),
        ("forward/config.json", "{", "damaged"),
        ("forward/model.safetensors", "", "damaged"),
    ],
)
def test_a_damaged_file_is_told(bundle, name, content, said):
    (bundle / name).write_text(content)
    with pytest.raises(UserError, match=said) as caught:
        Predictor(bundle)
    assert "\n" not in str(caught.value)


def test_parts_that_do_not_belong_together(bundle):
    shutil.rmtree(bundle / "backward")
    shutil.copytree(bundle / "forward", bundle / "backward")
    assert "its direction is forward, the model's backward" in refusal(bundle)


def test_a_vocabulary_of_another_training(bundle):
    Vocab([*VOCAB.tokens, "more"]).save(bundle / "vocab.json")
    assert f"its vocabulary size is {len(VOCAB)}, the model's {len(VOCAB) + 1}" in refusal(bundle)


def test_directions_may_not_be_exchanged(parts, tmp_path):
    with pytest.raises(ValueError, match="was given as the forward classifier"):
        write_bundle(tmp_path / "model", **parts | {"forward": parts["backward"], "backward": parts["forward"]})
