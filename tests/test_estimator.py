import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import f1_score, roc_auc_score

from ulmfit import TextClassifier
from ulmfit.config import ClassifierConfig
from ulmfit.errors import UserError
from ulmfit.prediction.predictor import Predictor
from ulmfit.pretrained.catalog import SHIPPED
from ulmfit.pretrained.transport import pretrained
from ulmfit.text.vocab import Vocab
from ulmfit.training import from_texts, method, rehearsal

RNG = np.random.default_rng(0)
TOPICS = {"sea": "ship wave harbour fish sail", "sky": "cloud wind bird plane star", "town": "street shop tram lamp square"}
WORDS = {topic: words.split() for topic, words in TOPICS.items()}
FILL = ["there", "was", "one", "of", "the", "and", "it", "is", "that"]


def document(topic):
    return " ".join(RNG.choice(WORDS[topic] if RNG.random() < 0.6 else FILL) for _ in range(RNG.integers(8, 20)))


LABELS = RNG.choice(sorted(WORDS), size=90).tolist()
TEXTS = [document(label) for label in LABELS]
QUICK = ("classifier.epochs=6", "classifier.batch_size=8", "classifier.lr=0.02", "pretrain.epochs=2", "vocab.max_size=100", "words=true")


@pytest.fixture(scope="module")
def fitted():
    more = [document("sky") for _ in range(20)]
    return TextClassifier(preset="tiny", device="cpu", pretrained=None, options=QUICK).fit(TEXTS[:60], LABELS[:60], unlabelled=more)


def test_it_learns(fitted, tmp_path):
    assert fitted.classes_.tolist() == ["sea", "sky", "town"]
    assert fitted.score(TEXTS[60:], LABELS[60:]) > 0.7
    fitted.save(tmp_path / "model")
    known = Predictor(tmp_path / "model").bundle.familiar
    assert known is not None and len(known.losses) == len(known.unknown) == 6  # the texts held out


def test_probabilities_and_predictions_agree(fitted):
    probabilities = fitted.predict_proba(TEXTS[60:])
    assert probabilities.shape == (30, 3) and probabilities.sum(1) == pytest.approx(1, abs=1e-5)
    assert (fitted.predict(TEXTS[60:]) == fitted.classes_[probabilities.argmax(1)]).all()


def test_an_empty_text_and_no_texts_are_predicted(fitted):
    assert fitted.predict([""]).shape == (1,)
    assert fitted.predict([]).shape == (0,) and fitted.predict_proba([]).shape == (0, 3)


def test_callbacks_hear_how_it_goes_on():
    heard, second = [], []
    few = (*QUICK, "classifier.epochs=2", "pretrain.epochs=1")
    model = TextClassifier(preset="tiny", device="cpu", pretrained=None, options=few)
    model.fit(TEXTS[:60], LABELS[:60], callbacks=[heard.append, second.append])
    assert heard == second and {one.stage for one in heard} == {"pretrain", "classify"}
    for direction in ("forward", "backward"):
        told = [one for one in heard if (one.stage, one.direction) == ("classify", direction)]
        assert [one.step for one in told] == sorted(one.step for one in told) and {one.steps for one in told} == {told[-1].step}
        assert any("train_loss" in one.values for one in told) and any("valid_loss" in one.values for one in told)
    same = TextClassifier(preset="tiny", device="cpu", pretrained=None, options=few).fit(TEXTS[:60], LABELS[:60])
    assert np.array_equal(model.predict_proba(TEXTS[60:]), same.predict_proba(TEXTS[60:]))


def test_a_callback_can_end_the_training():
    def enough(progress):
        if progress.stage == "classify":
            raise RuntimeError(f"enough after {progress.step}")

    with pytest.raises(RuntimeError, match="enough after"):
        TextClassifier(preset="tiny", device="cpu", pretrained=None, options=QUICK).fit(TEXTS[:60], LABELS[:60], callbacks=[enough])


def test_same_seed_same_model(fitted):
    few = (*QUICK, "classifier.epochs=1", "pretrain.epochs=1")
    one, two, other = (
        TextClassifier("tiny", device="cpu", pretrained=None, seed=seed, options=few).fit(TEXTS[:12], LABELS[:12]) for seed in (0, 0, 1)
    )
    assert np.array_equal(one.predict_proba(TEXTS[60:]), two.predict_proba(TEXTS[60:]))
    assert not np.allclose(one.predict_proba(TEXTS[60:]), other.predict_proba(TEXTS[60:]))


