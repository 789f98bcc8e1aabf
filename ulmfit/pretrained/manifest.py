"""``manifest.json`` of pretrained language models: how they were trained, and the SHA-256 of their files."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ConfigDict, Field, ValidationError

from ulmfit.config import LMConfig, ModelConfig, TextConfig, VocabConfig
from ulmfit.corpora.corpus_record import SplitFacts
from ulmfit.directions import DIRECTIONS, Direction
from ulmfit.errors import UserError
from ulmfit.models.saving import CONFIG, WEIGHTS
from ulmfit.store import filesystem
from ulmfit.store.digests import is_intact
from ulmfit.store.json import Facts, SparseFacts

MANIFEST = "manifest.json"
FILES = (WEIGHTS, CONFIG, "vocab.json")  # of each direction


class CorpusFacts(Facts):
    """The text that a language model was trained on."""

    name: str
    digest: str
    splits: dict[str, SplitFacts]


class DirectionFacts(Facts):
    """The training of one direction; ``products``: the type of the matrix products."""

    model_config = ConfigDict(from_attributes=True)

    trained_tokens: int | None = None
    training_seconds: float | None = None
    valid_loss: float | None = None
    valid_perplexity: float | None = None
    products: str | None = None


class PretrainedManifest(SparseFacts):
    """The content of a manifest. ``files``: file name -> SHA-256; ``started_from``: the models whose training was continued;
    ``licence``: under which they may be passed on."""

    name: str | None = None
    licence: str | None = None
    corpus: CorpusFacts | None = None
    text: TextConfig | None = None
    general_vocab: VocabConfig | None = None
    model: ModelConfig | None = None
    pretrain: LMConfig | None = None
    directions: dict[Direction, DirectionFacts] = Field(default_factory=dict)
    started_from: "PretrainedManifest | None" = None
    files: dict[str, str] = Field(default_factory=dict)

    def digests(self, direction: Direction) -> dict[str, str]:
        """File name -> SHA-256 of the files of one direction."""
        return {name.removeprefix(f"{direction}/"): digest for name, digest in self.files.items() if name.startswith(f"{direction}/")}


def parse_manifest(data: bytes, location: str) -> PretrainedManifest:
    """The manifest in ``data``. UserError where it is damaged, or names a file that is no part of a language model."""
    try:
        manifest = PretrainedManifest.model_validate_json(data)
    except ValidationError as error:
        raise UserError(
            f"{location}/{MANIFEST}: damaged, or not the manifest of a language model; fetch the language model again"
        ) from error
    allowed = {f"{direction}/{file}" for direction in DIRECTIONS for file in FILES}
    if strange := sorted(manifest.files.keys() - allowed):
        raise UserError(f"{location}: its {MANIFEST} names {strange[0]!r}, which is no part of a language model; do not use it")
    return manifest


def check_files(folder: Path, files: Mapping[str, str]) -> None:
    """UserError where one of the files is missing in the folder, or its digest differs."""
    for name, digest in files.items():
        if not (folder / name).is_file():
            raise UserError(f"{folder / name}: is missing; fetch the language model again")
        if not is_intact(folder / name, digest):
            raise UserError(f"{folder / name}: damaged (its digest is not the manifest's); fetch the language model again")


def file_digests(folder: Path) -> dict[str, str]:
    """File name -> SHA-256 of the files of one direction, in its folder. UserError where one is missing."""
    try:
        return {name: filesystem.sha256(folder / name) for name in FILES}
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: is missing; name a folder that `ulmfit pretrain --export` wrote") from error
