"""Gradients asked of the loss alone: central differences with a bound for their error, away from the kinks of ReLU."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from parity_tests import by_hand
from parity_tests.by_hand import Arrays

Array = Float64[np.ndarray, "..."]
Active = Bool[np.ndarray, "units"]
Loss = Callable[[Arrays], float]

WIDTH = 1e-4
_MEASURED = 3
_TRIES = 60


class Slope(NamedTuple):
    """A derivative along a direction, from values of the loss alone, and a bound for its error."""

    value: float
    error: float


def slope(loss: Loss, parameters: Arrays, direction: Arrays, width: float = WIDTH) -> Slope:
    """The derivative of `loss` at `parameters` along `direction`, from values at +-1, +-2 and +-4 widths.

    (loss(+h) - loss(-h)) / 2h is off by a series in h**2. Richardson's extrapolation, (4 D(h) - D(2h)) / 3, removes its
    first term; what two of them differ by bounds the rest, since it falls 16-fold each time that h is halved. Rounding
    adds the loss's own error, taken as 8 units in the last place, over h.

    The loss must be smooth in between: see `no_kink`.
    """

    def difference(h: float) -> float:
        moved = [{name: parameters[name] + t * direction.get(name, 0.0) for name in parameters} for t in (h, -h)]
        return (loss(moved[0]) - loss(moved[1])) / (2 * h)

    narrow, middle, wide = (difference(factor * width) for factor in (1, 2, 4))
    value, coarser = (4 * narrow - middle) / 3, (4 * middle - wide) / 3
    rounding = 8 * float(np.finfo(np.float64).eps) * abs(loss(parameters)) / width
    return Slope(value, abs(value - coarser) + rounding)


def no_kink(parameters: Arrays, images: Array, direction: Arrays, width: float = WIDTH) -> bool:
    """That no ReLU switches on the whole way from -4 to +4 widths along `direction`.

    With a direction in one layer's weight or bias, every ReLU's input is a straight line in the distance until one of
    them switches; so it is enough to look at both ends.
    """
    here, *ends = (
        _active({name: parameters[name] + t * direction.get(name, 0.0) for name in parameters}, images)
        for t in (0, 4 * width, -4 * width)
    )
    return all(bool(np.all(here == end)) for end in ends)


def _active(parameters: Arrays, images: Array) -> Active:
    inputs, _ = by_hand.forward(parameters, images)
    return np.concatenate([np.ravel(values > 0) for values in inputs[1:]])


class Measurement(NamedTuple):
    """The slope of the loss where one parameter moves along `direction`."""

    name: str
    direction: Array
    slope: Slope


def measure(loss: Loss, parameters: Arrays, images: Array | None) -> list[Measurement]:
    """Three slopes for each parameter, on ways where no ReLU switches; `images` enter the first layer (None: no ReLU).

    One way moves every entry, so that a fault in any of them counts; two move a single entry, where nothing cancels.
    """
    generator = np.random.default_rng(0)
    found = []
    for name, array in parameters.items():
        ways = (
            way for way in _directions(array, generator) if images is None or no_kink(parameters, images, {name: way})
        )
        smooth = list(itertools.islice(ways, _MEASURED))
        if len(smooth) < _MEASURED:
            raise ValueError(
                f"{name}: a ReLU switches whichever way it moves; expected fewer examples or a smaller width"
            )
        found += [Measurement(name, way, slope(loss, parameters, {name: way})) for way in smooth]
    return found


def wrong_gradients(measurements: list[Measurement], gradients: Arrays) -> list[str]:
    """The parameters along which the loss does not move as `gradients` say, in their order, each once."""
    wrong = []
    for name, way, found in measurements:
        agrees = abs(found.value - np.vdot(gradients[name], way)) <= found.error
        if not agrees and name not in wrong:
            wrong.append(name)
    return wrong


def _directions(array: Array, generator: np.random.Generator) -> Iterator[Array]:
    for number in range(_TRIES):
        if number % _MEASURED == 0:
            yield generator.choice([-1.0, 1.0], array.shape) / math.sqrt(array.size)
        else:
            single = np.zeros(array.size)
            single[generator.integers(array.size)] = 1.0
            yield single.reshape(array.shape)
