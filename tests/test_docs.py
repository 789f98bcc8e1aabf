"""The documents name only what exists: linked files, files and modules of the tree, and functions as `path.py: name`."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md"))]
LINK = re.compile(r"\]\(([^)#:]*)(?:#([^)]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FILE = re.compile(r"(?<![\w./])((?:ulmfit|tasks|flows|serving|dashboard|cli|tests|benchmarks|docs)/[\w/.-]*\w/?)")
FUNCTION = re.compile(r"`([\w/]+\.py): (\w+)`")
MODULE = re.compile(r"\b(?:from|import) ((?:ulmfit|tasks|flows|serving|dashboard|cli)[\w.]*)(?: import ([\w, ]+))?")


def anchors(page: Path) -> set[str]:
    """What headings are called in links, as GitHub does it."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(page.read_text())}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    for link, anchor in LINK.findall(text):
        target = page.parent / link if link else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), f"{link}#{anchor}"
    assert [file for file in FILE.findall(text) if not (ROOT / file).exists()] == []
    assert [
        (file, name) for file, name in FUNCTION.findall(text) if not re.search(rf"(?:def|class) {name}\b", (ROOT / file).read_text())
    ] == []
    for module, names in MODULE.findall(text):
        assert find_spec(module), module
        assert all(hasattr(import_module(module), name.strip()) for name in names.split(",") if name), (module, names)
