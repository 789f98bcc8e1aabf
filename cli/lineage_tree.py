"""``ulmfit lineage``: everything behind a registered version, as a tree."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from cli.options import AsJson, WorkspaceDir, print_json

SHOWN = ("name", "digest", "documents", "tokens", "valid_perplexity", "valid_accuracy", "seconds")


def lineage(
    uri: Annotated[str, typer.Argument(help="models:/NAME@ALIAS or models:/NAME/VERSION")],
    workspace: WorkspaceDir = None,
    as_json: AsJson = False,
) -> None:
    """The exact corpora, vocabularies, language models and settings behind a registered version."""
    from tasks.registry import version_lineage
    from tasks.workspace import Workspace

    chain = version_lineage(Workspace.open(workspace).tracking_uri, uri)
    if as_json:
        print_json(chain)
    else:
        Console().print(chain_tree(chain))


def chain_tree(chain: dict[str, Any]) -> Tree:
    """A registered version, and under each artifact its inputs. Names and values are shown as they are, never read as markup."""
    aliases = f" ({', '.join(chain['aliases'])})" if chain["aliases"] else ""
    tree = Tree(Text(f"{chain['model']} version {chain['version']}{aliases}"))
    _add(tree, "model", chain["key"], chain["artifacts"], set())
    return tree


def _add(tree: Tree, role: str, key: str, artifacts: dict[str, Any], seen: set[str]) -> None:
    entry = artifacts[key]
    again = " (see above)" if key in seen else ""
    branch = tree.add(Text(f"{role}: {entry['kind']} {key[:12]}{again}"))
    if key in seen:
        return
    seen.add(key)
    facts = {name: value for name, value in entry.get("record", {}).items() if name in SHOWN}
    if facts:
        shown = (f"{name} {value:.6g}" if isinstance(value, float) else f"{name} {value}" for name, value in facts.items())
        branch.add(Text(", ".join(shown)))
    settings = ", ".join(f"{name}={value}" for name, value in entry["config"].items())
    branch.add(Text(f"settings {settings}"))
    if entry.get("run_id"):
        branch.add(Text(f"run {entry['run_id']}"))
    for name, value in entry["inputs"].items():
        _add(branch, name, value, artifacts, seen)
