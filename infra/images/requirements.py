"""Prints what an image installs: dependencies of pyproject.toml, of the core and of the extras that are named, but for those left out.

``python requirements.py workflow stack --without supervisor``. A name that is not there is an error, so an image cannot miss a package silently.
"""

import argparse
import re
import tomllib
from pathlib import Path


def requirements(pyproject: str, extras: list[str], without: list[str]) -> list[str]:
    """The lines. ValueError for an extra, or a package to leave out, that pyproject.toml does not have."""
    project = tomllib.loads(pyproject)["project"]
    optional = project["optional-dependencies"]
    if unknown := set(extras) - set(optional):
        raise ValueError(f"pyproject.toml has no extra {', '.join(sorted(unknown))}")
    lines = [*project["dependencies"], *(line for extra in extras for line in optional[extra])]
    named = {name_of(line): line for line in lines if name_of(line) != project["name"]}
    if unknown := set(without) - set(named):
        raise ValueError(f"pyproject.toml does not ask for {', '.join(sorted(unknown))}")
    return [line for name, line in named.items() if name not in without]


def name_of(line: str) -> str:
    """The package of a requirement."""
    found = re.match(r"[A-Za-z0-9._-]+", line)
    assert found, line
    return found.group().lower().replace("_", "-")


if __name__ == "__main__":
    asked = argparse.ArgumentParser()
    asked.add_argument("extras", nargs="*")
    asked.add_argument("--without", nargs="*", default=[])
    given = asked.parse_args()
    print("\n".join(requirements(Path("pyproject.toml").read_text(), given.extras, given.without)))
