"""Powers that depend on the count are as near to the exact number as the dtype allows."""

from __future__ import annotations

from decimal import Decimal, getcontext

import jax
import jax.numpy as jnp
import pytest

from parity.jax_side.optimizer.scalars import one_minus_power, power, rectified

COUNTS = (0, 1, 2, 7, 50, 1000, 12345)
NEAR = {False: 4e-7, True: 1e-12}
"""Of the exact number. Measured: 4e-7 in float32, where `1 - 0.999**1` is off by 1.3e-5. In float64 they are what torch
has, which is off by 4e-13 itself where a beta is 0.99999."""


@pytest.mark.parametrize("x64", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize("base", [0.0, 0.5, 0.9, 0.999, 0.99999, 1.0])
def test_powers_are_near_the_exact_number(base: float, x64: bool) -> None:
    getcontext().prec = 50
    with jax.enable_x64(x64):
        for count in COUNTS:
            exact = Decimal(base) ** count if count else Decimal(1)
            found = (power(base, jnp.int32(count)), one_minus_power(base, jnp.int32(count)))
            for number, expected in zip(found, (exact, 1 - exact), strict=True):
                if not (base == 0 and count == 0):  # the logarithm of 0 is not asked for before the first step
                    assert abs(Decimal(float(number)) - expected) <= Decimal(NEAR[x64]) * expected + Decimal("1e-38")


def test_a_factor_above_one_may_leave_the_range() -> None:
    assert float(power(1.5, jnp.int32(3))) == pytest.approx(3.375)
    assert float(power(1.5, jnp.int32(100_000))) == float("inf")
    assert float(power(0.5, jnp.int32(100_000))) == 0.0


def test_a_base_may_depend_on_the_count_itself() -> None:
    found = jax.jit(lambda base: one_minus_power(base, jnp.int32(10)))(jnp.float32(0.95))
    assert float(found) == pytest.approx(1 - 0.95**10, rel=2e-6)


@pytest.mark.parametrize("x64", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize("beta2", [0.0, 0.6, 0.9, 0.999, 0.99999])
def test_the_factor_of_radam_is_torchs_formula(beta2: float, x64: bool) -> None:
    longest = 2 / (1 - beta2) - 1
    with jax.enable_x64(x64):
        for count in (1, 3, 5, 6, 50, 4096, 4097, 100_000):
            length = longest - 2 * count * beta2**count / (1 - beta2**count)
            square = 0.0
            if length > 5:
                square = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            found = float(rectified(beta2, jnp.int32(count)))
            assert found == pytest.approx(square**0.5, rel=1e-9 if x64 else 3e-6)
