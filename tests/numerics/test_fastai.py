"""Weights from fastai 2 and back: the same logits as its modules, which are written out here under their parameters' names."""

import json
from itertools import pairwise

import pytest
import torch
from torch import nn

from ulmfit.config import Dropouts, ModelConfig
from ulmfit.errors import UserError
from ulmfit.interop.fastai import CLASSIFIER_DROPOUTS, LM_DROPOUTS, fastai_words, from_fastai, kind_of, to_fastai, vocabulary_of
from ulmfit.models.classifier import Classifier, HeadConfig
from ulmfit.models.language_model import LanguageModel
from ulmfit.text.rules import SPECIALS

VOCAB = [*SPECIALS, *(f"word{number}" for number in range(12)), "xxfake", "xxfake", "xxfake"]
OLD_ORDER = ["xxunk", "xxpad", "xxbos", "xxeos", "xxfld", "xxmaj", "xxup", "xxrep", "xxwrep"]  # as fastai 1 had them
SIZES = [ModelConfig(embedding=6, hidden=10, layers=3), ModelConfig(embedding=8, hidden=5, layers=2), ModelConfig(embedding=7, layers=1)]
CLOSE = {"atol": 1e-5, "rtol": 0}


class RawLSTM(nn.Module):
    """An LSTM layer whose hidden-to-hidden matrix is a parameter outside of it."""

    def __init__(self, inner: int, outer: int):
        super().__init__()
        self.module = nn.LSTM(inner, outer, batch_first=True)
        self.weight_hh_l0_raw = nn.Parameter(self.module.weight_hh_l0.detach().clone())
        del self.module.weight_hh_l0

    def forward(self, x_BTI):
        self.module.weight_hh_l0 = self.weight_hh_l0_raw.detach()
        return self.module(x_BTI)[0]


class Encoder(nn.Module):
    def __init__(self, words: int, size: ModelConfig):
        super().__init__()
        self.encoder = nn.Embedding(words, size.embedding, padding_idx=1)
        self.encoder_dp = nn.Module()
        self.encoder_dp.emb = self.encoder
        sizes = [size.embedding, *[size.hidden] * (size.layers - 1), size.embedding]
        self.rnns = nn.ModuleList(RawLSTM(inner, outer) for inner, outer in pairwise(sizes))

    def forward(self, ids_BT):
        x = self.encoder(ids_BT)
        for rnn in self.rnns:
            x = rnn(x)
        return x


class Decoder(nn.Module):
    def __init__(self, embedding: nn.Embedding, bias: bool):
        super().__init__()
        self.decoder = nn.Linear(embedding.embedding_dim, embedding.num_embeddings, bias=bias)
        self.decoder.weight = embedding.weight

    def forward(self, states):
        return self.decoder(states)


class Sentence(nn.Module):
    def __init__(self, encoder: Encoder):
        super().__init__()
        self.module = encoder

    def forward(self, ids_BT):
        return self.module(ids_BT)


class Pooling(nn.Module):
    """Last state, maximum, mean; then blocks of batch normalisation, dropout (absent where p is 0) and a linear layer without bias."""

    def __init__(self, width: int, hidden: int, labels: int, p: float):
        super().__init__()
        dropout = [nn.Dropout(p)] if p else []
        first = nn.Sequential(nn.BatchNorm1d(3 * width), *dropout, nn.Linear(3 * width, hidden, bias=False), nn.ReLU())
        self.layers = nn.Sequential(first, nn.Sequential(nn.BatchNorm1d(hidden), *dropout, nn.Linear(hidden, labels, bias=False)))

    def forward(self, states_BTE):
        return self.layers(torch.cat([states_BTE[:, -1], states_BTE.amax(1), states_BTE.mean(1)], 1))


