"""The type of a JSON object whose fields only its writer and its reader know."""

from __future__ import annotations

from typing import Any

JsonObject = dict[str, Any]
