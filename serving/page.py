"""The OpenAPI description as a page that needs no other host."""

import json
from collections.abc import Mapping
from html import escape
from typing import Any

STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}
code,pre{font:14px/1.45 ui-monospace,monospace;background:#f4f4f2;border-radius:4px}code{padding:.1em .3em}pre{padding:.8rem;overflow:auto}
h2{font-size:1.05rem;margin-top:2rem}h2 b{color:#1b5e8c;margin-right:.5em}"""


def page_of(description: Mapping[str, Any]) -> str:
    """HTML of an OpenAPI ``description``."""
    info = description["info"]
    sections = [
        _operation(path, method, facts, description) for path, methods in description["paths"].items() for method, facts in methods.items()
    ]
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(info['title'])}</title><style>{STYLE}</style>"
        f"<h1>{escape(info['title'])}</h1><p>{escape(info.get('summary', ''))}. The same for programs: "
        f"<a href=openapi.json>openapi.json</a></p>{''.join(sections)}</html>"
    )


def _operation(path: str, method: str, facts: Mapping[str, Any], description: Mapping[str, Any]) -> str:
    heading = f"<h2><b>{escape(method.upper())}</b><code>{escape(path)}</code></h2><p>{escape(facts.get('description', ''))}</p>"
    taken = _schema(facts.get("requestBody"), description)
    given = _schema(facts.get("responses", {}).get("200"), description)
    return heading + (f"<p>takes</p>{taken}" if taken else "") + (f"<p>gives</p>{given}" if given else "")


def _schema(holder: Mapping[str, Any] | None, description: Mapping[str, Any]) -> str:
    """The JSON schema of what is sent, with its parts in place; nothing where it is not described."""
    schema = (holder or {}).get("content", {}).get("application/json", {}).get("schema")
    return f"<pre>{escape(json.dumps(_resolved(schema, description), indent=2, ensure_ascii=False))}</pre>" if schema else ""


def _resolved(schema: Any, description: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_resolved(part, description) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" in schema:
        return _resolved(description["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], description)
    return {name: _resolved(part, description) for name, part in schema.items() if name != "title"}