def test_saved_and_loaded_it_says_the_same(fitted, tmp_path):
    fitted.save(tmp_path / "new" / "model")
    loaded = TextClassifier.load(tmp_path / "new" / "model")
    assert np.array_equal(loaded.predict_proba(TEXTS[60:]), fitted.predict_proba(TEXTS[60:]))
    assert loaded.get_params() == fitted.get_params() | {"device": "auto", "options": list(QUICK)}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model"], "nothing is left beside it"


def test_a_budget_chooses_the_amounts(monkeypatch, tmp_path):
    monkeypatch.setattr(rehearsal, "SECONDS", 0.02)
    texts, labels, learnt = TEXTS * 3, LABELS * 3, []
    train = method.train_classifier
    monkeypatch.setattr(method, "train_classifier", lambda text, *arguments: learnt.append(len(text.train)) or train(text, *arguments))
    hasty = TextClassifier("tiny", device="cpu", pretrained=None, options=QUICK, minutes=0.001).fit(texts, labels)
    assert (hasty.choice_.chosen.epochs, hasty.choice_.chosen.labelled, hasty.choice_.chosen.tokens) == (1, 100, 0)
    assert hasty.choice_.usual.epochs == 6 and hasty.choice_.usual.labelled > 200 and hasty.choice_.usual.judged == 0
    assert learnt == [100, 100] and hasty.predict(TEXTS[:3]).shape == (3,)
    hasty.save(tmp_path / "model")
    assert TextClassifier.load(tmp_path / "model").minutes == 0.001


def test_a_budget_that_is_large_enough_changes_nothing(fitted, monkeypatch):
    monkeypatch.setattr(rehearsal, "SECONDS", 0.02)
    few = (*QUICK, "classifier.epochs=1", "pretrain.epochs=1")
    free, ample = (
        TextClassifier("tiny", device="cpu", pretrained=None, options=few, minutes=m).fit(TEXTS[:30], LABELS[:30]) for m in (None, 99)
    )
    assert np.array_equal(free.predict_proba(TEXTS[60:]), ample.predict_proba(TEXTS[60:]))
    assert ample.choice_.chosen == ample.choice_.usual and not hasattr(free, "choice_")


@pytest.mark.parametrize("minutes", [0, -3, float("nan"), float("inf"), "3"])
def test_a_budget_of_nothing_is_refused(minutes):
    with pytest.raises(UserError, match="minutes"):
        TextClassifier("tiny", minutes=minutes).fit(TEXTS[:12], LABELS[:12])


