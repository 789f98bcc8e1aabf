"""The list of commands of ``ulmfit``. Only the command that is asked for is imported: a prediction needs no workflow."""

from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

MODULES = {
    "train": "cli.workflows",
    "preprocess": "cli.workflows",
    "pretrain": "cli.workflows",
    "data-quantity": "cli.studies",
    "ablation": "cli.studies",
    "benchmark": "cli.studies",
    "retrain": "cli.retrain",
    "predict": "cli.predict",
    "score": "cli.score",
    "scored": "cli.score",
    "serve": "cli.serve",
    "label-next": "cli.label_next",
    "suspects": "cli.suspects",
    "lineage": "cli.lineage_tree",
    "history": "cli.decisions",
    "promote": "cli.decisions",
    "rollback": "cli.decisions",
    "forget": "cli.forget",
    "gc": "cli.gc",
    "import-fastai": "cli.convert",
    "export-fastai": "cli.convert",
    "send": "cli.send",
    "dashboard": "cli.dashboard",
    "deploy": "cli.deploy",
    "doctor": "cli.doctor",
}


def app(arguments: Sequence[str]) -> typer.Typer:
    """The application for a command line: with its command, or all of them where the first argument is none."""
    made = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
    made.callback()(common)
    for name in arguments[:1] if MODULES.keys() & arguments[:1] else MODULES:
        made.command(name)(getattr(import_module(MODULES[name]), name.replace("-", "_")))
    return made


def common(debug: Annotated[bool, typer.Option("--debug", help="show the traceback of an error")] = False) -> None:
    """Text classifiers that a team can retrain on its own data, on schedule, and defend."""
