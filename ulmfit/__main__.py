"""``ulmfit`` and ``python -m ulmfit``: hands over to the command line in ``cli/`` of a checkout."""

import os
import sys
from importlib import import_module
from pathlib import Path


def main() -> None:
    """Run the checkout's command line and exit; with exit code 2 where the package is installed alone."""
    keep_standard_streams()
    try:
        here = os.getcwd()
    except FileNotFoundError:
        sys.stderr.write("ulmfit: the current folder is gone; change into one that is there\n")
        sys.exit(2)
    if sys.path[0] in ("", here):  # ``python -m`` put it there, and the user's files would be imported in place of libraries
        del sys.path[0]
    root = Path(__file__).resolve().parents[1]
    if not ((root / "cli" / "main.py").is_file() and (root / "pyproject.toml").is_file()):
        sys.stderr.write(
            "ulmfit: the commands run from a checkout (make install; see README); without one, use: from ulmfit import TextClassifier\n"
        )
        sys.exit(2)
    # By name, for ulmfit never imports cli (the layers in pyproject.toml); from this path, for another package may be called cli too.
    sys.path.insert(0, str(root))
    import_module("cli.main").main()


def keep_standard_streams() -> None:
    """Give closed standard streams the null device: a database opened later would get their number, and what libraries write there."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - to the end of the process


if __name__ == "__main__":
    main()
