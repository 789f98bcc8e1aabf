"""The command line. Exit 0 done; 2 the user's input or setting is at fault, in one line; 1 anything else."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn, Optional

import typer
from pydantic import ValidationError
from rich.console import Console
from typer.exceptions import TyperException

from ulmfit.errors import RunFailed, UserError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
log = logging.getLogger("ulmfit")

# What the system says of a disk or a folder is for the user to mend.
SYSTEM_FAULTS = {
    errno.ENOSPC: "no space is left on the disk; free some and run again (finished stages and parts are kept)",
    errno.EDQUOT: "the disk quota is used up; free some space and run again (finished stages and parts are kept)",
    errno.EROFS: "the file system is read-only; choose another folder with --workspace",
    errno.EACCES: "permission denied; choose another folder, or mend its permissions",
    errno.EPERM: "not permitted; choose another folder, or mend its permissions",
}

Corpus = Annotated[
    str, typer.Option("--corpus", help="name of a known corpus, a file (csv, tsv, jsonl, parquet; .gz, .zst) or a folder, also on s3://")
]
TextColumn = Annotated[str, typer.Option("--text-column", help="column that holds the text")]
LabelColumn = Annotated[str, typer.Option("--label-column", help="column that holds the label")]
TestFile = Annotated[Optional[str], typer.Option("--test", help="file of test documents; without it a share is held out")]  # noqa: UP045
Unlabelled = Annotated[Optional[str], typer.Option("--unlabelled", help="file of further text of the domain")]  # noqa: UP045
Encoding = Annotated[str, typer.Option("--encoding", help="encoding of the text files")]
Preset = Annotated[str, typer.Option("--preset", help="tiny (seconds), small (minutes) or base (the paper's sizes)")]
WorkspaceDir = Annotated[Optional[str], typer.Option("--workspace", help="folder for all that runs make [ULMFIT_HOME, .ulmfit]")]  # noqa: UP045
DaskAddress = Annotated[Optional[str], typer.Option("--dask", help="a scheduler's address, or a number of local workers")]  # noqa: UP045
Seed = Annotated[Optional[int], typer.Option("--seed", help="seed of every random choice")]  # noqa: UP045
Options = Annotated[Optional[list[str]], typer.Option("--set", help="stage.option=value; may be given more than once")]  # noqa: UP045
Pretrained = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--pretrained", help="language model to start from: small, a folder, s3://... or https://... [small, where it fits]"),
]
QuarantineCrashing = Annotated[
    bool, typer.Option("--quarantine-crashing", help="set a document aside that kills the worker which tokenises it")
]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line of standard output")]


@app.callback()
def common(debug: Annotated[bool, typer.Option("--debug", help="show the traceback of an error")] = False) -> None:
    """Text classifiers that a team can retrain on its own data, on schedule, and defend."""


@app.command()
def train(
    corpus: Corpus = "imdb",
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    test: TestFile = None,
    unlabelled: Unlabelled = None,
    encoding: Encoding = "utf-8",
    preset: Preset = "small",
    pretrained: Pretrained = None,
    pretrain: Annotated[
        str | None, typer.Option("--pretrain", help="a general corpus to pretrain on, instead: wikitext-103, a file, ...")
    ] = None,
    workspace: WorkspaceDir = None,
    dask: DaskAddress = None,
    pretraining: Annotated[str, typer.Option("--pretraining", help="ulmfit (Adam) or awd-lstm (SGD, averaged)")] = "ulmfit",
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda")] = "auto",
    devices: Annotated[int, typer.Option("--devices", help="processes for each training stage: a GPU each, or a part of the cores")] = 1,
    resume: Annotated[bool, typer.Option("--resume/--no-resume", help="go on with interrupted stages, or begin them anew")] = True,
    seed: Seed = None,
    quarantine_crashing: QuarantineCrashing = False,
    model_name: Annotated[Optional[str], typer.Option("--model-name", help="name in the registry [ulmfit-<corpus>]")] = None,  # noqa: UP045
    options: Options = None,
    as_json: AsJson = False,
) -> None:
    """The main job: two corpora in, a registered forward+backward classifier out."""
    _keep_pages()
    from flows.requests import TrainJob

    job = TrainJob.model_validate(_without(locals(), "options", "as_json", "TrainJob") | {"options": options or []})
    job.check()
    summary = _in_server(job.workspace, lambda: _flow("flows.train", "train", job))
    _show_summary(summary)
    if as_json:
        _print_json(summary)


@app.command()
def preprocess(
    corpora: Annotated[
        list[str], typer.Argument(metavar="CORPUS...", help="names of known corpora, files or folders, taken as one corpus")
    ],
    text_column: TextColumn = "text",
    label_column: Annotated[Optional[str], typer.Option("--label-column", help="column that holds the label [text without labels]")] = None,  # noqa: UP045
    test: TestFile = None,
    unlabelled: Unlabelled = None,
    encoding: Encoding = "utf-8",
    preset: Preset = "small",
    workspace: WorkspaceDir = None,
    out: Annotated[Optional[str], typer.Option("--out", help="folder or s3://BUCKET/FOLDER for the shards [the workspace]")] = None,  # noqa: UP045
    dask: DaskAddress = None,
    seed: Seed = None,
    quarantine_crashing: QuarantineCrashing = False,
    options: Options = None,
    as_json: AsJson = False,
) -> None:
    """Preprocessing by itself: text in, shards of ids and a table of its quality out."""
    from flows.requests import TextJob
    from ulmfit.report.corpus_quality import CorpusQuality
    from ulmfit.report.terminal import quality_table

    values = _without(locals(), "corpora", "options", "as_json", "TextJob", "CorpusQuality", "quality_table")
    job = TextJob.model_validate(values | {"corpus": corpora[0], "more": corpora[1:], "options": options or []})
    job.check()
    summary = _in_server(job.workspace, lambda: _flow("flows.preprocess", "preprocess", job))
    Console(width=None if sys.stdout.isatty() else 110).print(quality_table(CorpusQuality.model_validate(summary["quality"])))
    for stage in summary["stages"]:
        typer.echo(f"{stage['name']:<12} {'found' if stage['cached'] else 'made':<6} {stage['path']}")
    if as_json:
        _print_json(summary)


@app.command()
def pretrain(
    corpus: Corpus = "wikitext-103",
    text_column: TextColumn = "text",
    encoding: Encoding = "utf-8",
    preset: Preset = "small",
    pretrained: Annotated[Optional[str], typer.Option("--pretrained", help="a language model to go on from [from the start]")] = None,  # noqa: UP045
    pretraining: Annotated[str, typer.Option("--pretraining", help="ulmfit (Adam) or awd-lstm (SGD, averaged)")] = "ulmfit",
    direction: Annotated[str, typer.Option("--direction", help="forward, backward or both")] = "both",
    export: Annotated[Optional[str], typer.Option("--export", help="folder or s3://BUCKET/FOLDER for the finished models")] = None,  # noqa: UP045
    workspace: WorkspaceDir = None,
    dask: DaskAddress = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda")] = "auto",
    devices: Annotated[int, typer.Option("--devices", help="processes for each training stage: a GPU each, or a part of the cores")] = 1,
    resume: Annotated[bool, typer.Option("--resume/--no-resume", help="go on with interrupted stages, or begin them anew")] = True,
    seed: Seed = None,
    quarantine_crashing: QuarantineCrashing = False,
    options: Options = None,
    as_json: AsJson = False,
) -> None:
    """A language model of general text, forward and backward: what train's --pretrained takes."""
    _keep_pages()
    from flows.requests import PretrainJob

    values = _without(locals(), "direction", "options", "as_json", "PretrainJob") | {"options": options or []}
    directions = ("forward", "backward") if direction == "both" else (direction,)
    job = PretrainJob.model_validate(values | {"directions": directions})
    job.check()
    summary = _in_server(job.workspace, lambda: _flow("flows.pretrain", "pretrain", job))
    for way, found in summary["directions"].items():
        quality = f"perplexity {found['valid_perplexity']:.1f}" if found["valid_perplexity"] else "no text to validate on"
        typer.echo(f"{way:<9} {found['trained_tokens']:,} tokens, {quality}  {summary['export'] or summary['models'][way]}")
    if as_json:
        _print_json(summary)


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="a model's folder, or models:/NAME@ALIAS, or models:/NAME/VERSION")],
    file: Annotated[Path | None, typer.Argument(help="csv, tsv, jsonl, parquet or a folder; without it, --text or standard input")] = None,
    text: Annotated[Optional[list[str]], typer.Option("--text", help="a text; may be given more than once")] = None,  # noqa: UP045
    text_column: TextColumn = "text",
    encoding: Encoding = "utf-8",
    workspace: WorkspaceDir = None,
    as_json: AsJson = False,
) -> None:
    """Label and probabilities of texts, a line of JSON each."""
    from cli.prediction import predict_texts, read_texts

    texts = read_texts(file, text, text_column, encoding)
    rows = predict_texts(model, texts, workspace)
    if as_json:
        _print_json({"model": model, "predictions": rows})
        return
    for row in rows:
        typer.echo(json.dumps(row, ensure_ascii=False))


