"""``ulmfit lineage``: everything behind a registered version, as a tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from cli.options import AsJson, WorkspaceDir, print_json

if TYPE_CHECKING:
    from tasks.registry import VersionLineage

SHOWN = ("name", "digest", "documents", "tokens", "valid_perplexity", "valid_accuracy", "seconds")


def lineage(
    uri: Annotated[str, typer.Argument(help="models:/NAME@ALIAS or models:/NAME/VERSION")],
    workspace: WorkspaceDir = None,
    as_json: AsJson = False,
) -> None:
    """The exact corpora, vocabularies, language models and settings behind a registered version."""
    from tasks.registry import version_lineage
    from tasks.workspace import Workspace

    version = version_lineage(Workspace.named(workspace), uri)
    if as_json:
        named = {"model": version.model, "version": version.version, "aliases": version.aliases, "tags": version.tags}
        named["forgotten"] = sorted(version.forgotten)
        print_json({**named, **version.lineage.model_dump(mode="json", exclude_unset=True)})
    else:
        Console().print(lineage_tree(version))


def lineage_tree(version: VersionLineage) -> Tree:
    """A registered version, and under each artifact its inputs. Names and values are shown as they are, never read as markup."""
    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    tree = Tree(Text(f"{version.model} version {version.version}{aliases}"))
    if version.forgotten:
        tree.add(Text(f"it had read documents that are forgotten since; ulmfit history {version.model} has when and why"))
    _add(tree, "model", version.lineage.key, version, set())
    return tree


def _add(tree: Tree, role: str, key: str, version: VersionLineage, seen: set[str]) -> None:
    entry = version.lineage.artifacts[key]
    again = " (see above)" if key in seen else " (held documents that are forgotten since)" if key in version.forgotten else ""
    branch = tree.add(Text(f"{role}: {entry.kind} {key[:12]}{again}"))
    if key in seen:
        return
    seen.add(key)
    facts = {name: value for name, value in entry.record.items() if name in SHOWN}
    if facts:
        shown = (f"{name} {value:.6g}" if isinstance(value, float) else f"{name} {value}" for name, value in facts.items())
        branch.add(Text(", ".join(shown)))
    settings = ", ".join(f"{name}={value}" for name, value in entry.config.items())
    branch.add(Text(f"settings {settings}"))
    if entry.run_id:
        branch.add(Text(f"run {entry.run_id}"))
    for name, value in entry.inputs.items():
        _add(branch, name, value, version, seen)
