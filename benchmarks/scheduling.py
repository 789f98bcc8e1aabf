"""What a task costs the scheduler: parts per second through ``Cluster.map`` when a part is no work at all.

    python benchmarks/scheduling.py [--parts 5000] [--workers 2]

The figure stands in docs/operations.md, where it bounds how small a part may be with many workers.
"""

from __future__ import annotations

import argparse
import json
import time

import psutil

from tasks.cluster import open_cluster
from ulmfit.shards.mapping import PartWork


def nothing(number: int) -> int:
    return number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, default=5000)
    parser.add_argument("--workers", default="2")
    options = parser.parse_args()
    with open_cluster(options.workers) as cluster:
        cluster.map(PartWork("warm up", nothing, list(range(100)), str))
        before = psutil.Process().memory_info().rss
        started = time.perf_counter()
        cluster.map(PartWork("nothing", nothing, list(range(options.parts)), str))
        seconds = time.perf_counter() - started
    grown = (psutil.Process().memory_info().rss - before) / options.parts
    print(json.dumps({"parts_per_second": round(options.parts / seconds), "driver_bytes_per_part": round(grown)}))


if __name__ == "__main__":
    main()
