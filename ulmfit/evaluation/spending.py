"""How much of the alpha for all cycles together one cycle may spend.

Each cycle tests another challenger, mostly on the same held-out rows, and a wrong promotion in any of them counts. If the levels of the cycles sum
to no more than alpha, so does the chance of a first wrong promotion in any of them, however much the tests depend on each other (Bonferroni's
inequality). A test that is valid at any time of one growing sample buys nothing here: each challenger is tested once.

The sequence is alpha * H / ((H + k - 1) (H + k)) for cycle k. Its sums are exact: alpha * K / (H + K) over the first K cycles, half of alpha over the
first H, never more than alpha. It falls off as 1/k^2 only after H cycles: at H = 25, cycle 1 has 1/26 of alpha, cycle 25 has 1/98, cycle 200 has 1/2016. The
usual 1 / (k log^2(k + 1)), normed, spends 61% on cycle 1 and leaves 1/900 for cycle 25 and 1/19000 for cycle 200. docs/results/gate.md has the
gains found by each.
"""

HALF = 25  # cycles that spend half of alpha


def alpha_of_cycle(cycle: int, alpha: float) -> float:
    """The level of the ``cycle``-th comparison, from 1, where ``alpha`` is for all of them together."""
    assert cycle >= 1 and 0 < alpha < 1
    return alpha * HALF / ((HALF + cycle - 1) * (HALF + cycle))
