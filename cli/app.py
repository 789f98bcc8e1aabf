"""The list of commands of ``ulmfit``."""

from typing import Annotated

import typer

from cli.convert import export_fastai, import_fastai
from cli.doctor import doctor
from cli.lineage_tree import lineage
from cli.predict import predict
from cli.workflows import preprocess, pretrain, train

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback()
def common(debug: Annotated[bool, typer.Option("--debug", help="show the traceback of an error")] = False) -> None:
    """Text classifiers that a team can retrain on its own data, on schedule, and defend."""


for command in (train, preprocess, pretrain, predict, lineage, import_fastai, export_fastai, doctor):
    app.command(command.__name__.replace("_", "-"))(command)
