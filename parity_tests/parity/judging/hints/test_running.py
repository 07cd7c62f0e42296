"""Running statistics are told by the batch that they took up."""

from __future__ import annotations

import numpy as np
import pytest

from parity.judging.hints.looks_like import looks_like
from parity.judging.hints.running import of_running_statistics
from parity.recording import Array, Key
from parity_tests.parity.judging.hints.made_cases import case, drawn, noisy, words
from parity_tests.parity.made_recordings import recording

GIVEN = 2 * drawn(8, 6, 2, 2) + drawn(1, 6, 1, 1, seed=1)
AXES = (0, 2, 3)
UNBIASED, BIASED, MEAN = GIVEN.var(AXES, ddof=1), GIVEN.var(AXES), GIVEN.mean(AXES)
OLD = np.exp(drawn(6, seed=2))
FITS = "on the torch side it fits"


def told(expected: Array, found: Array, own: str = "running_var", given: Array = GIVEN) -> str:
    name = f"bn.{own}"
    start = ("init", 0, {name: OLD[: expected.size]}), ("forward", 0, {"bn.input": given})
    sides = (recording(*start, ("update", 0, {name: after})) for after in (expected, found))
    return words(next(of_running_statistics(case(Key("update", 0, name), sides)), None))


def taken(batch: Array, share: float = 0.1) -> Array:
    return np.asarray((1 - share) * OLD + share * batch)


def test_the_biased_and_the_unbiased_variance_are_told_from_each_other() -> None:
    assert (
        told(taken(UNBIASED), taken(BIASED))
        == f"as with the biased variance of the batch where {FITS} the unbiased variance"
    )
    assert (
        told(taken(BIASED), taken(UNBIASED))
        == f"as with the unbiased variance of the batch where {FITS} the biased variance"
    )


def test_another_momentum_is_told_for_the_mean_too() -> None:
    assert told(taken(UNBIASED), taken(UNBIASED, 0.3)) == f"as with momentum 0.3, where {FITS} 0.1"
    assert told(taken(MEAN), taken(MEAN, 0.01), "running_mean") == f"as with momentum 0.01, where {FITS} 0.1"
    both = f"as with momentum 0.01, of the biased variance, where {FITS} 0.1"
    assert told(taken(UNBIASED), taken(BIASED, 0.01)) == both


@pytest.mark.parametrize("share", [0.1, 0.01, 0.003])
def test_a_momentum_that_is_flaxs_is_told_how_it_counts(share: float) -> None:
    said = told(taken(UNBIASED, share), taken(UNBIASED, 1 - share))
    assert said == (
        f"as with momentum {1 - share:g}, where {FITS} {share:g}; torch's momentum is the share of the batch, "
        f"Flax's that of the old value: {1 - share:g} for torch's {share:g}"
    )
    assert "Flax" not in told(taken(UNBIASED, share), taken(UNBIASED, 0.98 - share))


def test_a_momentum_is_told_before_how_far_a_statistic_changed() -> None:
    key = Key("update", 0, "bn.running_mean")
    start = ("init", 0, {"bn.running_mean": 0 * MEAN}), ("forward", 0, {"bn.input": GIVEN})
    right, wrong = (recording(*start, ("update", 0, {"bn.running_mean": share * MEAN})) for share in (0.1, 0.01))
    said = looks_like(key, right, wrong, "jax")
    assert said.startswith(f"on the jax side it is as with momentum 0.01, where {FITS} 0.1 (explains it ")


def test_entries_with_momenta_of_their_own_are_not_told() -> None:
    shares = np.where(np.arange(6) < 5, 0.01, 0.02)
    assert told(taken(UNBIASED), (1 - shares) * OLD + shares * UNBIASED) == ""


@pytest.mark.parametrize(
    "found",
    [noisy(taken(BIASED)), 1.01 * taken(BIASED), taken(UNBIASED * 1.03), taken(OLD[::-1]), taken(UNBIASED)],
    ids=range(5),
)
def test_anything_else_is_not_told(found: Array) -> None:
    assert told(taken(UNBIASED), found) == ""
    assert told(noisy(taken(UNBIASED)), taken(BIASED)) == ""


def test_one_channel_or_one_value_is_not_enough() -> None:
    assert told(taken(UNBIASED)[:1], taken(BIASED, 0.3)[:1], given=GIVEN[:, :1]) == ""
    assert told(taken(UNBIASED), taken(BIASED), given=GIVEN[:1, :, :1, :1]) == ""
    assert told(taken(UNBIASED), taken(BIASED), own="weight") == ""
