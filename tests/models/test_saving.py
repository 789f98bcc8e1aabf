import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

from ulmfit.config import ClassifierConfig, Dropouts, LMConfig, ModelConfig
from ulmfit.errors import UserError
from ulmfit.models.classifier import Classifier, HeadConfig
from ulmfit.models.language_model import LanguageModel
from ulmfit.models.saving import Calibration, ModelFacts, load_classifier, load_language_model, read_saved_model, save_model
from ulmfit.shards.documents import Documents
from ulmfit.text.rules import SPECIALS
from ulmfit.text.vocab import Vocab
from ulmfit.training import method
from ulmfit.training.specs import TrainingText

MODEL = ModelConfig(embedding=6, hidden=10, layers=2)
DROPOUTS = Dropouts(output=0.1, hidden=0.2, input=0.3, embedding=0.05, weight=0.4)
WORDS = Vocab([*SPECIALS, *"abcde"])
IDS = torch.randint(0, len(WORDS), (12, 3), generator=torch.Generator().manual_seed(0))
LENGTHS = torch.tensor([12, 7, 1])


@pytest.fixture
def lm(tmp_path):
    model = LanguageModel(len(WORDS), MODEL, DROPOUTS, seed=1)
    with torch.no_grad():
        model.bias.uniform_()
    save_model(tmp_path, model, ModelFacts(direction="forward"))
    WORDS.save(tmp_path / "vocab.json")
    return model.eval()


@pytest.fixture
def classifier(tmp_path):
    model = Classifier(len(WORDS), 3, MODEL, DROPOUTS, head=HeadConfig(7, (0.3, 0.2)), seed=1).train()
    for _ in range(3):
        model(IDS, LENGTHS)  # moves the running statistics
    save_model(tmp_path, model, ModelFacts(direction="backward", labels=("a", "b", "c")))
    return model.eval()


def one_line(error: pytest.ExceptionInfo, folder) -> bool:
    message = str(error.value)
    return "\n" not in message and str(folder) in message and len(message) < 600


def test_a_loaded_language_model_gives_the_same_outputs(lm, tmp_path):
    loaded = load_language_model(tmp_path).eval()
    (_, mine, _), (_, other, _) = (model.hidden(IDS, model.encoder.initial_state(3)) for model in (lm, loaded))
    assert torch.equal(lm.logits(mine), loaded.logits(other))
    assert loaded.encoder.dropouts == DROPOUTS
    assert load_language_model(tmp_path, Dropouts()).encoder.dropouts == Dropouts()


def test_a_loaded_classifier_gives_the_same_outputs(classifier, tmp_path):
    loaded = load_classifier(tmp_path).eval()
    assert torch.equal(classifier(IDS, LENGTHS), loaded(IDS, LENGTHS))
    assert (loaded.encoder.dropouts, loaded.head.dropouts) == (DROPOUTS, (0.3, 0.2))
    assert read_saved_model(tmp_path).labels == ("a", "b", "c")


def test_a_tied_matrix_is_stored_once_and_nothing_is_pickled(lm, tmp_path):
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert [name for name in file.keys() if tuple(file.get_slice(name).get_shape()) == (len(WORDS), 6)] == ["encoder.embedding.weight"]  # noqa: SIM118
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors", "vocab.json"]


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def empty(path):
    path.write_bytes(b"")


def garble(path):
    path.write_bytes(b"\xff\xfe not a model \n\n" * 20)


def missing(path):
    path.unlink()


@pytest.mark.parametrize("load", [load_language_model, load_classifier])
@pytest.mark.parametrize("harm", [cut, empty, garble, missing])
@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_damaged_files_are_the_users_error_in_one_line(load, harm, name, request, tmp_path):
    request.getfixturevalue("lm" if load is load_language_model else "classifier")
    harm(tmp_path / name)
    with pytest.raises(UserError) as error:
        load(tmp_path)
    assert one_line(error, tmp_path) and name in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"vocab_size": 99},
        {"vocab_size": "many"},
        {"model": {"embedding": 6, "hidden": 12, "layers": 2}},
        {"model": {"embedding": 6, "hidden": 10, "layers": 3}},
        {"model": {"width": 3}},
        {"model": None},
        {"dropouts": {"output": 7}},
        {"labels": ["a", "b"]},
        {"labels": None},
        {"head_dropouts": 3},
    ],
)
def test_settings_that_do_not_fit_the_weights_are_the_users_error(classifier, tmp_path, change):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError) as error:
        load_classifier(tmp_path)
    assert one_line(error, tmp_path)