def test_a_saved_model_is_a_bundle(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    predictor = Predictor(tmp_path / "model")
    assert np.array_equal(predictor.probabilities(TEXTS[60:]), fitted.predict_proba(TEXTS[60:]))


def test_a_bundle_of_a_training_run_is_loaded(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    (tmp_path / "model" / "estimator.json").unlink()
    assert (TextClassifier.load(tmp_path / "model").predict(TEXTS[60:]) == fitted.predict(TEXTS[60:])).all()


def test_save_replaces_a_model_and_nothing_else(fitted, tmp_path):
    model = tmp_path / "model"
    for _ in range(2):
        fitted.save(model)
    (model / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"not a model \(notes.txt\)"):
        fitted.save(model)
    (model / "notes.txt").unlink()
    (model / "vocab.json").unlink()
    with pytest.raises(UserError, match="choose a new folder"):
        fitted.save(model)
    assert (model / "labels.json").exists()
    with pytest.raises(UserError, match="is a file"):
        fitted.save(model / "labels.json")


def test_numbers_stay_numbers(tmp_path):
    numbers = np.array([{"sea": 2**64 - 1, "sky": 1, "town": 2}[label] for label in LABELS[:30]], np.uint64)
    options = ("classifier.epochs=1",)
    model = TextClassifier("tiny", device="cpu", pretrained=None, seed=np.int64(0), options=options).fit(TEXTS[:30], numbers)
    model.save(tmp_path / "model")
    for classifier in (model, TextClassifier.load(tmp_path / "model")):
        assert classifier.classes_.tolist() == [1, 2, 2**64 - 1]
        assert np.allclose(classifier.predict_proba(TEXTS[:2]).sum(1), 1)
        assert np.issubdtype(classifier.predict(TEXTS[:2]).dtype, np.integer)


# ------------------------------------------------------------------------------------------- any number of labels per text

TWO = [(str(RNG.choice(sorted(WORDS))), str(RNG.choice(sorted(WORDS)))) for _ in range(150)]
HELD = [sorted(set(pair)) if RNG.random() < 0.9 else [] for pair in TWO]
MIXED = [" ".join(document(topic) for topic in held) or "there was one of the and it is that" for held in HELD]
LONGER = (*QUICK, "classifier.epochs=16", "classifier.unfreeze=full")


@pytest.fixture(scope="module")
def several():
    return TextClassifier(preset="tiny", device="cpu", pretrained=None, options=LONGER).fit(MIXED[:110], HELD[:110])


def test_it_learns_several_labels(several):
    assert several.classes_.tolist() == ["sea", "sky", "town"]
    truth = np.array([[name in held for name in several.classes_] for held in HELD[110:]])
    probabilities = several.predict_proba(MIXED[110:])
    assert probabilities.shape == (40, 3) and probabilities.dtype == np.float32
    assert roc_auc_score(truth, probabilities, average="macro") > 0.8
    predicted = several.predict(MIXED[110:])
    assert isinstance(predicted, list) and all(held == sorted(held) for held in predicted)
    decided = np.array([[name in held for name in several.classes_] for held in predicted])
    assert f1_score(truth, decided, average="macro") > 0.7
    assert several.score(MIXED[110:], HELD[110:]) == pytest.approx((truth == decided).all(1).mean())
    assert several.score(MIXED[110:], [set(reversed(held)) for held in predicted]) == 1.0


def test_several_labels_survive_saving(several, tmp_path):
    several.save(tmp_path / "model")
    loaded = TextClassifier.load(tmp_path / "model")
    assert loaded.predict(MIXED[110:]) == several.predict(MIXED[110:])
    predictor = Predictor(tmp_path / "model")
    assert predictor.task == "multi-label" and predictor.decide(predictor.probabilities(MIXED[110:])) == several.predict(MIXED[110:])
    (tmp_path / "model" / "estimator.json").unlink()
    assert TextClassifier.load(tmp_path / "model").predict(MIXED[110:]) == several.predict(MIXED[110:])
    config = json.loads((tmp_path / "model" / "backward" / "config.json").read_text())
    assert len(config["thresholds"]) == 3 and config["temperature"] > 0 and config["ece_after"] is not None


def test_lists_strings_and_tables_are_one_task(several, tmp_path):
    """The same labels in another form make the same model, and come back in that form."""
    joined = TextClassifier("tiny", device="cpu", pretrained=None, options=(*LONGER, "classifier.task=multi-label"))
    joined.fit(MIXED[:110], ["|".join(reversed(held)) or "|" for held in HELD[:110]])
    assert joined.predict(MIXED[110:]) == several.predict(MIXED[110:])
    columns = {"town": 0, "sky": 2, "sea": 1}  # and one more, of a label that no text has
    table = np.zeros((150, 4), dtype=bool)
    for row, held in enumerate(HELD):
        table[row, [columns[name] for name in held]] = True
    few = ("classifier.epochs=2", "pretrain.epochs=1")
    model = TextClassifier("tiny", device="cpu", pretrained=None, options=few).fit(MIXED[:110], table[:110])
    model.save(tmp_path / "model")
    for classifier in (model, TextClassifier.load(tmp_path / "model")):
        predicted, probabilities = classifier.predict(MIXED[110:]), classifier.predict_proba(MIXED[110:])
        assert classifier.classes_.tolist() == [0, 1, 2, 3]
        assert predicted.shape == probabilities.shape == (40, 4) and set(np.unique(predicted)) <= {0, 1}
        assert not probabilities[:, 3].any() and not predicted[:, 3].any() and probabilities[:, :3].all()
        assert classifier.score(MIXED[110:], predicted) == 1.0


def test_it_says_that_it_takes_several_labels(several):
    assert several.__sklearn_tags__().classifier_tags.multi_label
    assert clone(several).get_params() == several.get_params()


def test_two_texts_are_enough():
    assert TextClassifier("tiny", device="cpu", pretrained=None).fit(["a good film", "a bad film"], [True, False]).predict(
        ["good"]
    ).shape == (1,)


def test_language_models_may_be_brought_along(monkeypatch, tmp_path):
    kept = tmp_path / "kept"
    whole = method.train_classifier

    def keep(text, lm, *arguments, **named):
        shutil.copytree(lm, kept / lm.name.removeprefix("lm-"))
        return whole(text, lm, *arguments, **named)

    few = ("classifier.epochs=1",)
    with monkeypatch.context() as patched:
        patched.setattr(method, "train_classifier", keep)
        TextClassifier("tiny", device="cpu", pretrained=None, options=few).fit(TEXTS[:40], LABELS[:40])
    own_words = ["a wholly other vocabulary", "with words of its own"] * 10
    sizes = "model.hidden=7"  # the brought models' sizes hold, not the settings'
    model = TextClassifier("tiny", device="cpu", pretrained=kept, options=(*few, sizes)).fit(own_words, [0, 1] * 10)
    model.save(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "forward" / "config.json").read_text())
    assert config["model"]["hidden"] == 32
    assert "wholly" in Vocab.load(tmp_path / "model" / "vocab.json")
    with pytest.raises(UserError, match=r"no such pretrained"):
        TextClassifier("tiny", pretrained=tmp_path / "nowhere").fit(own_words, [0, 1] * 10)


def test_the_shipped_language_model_is_taken_unless_it_does_not_fit(monkeypatch):
    started = []
    monkeypatch.setattr(method, "finetune", lambda text, source, *arguments: started.append(source) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        TextClassifier("tiny", device="cpu").fit(TEXTS[:20], LABELS[:20])
    assert started and set(started) <= {*pretrained(SHIPPED).folders.values()}
    quick = ("classifier.epochs=1", "pretrain.max_tokens=500", "model.hidden=16")
    assert TextClassifier("tiny", device="cpu", options=quick).fit(TEXTS[:20], LABELS[:20]).predict(TEXTS[:2]).shape == (2,)


def test_words_of_the_language_model_fill_the_vocabulary_up():
    options = (
        "vocab.max_size=300",
        "vocab.min_count=2",
        "pretrain.max_tokens=500",
        "finetune.max_tokens=500",
        "classifier.epochs=1",
        "model.hidden=16",
    )
    fit = lambda *more: TextClassifier("tiny", device="cpu", pretrained="small", options=(*options, *more)).fit(TEXTS[:20], LABELS[:20])
    plain, filled = (fit(*more)._predictor.vocab for more in ((), ("general_words=true",)))
    assert len(plain) < 100 and len(filled) == 300 and filled.tokens[: len(plain)] == plain.tokens
    assert set(filled.tokens) <= {*plain.tokens, *Vocab.load(pretrained(SHIPPED).folders["forward"] / "vocab.json").tokens}


def test_folds_of_few_texts_weigh_the_members(monkeypatch):
    seen, add = [], from_texts.add_words
    monkeypatch.setattr(from_texts, "add_words", lambda *given: seen.append(given) or add(*given))
    options = (*QUICK, "classifier.epochs=1", "classifier.folds=2", "classifier.init=scratch")
    TextClassifier("tiny", device="cpu", pretrained=None, options=options).fit(TEXTS[:60], LABELS[:60])
    *_, known, truth, _, folds = seen[0]
    assert len(known) == len(truth) == 6 and len(folds.truth) == 54 and set(folds.members) == {"forward", "backward", "words"}


def test_from_scratch_trains_no_language_model(monkeypatch):
    monkeypatch.setattr("ulmfit.training.method.pretrain", None)
    options = ("classifier.init=scratch", "classifier.epochs=1", "classifier.unfreeze=full")
    assert TextClassifier("tiny", device="cpu", pretrained=None, options=options).fit(TEXTS[:20], LABELS[:20]).predict(TEXTS[:2]).shape == (
        2,
    )


def test_rarer_labels_are_repeated_where_that_is_asked(monkeypatch):
    seen, train = [], method.train_classifier
    monkeypatch.setattr(method, "train_classifier", lambda text, *rest: seen.append(np.bincount(text.train.labels)) or train(text, *rest))
    labels = ["sea"] * 30 + ["sky"] * 10
    texts = [document(label) for label in labels]
    TextClassifier(preset="tiny", device="cpu", pretrained=None, options=(*QUICK, "labels.oversample=true")).fit(texts, labels)
    assert len(seen) == 2 and all(counts[0] == counts[1] > 20 for counts in seen)


def test_it_is_a_scikit_learn_estimator(fitted):
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        copy.predict(TEXTS)
    assert copy.set_params(preset="small", seed=7).get_params()["seed"] == 7


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((TEXTS[:3], LABELS[:2]), "3 texts and 2 labels"),
        ((TEXTS[:3], ["sea"] * 3), "all 3 labels are 'sea'"),
        ((["a", None, "b"], LABELS[:3]), r"texts\[1\] is NoneType, not a string"),
        ((["a", "b", 3.0], LABELS[:3]), r"texts\[2\] is float"),
        ((["a", "b"], ["x", None]), r"labels\[1\] is None"),
        ((["a", "b"], [1.0, float("nan")]), r"labels\[1\] is nan"),
        ((["a", "b"], ["x", 1]), r"labels\[1\] is 1, labels\[0\] is 'x'"),
        ((["a", "b"], [["x"], "y"]), r"labels\[1\] is 'y', but others are lists"),
        ((["a", "b"], [["x"], ["y", 1]]), r"labels\[1\] is 1, labels\[0\] is 'x'"),
        ((["a", "b"], [["x"], ["x"]]), r"all 2 texts have the same labels, \['x'\]"),
        ((["a", "b"], [[], []]), "none of the 2 texts has a label"),
        ((["a", "b"], [["x"], ["y|z"]]), r"'y\|z' holds the separator"),
        ((["a", "b"], np.array([[0, 1], [2, 0]])), r"labels\[1\] is \[2, 0\]: a table of labels holds 0 and 1"),
        ((["a", "b"], np.eye(3)), "2 texts and 3 labels"),
        (([], []), "there are no texts"),
        ((["", "  "], ["x", "y"]), "all 2 texts are empty"),
        (("one text", ["x"]), "texts is one string"),
        ((["a", pd.NA], ["x", "y"]), r"texts\[1\] is NAType, not a string"),
        ((["a", float("nan")], ["x", "y"]), r"texts\[1\] is float, not a string"),
        ((["a", b"b"], ["x", "y"]), r"texts\[1\] is bytes, not a string"),
        (({"a", "b"}, ["x", "y"]), "texts is of type set; give a list"),
        ((None, ["x", "y"]), "texts is of type NoneType; give a list"),
        ((["a", "b"], "xy"), "labels is a str: give a list"),
        ((["a", "b"], ["x", pd.NA]), r"labels\[1\] is <NA>: give a string"),
        ((["a", "b"], [b"x", b"y"]), r"labels\[0\] is b'x': give a string"),
        (({"text": ["a"]}, ["x"]), "texts is a table"),
        ((TEXTS[:3], LABELS[:3], ["a", 1]), r"unlabelled\[1\] is int"),
    ],
)
def test_bad_input_is_told_in_one_line(arguments, said):
    with pytest.raises(UserError, match=said) as caught:
        TextClassifier("tiny").fit(*arguments)
    assert isinstance(caught.value, ValueError) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [None, pd.NA, float("nan"), b"a", 0, ["a"]], ids=repr)
