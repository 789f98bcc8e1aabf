"""The splits of a corpus."""

from __future__ import annotations

SPLITS = ("train", "valid", "test", "unlabelled")
