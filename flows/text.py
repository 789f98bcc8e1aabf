"""The text half of every DAG: documents -> Corpus -> TokenShards -> Vocab -> IdShards."""

from dataclasses import dataclass

from flows.dag import Dag
from flows.plan import Plan
from ulmfit.stages.corpus import ingest
from ulmfit.stages.outputs import Corpus, IdShards, TokenShards, Vocabulary
from ulmfit.stages.shards import encode, tokenise, vocabulary
from ulmfit.stages.stage import Context, CorpusRole, StageName


@dataclass(frozen=True)
class Text:
    """One corpus on its way to ids."""

    corpus: Corpus
    tokens: TokenShards
    vocab: Vocabulary
    ids: IdShards


def text_stages(dag: Dag, plan: Plan, context: Context, role: CorpusRole) -> Text:
    """Add the four stages of the domain's corpus, or of the general one."""
    return text_of(dag, plan, corpus_stage(dag, plan, context, role), role)


def text_of(dag: Dag, plan: Plan, corpus: Corpus, role: CorpusRole) -> Text:
    """Add the three stages behind a corpus."""
    settings = plan.settings
    words = settings.general_vocab if role == "general" else settings.vocab
    tokens = dag.add(StageName("tokenise", corpus=role), tokenise, corpus, settings.text, plan.request.quarantine_crashing)
    vocab = dag.add(StageName("vocabulary", corpus=role), vocabulary, corpus, tokens, words, settings.quality)
    ids = dag.add(StageName("encode", corpus=role), encode, corpus, tokens, vocab)
    return Text(corpus, tokens, vocab, ids)


def corpus_stage(dag: Dag, plan: Plan, context: Context, role: CorpusRole) -> Corpus:
    """Add the first of them alone: for what needs the documents, and no ids."""
    settings = plan.settings
    source, sampling = (plan.general, settings.general) if role == "general" else (plan.domain, settings.corpus)
    assert source is not None, f"a plan that needs {role} text names its source"
    labelled = source.label_column is not None
    return dag.add(StageName("ingest", corpus=role), ingest, context, source, sampling, settings.quality, labelled)