def test_what_is_no_text_gets_no_prediction(fitted, text):
    for answer in (fitted.predict, fitted.predict_proba):
        with pytest.raises(UserError, match=rf"^texts\[1\] is {type(text).__name__}, not a string; convert or drop it$"):
            answer(["a", text])
    with pytest.raises(UserError, match=r"^labels\[1\] is <NA>: give a string"):
        fitted.score(["a", "b"], [LABELS[0], pd.NA])


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"preset": "huge"}, "there is no preset 'huge'"),
        ({"device": "tpu"}, "there is no device 'tpu'"),
        ({"rules": "own"}, "text.rules"),
        ({"lang": "no"}, "'no' cannot be tokenised"),
        ({"options": "classifier.epoch=1"}, "there is no option 'classifier.epoch'"),
        ({"seed": "one"}, "seed"),
    ],
)
def test_bad_settings_are_told_in_one_line(named, said):
    with pytest.raises(UserError, match=said) as caught:
        TextClassifier(**{"preset": "tiny"} | named).fit(TEXTS[:4], ["a", "b"] * 2)
    assert "\n" not in str(caught.value)


def test_options_have_the_last_word():
    settings = TextClassifier("tiny", seed=3, options=("classifier.seed=5", "text.lang=de"))._settings()
    assert (settings.pretrain.seed, settings.classifier.seed, settings.text.lang) == (3, 5, "de")
    assert settings.labels.seed == 3, "words and drawn labels have it too"
    assert isinstance(settings.classifier, ClassifierConfig)


def test_importing_the_package_loads_no_heavy_library():
    code = "import sys, ulmfit, ulmfit.store.artifacts; print({'torch', 'spacy', 'sklearn'} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "set()"


def test_the_package_knows_its_version():
    import ulmfit

    assert ulmfit.__version__.count(".") >= 2
    with pytest.raises(AttributeError, match="no attribute 'Missing'"):
        _ = ulmfit.Missing
