"""The text half of every DAG: documents -> Corpus -> TokenShards -> Vocab -> IdShards."""

from collections.abc import Mapping
from dataclasses import dataclass

from flows.dag import Dag
from flows.plan import Plan
from ulmfit.config import WarmConfig
from ulmfit.directions import DIRECTIONS, Direction
from ulmfit.stages.corpus import ingest
from ulmfit.stages.models import pretrained
from ulmfit.stages.outputs import Corpus, IdShards, LanguageModel, TokenShards, Vocabulary
from ulmfit.stages.shards import encode, grow_vocabulary, tokenise, vocabulary
from ulmfit.stages.stage import Context, CorpusRole, StageName


@dataclass(frozen=True)
class Warm:
    """What a training goes on from: an earlier vocabulary, and a language model of each direction. ``new_parts``: of the corpus, by name."""

    vocab: Vocabulary
    lms: Mapping[Direction, LanguageModel]
    new_parts: tuple[str, ...]
    config: WarmConfig


@dataclass(frozen=True)
class Text:
    """One corpus on its way to ids. ``warm``: what its language models go on from, None where they start from a general one."""

    corpus: Corpus
    tokens: TokenShards
    vocab: Vocabulary
    ids: IdShards
    warm: Warm | None = None


def texts(dag: Dag, plan: Plan, context: Context) -> tuple[Text, Text | None]:
    """The text of the domain, and general text where a language model is pretrained on it."""
    domain = text_stages(dag, plan, context, "domain")
    return domain, None if plan.pretrained else text_stages(dag, plan, context, "general")


def text_stages(dag: Dag, plan: Plan, context: Context, role: CorpusRole) -> Text:
    """Add the four stages of the domain's corpus, or of the general one."""
    return text_of(dag, plan, context, corpus_stage(dag, plan, context, role), role)


def text_of(dag: Dag, plan: Plan, context: Context, corpus: Corpus, role: CorpusRole, warm: Warm | None = None) -> Text:
    """Add the three stages behind a corpus. The vocabulary of a ``warm`` text is the earlier one, with what new text adds to it."""
    settings = plan.settings
    words = settings.general_vocab if role == "general" else settings.vocab
    tokens = dag.add(StageName("tokenise", corpus=role), tokenise, corpus, settings.text, plan.request.quarantine_crashing)
    name = StageName("vocabulary", corpus=role)
    if warm:
        vocab = dag.add(name, grow_vocabulary, corpus, tokens, warm.vocab, words, settings.quality) if warm.new_parts else warm.vocab
    else:
        known = _general_words(dag, plan, context) if role == "domain" and settings.general_words else (None, None)
        vocab = dag.add(name, vocabulary, corpus, tokens, words, settings.quality, *known)
    ids = dag.add(StageName("encode", corpus=role), encode, corpus, tokens, vocab)
    return Text(corpus, tokens, vocab, ids, warm)


def _general_words(dag: Dag, plan: Plan, context: Context) -> tuple[Vocabulary | None, LanguageModel | None]:
    """Where the words of the general language model stand, which both directions share: with its text, or with itself."""
    if plan.pretrained:
        return None, general_lm(dag, plan, DIRECTIONS[0])
    return text_stages(dag, plan, context, "general").vocab if plan.general else None, None


def general_lm(dag: Dag, plan: Plan, direction: Direction) -> LanguageModel:
    """The language model that the plan begins with."""
    assert plan.pretrained is not None
    return dag.add(StageName("pretrained", direction, "general"), pretrained, plan.pretrained, direction)


def corpus_stage(dag: Dag, plan: Plan, context: Context, role: CorpusRole) -> Corpus:
    """Add the first of them alone: for what needs the documents, and no ids."""
    settings = plan.settings
    source, sampling = (plan.general, settings.general) if role == "general" else (plan.domain, settings.corpus)
    assert source is not None, f"a plan that needs {role} text names its source"
    labelled = source.label_column is not None
    return dag.add(StageName("ingest", corpus=role), ingest, context, source, sampling, settings.quality, labelled)
