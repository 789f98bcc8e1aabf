"""Tests of products in bf16, which a CPU with AVX2 and no more has not."""

import pytest

from ulmfit.compute.precision import can_bf16

needs_bf16 = pytest.mark.skipif(not can_bf16("cpu"), reason="this CPU has no products in bf16")
