"""Does a language model forget? Five warm cycles on other text beside a cold training on all of it: perplexities on old and new held-out text, and times.

    ULMFIT_DATA=... python benchmarks/forgetting.py [--workspace DIR] [--preset small] [--reviews 1500] [--news 600] [--seed 0]
        [--option replay=0 ...]

Movie reviews land first, and the language model that comes with the project is fine-tuned on them. Then news land five times: the vocabulary
grows, and the language model goes on. Cold: the shipped model is fine-tuned on everything, over the same vocabulary, for perplexities under two
vocabularies cannot be compared. Both are measured on the documents of the side ``test``, which neither has seen: old are reviews, new are news.
Each ``--option`` is a way of going on, settings of ``WarmConfig`` joined by commas; without one, as set by default. Forward direction. Prints the tables of docs/results/forgetting.md.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from champion import Rows, Text, shuffled, workspace
from gate import table
from measuring import hardware

from ulmfit.config import Settings, WarmConfig
from ulmfit.corpora.landing.landing import Landing
from ulmfit.corpora.landing.ledger import Ledger
from ulmfit.models.saving import load_language_model
from ulmfit.models.transfer import transfer_vocabulary
from ulmfit.presets import preset
from ulmfit.pretrained.transport import pretrained as known
from ulmfit.shards.documents import Documents
from ulmfit.stages.landed import landed
from ulmfit.stages.models import finetune, pretrain, pretrained, warm_finetune
from ulmfit.stages.outputs import LanguageModel
from ulmfit.stages.shards import encode, grow_vocabulary, tokenise, vocabulary
from ulmfit.stages.stage import Context, make
from ulmfit.text.vocab import Vocab
from ulmfit.training.language_modelling import perplexity

CYCLES, DIRECTION = 5, "forward"


@dataclass(frozen=True)
class Story:
    """The text after each cycle, the first before all of them; and the seconds that each took from the landing file to ids."""

    texts: list[Text]
    seconds: list[float]

    @classmethod
    def of(cls, rows: Sequence[Rows], settings: Settings, context: Context) -> Story:
        """Let ``rows`` land one after the other."""
        folder, texts, seconds = context.downloads.parent / "landing", list[Text](), list[float]()
        landing, ledger = Landing(str(folder)), Ledger(context.store, "forgetting")
        for old in (folder, Path(ledger.location)):  # of an earlier run
            shutil.rmtree(old, ignore_errors=True)
        folder.mkdir()
        for number, new in enumerate(rows):
            started = time.perf_counter()
            pq.write_table(pa.table({"text": new.texts, "label": new.labels}), folder / f"week-{number}.parquet")
            ledger.land(landing, ledger.look(landing, 0))
            texts.append(_text(ledger, texts[-1] if texts else None, settings, context))
            seconds.append(time.perf_counter() - started)
        return cls(texts, seconds)

    def held_out(self) -> tuple[Documents, Documents]:
        """Old and new documents of the side ``test``, through the last vocabulary."""
        last, record = self.texts[-1], self.texts[-1].corpus.record
        new = [int(part.removeprefix("part-")) for part in record.new_since(self.texts[0].corpus.record)]
        documents = Documents.open(last.ids.path, ["test"])
        return documents.take((~documents.within(new)).nonzero()[0]), documents.take(documents.within(new).nonzero()[0])


def _text(ledger: Ledger, before: Text | None, settings: Settings, context: Context) -> Text:
    corpus = make(landed(ledger.state(), settings.corpus, settings.quality), context)
    tokens = make(tokenise(corpus, settings.text), context)
    words, quality = settings.vocab, settings.quality
    stage = grow_vocabulary(corpus, tokens, before.vocab, words, quality) if before else vocabulary(corpus, tokens, words, quality)
    vocab = make(stage, context)
    return Text(corpus, tokens, vocab, make(encode(corpus, tokens, vocab), context))


def cold(text: Text, general: LanguageModel, settings: Settings, context: Context) -> LanguageModel:
    """The general model, fine-tuned on all text."""
    return make(finetune(general, text.ids, text.vocab, settings.finetune, DIRECTION), context)


def warm(story: Story, first: LanguageModel, config: WarmConfig, settings: Settings, context: Context) -> list[LanguageModel]:
    """The first domain LM, and what it becomes in each cycle."""
    models = [first]
    for before, text in zip(story.texts, story.texts[1:], strict=False):
        new = text.corpus.record.new_since(before.corpus.record)
        models.append(make(warm_finetune(models[-1], text.ids, text.vocab, new, config, settings.finetune, DIRECTION), context))
    return models


def perplexities(lm: LanguageModel, story: Story) -> tuple[float, float]:
    """On old and on new held-out text, over the last vocabulary."""
    last = Vocab.load(story.texts[-1].vocab.file)
    model = transfer_vocabulary(load_language_model(lm.path), Vocab.load(lm.path / "vocab.json"), last)
    old, new = (perplexity(model, documents, DIRECTION, "cpu") for documents in story.held_out())
    assert old and new
    return old, new


def config_of(option: str) -> WarmConfig:
    """``replay=0,epochs=4`` as settings."""
    return WarmConfig.model_validate(dict(pair.split("=") for pair in option.split(",") if pair))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=Path("forgetting-workspace"))
    parser.add_argument("--preset", default="small")
    parser.add_argument("--reviews", type=int, default=1500)
    parser.add_argument("--news", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--option", action="append", default=[])
    options = parser.parse_args()
    settings, context = preset(options.preset), workspace(options.workspace)
    reviews, news = shuffled("imdb", options.seed), shuffled("ag_news", options.seed)
    weeks = [news[at : at + options.news] for at in range(0, CYCLES * options.news, options.news)]
    story = Story.of([reviews[: options.reviews], *weeks], settings, context)
    print(f"{hardware()}, preset {options.preset}, seed {options.seed}")
    documents = [Documents.open(text.ids.path, ["train", "unlabelled"]).tokens for text in story.texts]
    print(f"training tokens after each cycle: {documents}; words: {[text.vocab.record.tokens for text in story.texts]}")
    print(f"growth: {[text.vocab.record.growth for text in story.texts[1:]]}")
    print(f"seconds from file to ids: {[round(second, 1) for second in story.seconds]}", flush=True)
    first = story.texts[0]
    if options.preset == "small":
        general = make(pretrained(known("small"), DIRECTION), context)
    else:
        general = make(pretrain(first.ids, first.vocab, settings.model, settings.pretrain, DIRECTION), context)
    lines: list[list[str]] = []

    def line(name: str, models: Sequence[LanguageModel]) -> None:
        old, new = perplexities(models[-1], story)
        seconds = [f"{model.record.training_seconds or 0:.0f}" for model in models]
        lines.append([name, f"{old:.2f}", f"{new:.2f}", ", ".join(seconds)])
        print(" | ".join(lines[-1]), flush=True)

    champion = cold(first, general, settings, context)
    line("before the news", [champion])
    line("cold on everything", [cold(story.texts[-1], general, settings, context)])
    for option in options.option or [""]:
        line(f"warm {option or 'as set by default'}", warm(story, champion, config_of(option), settings, context)[1:])
    table(["", "old held-out text", "new held-out text", "seconds of training, each cycle"], lines)


if __name__ == "__main__":
    main()
