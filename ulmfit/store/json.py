"""The type of a JSON object whose fields only its writer and its reader know."""

from typing import Any

JsonObject = dict[str, Any]