@app.command()
def lineage(
    uri: Annotated[str, typer.Argument(help="models:/NAME@ALIAS or models:/NAME/VERSION")],
    workspace: WorkspaceDir = None,
    as_json: AsJson = False,
) -> None:
    """The exact corpora, vocabularies, language models and settings behind a registered version."""
    from cli.lineage_tree import chain_tree
    from tasks.registry import version_lineage
    from tasks.workspace import Workspace

    chain = version_lineage(Workspace.open(workspace).tracking_uri, uri)
    if as_json:
        _print_json(chain)
    else:
        Console().print(chain_tree(chain))


@app.command("import-fastai")
def import_fastai(
    weights: Annotated[Path, typer.Argument(help="what fastai 2's learn.save or learn.save_encoder wrote (.pth), or .safetensors")],
    vocab: Annotated[Path, typer.Argument(help="its words in their order: .json, or .pkl of a plain list")],
    out: Annotated[Path, typer.Option("--out", help="folder for the model; new or empty")],
    direction: Annotated[str, typer.Option("--direction", help="how the model reads: forward or backward")] = "forward",
    labels: Annotated[Optional[str], typer.Option("--labels", help="a classifier's labels in the order of its outputs [0,1,...]")] = None,  # noqa: UP045
    lang: Annotated[str, typer.Option("--lang", help="language of the tokenizer")] = "en",
    as_json: AsJson = False,
) -> None:
    """A language model or classifier of fastai 2 as a model folder, with the same logits."""
    from ulmfit.interop.exchange import describe
    from ulmfit.interop.exchange import import_fastai as carry

    summary = carry(weights, vocab, out, direction, labels, lang)
    typer.echo(describe(summary))
    if as_json:
        _print_json(summary)


