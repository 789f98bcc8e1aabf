"""The language models that are known by name."""

import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ulmfit.config import TextConfig

SHIPPED = "small"


@dataclass(frozen=True)
class Known:
    """A language model of the catalog: ``manifest``, the SHA-256 of its manifest, vouches for all its files."""

    location: str
    manifest: str
    lang: str
    rules: str
    about: str
    licence: str


# The folder that comes with the project: in its sources, or among an installation's shared data.
_SOURCES = Path(__file__).parents[2] / "pretrained" / SHIPPED
_INSTALLED = Path(sysconfig.get_path("data"), "share", "ulmfit", "pretrained", SHIPPED)
CATALOG = {
    SHIPPED: Known(
        str(_SOURCES if _SOURCES.is_dir() else _INSTALLED),
        "fbcf0c7b4d768e0a281d309c218e74fb68506674b5f08b75cde4f64bf375ec00",
        "en",
        "default",
        "English Wikipedia, 57M words; 256/512/2, 24,000 words; 9 MB per direction",
        "CC BY-SA 4.0, as its text, the English Wikipedia; name Wikipedia's authors when you pass it on.",
    )
}


def shipped_for(preset: str, text: TextConfig, options: Sequence[str]) -> str | None:
    """The name of the language model that comes with the project, where it fits; else None.

    It fits where language and rules are those of the text, and no ``options`` concern pretraining or the sizes of a model.
    The base preset has sizes of its own.
    """
    known = CATALOG[SHIPPED]
    asked = any(option.strip().startswith(("model.", "pretrain.", "general")) for option in options)
    return None if preset == "base" or asked or (text.lang, text.rules) != (known.lang, known.rules) else SHIPPED
