"""``make_shards`` for notebooks: text to shards in one call, by the same stages as the workflow."""

from dataclasses import dataclass
from pathlib import Path

from ulmfit.config import CorpusConfig, PartsConfig, QualityConfig, TextConfig, VocabConfig
from ulmfit.corpora.source import CorpusSource
from ulmfit.shards.mapping import Mapper, serial
from ulmfit.stages.corpus import ingest
from ulmfit.stages.outputs import Corpus, IdShards, TokenShards, Vocabulary
from ulmfit.stages.shards import encode, tokenise, vocabulary
from ulmfit.stages.stage import Context, make
from ulmfit.store.artifacts import Store


@dataclass(frozen=True)
class Shards:
    """What ``make_shards`` made: four artifacts. ``Documents.open(shards.ids.path, ["train"])`` reads the last."""

    corpus: Corpus
    tokens: TokenShards
    vocab: Vocabulary
    ids: IdShards


def make_shards(
    source: str | CorpusSource,
    out: str | Path,
    *,
    text: TextConfig = TextConfig(),  # noqa: B008 - frozen
    vocab: VocabConfig = VocabConfig(),  # noqa: B008
    corpus: CorpusConfig = CorpusConfig(),  # noqa: B008
    quality: QualityConfig = QualityConfig(),  # noqa: B008
    parts: PartsConfig = PartsConfig(),  # noqa: B008
    mapper: Mapper = serial,
) -> Shards:
    """Documents -> Corpus -> TokenShards -> Vocab -> IdShards, in this process, or wherever ``mapper`` runs.

    ``source``: a file, folder or known corpus (a string: text without labels). ``out``: the folder of a store of artifacts; what is
    there is found, as in a workspace's ``artifacts``. Raises UserError for what is at fault with the source.
    """
    source = CorpusSource(source, label_column=None) if isinstance(source, str) else source
    store = Store(out)
    store.set_up()
    context = Context(store, store.local / "downloads", mapper, parts)
    documents = make(ingest(context, source, corpus, quality, source.label_column is not None), context)
    tokens = make(tokenise(documents, text), context)
    words = make(vocabulary(documents, tokens, vocab, quality), context)
    return Shards(documents, tokens, words, make(encode(documents, tokens, words), context))
