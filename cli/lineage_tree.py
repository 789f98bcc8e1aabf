"""``ulmfit lineage`` as a tree on the terminal."""

from __future__ import annotations

from typing import Any

from rich.tree import Tree

SHOWN = ("name", "digest", "documents", "tokens", "valid_perplexity", "valid_accuracy", "seconds")


def chain_tree(chain: dict[str, Any]) -> Tree:
    """A registered version, and under each artifact the artifacts it was made from."""
    aliases = f" ({', '.join(chain['aliases'])})" if chain["aliases"] else ""
    tree = Tree(f"{chain['model']} version {chain['version']}{aliases}")
    _add(tree, "model", chain["key"], chain["artifacts"], set())
    return tree


def _add(tree: Tree, role: str, key: str, artifacts: dict[str, Any], seen: set[str]) -> None:
    entry = artifacts[key]
    again = " (see above)" if key in seen else ""
    branch = tree.add(f"{role}: {entry['kind']} {key[:12]}{again}")
    if key in seen:
        return
    seen.add(key)
    facts = {name: value for name, value in entry.get("record", {}).items() if name in SHOWN}
    if facts:
        branch.add(", ".join(f"{name} {value:.6g}" if isinstance(value, float) else f"{name} {value}" for name, value in facts.items()))
    settings = ", ".join(f"{name}={value}" for name, value in entry["config"].items())
    branch.add(f"settings {settings}")
    if entry.get("run_id"):
        branch.add(f"run {entry['run_id']}")
    for name, value in entry["inputs"].items():
        _add(branch, name, value, artifacts, seen)
