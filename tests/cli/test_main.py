"""Exit codes, and errors as one line."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cli import predict as predicting
from cli.main import run
from tests.conftest import ROOT
from ulmfit.errors import RunFailed, UserError


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch):
    """Makes ``ulmfit predict`` end with an error."""

    def fail(error: Exception) -> list[str]:
        def predict_records(*_: object) -> None:
            raise error

        monkeypatch.setattr(predicting, "predict_records", predict_records)
        monkeypatch.setattr("ulmfit.prediction.predictor.Predictor", lambda folder: None)
        return ["predict", "folder", "--text", "x"]

    return fail


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("rows.csv: no such\n file"), 2, "ulmfit: rows.csv: no such file"),
        (RunFailed("the scheduler\nis lost"), 1, "ulmfit: the scheduler is lost"),
        (OSError(errno.ENOSPC, "No space left", "/full"), 2, "ulmfit: /full: no space is left on the disk"),
        (PermissionError(errno.EACCES, "denied"), 2, "ulmfit: writing: permission denied"),
        (OSError(errno.EIO, "the S3 server\nfailed", "s3://bucket/key"), 1, "ulmfit: s3://bucket/key: the S3 server failed"),
    ],
)
def test_an_error_of_a_known_cause_is_one_line(fails, capsys: pytest.CaptureFixture[str], error: Exception, code: int, line: str) -> None:
    arguments = fails(error)
    assert run(arguments) == code
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith(line) and said.err.count("\n") == 1
    with pytest.raises(type(error)):
        run(arguments, debug=True)


def test_an_error_of_an_unknown_cause_keeps_its_traceback(fails) -> None:
    with pytest.raises(KeyError):
        run(fails(KeyError("x")))
    with pytest.raises(OSError, match="Bad file"):
        run(fails(OSError(errno.EBADF, "Bad file descriptor")))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--corpuss", "x"], "--corpuss"),
        (["nothing"], "nothing"),
        (["predict"], "model"),
        (["train", "--devices", "many"], "--devices"),
        (["train", "--devices", "0"], "--devices: Input should be greater than or equal to 1 (given: 0)"),
        (["train", "--preset", "huge"], "--preset: Input should be 'tiny', 'small' or 'base' (given: 'huge')"),
        (["pretrain", "--direction", "sideways"], "--direction: Input should be 'forward' or 'backward' (given: 'sideways')"),
    ],
)
def test_wrong_arguments_end_with_2(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("ulmfit: ") and said in error and error.count("\n") == 1


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0 and "import-fastai" in capsys.readouterr().out


def test_the_package_alone_says_where_the_commands_are(tmp_path: Path) -> None:
    """Beside an installed package there is no checkout; a package ``cli`` that somebody else put there is not run."""
    (tmp_path / "ulmfit").mkdir()
    for name in ("__init__.py", "__main__.py"):
        (tmp_path / "ulmfit" / name).write_bytes((ROOT / "ulmfit" / name).read_bytes())
    (tmp_path / "cli").mkdir()
    (tmp_path / "cli" / "main.py").write_text("print('not ours')")
    command = [sys.executable, "-m", "ulmfit", "doctor"]
    ended = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "checkout" in ended.stderr and "from ulmfit import TextClassifier" in ended.stderr and ended.stderr.count("\n") == 1


def test_the_users_files_are_not_imported(tmp_path: Path) -> None:
    for module in ("platform", "queue", "random", "typer"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('the user\\'s file was run')\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "ulmfit", "train", "--nothing"]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 2 and "--nothing" in ended.stderr


def test_a_current_folder_that_is_gone(tmp_path: Path) -> None:
    code = "import os, sys; os.rmdir(os.getcwd()); from ulmfit.__main__ import main; sys.path[0] = 'x'; main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (2, "ulmfit: the current folder is gone; change into one that is there\n")


@pytest.mark.parametrize("closed", [(2,), (0, 2), (0, 1, 2)])
def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path, closed: tuple[int, ...]) -> None:
    code = (
        "import sys; from ulmfit.__main__ import keep_standard_streams as keep; keep(); sys.stderr.write('x'); sys.stderr.flush(); "
        "file = open(sys.argv[1], 'w'); file.write(str(file.fileno()))"
    )

    def close() -> None:
        for number in closed:
            os.close(number)

    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, str(tmp_path / "file")]
    assert subprocess.run(command, env=environment, preexec_fn=close).returncode == 0
    assert int((tmp_path / "file").read_text()) > 2


SIGNALLED = """
import signal, subprocess, sys, threading, time
from cli.main import set_up
from ulmfit.training.interruption import INTERRUPTION
set_up(debug=False)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
begun = threading.Event()
def train():
    with INTERRUPTION.awaited():
        begun.set()
        while not INTERRUPTION.asked:
            time.sleep(0.01)
        print("checkpoint", flush=True)
threading.Thread(target=train, daemon=True).start()
begun.wait()
signal.raise_signal(int(sys.argv[1]))
time.sleep(0.1)
print("still here")
child.kill()
"""


def ends(process: int) -> bool:
    """Whether a process ends within seconds; nobody may be there to collect it."""
    for _ in range(500):
        try:
            if psutil.Process(process).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])  # a service manager, Kubernetes; a terminal that is closed
def test_a_signal_waits_for_checkpoints_and_ends_the_children(number: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SIGNALLED, str(int(number))]
    ended = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    child, *said = ended.stdout.split()
    assert (ended.returncode, said) == (128 + number, ["checkpoint"]), ended.stderr
    assert "the same command continues from there" in ended.stderr and ends(int(child))


def test_nohup_is_respected(tmp_path: Path) -> None:
    command = ["nohup", sys.executable, "-c", SIGNALLED, str(int(signal.SIGHUP))]
    ended = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert ended.returncode == 0 and ended.stdout.split()[1:] == ["still", "here"]


def test_training_begins_before_any_library_has_threads(tmp_path: Path) -> None:
    """Memory is kept from step to step in one arena: so the C library is asked before numpy and pyarrow are imported."""
    program = """
import sys
import ulmfit.compute.pages as pages
asked = []
def keep_pages():
    asked.append({"numpy", "pyarrow", "torch"} & sys.modules.keys())
pages.keep_pages = keep_pages
sys.argv = ["ulmfit", "train", "--corpus", "nowhere.csv"]
from cli.main import main
try:
    main()
finally:
    print(asked[0])
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "set()\n"), ended.stderr
