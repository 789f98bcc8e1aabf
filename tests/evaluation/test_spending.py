from fractions import Fraction

import pytest

from ulmfit.evaluation.spending import HALF, alpha_of_cycle


@pytest.mark.parametrize("cycles", [1, HALF, 200, 5000])
def test_all_cycles_together_spend_less_than_alpha(cycles):
    spent = sum(alpha_of_cycle(cycle, 0.05) for cycle in range(1, cycles + 1))
    assert spent == pytest.approx(float(Fraction(cycles, cycles + HALF)) * 0.05) and spent < 0.05


def test_no_cycle_gets_more_than_the_one_before():
    levels = [alpha_of_cycle(cycle, 0.05) for cycle in range(1, 300)]
    assert levels == sorted(levels, reverse=True) and levels[-1] > 0
