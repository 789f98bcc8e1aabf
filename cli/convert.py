"""``ulmfit import-fastai`` and ``ulmfit export-fastai``: models of fastai 2 as model folders, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from pydantic import BaseModel, Field

from cli.options import AsJson, options_of, print_json


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


def _report(summary: dict[str, Any], as_json: bool) -> None:
    typer.echo(describe(summary))
    if as_json:
        print_json(summary)


def describe(summary: dict[str, Any]) -> str:
    """The converted model for people: its kind, sizes, labels and files."""
    kind = summary["kind"].replace("_", " ")
    sizes = f"{summary['words']:,} words, embedding {summary['embedding']:,}, {summary['layers']} LSTM layers of {summary['hidden']:,}"
    lines = [f"{'found':<8} {kind}, {summary['direction'] or 'direction unknown'}: {sizes}"]
    if summary.get("encoder_only"):
        lines.append(f"{'':<8} it is an encoder alone: the decoder shares its embedding, and the decoder's bias starts at 0")
    if summary["labels"]:
        lines.append(f"{'labels':<8} {', '.join(summary['labels'])}")
    files = (("folder", "model"), ("weights", "weights"), ("vocab", "words"))
    return "\n".join([*lines, *(f"{name:<8} {summary[key]}" for key, name in files if summary.get(key))])
