"""A champion for benchmarks: the preset ``small`` on a sample of the movie reviews in ``ULMFIT_DATA``, made by the stages of the workflow."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ulmfit.compute.cores import side_by_side
from ulmfit.config import Settings
from ulmfit.corpora.source import CorpusSource
from ulmfit.directions import DIRECTIONS, Direction
from ulmfit.presets import override, preset
from ulmfit.pretrained.transport import pretrained as known
from ulmfit.stages.corpus import ingest
from ulmfit.stages.models import average, classify, finetune, pretrained
from ulmfit.stages.outputs import Classifier, Corpus, IdShards, LanguageModel, Model, TokenShards, Vocabulary
from ulmfit.stages.shards import encode, tokenise, vocabulary
from ulmfit.stages.stage import Context, make
from ulmfit.store.artifacts import Store


@dataclass(frozen=True)
class Text:
    """A corpus on its way to ids."""

    corpus: Corpus
    tokens: TokenShards
    vocab: Vocabulary
    ids: IdShards


@dataclass(frozen=True)
class Rows:
    """Documents with a label each."""

    texts: list[str]
    labels: list[str]

    def __getitem__(self, rows: slice) -> Rows:
        return Rows(self.texts[rows], self.labels[rows])


def shuffled(name: str, seed: int) -> Rows:
    """The training rows of a corpus in ``ULMFIT_DATA``, in an order of chance."""
    table = pq.read_table(Path(os.environ["ULMFIT_DATA"], name, "train.parquet"), columns=["text", "label"])
    table = table.take(np.random.default_rng(seed).permutation(len(table)))
    return Rows(table["text"].to_pylist(), table["label"].to_pylist())


def workspace(folder: Path) -> Context:
    """A store in ``folder``; what it holds is found, not made again."""
    store = Store(folder / "artifacts")
    store.set_up()
    return Context(store, folder / "downloads")


def text_of(rows: Rows, name: str, settings: Settings, context: Context) -> Text:
    """The rows as corpus, tokens, vocabulary and ids."""
    file = context.store.local / f"{name}.parquet"
    pq.write_table(pa.table({"text": rows.texts, "label": rows.labels}), file)
    corpus = make(ingest(context, CorpusSource(str(file)), settings.corpus, settings.quality, labelled=True), context)
    tokens = make(tokenise(corpus, settings.text), context)
    vocab = make(vocabulary(corpus, tokens, settings.vocab, settings.quality), context)
    return Text(corpus, tokens, vocab, make(encode(corpus, tokens, vocab), context))


def domain_models(text: Text, settings: Settings, context: Context, directions: Sequence[Direction] = DIRECTIONS) -> list[LanguageModel]:
    """The shipped language model, fine-tuned on the text, one per direction."""

    def tuned(direction: Direction) -> LanguageModel:
        general = make(pretrained(known("small"), direction), context)
        return make(finetune(general, text.ids, text.vocab, settings.finetune, direction), context)

    return side_by_side(tuned, directions, "cpu")


def champion(text: Text, settings: Settings, context: Context) -> tuple[LanguageModel, Model]:
    """The forward domain LM, and the model of both directions."""
    lms = domain_models(text, settings, context)

    def classifier(number: int) -> Classifier:
        return make(classify(lms[number], text.corpus, text.ids, text.vocab, settings, DIRECTIONS[number]), context)

    forward, backward = side_by_side(classifier, range(2), "cpu")
    return lms[0], make(average(forward, backward, text.corpus, text.tokens, text.vocab), context)


def settings(*options: str) -> Settings:
    """The preset ``small`` with some options."""
    return override(preset("small"), list(options))
