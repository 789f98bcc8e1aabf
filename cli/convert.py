"""``ulmfit import-fastai`` and ``ulmfit export-fastai``: models of fastai 2 as model folders, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from pydantic import BaseModel, Field

from cli.options import AsJson, options_of, print_json

if TYPE_CHECKING:
    from ulmfit.interop.exchange import Converted


class ImportRequest(BaseModel):
    """The options of ``ulmfit import-fastai``."""

    direction: str = Field("forward", description="how the model reads: forward or backward")
    labels: str | None = Field(None, description="a classifier's labels in the order of its outputs [0,1,...]")
    lang: str = Field("en", description="language of the tokenizer")


@options_of(ImportRequest)
def import_fastai(
    weights: Annotated[Path, typer.Argument(help="what fastai 2's learn.save or learn.save_encoder wrote (.pth), or .safetensors")],
    vocab: Annotated[Path, typer.Argument(help="its words in their order: .json, or .pkl of a plain list")],
    out: Annotated[Path, typer.Option("--out", help="folder for the model; new or empty")],
    *,
    as_json: AsJson = False,
    **fields: object,
) -> None:
    """A language model or classifier of fastai 2 as a model folder, with the same logits."""
    from ulmfit.interop import exchange

    request = ImportRequest.model_validate(fields)
    _report(exchange.import_fastai(weights, vocab, out, request.direction, request.labels, request.lang), as_json)


def export_fastai(
    model: Annotated[Path, typer.Argument(help="a model's folder, of one direction")],
    out: Annotated[Path, typer.Option("--out", help="file for the weights: .pth or .safetensors")],
    vocab: Annotated[Optional[Path], typer.Option("--vocab", help="file for the words: .json")] = None,  # noqa: UP045
    as_json: AsJson = False,
) -> None:
    """A language model or classifier as weights that fastai 2's load_state_dict takes."""
    from ulmfit.interop import exchange

    _report(exchange.export_fastai(model, out, vocab), as_json)


def _report(model: Converted, as_json: bool) -> None:
    typer.echo(describe(model))
    if as_json:
        print_json(model.model_dump(exclude_unset=True))


def describe(model: Converted) -> str:
    """The converted model for people: its kind, sizes, labels and files."""
    sizes = f"{model.words:,} words, embedding {model.embedding:,}, {model.layers} LSTM layers of {model.hidden:,}"
    rows = [
        ("found", f"{model.kind.replace('_', ' ')}, {model.direction or 'direction unknown'}: {sizes}"),
        ("", model.encoder_only and "it is an encoder alone: the decoder shares its embedding, and the decoder's bias starts at 0"),
        ("labels", ", ".join(model.labels or [])),
        ("model", model.folder),
        ("weights", model.weights),
        ("words", model.vocab),
    ]
    return "\n".join(f"{name:<8} {value}" for name, value in rows if value)
