"""Settings: one frozen model per stage.

They enter an artifact's key (``store/recipe.py``), so none of them is a path, a device or a time: those do not change a result.
"""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Part = Annotated[float, Field(ge=0.0, le=1.0)]
Ratio = Annotated[float, Field(ge=1.0)]
Positive = Annotated[int, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Rate = Annotated[float, Field(gt=0.0)]


class Stage(BaseModel):
    """Base of all settings: immutable, and a misspelt option is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    LATER: ClassVar[frozenset[str]] = frozenset()  # options that were added when artifacts had keys without them

    def keyed(self) -> dict[str, JsonValue]:
        """The settings as they enter a key: one that was added later is not among them where it is None."""
        plain = self.model_dump(mode="json")
        parts = {name: part.keyed() for name in plain if isinstance(part := getattr(self, name), Stage)}
        return {name: value for name, value in (plain | parts).items() if value is not None or name not in self.LATER}


class CorpusConfig(Stage):
    """How documents are split and sampled. ``max_*`` cut a split to a seeded sample, by label in proportion."""

    LATER: ClassVar[frozenset[str]] = frozenset({"draw"})

    valid_share: Share = 0.1
    test_share: Share = Field(0.2, description="share held out for testing where no test file is given")
    max_train: Positive | None = Field(None, description="labelled documents to train on, at most")
    max_test: Positive | None = Field(None, description="test documents, at most")
    max_unlabelled: Annotated[int, Field(ge=0)] | None = Field(None, description="unlabelled documents, at most")
    seed: Seed = 0
    draw: Seed | None = Field(
        None,
        description="seed of the samples to learn from, where those held out are to stay: labelled rows as labels.number draws them; null: seed",
    )


class QualityConfig(Stage):
    """What a corpus may hold: past a ``max_*`` or below a ``min_*`` the run stops, past a ``warn_*`` it warns; null does neither.

    ``ulmfit/corpora/quality`` says what is counted, and of what each share is.
    """

    max_quarantined_share: Part = Field(0.5, description="rows that cannot be used, of all rows")
    max_duplicate_share: Part | None = Field(
        None, description="documents that repeat another of their split, apart from case and white space"
    )
    warn_duplicate_share: Part | None = 0.05
    max_overlap_share: Part | None = Field(None, description="documents of the held-out split that are also in the other one")
    warn_overlap_share: Part | None = 0.05
    max_html_share: Part | None = Field(None, description="documents with tags or entities, also those that the tokenizer understands")
    warn_html_share: Part | None = None
    max_tag_share: Part | None = Field(None, description="documents with tags other than line breaks, which become words")
    warn_tag_share: Part | None = 0.05
    max_broken_share: Part | None = Field(None, description="documents with signs of a wrong encoding")
    warn_broken_share: Part | None = 0.05
    max_oov_share: Part | None = Field(None, description="tokens outside the vocabulary, of all tokens")
    warn_oov_share: Part | None = 0.25
    min_main_language_share: Part | None = Field(None, description="documents in the commonest language, of those sampled")
    warn_main_language_share: Part | None = Field(0.8, description="warns below this share, not above")
    max_class_ratio: Ratio | None = Field(None, description="documents of the largest class to those of the smallest")
    warn_class_ratio: Ratio | None = 50.0


class PartsConfig(Stage):
    """How text is divided for workers. It changes neither documents nor tokens, and enters no key."""

    bytes: Positive = Field(8 << 20, description="text in a part of many documents, and in a row group; a worker's memory depends on it")
    documents: Positive = Field(100_000, description="documents in a part, at most")
    together_bytes: Positive = Field(8 << 20, description="small files that one worker reads together")
    slice_bytes: Positive = Field(64 << 20, description="text of a large Parquet file that one worker reads")


class TextConfig(Stage):
    """The tokenizer: a spaCy language and a named set of rules."""

    lang: str = "en"
    rules: Literal["default", "fastai"] = "default"


class VocabConfig(Stage):
    """Which tokens get a row of the embedding: the most frequent ``max_size`` seen ``min_count`` times or more."""

    max_size: int = Field(60_000, ge=16)
    min_count: Positive = 3


class ModelConfig(Stage):
    """Sizes of the AWD-LSTM encoder (Howard & Ruder 2018, sec. 4.1; Merity et al. 2017)."""

    embedding: Positive = 400
    hidden: Positive = 1152
    layers: Positive = 3


class Dropouts(Stage):
    """The five dropouts of the AWD-LSTM (Merity et al. 2017, sec. 4)."""

    output: Share = 0.4
    hidden: Share = 0.3
    input: Share = 0.4
    embedding: Share = 0.05
    weight: Share = 0.5

    def scaled(self, factor: float) -> Self:
        """All five multiplied by ``factor``; ValueError if one reaches 1."""
        return type(self)(**{name: value * factor for name, value in self.model_dump().items()})


class TrainingConfig(Stage):
    """What training a language model and training a classifier have in common: the optimiser and its schedule."""

    lr: float = Field(0.004, gt=0.0, description="the last layer group's highest rate")
    optimizer: Literal["adam", "nt-asgd"] = Field("adam", description="nt-asgd: SGD, averaged once validation stops improving")
    schedule: Literal["stlr", "constant", "cosine", "sgdr"] = Field(
        "stlr", description="slanted triangle; one rate throughout; half a cosine; or three cosines with warm restarts, each twice as long"
    )
    betas: tuple[float, float] = (0.7, 0.99)
    weight_decay: float = Field(0.0, ge=0.0)
    clip: float = Field(0.25, gt=0.0, description="norm that the gradients are cut to")
    cut_frac: float = Field(0.1, gt=0.0, lt=1.0)
    ratio: float = Field(32.0, gt=1.0)
    decay: float = Field(1.0, ge=1.0, description="layer l-1 learns at 1/decay of layer l")
    unfreeze: Literal["full", "gradual", "last", "chain-thaw"] = Field(
        "full", description="which layer groups learn in which epoch (the paper's Table 7)"
    )
    nonmono: int = Field(5, gt=0, description="validations without improvement after which nt-asgd averages")
    find_lr: bool = Field(
        False, description="try rising rates first; the curve and a suggestion go into the report, the rate is not changed"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of the matrix products; auto: bf16 if this machine is faster with it"
    )
    seed: Seed = 0


class LMConfig(TrainingConfig):
    """Training of a language model: pretraining and fine-tuning differ in these values alone."""

    epochs: Annotated[float, Field(ge=0.0)] | Literal["auto"] = Field(
        1.0, description="passes over the text, may be a fraction; auto: by its size, and the best weights are kept"
    )
    batch_size: Positive = 64
    bptt: int = Field(70, ge=5)
    valid_every: Positive | None = Field(None, description="steps between two validations, in addition to the one after each epoch")
    alpha: float = Field(2.0, ge=0.0, description="AR: weight of the dropped output's squares")
    beta: float = Field(1.0, ge=0.0, description="TAR: weight of the output's change over time")
    dropouts: Dropouts = Dropouts()
    max_tokens: Positive | None = Field(None, description="stop after this many tokens, for budgets")
    sampled: Positive | None = Field(None, description="words of the softmax drawn for each step, instead of the whole vocabulary")


class WarmConfig(Stage):
    """A domain LM that goes on from an earlier one: new text, and a sample of the old so that it forgets nothing."""

    replay: float = Field(4.0, ge=0.0, le=1000.0, description="tokens of old text for each of the new")
    epochs: float = Field(3.0, gt=0.0, le=1000.0, description="passes over both")
    rate: float = Field(0.5, gt=0.0, le=100.0, description="highest rate, as a share of that of fine-tuning")
    keep: Share = Field(0.75, description="share of the earlier weights in the average of those before and after; new words keep their own")
    seed: Seed = 0


class ClassifierConfig(TrainingConfig):
    """Training of a classifier on an encoder (Howard & Ruder 2018, sec. 3.3)."""

    LATER: ClassVar[frozenset[str]] = frozenset({"max_valid", "folds"})

    init: Literal["finetuned", "scratch"] = Field("finetuned", description="where the encoder comes from")
    task: Literal["multi-class", "multi-label"] = Field("multi-class", description="one label per document, or any number of them")
    label_separator: str = Field("|", min_length=1, description="what stands between the labels of a multi-label document")
    class_weights: Literal["none", "balanced"] = Field("none", description="balanced: rare labels count as much as frequent ones")
    label_smoothing: Share = 0.0
    epochs: Positive | Literal["auto"] = Field(4, description="passes over the documents; auto: by their number")
    batch_size: int = Field(64, gt=0, description="documents per batch, at most")
    batch_tokens: Positive | None = Field(None, description="padded positions per batch, at most")
    bptt: int = Field(70, ge=5, description="chunk length in which text before the gradients' reach is read")
    max_tokens: Positive | None = Field(None, description="tokens of a document, at most; a longer one keeps its beginning")
    max_gradient_tokens: Positive = Field(1400, description="BPT3C: how many tokens, from the end, the gradients reach")
    lr: Rate = 0.01
    decay: float = Field(2.6, ge=1.0)
    unfreeze: Literal["full", "gradual", "last", "chain-thaw"] = "gradual"
    patience: Positive | None = Field(
        None, description="stop after this many epochs without a better stop_metric, and keep the best weights"
    )
    stop_metric: Literal["valid_loss", "valid_accuracy", "valid_macro_f1"] = "valid_loss"
    max_valid: Positive | None = Field(None, description="validation documents to use after each epoch and for calibration, at most")
    calibrate: bool = Field(True, description="fit a temperature on the validation documents")
    folds: int | None = Field(
        None,
        ge=2,
        description="where validation documents are few, leave out so many folds of the others, too: they tell temperatures and weights of members",
    )
    hidden: Positive = 50
    head_dropouts: tuple[Share, Share] = (0.4, 0.1)
    dropouts: Dropouts = Dropouts()


class LabelsConfig(Stage):
    """Labelled training documents that the classifier and the baseline learn from. Language models read all training text."""

    LATER: ClassVar[frozenset[str]] = frozenset({"oversample"})

    number: Positive | None = Field(None, description="how many, stratified by label; a larger draw contains a smaller one; null: all")
    seed: Seed = 0
    oversample: Literal[True] | None = Field(
        None, description="repeat documents of rarer labels until all are as frequent as the commonest"
    )

    def keyed(self) -> dict[str, JsonValue]:
        """The draw as it enters a key: nothing where all documents are taken, once each."""
        return super().keyed() if self.number or self.oversample else {}


class EvaluateConfig(Stage):
    """The report: bootstrap intervals, and the baseline trained on the same rows."""

    LATER: ClassVar[frozenset[str]] = frozenset({"max_documents"})

    bootstrap: Positive = 1000
    confidence: float = Field(0.95, gt=0.5, lt=1.0)
    mistakes: Positive = 20
    max_documents: Positive | None = Field(None, description="documents to evaluate on, at most: a sample, stratified by label")
    seed: Seed = 0


class Settings(Stage):
    """All stages of the main job."""

    LATER: ClassVar[frozenset[str]] = frozenset({"words", "general_words"})

    general: CorpusConfig = CorpusConfig(max_unlabelled=None)
    corpus: CorpusConfig = CorpusConfig()
    quality: QualityConfig = QualityConfig()
    parts: PartsConfig = PartsConfig()
    text: TextConfig = TextConfig()
    general_vocab: VocabConfig = VocabConfig()
    vocab: VocabConfig = VocabConfig()
    model: ModelConfig = ModelConfig()
    pretrain: LMConfig = LMConfig()
    finetune: LMConfig = LMConfig()
    labels: LabelsConfig = LabelsConfig()
    classifier: ClassifierConfig = ClassifierConfig()
    general_words: Literal[True] | None = Field(
        None, description="the vocabulary is filled up to vocab.max_size with the most frequent words of the general language model"
    )
    words: Literal[True] | None = Field(None, description="the ensemble has a third member: TF-IDF + logistic regression")
    scratch: bool = Field(False, description="also train the classifier from scratch, for comparison")
    judge: Literal["test", "valid"] = Field("test", description="split that is evaluated; valid: to choose settings by")
    evaluate: EvaluateConfig = EvaluateConfig()

    @field_validator("words", "general_words", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        """``false`` is as good as null."""
        return None if value is False else value
