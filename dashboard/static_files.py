"""The files that pages load: styles, our script, and two libraries that lie beside it with their digests. All are in memory, by name."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Self

TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
REPORT_STYLE = "report.css"  # the look of the report is the look of the site


@dataclass(frozen=True)
class StaticFiles:
    """Content by name."""

    contents: Mapping[str, bytes]

    @classmethod
    @cache
    def read(cls) -> Self:
        """All files of ``dashboard/static`` that a browser loads, and the style of the report."""
        folder = resources.files("dashboard").joinpath("static")
        found = {file.name: file.read_bytes() for file in folder.iterdir() if file.name.rpartition(".")[2] in TYPES}
        style = resources.files("ulmfit.report").joinpath("templates/style.css").read_bytes()
        return cls({**found, REPORT_STYLE: style})

    def version(self, name: str) -> str:
        """Changes with the content, so that a browser may keep a file for ever."""
        return hashlib.sha256(self.contents[name]).hexdigest()[:12]

    def kind(self, name: str) -> str:
        """The type of its content."""
        return TYPES[name.rpartition(".")[2]]