@app.command("export-fastai")
def export_fastai(
    model: Annotated[Path, typer.Argument(help="a model's folder, of one direction")],
    out: Annotated[Path, typer.Option("--out", help="file for the weights: .pth or .safetensors")],
    vocab: Annotated[Optional[Path], typer.Option("--vocab", help="file for the words: .json")] = None,  # noqa: UP045
    as_json: AsJson = False,
) -> None:
    """A language model or classifier as weights that fastai 2's load_state_dict takes."""
    from ulmfit.interop.exchange import describe
    from ulmfit.interop.exchange import export_fastai as carry

    summary = carry(model, out, vocab)
    typer.echo(describe(summary))
    if as_json:
        _print_json(summary)


@app.command()
def doctor(workspace: WorkspaceDir = None, as_json: AsJson = False) -> None:
    """Look for what will go wrong: versions, missing parts, the device, the workspace; each finding with its remedy."""
    from cli.doctor import examine, show

    findings = examine(workspace)
    show(findings)
    if as_json:
        _print_json({"findings": [finding.__dict__ for finding in findings]})
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(1)


def _flow(module: str, name: str, job: Any) -> dict[str, Any]:
    """Run a flow. Its module is imported now, when Prefect's server is known."""
    from importlib import import_module

    return getattr(import_module(module), name)(job)


