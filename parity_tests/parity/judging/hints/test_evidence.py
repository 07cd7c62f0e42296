"""An explanation counts where it leaves next to nothing of the difference, and where there is enough to tell it by."""

from __future__ import annotations

import numpy as np
import pytest

from parity.judging.hints.evidence import Apart, Hint, with_digits
from parity.recording import Key
from parity_tests.parity.judging.hints.made_cases import apart, case, drawn, noisy
from parity_tests.parity.made_recordings import recording

HERE = drawn(10, 10)


def test_what_counts_is_the_share_of_the_difference_and_not_of_the_array() -> None:
    small = apart(HERE, HERE + 1e-6 * drawn(10, 10, seed=1))
    assert small.left(HERE) is None  # within 1e-5 of the array, and explains nothing
    assert small.left(small.there) == 0.0
    assert small.left(small.there + 1e-8 * small.change) == pytest.approx(1e-8, rel=0.1)
    assert small.left(small.there + 1e-5 * small.change) is None


def test_rounding_may_be_left_and_more_of_it_asks_for_more_numbers() -> None:
    small = 1e-11 * drawn(10, 10, seed=1)
    blurred = apart(HERE, HERE + small)
    found = blurred.left(HERE + small * (1 + 1e-5))
    assert found is not None
    assert 1e-6 < found < 1e-4
    few = apart(HERE[0], HERE[0] + small[0])
    assert few.left(HERE[0] + small[0] * (1 + 1e-5)) is None
    lost = apart(HERE, HERE * (1 + 1e-15 * drawn(10, 10, seed=1)))
    assert lost.left(lost.there) is None


def test_a_constant_that_was_chosen_asks_for_a_number_more() -> None:
    one, two = apart(HERE[0, :1], 3 * HERE[0, :1]), apart(HERE[0, :2], 3 * HERE[0, :2])
    assert one.left(one.there, unknowns=0) is not None
    assert one.left(one.there, unknowns=1) is None
    assert two.left(two.there, unknowns=1) is not None
    equal = apart(np.ones(100), np.full(100, 3.0))
    assert equal.told_by == 1
    assert equal.left(equal.there, unknowns=1) is None


def test_what_is_not_finite_or_of_another_shape_is_not_explained() -> None:
    assert apart(HERE, HERE * np.nan).left(HERE) is None
    assert apart(HERE, 2 * HERE).left(2 * HERE[:5]) is None
    assert apart(HERE, HERE).left(HERE) is None


def test_eps_is_that_of_the_coarser_side() -> None:
    assert Apart.of(HERE, HERE.astype("float32")).eps == 2.0**-23
    assert Apart.of(HERE, HERE).eps == 2.0**-52


def test_a_hint_ends_with_its_evidence() -> None:
    assert str(Hint("zero", None)) == "zero"
    assert str(Hint("transposed", 0.0)) == "transposed (explains it exactly)"
    assert str(Hint("twice as large", 3.2e-9)) == "twice as large (explains it to 3e-09)"


def test_where_the_expected_array_comes_from_is_told() -> None:
    forward = ("forward", 0, {"output": HERE})
    key, torch = Key("forward", 0, "output"), recording(forward)
    assert case(key, (torch, recording(("forward", 0, {"output": 2 * HERE})))).other == "on the torch side"
    float32 = recording(("forward", 0, {"output": 2 * HERE.astype("float32")}), dtype="float32")
    assert case(key, (torch, float32)).other == "in the judge"
    assert case(key, (torch, torch)).run.output == (10, 10)


@pytest.mark.parametrize(
    ("stage", "dropout"), [("forward", True), ("backward", True), ("loss", False), ("update", False)]
)
def test_dropout_scales_no_loss_and_nothing_that_an_optimizer_makes(stage: str, dropout: bool) -> None:
    sides = [recording((stage, 0, {"w": array})) for array in (HERE, 2 * HERE)]
    assert case(Key(stage, 0, "w"), sides).run.dropout == dropout


def test_a_constant_is_tried_with_few_digits_first() -> None:
    assert list(with_digits(1.0000004e-5)) == [1e-5]
    assert list(with_digits(1.01234e-5)) == [1e-5, 1.01e-5, 1.01234e-5]
    assert list(with_digits(float("nan"))) == []


def test_noise_is_no_explanation() -> None:
    assert apart(HERE, noisy(2 * HERE)).left(2 * HERE) is None
