"""The licence of the general language model behind a classifier, as far as it is known."""

from pathlib import Path

from ulmfit.pretrained.catalog import CATALOG
from ulmfit.pretrained.manifest import MANIFEST, parse_manifest
from ulmfit.store.lineage import Ancestor, Lineage

UNKNOWN = "Not stated by those who made it; ask them before you pass the model on."


def licence_behind(lineage: Lineage) -> str:
    """What is known of the licence of the language model that was brought, or of the text that it was trained on."""
    models = [found for found in lineage.artifacts.values() if found.kind == "language-model"]
    brought = next((found for found in models if "files" in found.config), None)
    if brought:
        return _stated(brought)
    corpora = [found for found in lineage.artifacts.values() if found.kind == "corpus"]
    names = sorted({str(found.record.get("name")) for found in corpora if found.record.get("name")})
    if not models:
        return "It started from no language model."
    return f"It was trained here from the start; that of its texts holds: {', '.join(names)}." if names else UNKNOWN


def _stated(brought: Ancestor) -> str:
    for name, known in CATALOG.items():
        manifest = parse_manifest((Path(known.location) / MANIFEST).read_bytes(), known.location)
        if brought.config["files"] == manifest.digests(brought.config["direction"]):
            return f"{name}: {known.licence}"
    return str(brought.record.get("licence") or UNKNOWN)