def _keep_pages() -> None:
    from ulmfit.compute.pages import keep_pages

    keep_pages()  # in the process's first thread, and before any other has an arena of its own, whose pages would go back at each step


def _in_server(workspace: str | None, run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    from cli.prefect_server import prefect_server
    from tasks.workspace import Workspace

    with prefect_server(Workspace.open(workspace)):
        return run()


def _without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _show_summary(summary: dict[str, Any]) -> None:
    from ulmfit.evaluation.results import Results
    from ulmfit.report.terminal import result_table

    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(result_table(Results.model_validate(summary["results"])))
    made = [stage for stage in summary["stages"] if not stage["cached"]]
    model = summary["model"]
    console.print(
        f"stages  {len(made)} made, {len(summary['stages']) - len(made)} found finished; {summary['run']['seconds']:.0f} s in all"
    )
    console.print(f"report  {summary['report']}", soft_wrap=True)
    console.print(f"model   {model['uri']} ({model['alias']})", soft_wrap=True)
    console.print(f"try it  ulmfit predict models:/{model['name']}@{model['alias']} --text '...'", soft_wrap=True, markup=False)
    console.print(f"look    mlflow ui --backend-store-uri {summary['run']['tracking_uri']}", soft_wrap=True)


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def main() -> NoReturn:
    """Run the command line and exit."""
    debug = "--debug" in sys.argv
    sys.argv = [sys.argv[0], *(["--debug"] if debug else []), *(argument for argument in sys.argv[1:] if argument != "--debug")]
    _set_up(debug)
    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        code = _interrupted()
    except TyperException as error:  # a wrong option or argument
        code = _at_fault(_one_line(error))
    except (UserError, ValidationError) as error:
        if debug:
            raise
        code = _at_fault(_one_line(error))
    except RunFailed as error:
        if debug:
            raise
        sys.stderr.write(f"ulmfit: {_one_line(error)}\n")
        code = 1
    except OSError as error:
        if debug or error.errno not in SYSTEM_FAULTS:
            raise
        code = _at_fault(f"{error.filename or 'writing'}: {SYSTEM_FAULTS[error.errno]}")
    sys.exit(code if isinstance(code, int) else 0)


def _set_up(debug: bool) -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True)
    for name in ("ulmfit", "tasks", "flows"):
        logging.getLogger(name).setLevel(logging.DEBUG if debug else logging.INFO)
    # What these say of a failure, the command says in one line.
    for name in ("distributed", "prefect", "mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.DEBUG if debug else logging.CRITICAL)
    for name, value in (
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("MLFLOW_CONFIGURE_LOGGING", "0"),
        ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
    ):
        os.environ.setdefault(name, value)
    for name in ("PREFECT_LOGGING_LEVEL", "PREFECT_LOGGING_INTERNAL_LEVEL"):
        os.environ.setdefault(name, "DEBUG" if debug else "CRITICAL")
    warnings.simplefilter("default" if debug else "ignore")
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    signal.signal(signal.SIGINT, lambda number, frame: _stop(number, frame))


def _stop(number: int, frame: FrameType | None) -> None:
    """End at once on Ctrl-C: training threads cannot be asked to, and what is finished is safe in the store."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        child.terminate()
    os._exit(_interrupted())


def _interrupted() -> int:
    sys.stderr.write("\ninterrupted; finished stages are kept, and the same command goes on from there\n")
    sys.stderr.flush()
    return 130


def _one_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']} (given: {first['input']!r})"
    return " ".join(str(error).split())


def _at_fault(message: str) -> int:
    sys.stderr.write(f"ulmfit: {message}\n")
    return 2


if __name__ == "__main__":
    main()
