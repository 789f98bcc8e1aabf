"""Files of others are read without running anything in them; what is amiss is said in one line, and then nothing is written."""

from __future__ import annotations

import json
import os
import pickle
import pickletools
import sys
import types
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.conftest import ROOT, CommandLine
from ulmfit.config import Dropouts, ModelConfig
from ulmfit.errors import UserError
from ulmfit.interop import safe_reading
from ulmfit.interop.fastai import from_fastai, to_fastai, vocabulary_of
from ulmfit.interop.safe_reading import read_weights, read_words
from ulmfit.models.classifier import Classifier, HeadConfig
from ulmfit.models.language_model import LanguageModel
from ulmfit.models.saving import ModelFacts, load_classifier, load_language_model, read_saved_model, save_model
from ulmfit.text.rules import SPECIALS
from ulmfit.text.vocab import Vocab

WORDS = [*SPECIALS, "the", "café", "▁", "xxfake", "xxfake"]
SIZE = ModelConfig(embedding=6, hidden=8, layers=2)


class Command:
    """Pickles to a call of ``os.system`` that makes ``path``."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def language_model() -> LanguageModel:
    model = LanguageModel(len(WORDS), SIZE, Dropouts(), seed=1)
    with torch.no_grad():
        model.bias.copy_(torch.arange(len(WORDS)) / 10)
    return model.eval()


def classifier() -> Classifier:
    return Classifier(len(WORDS), 3, SIZE, Dropouts(), HeadConfig(7), seed=1).eval()


def refused(read, path: Path) -> str:
    with pytest.raises(UserError) as error:
        read(path)
    message = str(error.value)
    assert "\n" not in message and str(path) in message and len(message) < 500
    return message


# ------------------------------------------------------------------------------------------------------- vocabularies


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_list_of_strings_is_read(tmp_path, protocol):
    path = tmp_path / "itos.pkl"
    many = [*WORDS, *(f"word{number}" for number in range(3000)), "x" * 300, ""]
    path.write_bytes(pickle.dumps(many, protocol))
    assert read_words(path) == many


@pytest.mark.parametrize("body", [WORDS, {"vocab": WORDS}, {"itos": WORDS}, {"version": 1, "tokens": WORDS}])
def test_json_is_read(tmp_path, body):
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps(body), encoding="utf-8-sig")
    assert read_words(path) == WORDS


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_a_command_runs_none(tmp_path, protocol):
    path, mark = tmp_path / "itos.pkl", tmp_path / "ran"
    path.write_bytes(pickle.dumps([*WORDS, Command(mark)], protocol))
    assert "not read for safety" in refused(read_words, path)
    assert not mark.exists()
    pickle.loads(path.read_bytes())  # it is a working one
    assert mark.exists()


def test_the_unpickler_by_itself_looks_nothing_up(tmp_path, monkeypatch):
    monkeypatch.setattr(safe_reading, "LIST_OF_STRINGS", {opcode.name for opcode in pickletools.opcodes})
    path, mark = tmp_path / "itos.pkl", tmp_path / "ran"
    path.write_bytes(pickle.dumps([Command(mark)]))
    refused(read_words, path)
    assert not mark.exists()


NO_VOCABULARIES = {
    "a class": pickle.dumps([*WORDS, Path]),
    "an object": pickle.dumps(types.SimpleNamespace(items=WORDS)),
    "a dict": pickle.dumps(dict.fromkeys(WORDS, 1)),
    "numbers": pickle.dumps([1, 2, 3]),
    "lists": pickle.dumps([WORDS, ["a", "b"]]),
    "a string": pickle.dumps("xxunk"),
    "bytes": pickle.dumps([b"xxunk"]),
    "cut short": pickle.dumps(WORDS)[:-9],
    "empty": b"",
    "text": b"xxunk\nxxpad\n",
    "a memo that is not there": b"\x80\x04]\x94(h\x63e.",
    "a string longer than the file": b"\x80\x04]\x94(\x8d\xff\xff\xff\xff\xff\xff\xff\x7fae.",
    "an extension": b"\x80\x02\x82\x01.",
    "lone surrogates": pickle.dumps(["\ud800"]),
}


@pytest.mark.parametrize("name", NO_VOCABULARIES)
def test_another_pickle_is_refused(tmp_path, name):
    path = tmp_path / "itos.pkl"
    path.write_bytes(NO_VOCABULARIES[name])
    refused(read_words, path)


@pytest.mark.parametrize("data", [b"\x80\x04]\x94(X\x01\x00\x00\x00ar\xff\xff\xff\xffe.", b"(lp-5\n."])
def test_a_pickle_cannot_have_room_made_for_objects_that_are_not_there(tmp_path, data):
    (tmp_path / "itos.pkl").write_bytes(data)
    assert "numbers its objects falsely" in refused(read_words, tmp_path / "itos.pkl")


NO_LISTS = ["", "{}", "3", '"xxunk"', "[1, 2]", '["a", null]', '{"vocab": 3}', "[" * 100_000, '["\\ud800"]', "\xff\xfe"]


@pytest.mark.parametrize("body", NO_LISTS, ids=range(len(NO_LISTS)))
def test_another_json_is_refused(tmp_path, body):
    path = tmp_path / "vocab.json"
    path.write_bytes(body.encode("latin-1"))
    refused(read_words, path)


def test_a_huge_a_missing_or_another_file_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "vocab.json"
    assert "no such file" in refused(read_words, path)
    path.write_text(json.dumps(WORDS))
    monkeypatch.setattr(safe_reading, "MAX_VOCABULARY", 20)
    assert "larger than" in refused(read_words, path)
    assert "a folder" in refused(read_words, tmp_path)
    (tmp_path / "vocab.txt").write_text("xxunk\n")
    assert ".json or a .pkl" in refused(read_words, tmp_path / "vocab.txt")


# ------------------------------------------------------------------------------------------------------------ weights


def same(read: dict, given: dict) -> bool:
    return read.keys() == given.keys() and all(torch.equal(read[name], given[name]) for name in given)


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
def test_weights_are_read(tmp_path, options):
    state = to_fastai(language_model())
    torch.save(state, tmp_path / "lm.pth", **options)
    assert same(read_weights(tmp_path / "lm.pth"), state)
    torch.save({"model": state, "opt": None}, tmp_path / "learner.pth", **options)
    assert same(read_weights(tmp_path / "learner.pth"), state)
    save_file({name: tensor.clone() for name, tensor in state.items()}, tmp_path / "lm.safetensors")
    assert same(read_weights(tmp_path / "lm.safetensors"), state)


def test_the_objects_of_fastais_optimizer_state_are_passed_over(tmp_path, monkeypatch):
    import numpy as np

    class L:
        def __init__(self, items):
            self.items = items

    L.__module__, L.__qualname__ = "fastcore.foundation", "L"
    for name in ("fastcore", "fastcore.foundation"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["fastcore.foundation"].L = L
    state = to_fastai(language_model())
    opt = {"state": [{"grad_avg": torch.ones(3)}], "hypers": L([{"lr": np.float64(0.1), "mom": np.float32(0.9)}])}
    torch.save({"model": state, "opt": opt}, tmp_path / "learner.pth", pickle_protocol=2)
    monkeypatch.delitem(sys.modules, "fastcore.foundation")
    assert same(read_weights(tmp_path / "learner.pth"), state)


@pytest.mark.parametrize("wrapped", [False, True])
def test_weights_that_would_run_a_command_run_none(tmp_path, wrapped):
    path, mark = tmp_path / "lm.pth", tmp_path / "ran"
    state = {**to_fastai(language_model()), "run": Command(mark)}
    torch.save({"model": state, "opt": {}} if wrapped else state, path)
    assert "system" in refused(read_weights, path)
    path.write_bytes(pickle.dumps(Command(mark)))
    refused(read_weights, path)
    assert not mark.exists()


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    path.write_bytes({"cut": data[:-300], "half": data[: len(data) // 2], "empty": b"", "text": b"not weights\n" * 50}[how])


@pytest.mark.parametrize("how", ["cut", "half", "empty", "text"])
@pytest.mark.parametrize("name", ["lm.pth", "lm.safetensors"])
def test_damaged_weights_are_refused(tmp_path, name, how):
    path, state = tmp_path / name, {name: tensor.clone() for name, tensor in to_fastai(language_model()).items()}
    torch.save(state, path) if path.suffix == ".pth" else save_file(state, path)
    damage(path, how)
    assert "learn.save" in refused(read_weights, path)


@pytest.mark.parametrize("value", [[torch.ones(3)], {}, {"epoch": 3}, {"model": {"epoch": 3}}, {3: torch.ones(3)}, torch.ones(3), 7])
def test_other_things_than_weights_are_refused(tmp_path, value):
    torch.save(value, tmp_path / "x.pth")
    refused(read_weights, tmp_path / "x.pth")


def test_weights_that_claim_more_than_there_is_are_refused(tmp_path):
    torch.save({"encoder.weight": torch.zeros(1).expand(10**9, 10**3)}, tmp_path / "x.pth")
    assert "claims more" in refused(read_weights, tmp_path / "x.pth")
    torch.save({"encoder.weight": torch.zeros(10**6)}, tmp_path / "x.pth")
    with zipfile.ZipFile(tmp_path / "x.pth") as source, zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as packed:
        for part in source.namelist():
            packed.writestr(part, source.read(part))
    refused(read_weights, tmp_path / "bomb.pth")


# --------------------------------------------------------------------------------------------------- the command line


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """The command line, which needs no server for these two."""
    return CommandLine(tmp_path_factory.mktemp("cwd"), {**os.environ, "PYTHONPATH": str(ROOT)})


@pytest.fixture
def given(tmp_path) -> Path:
    """A folder with what a user of fastai has."""
    torch.save({"model": to_fastai(language_model()), "opt": {}}, tmp_path / "lm.pth")
    head = classifier()
    with torch.no_grad():
        head.head.linear2.bias.zero_()  # as fastai has it
    torch.save(to_fastai(head), tmp_path / "clas.pth")
    (tmp_path / "itos.pkl").write_bytes(pickle.dumps(WORDS))
    (tmp_path / "words.json").write_text(json.dumps(WORDS))
    (tmp_path / "short.json").write_text(json.dumps(WORDS[:-1]))
    (tmp_path / "bare.json").write_text(json.dumps([f"w{number}" for number in range(len(WORDS))]))
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps([*WORDS[:-1], Command(tmp_path / "ran")]))
    torch.save({"0.rnns.0.layers.0.linear.weight": torch.zeros(2, 2)}, tmp_path / "qrnn.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "lm.pth").read_bytes()[:-50])
    return tmp_path


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_language_model_comes_in_and_goes_out(run, given):
    ended = run("import-fastai", str(given / "lm.pth"), str(given / "itos.pkl"), "--out", str(given / "m" / "lm"), "--json")
    assert ended.code == 0, ended.err
    assert "language model, forward: 14 words, embedding 6, 2 LSTM layers of 8" in ended.out
    assert (ended.json["kind"], ended.json["words"], ended.json["labels"]) == ("language_model", 14, None)
    assert files(given / "m") == ["lm", *(f"lm/{name}" for name in ("config.json", "model.safetensors", "tokenizer.json", "vocab.json"))]
    assert same(load_language_model(given / "m" / "lm").state_dict(), language_model().state_dict())
    assert Vocab.load(given / "m" / "lm" / "vocab.json") == vocabulary_of(WORDS)
    assert json.loads((given / "m" / "lm" / "tokenizer.json").read_text())["rules"] == "fastai"
    assert read_saved_model(given / "m" / "lm").direction == "forward"

    out, vocab = given / "out" / "lm.pth", given / "out" / "words.json"
    ended = run("export-fastai", str(given / "m" / "lm"), "--out", str(out), "--vocab", str(vocab), "--json")
    assert ended.code == 0, ended.err
    assert (ended.json["weights"], ended.json["direction"]) == (str(out), "forward")
    assert same(torch.load(out, weights_only=True), to_fastai(language_model()))
    assert json.loads(vocab.read_text()) == WORDS


def test_a_classifier_comes_in_and_goes_out(run, given):
    arguments = ["--direction", "backward", "--labels", "good, bad,so so", "--lang", "de"]
    ended = run("import-fastai", str(given / "clas.pth"), str(given / "words.json"), "--out", str(given / "c"), *arguments)
    assert ended.code == 0, ended.err
    assert "classifier, backward" in ended.out and "good, bad, so so" in ended.out
    saved = read_saved_model(given / "c", "classifier")
    assert (saved.direction, saved.labels, saved.max_tokens) == ("backward", ("good", "bad", "so so"), None)
    assert saved.bptt > 0 and saved.calibration is None and json.loads((given / "c" / "tokenizer.json").read_text())["lang"] == "de"
    assert same(to_fastai(load_classifier(given / "c")), torch.load(given / "clas.pth", weights_only=True))

    ended = run("export-fastai", str(given / "c"), "--out", str(given / "c.safetensors"))
    assert ended.code == 0, ended.err
    assert same(load_file(given / "c.safetensors"), torch.load(given / "clas.pth", weights_only=True))


WRONG = [
    (["nowhere.pth", "itos.pkl"], ["nowhere.pth", "no such file"]),
    (["cut.pth", "itos.pkl"], ["cut.pth", "damaged"]),
    (["qrnn.pth", "itos.pkl"], ["qrnn.pth", "QRNNs"]),
    (["lm.pth", "evil.pkl"], ["evil.pkl", "safety", "json.dump"]),
    (["lm.pth", "short.json"], ["14 rows", "13 words"]),
    (["lm.pth", "bare.json"], ["bare.json", "lacks xxunk"]),
    (["lm.pth", "lm.pth"], ["lm.pth", ".json or a .pkl"]),
    (["lm.pth", "itos.pkl", "--labels", "a,b"], ["--labels", "language model"]),
    (["lm.pth", "itos.pkl", "--direction", "sideways"], ["sideways", "forward, backward"]),
    (["lm.pth", "itos.pkl", "--lang", "qq"], ["qq"]),
    (["clas.pth", "itos.pkl", "--labels", "a,b"], ["2 labels", "3 outputs"]),
    (["clas.pth", "itos.pkl", "--labels", "a,b,a"], ["twice"]),
    (["clas.pth", "itos.pkl", "--labels", "a,,b"], ["empty"]),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG)
def test_what_is_wrong_is_said_and_nothing_is_written(given, monkeypatch, capsys, arguments, said):
    before = files(given)
    message = at_fault(given, monkeypatch, capsys, "import-fastai", *arguments, "--out", str(given / "new" / "m"))
    assert all(part in message for part in said), message
    assert files(given) == before


def test_what_is_there_is_left_alone(given, monkeypatch, capsys):
    (given / "full").mkdir()
    (given / "full" / "mine.txt").write_text("mine")
    save_model(given / "m", language_model(), ModelFacts(direction="forward"))
    before = files(given)
    for out, said in (("full", "is not empty"), ("lm.pth", "is a file")):
        assert said in at_fault(given, monkeypatch, capsys, "import-fastai", "lm.pth", "itos.pkl", "--out", out)
    for arguments, said in (
        (["m", "--out", "lm.pth"], "exists already"),
        (["m", "--out", "x.pth", "--vocab", "words.json"], "exists already"),
        (["m", "--out", "x.pth", "--vocab", "x.pth"], "file of --out"),
        (["m", "--out", "x.bin"], ".pth or a .safetensors"),
        (["m", "--out", "x.pth", "--vocab", "x.json"], "vocab.json"),
        (["full", "--out", "x.pth"], "not a model folder"),
    ):
        assert said in at_fault(given, monkeypatch, capsys, "export-fastai", *arguments)
    assert files(given) == before and (given / "full" / "mine.txt").read_text() == "mine"


def at_fault(folder: Path, monkeypatch, capsys, *arguments: str) -> str:
    """The one line with which the command, run in this process, ends with exit code 2."""
    from cli.main import run

    monkeypatch.chdir(folder)
    code, told = run(arguments), capsys.readouterr()
    assert code == 2 and told.out == "" and len(told.err.strip().splitlines()) == 1, told.err
    return told.err


def test_an_empty_folder_is_filled(given):
    from ulmfit.interop.exchange import import_fastai

    (given / "m").mkdir()
    import_fastai(given / "lm.pth", given / "itos.pkl", given / "m", "forward", None, "en")
    assert same(load_language_model(given / "m").state_dict(), language_model().state_dict())


def test_an_encoder_alone_is_imported_and_said_to_be_one(given):
    from cli.convert import describe
    from ulmfit.interop.exchange import import_fastai

    state = {name.removeprefix("0."): tensor for name, tensor in to_fastai(language_model()).items() if name.startswith("0.")}
    torch.save(state, given / "enc.pth")
    converted = import_fastai(given / "enc.pth", given / "itos.pkl", given / "m", "forward", None, "en")
    assert converted.encoder_only and "encoder alone" in describe(converted)
    model = load_language_model(given / "m")
    assert not model.bias.any() and same(model.encoder.state_dict(), language_model().encoder.state_dict())


def test_a_models_words_may_stand_above_it_as_in_a_bundle(given):
    from ulmfit.interop.exchange import export_fastai

    save_model(given / "bundle" / "forward", classifier(), ModelFacts(direction="forward", labels=("a", "b", "c")))
    vocabulary_of(WORDS).save(given / "bundle" / "vocab.json")
    export_fastai(given / "bundle" / "forward", given / "c.pth", given / "c.json")
    assert isinstance(from_fastai(read_weights(given / "c.pth"), read_words(given / "c.json")), Classifier)
    with pytest.raises(UserError, match="name one of them"):
        export_fastai(given / "bundle", given / "d.pth", None)
