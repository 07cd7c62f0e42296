"""All mistakes that are planted into the ports, and the three a port that tests plant outside of `make proof`."""

from __future__ import annotations

from parity_tests.ports.convnet import planted as convnet
from parity_tests.ports.gpt import planted as gpt
from parity_tests.ports.planted import Mistake
from parity_tests.ports.recurrent import planted as recurrent
from parity_tests.ports.resnet18 import planted as resnet18
from parity_tests.ports.vit import planted as vit

MISTAKES: dict[str, list[Mistake]] = {
    "convnet": convnet.MISTAKES,
    "gpt": gpt.MISTAKES,
    "vit": vit.MISTAKES,
    "resnet18": resnet18.MISTAKES,
    "lstm": recurrent.LSTM,
    "gru": recurrent.GRU,
}
REPRESENTATIVE: dict[str, tuple[str, str, str]] = {
    "convnet": (
        "fc1 not reordered for features that are last, jax",
        "Flax's batch norm, of a biased running variance, jax",
        "labels shifted by one example, jax",
    ),
    "gpt": (
        "causal mask that sees one token ahead, jax",
        "tied weights whose second gradient is lost, jax",
        "Optax's own weight decay of 1e-4, jax",
    ),
    "vit": (
        "LayerNorm's epsilon 1e-5 for 1e-6, torch",
        "Flax's attention, whose softmax is in float32, jax",
        "a gradient that stops before the attention, jax",
    ),
    "resnet18": (
        # None of them asks for another program of XLA than the right pair does: those of this port take long to make.
        "batch norm's epsilon 1e-3 for 1e-5, torch",
        "a norm that begins with a scale of zeros, jax",
        "red and blue exchanged, jax",
    ),
    "lstm": (
        "gates in the order input, forget, output, cell, jax",
        "no gradient through time, jax",
        "the last parameter not given to the optimizer, torch",
    ),
    "gru": (
        "state reset before the product, jax",
        "hidden state in float32 inside a float64 run, jax",
        "label smoothing of 0.1, torch",
    ),
}
