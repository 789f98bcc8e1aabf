"""Explanations as HTML: the text with its words coloured, for the label and against it. The page needs no other host."""

from collections.abc import Iterator
from html import escape

from ulmfit.prediction.explanation import Explanation, Part

FOR, AGAINST = "27,110,180", "205,90,10"  # blue and orange, which colour-blind people tell apart
FAINT = 0.04  # of the strongest effect: what is weaker stays plain
STYLE = """body{font:16px/1.7 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}
article{border-top:1px solid #ddd;padding:1rem 0}p{margin:.4rem 0;white-space:pre-wrap}mark{color:inherit;border-radius:3px;padding:.05em .1em}
.apart{text-decoration:underline dotted #888}small{color:#555}.warning{color:#a33}"""
LEGEND = (
    f"<p><small><mark style='background:rgba({FOR},.4)'>for the label</mark> <mark style='background:rgba({AGAINST},.4)'>against it</mark>: what the "
    "probability loses or gains when the word is taken out. <mark class=apart>Dotted</mark>: the two directions do not agree.</small></p>"
)
HEAD = f"<!doctype html><html lang=en><meta charset=utf-8><title>Explanations</title><style>{STYLE}</style><h1>Explanations</h1>{LEGEND}\n"


def coloured(explanation: Explanation) -> str:
    """The text with its words coloured; all of it is escaped."""
    return "".join(_pieces(explanation))


def article(explanation: Explanation) -> str:
    """The label with its probability, what speaks against relying on it, and the coloured text."""
    each = ", ".join(f"{direction} {share:.1%}" for direction, share in explanation.directions.items())
    each += f", words {explanation.by_words:.1%}" if explanation.by_words is not None else ""
    warning = f"<p class=warning>{escape(explanation.strange.warning)}</p>" if explanation.strange.warning else ""
    facts = f"<b>{escape(explanation.label)}</b> {explanation.probability:.1%} <small>({each})</small>"
    return f"<article><p>{facts}</p>{warning}<p>{coloured(explanation)}</p></article>\n"


def _pieces(explanation: Explanation) -> Iterator[str]:
    text, place = explanation.text, 0
    strongest = max((abs(word.effect) for word in explanation.words), default=0.0)
    for word in explanation.words:
        yield escape(text[place : word.start])
        yield _marked(word, word.effect / strongest if strongest else 0.0)
        place = word.end
    yield escape(text[place:])


def _marked(word: Part, share: float) -> str:
    if abs(share) < FAINT:
        return escape(word.text)
    colour, apart = FOR if share > 0 else AGAINST, "" if word.agree else " class=apart"
    return f'<mark{apart} style="background:rgba({colour},{0.7 * abs(share):.2f})" title="{word.effect:+.4f}">{escape(word.text)}</mark>'