def test_what_older_versions_wrote_is_read(classifier, tmp_path):
    path = tmp_path / "config.json"
    older = json.loads(path.read_text()) | {"a fact of another time": 1}
    path.write_text(json.dumps({name: value for name, value in older.items() if name not in ("bptt", "max_tokens")}))
    saved = read_saved_model(tmp_path)
    assert (saved.bptt, saved.max_tokens, saved.calibration) == (70, None, None)
    path.write_text(json.dumps(older | {"task": "multi-label", "temperature": 2.0, "thresholds": [0.1, 0.2, 0.3]}))
    assert read_saved_model(tmp_path).calibration == Calibration(task="multi-label", temperature=2.0, thresholds=(0.1, 0.2, 0.3))


def test_calibration_and_labels_come_back_as_they_were_saved(classifier, tmp_path):
    found = Calibration(temperature=1.5, ece_before=0.2, ece_after=0.1)
    facts = ModelFacts(direction="backward", labels=("a", "b", "c"), bptt=9, max_tokens=40, calibration=found)
    save_model(tmp_path, classifier, facts)
    saved = read_saved_model(tmp_path, "classifier")
    assert ModelFacts(**{name: getattr(saved, name) for name in ModelFacts.model_fields}) == facts
    assert json.loads((tmp_path / "config.json").read_text())["temperature"] == 1.5, "beside the other facts, as ever"


@pytest.mark.parametrize("body", ["[]", "3", "{}", '{"kind": "classifier"}'])
def test_other_json_is_no_models_settings(tmp_path, body):
    (tmp_path / "config.json").write_text(body)
    with pytest.raises(UserError, match="not a model's settings") as error:
        load_classifier(tmp_path)
    assert one_line(error, tmp_path)


@pytest.mark.parametrize("fact", ["labels", "hidden", "head_dropouts"])
def test_a_fact_that_is_missing_is_named(classifier, tmp_path, fact):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != fact}))
    with pytest.raises(UserError, match=fact) as error:
        load_classifier(tmp_path)
    assert one_line(error, tmp_path)


def test_a_file_or_a_folder_that_is_none_is_the_users_error(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "nowhere", tmp_path):
        with pytest.raises(UserError, match="not a model folder") as error:
            load_language_model(path)
        assert one_line(error, path)


def test_a_model_of_the_other_kind_is_refused(lm, tmp_path):
    with pytest.raises(UserError, match="holds a language_model, not a classifier"):
        load_classifier(tmp_path)


def test_a_classifier_is_no_language_model(classifier, tmp_path):
    with pytest.raises(UserError, match="holds a classifier, not a language_model"):
        load_language_model(tmp_path)


TEXT = Documents.of([np.full(9, 10), np.full(9, 11)], [0, 1])


def test_a_vocabulary_of_another_size_is_refused(lm, tmp_path):
    Vocab([*SPECIALS, "a"]).save(tmp_path / "vocab.json")
    with pytest.raises(UserError, match=f"{len(WORDS)} rows, vocab.json {len(SPECIALS) + 1} tokens") as error:
        method.finetune(TrainingText(TEXT, TEXT, WORDS, "forward"), tmp_path, LMConfig(), tmp_path)
    assert one_line(error, tmp_path)


def test_a_language_model_of_the_other_direction_is_refused(lm, tmp_path):
    with pytest.raises(UserError, match="reads forward; give one that reads backward"):
        method.finetune(TrainingText(TEXT, TEXT, WORDS, "backward"), tmp_path, LMConfig(), tmp_path)


def test_a_classifier_needs_the_language_models_vocabulary(lm, tmp_path):
    other = Vocab([*SPECIALS, *"edcba"])
    with pytest.raises(UserError, match="another vocabulary"):
        method.train_classifier(TrainingText(TEXT, TEXT, other, "forward", ("a", "b")), tmp_path, MODEL, ClassifierConfig(), tmp_path)