def shaken(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model in eval mode, all of it at random: lively enough for documents to differ, and no two tensors could be mistaken."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            tensor.fill_(17)
        elif name.endswith("running_var"):
            tensor.uniform_(0.02, 0.1, generator=generator)  # about that of pooled states
        else:
            spread = {1: 0.5, 2: 1.0 if len(tensor) == len(VOCAB) else 2 / tensor[0].numel() ** 0.5}
            tensor.normal_(0, spread[tensor.dim()], generator=generator)
    return model.eval()


def their_lm(size: ModelConfig = SIZES[0], bias: bool = True, words: int = len(VOCAB)) -> nn.Module:
    encoder = Encoder(words, size)
    return shaken(nn.Sequential(encoder, Decoder(encoder.encoder, bias)))


def their_classifier(size: ModelConfig = SIZES[0], labels: int = 4, hidden: int = 9, p: float = 0.1) -> nn.Module:
    return shaken(nn.Sequential(Sentence(Encoder(len(VOCAB), size)), Pooling(size.embedding, hidden, labels, p)))


def text(documents: int, length: int, seed: int = 3) -> torch.Tensor:
    """Ids [B, T] at random, none of them padding."""
    return torch.randint(2, len(VOCAB), (documents, length), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def our_logits(model: LanguageModel | Classifier, ids_BT: torch.Tensor) -> torch.Tensor:
    """[B, T, V] of a language model, [B, L] of a classifier, which reads one document at a time, in chunks of 5."""
    if isinstance(model, LanguageModel):
        _, states, _ = model.hidden(ids_BT.T, model.encoder.initial_state(len(ids_BT)))
        return model.logits(states).transpose(0, 1)
    return torch.cat([model(ids[:, None], torch.tensor([len(ids)]), bptt=5) for ids in ids_BT])


@torch.no_grad()
def assert_same(ours: LanguageModel | Classifier, theirs: nn.Module) -> None:
    ids = text(3, 17)
    expected = theirs(ids)
    assert expected.std(0).mean() > 0.05  # between documents: else closeness would say little
    torch.testing.assert_close(our_logits(ours, ids), expected, **CLOSE)


def our_model(kind: type, size: ModelConfig = SIZES[0], labels: int = 4) -> LanguageModel | Classifier:
    if kind is LanguageModel:
        return shaken(LanguageModel(len(VOCAB), size, Dropouts()), 5)
    return shaken(Classifier(len(VOCAB), labels, size, Dropouts(), HeadConfig(9)), 5)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("make", [their_lm, their_classifier])
def test_their_logits_are_ours(make, size):
    theirs = make(size)
    ours = from_fastai(theirs.state_dict(), VOCAB)
    assert isinstance(ours, LanguageModel if make is their_lm else Classifier)
    assert (ours.encoder.config.embedding, ours.encoder.config.layers) == (size.embedding, size.layers)
    assert size.layers == 1 or ours.encoder.config == size
    assert not ours.training and {tensor.dtype for tensor in ours.parameters()} == {torch.float32}
    assert_same(ours, theirs)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("kind", "make"), [(LanguageModel, their_lm), (Classifier, their_classifier)])
def test_our_logits_are_theirs(kind, make, size):
    ours, theirs = our_model(kind, size), make(size)
    exported = to_fastai(ours)
    assert list(exported) == list(theirs.state_dict())  # fastai also matches weights by their order
    theirs.load_state_dict(exported)
    assert_same(ours, theirs)


@pytest.mark.parametrize("make", [their_lm, their_classifier])
def test_there_and_back_changes_no_bit(make):
    given = make().state_dict()
    returned = to_fastai(from_fastai(given, VOCAB))
    assert returned.keys() == given.keys()
    assert all(torch.equal(returned[name], given[name]) for name in given)


@pytest.mark.parametrize("kind", [LanguageModel, Classifier])
def test_back_and_there_keeps_the_logits(kind):
    ours = our_model(kind)
    torch.testing.assert_close(our_logits(from_fastai(to_fastai(ours), VOCAB), text(3, 17)), our_logits(ours, text(3, 17)), **CLOSE)


def test_dropouts_are_fastais_or_those_given():
    assert from_fastai(their_lm().state_dict(), VOCAB).encoder.dropouts == LM_DROPOUTS
    classifier = from_fastai(their_classifier().state_dict(), VOCAB)
    assert (classifier.encoder.dropouts, classifier.head.dropouts) == (CLASSIFIER_DROPOUTS, (0.4, 0.1))
    assert from_fastai(their_lm().state_dict(), VOCAB, Dropouts(weight=0.9)).encoder.dropouts.weight == 0.9


def test_a_head_without_dropout_has_its_linear_layers_one_place_earlier():
    theirs = their_classifier(p=0.0)
    assert "1.layers.1.1.weight" in theirs.state_dict()
    assert_same(from_fastai(theirs.state_dict(), VOCAB), theirs)


def test_a_decoder_without_bias_gets_zeros():
    theirs = their_lm(bias=False)
    assert_same(from_fastai(theirs.state_dict(), VOCAB), theirs)


def test_the_wrapper_of_learner_save_is_opened():
    theirs = their_lm()
    assert_same(from_fastai({"model": theirs.state_dict(), "opt": {"hypers": [{"lr": 0.1}]}}, VOCAB), theirs)


def test_an_encoder_alone_becomes_a_language_model_with_a_decoder_of_its_embedding():
    theirs = their_lm()
    state = theirs[0].state_dict()
    assert kind_of(state) == "encoder"
    with torch.no_grad():
        theirs[1].decoder.bias.zero_()
    assert_same(from_fastai(state, VOCAB), theirs)


def test_the_raw_matrix_counts_and_the_dropped_copy_does_not():
    theirs = their_lm()
    state = theirs.state_dict()
    for number in range(3):
        state[f"0.rnns.{number}.module.weight_hh_l0"] = torch.zeros_like(state[f"0.rnns.{number}.weight_hh_l0_raw"])
    assert_same(from_fastai(state, VOCAB), theirs)


def test_without_a_raw_matrix_the_other_one_is_it():
    theirs = their_lm()
    state = {name.replace("weight_hh_l0_raw", "module.weight_hh_l0"): tensor for name, tensor in theirs.state_dict().items()}
    assert_same(from_fastai(state, VOCAB), theirs)


def test_half_precision_becomes_single():
    theirs = their_lm().half().float()
    state = {name: tensor.half() for name, tensor in theirs.state_dict().items()}
    assert_same(from_fastai(state, VOCAB), theirs)


def test_models_and_dicts_share_no_memory():
    theirs = their_lm()
    ours = from_fastai(theirs.state_dict(), VOCAB)
    exported = to_fastai(ours)
    before = {name: tensor.clone() for name, tensor in theirs.state_dict().items()}
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(1)
    for state in (theirs.state_dict(), exported):
        assert all(torch.equal(state[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize("name", ["1.decoder.weight", "0.encoder_dp.emb.weight"])
def test_untied_weights_are_refused(name):
    state = their_lm().state_dict()
    state[name] = state[name] + torch.eye(*state[name].shape) * 1e-3
    with pytest.raises(UserError, match=f"{name} differs from the embedding"):
        from_fastai(state, VOCAB)


def test_fakes_are_numbered_and_back():
    vocab = vocabulary_of(VOCAB)
    assert vocab.tokens == (*VOCAB[:-3], "xxfake1", "xxfake2", "xxfake3")
    assert fastai_words(vocab) == VOCAB
    assert vocab.encode(["word3", "xxfake", "xxbos"]).tolist() == [12, 0, 2]  # no text speaks a fake


@pytest.mark.parametrize("make", [their_lm, their_classifier])
def test_special_tokens_in_another_order_take_their_rows_with_them(make):
    words = ["word0", *OLD_ORDER, *VOCAB[10:]]
    theirs, vocab = make(), vocabulary_of(words)
    assert vocab.tokens[:10] == (*SPECIALS, "word0")
    ids = text(3, 17)
    tokens = [[words[number] if words[number] != "xxfake" else "xxbos" for number in row] for row in ids.tolist()]
    with torch.no_grad():
        expected = theirs(torch.tensor([[words.index(token) for token in row] for row in tokens]))
    ours = our_logits(from_fastai(theirs.state_dict(), words), torch.tensor([vocab.encode(row).tolist() for row in tokens]))
    if make is their_lm:
        columns = [vocab.tokens.index(word) for word in words[:-3]]
        ours, expected = ours[..., columns], expected[..., :-3]
    torch.testing.assert_close(ours, expected, **CLOSE)


def test_a_vocabulary_without_the_special_tokens_keeps_its_rows_but_is_none_of_ours():
    words = [f"w{number}" for number in range(len(VOCAB))]
    theirs = their_lm()
    assert_same(from_fastai(theirs.state_dict(), words), theirs)
    with pytest.raises(UserError, match="lacks xxunk xxpad"):
        vocabulary_of(words)


@pytest.mark.parametrize(
    ("vocab", "said"),
    [
        (VOCAB[:-1], "24 rows, the vocabulary 23 words"),
        ([VOCAB, ["a", "b"]], "word 0 of the vocabulary is list"),
        ([*VOCAB[:-1], 7], "word 23 of the vocabulary is int"),
        ([*VOCAB[:-1], "\ud800"], "is no text"),
        (json.dumps(VOCAB), "is str, not a list of words"),
        ({word: number for number, word in enumerate(VOCAB)}, "is dict, not a list"),
        (None, "is NoneType"),
    ],
)
def test_another_vocabulary_is_refused(vocab, said):
    with pytest.raises(UserError, match=said):
        from_fastai(their_lm().state_dict(), vocab)


def test_a_word_that_stands_there_twice_is_refused():
    with pytest.raises(UserError, match="'word3' again"):
        vocabulary_of([*VOCAB, "word3"])


def without(state: dict, name: str) -> dict:
    return {key: tensor for key, tensor in state.items() if key != name}


REFUSED = [
    (lambda lm, c: {**lm, "0.rnns.0.module.weight_ih_l0_reverse": torch.zeros(4, 4)}, "bidirectional"),
    (lambda lm, c: {**lm, "0.rnns.0.layers.0.linear.weight_raw": torch.zeros(4, 4)}, "QRNNs"),
    (lambda lm, c: {**c, "1.layers.2.0.weight": torch.zeros(4)}, "more than one hidden layer"),
    (lambda lm, c: {**without(c, "1.layers.1.2.weight"), "1.layers.6.weight": torch.zeros(4)}, "not that of fastai 2"),
    (lambda lm, c: without(lm, "0.rnns.1.module.bias_ih_l0"), "0.rnns.1.module.bias_ih_l0 is missing"),
    (lambda lm, c: without(lm, "0.rnns.1.weight_hh_l0_raw"), "0.rnns.1.module.weight_hh_l0 is missing"),
    (lambda lm, c: without(lm, "1.decoder.weight") | {"1.out.weight": torch.zeros(1)}, "1.out.weight is no part"),
    (lambda lm, c: without(c, "1.layers.0.0.running_mean"), "running_mean is missing"),
    (lambda lm, c: {**lm, "0.rnns.1.module.weight_ih_l0": torch.zeros(40, 9)}, r"\[40, 9\], and \[40, 10\] would fit"),
    (lambda lm, c: {**lm, "0.rnns.0.module.weight_ih_l0": torch.zeros(())}, "would fit"),
    (lambda lm, c: {**lm, "1.decoder.bias": torch.full((24,), torch.nan)}, "1.decoder.bias holds values that are not finite"),
    (lambda lm, c: {**lm, "1.decoder.bias": torch.ones(24, dtype=torch.complex64)}, "no plain tensor"),
    (lambda lm, c: {**lm, "1.decoder.bias": torch.ones(24, device="meta")}, "no plain tensor"),
    (lambda lm, c: {**lm, "epoch": 3}, "'epoch' of the weights is no plain tensor"),
    (lambda lm, c: {"layer1.weight": torch.zeros(3, 3)}, "not an AWD-LSTM of fastai"),
    (lambda lm, c: {}, "not a dict of tensors"),
    (lambda lm, c: [torch.zeros(3)], "the weights are list"),
    (lambda lm, c: {"model": nn.Linear(2, 2)}, "the weights are Linear"),
]


@pytest.mark.parametrize(("change", "said"), REFUSED)
def test_another_model_is_refused_in_one_line(change, said):
    with pytest.raises(UserError, match=said) as error:
        from_fastai(change(their_lm().state_dict(), their_classifier().state_dict()), VOCAB)
    assert "\n" not in str(error.value)


def test_a_bias_that_fastai_has_no_place_for_is_refused():
    crowded = our_model(Classifier, labels=12)  # more outputs than its 9 hidden units
    with pytest.raises(UserError, match="has no bias"):
        to_fastai(crowded)
    with torch.no_grad():
        crowded.head.linear2.bias.zero_()
    theirs = their_classifier(labels=12)
    theirs.load_state_dict(to_fastai(crowded))
    assert_same(crowded, theirs)


FULL = ModelConfig(embedding=400, hidden=1152, layers=3)


def fastai_itself(kind: type, size: ModelConfig) -> nn.Module:
    """fastai's own model with weights at random; skips where fastai is not installed."""
    core = pytest.importorskip("fastai.text.models.core", reason="fastai is not installed")
    sizes = {"emb_sz": size.embedding, "n_hid": size.hidden, "n_layers": size.layers}
    if kind is LanguageModel:
        return shaken(core.get_language_model(core.AWD_LSTM, len(VOCAB), config={**core.awd_lstm_lm_config, **sizes}))
    config = {**core.awd_lstm_clas_config, **sizes}
    return shaken(core.get_text_classifier(core.AWD_LSTM, len(VOCAB), 4, config=config, lin_ftrs=[9]))


@pytest.mark.parametrize("size", [SIZES[0], SIZES[2], FULL], ids=str)
@pytest.mark.parametrize("kind", [LanguageModel, Classifier])
@pytest.mark.parametrize("way", ["in", "out"])
def test_fastai_itself(way, kind, size):
    """One document at a time: fastai's logits of a padded one depend on the batch (its issue 3379)."""
    theirs = fastai_itself(kind, size)
    if way == "in":
        ours = from_fastai(theirs.state_dict(), VOCAB)
    else:
        ours = from_fastai(fastai_itself(kind, size).state_dict(), VOCAB)
        with torch.no_grad():
            for parameter in ours.parameters():
                parameter.mul_(0.9)
            if kind is Classifier:
                ours.head.linear2.bias.uniform_(-1, 1)
        theirs.load_state_dict(to_fastai(ours))
    assert list(to_fastai(ours)) == list(theirs.state_dict())
    for length in (1, 71, 72, 73, 300):
        ids = text(1, length, seed=length)
        theirs.reset()
        with torch.no_grad():
            expected = theirs(ids)[0]
        found = our_logits(ours, ids)
        print(f"{way} {kind.__name__} {size}, {length} tokens: {float((found - expected).abs().max()):.1e} of {float(expected.std()):.2f}")
        torch.testing.assert_close(found, expected, **CLOSE)
