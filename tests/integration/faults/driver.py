"""A driver to kill: tokenise a corpus into a store with local workers. ``python driver.py STORE CORPUS WORKERS``"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

from tasks.cluster import open_cluster
from ulmfit.shards.crashing import tokenise_parts
from ulmfit.shards.tokenise import TokenizeSpec
from ulmfit.store.artifacts import Store
from ulmfit.store.recipe import Recipe

RECIPE = Recipe("tokens", 1, {}, {"corpus": "0" * 64})


def main(root: str, corpus: str, workers: str) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    store = Store(root)
    store.set_up()

    def build(work: Path) -> dict[str, Any]:
        specs = [TokenizeSpec(str(source), store.place(RECIPE), "en", "default") for source in sorted(Path(corpus).glob("*.parquet"))]
        with open_cluster(workers) as cluster:
            records, _ = tokenise_parts(cluster.map, specs, quarantine=False)
        return {"parts": len(records)}

    artifact, found = store.make(RECIPE, build)
    print(json.dumps({"place": artifact.place, "found": found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
