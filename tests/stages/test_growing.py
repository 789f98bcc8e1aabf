"""A corpus has grown: its vocabulary grows, and its language model goes on with new text and some of the old."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.test_pipeline import PARTS, mail, write
from ulmfit.config import CorpusConfig, LMConfig, ModelConfig, QualityConfig, TextConfig, VocabConfig, WarmConfig
from ulmfit.corpora.source import CorpusSource
from ulmfit.models.saving import load_language_model
from ulmfit.stages.corpus import ingest
from ulmfit.stages.models import pretrain, warm_finetune
from ulmfit.stages.outputs import Corpus, LanguageModel, TokenShards, Vocabulary
from ulmfit.stages.shards import encode, grow_vocabulary, tokenise, vocabulary
from ulmfit.stages.stage import Context, make
from ulmfit.store.artifacts import Store
from ulmfit.text.vocab import Vocab

WORDS, QUALITY = VocabConfig(max_size=60, min_count=1), QualityConfig()
LM = LMConfig(epochs=1, batch_size=8, bptt=20, lr=0.01, precision="fp32")
WARM = WarmConfig(replay=0.5, epochs=1)


def long(sentences: list[str]) -> list[str]:
    return [" . ".join([sentence] * 5) for sentence in sentences]


@pytest.fixture(scope="module")
def context(tmp_path_factory) -> Context:
    folder = tmp_path_factory.mktemp("growing")
    store = Store(folder / "store")
    store.set_up()
    return Context(store, folder / "downloads", parts=PARTS)


def text(context: Context, folder: Path) -> tuple[Corpus, TokenShards]:
    corpus = make(ingest(context, CorpusSource(str(folder)), CorpusConfig(), QUALITY, True), context)
    return corpus, make(tokenise(corpus, TextConfig()), context)


@pytest.fixture(scope="module")
def before(context) -> tuple[Corpus, Vocabulary, LanguageModel]:
    folder = context.downloads.parent / "mail"
    write(folder, "a.csv", long(mail("anna", 60)))
    write(folder, "b.csv", long(mail("ben", 60)))
    corpus, tokens = text(context, folder)
    vocab = make(vocabulary(corpus, tokens, WORDS, QUALITY), context)
    ids = make(encode(corpus, tokens, vocab), context)
    return corpus, vocab, make(pretrain(ids, vocab, ModelConfig(embedding=8, hidden=12, layers=2), LM, "forward"), context)


@pytest.fixture(scope="module")
def grown(context, before) -> tuple[Corpus, TokenShards, Vocabulary]:
    write(context.downloads.parent / "mail", "c.csv", long([f"zoe {n} sang of the sea and of {n % 9} whales" for n in range(60)]))
    corpus, tokens = text(context, context.downloads.parent / "mail")
    return corpus, tokens, make(grow_vocabulary(corpus, tokens, before[1], WORDS, QUALITY), context)


def tokens_of(vocab: Vocabulary) -> tuple[str, ...]:
    return Vocab.load(vocab.file).tokens


def test_old_tokens_keep_their_ids_and_new_ones_stand_behind(context, before, grown):
    old, new = tokens_of(before[1]), tokens_of(grown[2])
    assert len(old) == 60 and new[:60] == old and {"whales", "sea", "zoe"} <= set(new[60:])
    anew = set(tokens_of(make(vocabulary(grown[0], grown[1], WORDS, QUALITY), context)))
    assert set(new) == set(old) | anew
    growth = grown[2].record.growth
    assert growth is not None and (growth.earlier, growth.added) == (60, len(new) - 60)
    assert growth.share == pytest.approx((len(new) - 60) / len(anew), abs=1e-6)


def test_a_vocabulary_chosen_anew_says_nothing_of_growth(before):
    assert before[1].record.growth is None and set(before[1].manifest.record) == {"tokens", "out_of_vocabulary"}


def test_general_words_fill_it_up(context, before, grown):
    corpus, tokens, _ = grown
    counted = make(vocabulary(corpus, tokens, WORDS, QUALITY), context)
    room = VocabConfig(max_size=1000, min_count=300)
    few = tokens_of(make(vocabulary(corpus, tokens, room, QUALITY), context))
    for known in ((before[1], None), (None, before[2])):
        made = make(vocabulary(corpus, tokens, room, QUALITY, *known), context)
        rest = [token for token in tokens_of(before[1]) if token not in few]
        assert rest and tokens_of(made) == (*few, *rest)
        unknown = made.record.out_of_vocabulary["held_out"].unknown
        assert unknown <= make(vocabulary(corpus, tokens, room, QUALITY), context).record.out_of_vocabulary["held_out"].unknown
    no_room = VocabConfig(max_size=60, min_count=1)
    assert tokens_of(make(vocabulary(corpus, tokens, no_room, QUALITY, before[1]), context)) == tokens_of(counted)


def test_a_corpus_that_has_not_grown_adds_nothing(context, before, grown):
    folder = context.downloads.parent / "same"
    for name in ("a.csv", "b.csv"):
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes((context.downloads.parent / "mail" / name).read_bytes())
    corpus, tokens = text(context, folder)
    found = make(grow_vocabulary(corpus, tokens, before[1], WORDS, QUALITY), context)
    assert found.record.growth is not None and found.record.growth.added == 0 and tokens_of(found) == tokens_of(before[1])


def test_the_language_model_goes_on(context, before, grown):
    corpus, tokens, vocab = grown
    ids = make(encode(corpus, tokens, vocab), context)
    new = corpus.record.new_since(before[0].record)
    assert new and not corpus.record.new_since(corpus.record)
    stage = warm_finetune(before[2], ids, vocab, new, WARM, LM, "forward")
    lm = make(stage, context)
    assert lm.record.rows_kept == 60 and lm.record.rows_new == len(tokens_of(vocab)) - 60
    held_out = lm.record.held_out
    assert held_out and held_out.new and held_out.new_before and held_out.new < held_out.new_before
    assert held_out.old and held_out.old_before
    history = json.loads((lm.path / "history.json").read_text())
    assert history, "it is trained by the same loop"
    weights = [load_language_model(model.path).encoder.layers[0].weight_hh for model in (before[2], lm)]
    assert not torch.equal(*weights)
    others = [
        warm_finetune(before[2], ids, vocab, new[1:], WARM, LM, "forward"),
        warm_finetune(before[2], ids, vocab, new, WarmConfig(replay=1.0, epochs=1), LM, "forward"),
        warm_finetune(before[2], ids, vocab, new, WARM, LM, "backward"),
    ]
    assert len({other.recipe.key for other in [stage, *others]}) == 4
    assert warm_finetune(before[2], ids, vocab, new[::-1], WARM, LM, "forward").recipe.key == stage.recipe.key


def test_with_next_to_no_text_the_language_model_stays_as_it_is(context, before, grown):
    corpus, tokens, vocab = grown
    ids = make(encode(corpus, tokens, vocab), context)
    lm = make(warm_finetune(before[2], ids, vocab, [corpus.record.parts[0].name], WarmConfig(replay=0.0), LM, "forward"), context)
    weights = [load_language_model(model.path).encoder.embedding.weight[:60] for model in (before[2], lm)]
    assert torch.equal(*weights)
