"""Everything random: drawn in NumPy from the seed, so that it is the same whatever the framework."""

from __future__ import annotations

import numpy as np

from torchnet.arrays import Arrays

PARAMETERS, DATA = 0, 1


def generator(seed: int, stream: int) -> np.random.Generator:
    """The random numbers of one purpose: `PARAMETERS` or `DATA`, so that more of one leaves the other as it was."""
    return np.random.default_rng([seed, stream])


def draw_linear(seed: int, layers: dict[str, tuple[int, int]]) -> Arrays:
    """Weight, (outputs, inputs), and bias, (outputs,), of each of `layers`, which has (inputs, outputs) by name.

    All are uniform between -1/sqrt(inputs) and 1/sqrt(inputs).

    That is the distribution of torch.nn.Linear. Flax's differs: for the weight a truncated normal with standard
    deviation 1/sqrt(inputs), and a bias of zero.

    Source: torch/nn/modules/linear.py, reset_parameters; He et al., Delving Deep into Rectifiers, 2015.
    """
    numbers = generator(seed, PARAMETERS)
    arrays = {}
    for name, (inputs, outputs) in layers.items():
        bound = 1 / np.sqrt(inputs)
        arrays[f"{name}.weight"] = numbers.uniform(-bound, bound, (outputs, inputs))
        arrays[f"{name}.bias"] = numbers.uniform(-bound, bound, outputs)
    return arrays
