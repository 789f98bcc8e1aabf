"""What the server's own protocol takes and gives, as the OpenAPI page shows it."""

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import BaseModel, Field, StringConstraints

from ulmfit.prediction.answers import CLOSE, DIGITS
from ulmfit.prediction.predictor import Predictor, Probabilities

MOST_TEXTS, MOST_CHARACTERS = 10_000, 1_000_000  # of a request
LONGEST = 200_000  # characters of a text: of some 40,000 tokens, which take many seconds

Text = Annotated[str, StringConstraints(pattern=r"\S", strict=True)]


class Texts(BaseModel):
    """Texts to predict."""

    texts: list[Text] = Field(min_length=1, max_length=MOST_TEXTS, examples=[["Not a minute too long.", "I left before the end."]])
    abstain_below: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="give a label only if it is sure enough that this share of the given labels is right, by held-out rows",
    )


def excess(texts: Sequence[str]) -> str | None:
    """What there is too much of, in one line; None where nothing is."""
    if len(texts) > MOST_TEXTS:
        return f"the request has more than {MOST_TEXTS:,} texts; send fewer at a time"
    long = next((number for number, text in enumerate(texts, 1) if len(text) > LONGEST), None)
    if long is not None:
        return f"text {long} has more than {LONGEST:,} characters; cut it into several"
    if sum(map(len, texts)) > MOST_CHARACTERS:
        return f"the texts have more than {MOST_CHARACTERS:,} characters; send fewer at a time"
    return None


class Question(BaseModel):
    """A text whose label is to be explained: the likeliest one, or ``label``."""

    text: Text = Field(max_length=20_000, examples=["Not a minute too long."])
    label: str | None = None


class Part(BaseModel):
    """A part of the text, from character ``start`` to ``end``. ``effect``: what the label's probability loses when it is taken out;
    ``forward``, ``backward``, ``by_words``: the same by each member of the ensemble; ``agree``: whether both directions feel the same."""

    text: str
    start: int
    end: int
    effect: float
    forward: float
    backward: float
    by_words: float | None = None
    agree: bool


class Reasons(BaseModel):
    """What carries a label. ``perplexity`` (a token) and ``unknown`` (share of the words) tell how
    strange the text is to the model; ``warning``: why not to rely on the prediction."""

    model: str
    label: str
    probability: float
    directions: dict[str, float]
    by_words: float | None = None
    agree: bool
    perplexity: float | None
    unknown: float
    warning: str | None
    sentences: list[Part]
    words: list[Part]
    html: str


class Prediction(BaseModel):
    """What is predicted of one text. ``label`` (none where it is too unsure) and its ``probability``; or ``labels``, where a text may have
    any number of them."""

    label: str | None = None
    probability: float | None = None
    labels: list[str] | None = None
    probabilities: dict[str, float]


class Predictions(BaseModel):
    """What is predicted of each text, in their order, by one ``model``."""

    model: str
    predictions: list[Prediction]

    @classmethod
    def of(cls, model: str, predictor: Predictor, probabilities: Probabilities, sure_from: float = 0.0) -> Self:
        """From ``probabilities`` [N, L]; no label below ``sure_from``."""
        rows = zip(predictor.decide(probabilities), probabilities.tolist(), strict=True)
        return cls(model=model, predictions=[_prediction(predictor, labels, row, sure_from) for labels, row in rows])


def _prediction(predictor: Predictor, labels: list[str], row: list[float], sure_from: float) -> Prediction:
    shares = [round(value, DIGITS) for value in row]
    by_class = dict(zip(predictor.labels, shares, strict=True))
    if predictor.task == "multi-label":
        return Prediction(labels=labels, probabilities=by_class)
    label = labels[0] if max(row) >= sure_from - CLOSE else None
    return Prediction(label=label, probability=max(shares), probabilities=by_class)
