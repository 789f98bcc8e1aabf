"""What a study costs beside its stages' own work: seconds per stage, and as a share of a grid whose stages take so long.

    python benchmarks/studies.py --workspace /tmp/studies [--trials 5] [--stage-seconds 30]

A grid of the tiny preset on made-up tickets, a stage at a time. What is not inside a stage's own ``build`` counts: the store, tracking,
Prefect, the DAG. The start of the run (server, imports, the report) is reported separately. The figure stands in docs/results/studies.md.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cli.prefect_server import prefect_server
from flows.study_plan import resolve_study
from flows.study_request import DataQuantityRequest

TOPICS = {"account": "password login email profile", "billing": "invoice charge refund card", "delivery": "parcel courier late box"}


def tickets(file: Path, rows: int = 600) -> str:
    rng = random.Random(1)
    lines = ["text,label"]
    for _ in range(rows):
        topic = rng.choice(sorted(TOPICS))
        lines.append(" ".join(rng.choice([*TOPICS[topic].split(), "the", "on", "with", "was"]) for _ in range(20)) + f",{topic}")
    file.write_text("\n".join(lines) + "\n")
    return str(file)


@contextmanager
def timed_builds() -> Iterator[list[float]]:
    """Seconds inside each stage's own work."""
    import tasks.run as run

    seconds: list[float] = []
    build = run._build

    def timed(job: Any, stage: Any, work: Path, tracked: Any) -> Any:
        inner = stage.build

        def clocked(*given: Any) -> Any:
            started = time.perf_counter()
            try:
                return inner(*given)
            finally:
                seconds.append(time.perf_counter() - started)

        object.__setattr__(stage, "build", clocked)
        return build(job, stage, work, tracked)

    run._build = timed
    try:
        yield seconds
    finally:
        run._build = build


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--stage-seconds", type=float, default=30.0)
    options = parser.parse_args()
    options.workspace.mkdir(parents=True)
    corpus = tickets(options.workspace / "tickets.csv")
    request = DataQuantityRequest.model_validate(
        {"corpus": corpus, "label_column": "label", "preset": "tiny", "pretrain": corpus, "labels": "20,60,100", "trials": options.trials}
        | {"workspace": str(options.workspace / "workspace"), "device": "cpu", "methods": "ulmfit,tfidf"}
    )
    plan = resolve_study(request)
    with prefect_server(plan.base.workspace), timed_builds() as builds:
        import flows.study as study

        study.cores = lambda: 1
        trials, spent = study.run_trials, list[float]()

        def timed(*given: Any) -> Any:
            begun, before = time.perf_counter(), sum(builds)
            try:
                return trials(*given)
            finally:
                spent.append(time.perf_counter() - begun - (sum(builds) - before))

        study.run_trials = timed
        started = time.perf_counter()
        summary = study.run_as_flow(plan, "data-quantity")
        whole = time.perf_counter() - started
    stages, beside = len(builds), spent[0]
    share = beside / stages / (options.stage_seconds + beside / stages)
    print(
        json.dumps(
            {
                "stages": stages,
                "trials": len(summary.results),
                "seconds": round(whole, 1),
                "seconds_in_stages": round(sum(builds), 1),
                "seconds_beside_per_stage": round(beside / stages, 3),
                "start_and_report_seconds": round(whole - beside - sum(builds), 1),
                f"share_where_a_stage_takes_{options.stage_seconds:g}_s": round(share, 4),
            }
        )
    )


if __name__ == "__main__":
    main()
