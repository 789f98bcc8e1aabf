"""A driver to kill: tokenise a corpus into a store with local workers. ``python driver.py STORE CORPUS WORKERS``"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from tasks.cluster import open_cluster
from ulmfit.shards.crashing import tokenise_parts
from ulmfit.shards.tokenise import TokenizeSpec
from ulmfit.store.artifacts import Built, Store
from ulmfit.store.recipe import Recipe

RECIPE = Recipe("tokens", 1, {}, {"corpus": "0" * 64})


def main(root: str, corpus: str, workers: str) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    store = Store(root)
    store.set_up()

    def build(work: Path) -> Built:
        specs = [
            TokenizeSpec(str(source), store.output_folder(RECIPE), "en", "default") for source in sorted(Path(corpus).glob("*.parquet"))
        ]
        with open_cluster(workers) as cluster:
            records, _ = tokenise_parts(cluster.map, specs, quarantine=False)
        return Built({"parts": len(records)})

    artifact, found = store.make(RECIPE, build)
    print(json.dumps({"place": artifact.location, "found": found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
