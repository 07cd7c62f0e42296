"""A layer that is a product of its input and its weight: what it was given, and what it multiplied by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from parity.judging.hints.evidence import Case, Hint
from parity.recording import PLACE, Array


class Linear(NamedTuple):
    """What went into a linear layer, shape (..., inputs), its weight (outputs, inputs) and what it adds; float64."""

    given: Array
    weight: Array
    added: Array


def linear_layer(case: Case) -> Linear | None:
    """The layer whose output differs, where what was expected is the product that its recorded arrays make."""
    place = PLACE.match(case.key.tensor)
    if case.key.stage != "forward" or place is None or place["what"] != "output":
        return None
    step = case.key.step
    parameters = case.before.parameters
    weight, bias = (parameters.get(f"{place['layer']}.{name}") for name in ("weight", "bias"))
    given = case.expected.of("forward", step).get(case.key.tensor.replace(".output", ".input"))
    if weight is None or given is None or weight.ndim != 2 or given.shape[-1:] != weight.shape[1:]:
        return None
    if bias is not None and bias.shape != weight.shape[:1]:
        return None
    added = np.zeros(len(weight)) if bias is None else bias.astype(np.float64)
    layer = Linear(given.astype(np.float64), weight.astype(np.float64), added)
    model = layer.given @ layer.weight.T + layer.added
    return None if case.apart.left(model, target=case.apart.here) is None else layer


def of_a_weight(case: Case) -> Iterator[Hint]:
    """A square weight that is multiplied by as if it were transposed."""
    layer = linear_layer(case)
    if layer is None or layer.weight.shape[0] != layer.weight.shape[1]:
        return
    name = case.key.tensor.rpartition(".")[0].partition("#")[0]
    if (left := case.apart.left(layer.given @ layer.weight + layer.added)) is not None:
        yield Hint(f"as with {name}.weight transposed", left)
