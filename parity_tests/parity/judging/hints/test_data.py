"""Wrong data have their words, at every step and where they are scored; other data have none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from parity.judging.hints.data import looks_like_another_batch, looks_like_data
from parity.recording import FRAMEWORKS, Array, Batch, Framework, Key, Recording
from parity.sides.live import LiveSide
from parity_tests.parity.made_verdicts import provenance
from parity_tests.parity.tiny import live
from parity_tests.parity.tiny_draws import batches, scored


def sides(change: Callable[[list[Batch]], list[Batch]]) -> dict[Framework, LiveSide]:
    def changed(seed: int, steps: int) -> list[Batch]:
        return change(batches(seed, steps + 1))[:steps]

    def changed_scored(seed: int) -> dict[str, Batch]:
        return dict(zip(scored(seed), change(list(scored(seed).values())), strict=True))

    return {"torch": live("torch"), "jax": live("jax", batches=changed, scored=changed_scored)}


def every(entry: str, change: Callable[[Array], Array]) -> Callable[[list[Batch]], list[Batch]]:
    return lambda found: [batch | {entry: change(batch[entry])} for batch in found]


DATA: dict[str, tuple[str, Callable[[list[Batch]], list[Batch]]]] = {
    "the batch of one step before": ("inputs", lambda found: [found[-1], *found[:-1]]),
    "the batch of one step later": ("inputs", lambda found: found[1:] + found[:1]),
    "shifted by one example": ("labels", every("labels", lambda labels: np.roll(labels, 1))),
    "off by one": ("labels", every("labels", lambda labels: labels + 1)),
    "255 times as large": ("inputs", every("inputs", lambda inputs: inputs * 255)),
    "of the opposite sign": ("inputs", every("inputs", lambda inputs: -inputs)),
    "transposed": ("inputs", every("inputs", lambda inputs: np.ascontiguousarray(inputs.T))),
    "reversed along axis 1": ("inputs", every("inputs", lambda inputs: inputs[:, ::-1])),
}


@pytest.mark.parametrize("words", DATA)
@pytest.mark.parametrize("step", [0, 1, 2])
def test_wrong_data_have_their_words_at_every_step(words: str, step: int) -> None:
    entry, change = DATA[words]
    found = looks_like_data(Key("data", step, entry), sides(change), 0, 3)
    assert found.startswith(f"on the jax side it is {words}")


@pytest.mark.parametrize("words", ["shifted by one example", "off by one", "255 times as large"])
def test_so_have_scored_batches(words: str) -> None:
    entry, change = DATA[words]
    key = Key("data", 0, f"scored.held out.{entry}")
    assert looks_like_data(key, sides(change), 0, 3).startswith(f"on the jax side it is {words}")


NOTHING: dict[str, Callable[[Array], Array]] = {
    "rounding": lambda inputs: inputs + 1e-9 * inputs**2,
    "an example less": lambda inputs: inputs[1:],
    "other draws": lambda inputs: np.asarray(np.random.default_rng(99).standard_normal(inputs.shape)),
}


@pytest.mark.parametrize("what", NOTHING)
@pytest.mark.parametrize("tensor", ["inputs", "scored.held out.inputs"])
def test_other_data_have_no_words(what: str, tensor: str) -> None:
    assert looks_like_data(Key("data", 0, tensor), sides(every("inputs", NOTHING[what])), 0, 3) == ""


FEW: dict[str, tuple[Array, Callable[[Array], Array], str]] = {
    "one": (np.array([[1.0, 5.0]]), lambda few: 2 * few, "twice as large"),
    "two": (np.array([[1.0, 5.0], [2.0, 7.0]]), lambda few: 2 * few, "twice as large"),
    # The second is the first, by chance.
    "three": (np.array([0.0, 1.0, 5.0]), lambda few: few**2 - few, ""),
}


@pytest.mark.parametrize("examples", FEW)
def test_a_few_examples_are_not_said_to_be_shifted(examples: str) -> None:
    few, change, words = FEW[examples]
    given: dict[Framework, Array] = {"torch": few, "jax": change(few)}
    found: dict[Framework, LiveSide] = {
        side: live(side, batches=lambda _, steps, side=side: [{"inputs": given[side]}] * steps) for side in FRAMEWORKS
    }
    said = looks_like_data(Key("data", 0, "inputs"), found, 0, 1)
    assert said.startswith(f"on the jax side it is {words}") if words else not said


@pytest.mark.parametrize("tensor", ["masks", "scored.held out.masks", "scored.another.inputs"])
def test_nothing_is_said_of_data_that_are_not_there(tensor: str) -> None:
    assert looks_like_data(Key("data", 0, tensor), sides(lambda found: found), 0, 3) == ""


@pytest.mark.parametrize(("by", "words"), [(1, "before"), (-1, "later"), (0, "")])
def test_the_batch_of_another_step_is_told_by_digests_too(by: int, words: str) -> None:
    expected, found = Recording(provenance("torch", "float64")), Recording(provenance("jax", "float64"))
    for step in range(4):
        expected.add("data", step, {"inputs": np.array([step, 7])})
        found.add("data", step, {"inputs": np.array([step - by if by else 99, 7])})
    said = looks_like_another_batch(Key("data", 1, "inputs"), expected, found, "jax")
    assert said == (f"on the jax side it is the batch of one step {words}" if words else "")
