"""What lands in a soak, cycle by cycle: the same for the same seed, and what must have become of it at the end."""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import TOPICS, ticket

FIRST, NEW, CORRECTED = 400, 40, 12  # rows of the first file, of later ones, and corrected labels
Row = tuple[str, str, str]  # number, text, topic


@dataclass
class Story:
    """Writes a landing folder. ``rows``: every document that there must be, by its number."""

    landing: Path
    seed: int = 0
    rows: dict[str, Row] = field(default_factory=dict)
    last: list[Row] = field(default_factory=list)

    def land(self, cycle: int) -> str:
        """Write what lands before a cycle; says in a word what it is."""
        rng = random.Random(f"{self.seed}-{cycle}")
        if cycle == 0:
            return self._new(cycle, rng, FIRST)
        match cycle % 5:
            case 4:
                return "nothing"
            case 3:
                return self._corrected(cycle, rng)
            case 2:
                self._write(self.landing / f"again-{cycle:03d}.csv", self.last)
                self._new(cycle, rng, NEW, bad=True)
                return "new, the last file under another name, a bad row"
            case _:
                return self._new(cycle, rng, NEW)

    def _new(self, cycle: int, rng: random.Random, number: int, bad: bool = False) -> str:
        topics = sorted(TOPICS)
        self.last = [
            (f"{cycle:03d}-{row:04d}", f"{ticket(rng, topic)} Case {cycle} {row}.", topic)
            for row, topic in enumerate(rng.choice(topics) for _ in range(number))
        ]
        self.rows |= {row[0]: row for row in self.last}
        self._write(self.landing / f"day-{cycle:03d}.csv", [*self.last, *([(f"{cycle:03d}-bad", "   ", topics[0])] if bad else [])])
        return "new"

    def _corrected(self, cycle: int, rng: random.Random) -> str:
        """Rows of earlier cycles come again with the label of another topic."""
        chosen = rng.sample(sorted(self.rows), CORRECTED)
        rows = [(number, self.rows[number][1], rng.choice(sorted(set(TOPICS) - {self.rows[number][2]}))) for number in chosen]
        self.rows |= {row[0]: row for row in rows}
        self._write(self.landing / f"corrected-{cycle:03d}.csv", rows)
        return "corrected labels"

    @staticmethod
    def _write(path: Path, rows: list[Row]) -> None:
        """Under a name that is left alone, then renamed: as a careful producer does."""
        unfinished = path.with_suffix(".tmp")
        with open(unfinished, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["no", "body", "topic"])
            writer.writerows(rows)
        unfinished.rename(path)
