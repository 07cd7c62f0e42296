"""Mistakes in a port of ResNet-18."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import optax
import torch
from flax import nnx

from parity_tests.ports.anywhere import Port, images, losses_and_data
from parity_tests.ports.counterparts import BatchNorm
from parity_tests.ports.planted import Mistake, Plant, drawn, entry, parts
from parity_tests.ports.planted_jax import (
    Change,
    EvaluatingNorm,
    ExchangedConv,
    Float32Norm,
    TrainingNorm,
    WithoutBias,
    become,
    have,
    model,
    moving_matrices_only,
    replaced,
)
from parity_tests.ports.planted_torch import have as torch_have
from parity_tests.ports.planted_torch import model as torch_model
from parity_tests.ports.resnet18 import in_jax, in_torch
from parity_tests.ports.resnet18.in_jax import BasicBlock, Net


class SamePool(nnx.Module):
    """Max pooling whose padding is "SAME"."""

    def __call__(self, x: jax.Array) -> jax.Array:
        pooled: jax.Array = nnx.max_pool(x, (3, 3), (2, 2), "SAME")  # type: ignore[no-untyped-call]
        return pooled


class InParts(BasicBlock):
    """The right block in parts, each of which a mistake may replace."""

    def __call__(self, x: jax.Array) -> jax.Array:
        out = nnx.relu(self.bn1(self.conv1(x)))
        return self.added(self.bn2(self.conv2(out)), self.aside(x))

    def aside(self, x: jax.Array) -> jax.Array:
        output: jax.Array = x if self.downsample is None else self.downsample(x)
        return output

    def added(self, out: jax.Array, aside: jax.Array) -> jax.Array:
        return nnx.relu(out + aside)


class WithoutResidual(InParts):
    def added(self, out: jax.Array, aside: jax.Array) -> jax.Array:
        return nnx.relu(out)


class WithoutLastReLU(InParts):
    def added(self, out: jax.Array, aside: jax.Array) -> jax.Array:
        return out + aside


class ReLUBeforeAddition(InParts):
    def added(self, out: jax.Array, aside: jax.Array) -> jax.Array:
        return nnx.relu(out) + aside


class WithoutSideNorm(InParts):
    def aside(self, x: jax.Array) -> jax.Array:
        output: jax.Array = self.downsample.layers[0](x)  # type: ignore[union-attr]
        return output


class GradientStopped(InParts):
    def added(self, out: jax.Array, aside: jax.Array) -> jax.Array:
        return nnx.relu(jax.lax.stop_gradient(out) + aside)


class SummedPool(Net):
    """The sum over the last images, where their mean was meant."""

    def __call__(self, images: jax.Array) -> jax.Array:
        x = nnx.relu(self.bn1(self.conv1(images)))
        for block in (self.maxpool, *self.layer1, *self.layer2, *self.layer3, *self.layer4):
            x = block(x)
        return self.fc(x.sum(axis=(1, 2)) / images.shape[1])


def _net(*changes: Change) -> Plant:
    return parts(model=model(Net, *changes))


def _sgd(*before: optax.GradientTransformation, **options: Any) -> Plant:
    decay = before or (optax.add_decayed_weights(1e-4),)
    return parts(
        optimizer=lambda: optax.chain(*decay, optax.sgd(**{"learning_rate": 0.01, "momentum": 0.9, **options}))
    )


def _torch_sgd(**options: Any) -> Plant:
    usual = {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}
    return parts(optimizer=lambda parameters: torch.optim.SGD(parameters, **{**usual, **options}))


def left_in_evaluation(net: Net, batch: dict[str, jax.Array]) -> jax.Array:
    net.eval()  # type: ignore[no-untyped-call]
    return in_jax.loss(net, batch)


def _decoupled() -> optax.GradientTransformation:
    """The decay goes past the momentum."""
    return optax.chain(optax.trace(0.9), optax.add_decayed_weights(1e-4), optax.scale(-0.01))


_port = Port(
    inputs="images",
    labels="labels",
    loss=in_jax.loss,
    first="conv1.weight",
    last="fc.bias",
    last_in_jax="fc.bias",
    decayed="conv1.weight",
    vector="bn1.weight",
    drawn=1,
)

MISTAKES = [
    # Parameters
    Mistake("a norm that begins with a scale of zeros", "jax", drawn("layer1.0.bn2.weight", lambda scale: 0 * scale),
            "init", "layer1.0.bn2.weight", says="zero"),
    Mistake("square kernels with height and width exchanged", "jax", _net(become("layer1.0.conv2", ExchangedConv)),
            "forward", "layer1.0.conv2.output"),
    Mistake("the bias of fc dropped", "jax", _net(become("fc", WithoutBias)), "forward", "fc.output"),
    # Layers
    Mistake('"SAME" padding under a stride', "jax", _net(have("layer2.0.conv1", padding="SAME")),
            "forward", "layer2.0.conv1.output"),
    Mistake('"SAME" padding of the first convolution', "jax", _net(have("conv1", padding="SAME")),
            "forward", "conv1.output"),
    Mistake('"SAME" padding of the max pooling', "jax", _net(replaced("maxpool", SamePool)),
            "forward", "layer1.0.conv1.input"),
    Mistake("batch norm's epsilon 1e-6 for 1e-5", "jax", _net(have("layer4.1.bn2", epsilon=1e-6)),
            "forward", "layer4.1.bn2.output"),
    Mistake("batch norm's epsilon 1e-3 for 1e-5", "torch",
            parts(model=torch_model(in_torch.Net, torch_have("bn1", eps=1e-3))), "forward", "bn1.output"),
    Mistake("Flax's batch norm, of a biased running variance", "jax",
            _net(replaced("bn1", lambda: nnx.BatchNorm(64, momentum=0.9, rngs=nnx.Rngs(0)))),
            "update", "bn1.running_var"),
    Mistake("batch norm's momentum counted the other way", "jax",
            _net(replaced("bn1", lambda: BatchNorm(64, momentum=0.9, rngs=nnx.Rngs(0)))), "update", "bn1.running_mean"),
    Mistake("residual connection missing", "jax", _net(become("layer1.0", WithoutResidual)),
            "forward", "layer1.1.conv1.input"),
    Mistake("the last ReLU of a block missing", "jax", _net(become("layer1.0", WithoutLastReLU)),
            "forward", "layer1.1.conv1.input"),
    Mistake("ReLU before the addition", "jax", _net(become("layer1.0", ReLUBeforeAddition)),
            "forward", "layer1.1.conv1.input"),
    Mistake("the norm beside a block missing", "jax", _net(become("layer2.0", WithoutSideNorm)),
            "forward", "layer2.1.conv1.input"),
    Mistake("the last images summed, not averaged", "jax", _net(become("", SummedPool)), "forward", "fc.input"),
    Mistake("a gradient that stops behind a block's second norm", "jax", _net(become("layer2.1", GradientStopped)),
            "backward", "layer2.1.bn2.weight", says="zero"),
    Mistake("float32 inside a float64 run", "jax", _net(become("layer3.0.bn1", Float32Norm)),
            "forward", "layer3.0.bn1.output"),
    # Modes
    Mistake("left in evaluation mode", "jax", parts(loss=left_in_evaluation), "forward", "bn1.output"),
    Mistake("batch norm in evaluation mode while training", "jax",
            _net(become("layer3.0.downsample.layers.1", EvaluatingNorm)), "forward", "layer3.0.downsample.1.output"),
    Mistake("batch norm in training mode while evaluating", "jax", _net(become("layer2.1.bn1", TrainingNorm)),
            "score", "held out.output"),
    # Optimizer
    Mistake("learning rate 1 % too high", "jax", _sgd(learning_rate=0.0101), "update", "conv1.weight",
            says="1.01 times as large"),
    Mistake("Nesterov's momentum", "jax", _sgd(nesterov=True), "update", "conv1.weight"),
    Mistake("momentum of 0.99 for 0.9", "torch", _torch_sgd(momentum=0.99), "update", "conv1.weight", step=1),
    Mistake("dampened momentum", "torch", _torch_sgd(dampening=0.1), "update", "conv1.weight", step=1),
    Mistake("weight decay missing", "jax", _sgd(optax.identity()), "update", "conv1.weight"),
    Mistake("weight decay past the momentum", "jax", parts(optimizer=_decoupled), "update",
            "momentum_buffer.conv1.weight"),
    Mistake("weight decay spares biases and norms", "jax",
            _sgd(optax.add_decayed_weights(1e-4, mask=moving_matrices_only)), "update", "bn1.weight"),
    Mistake("gradients clipped to a norm of 0.1", "jax",
            _sgd(optax.clip_by_global_norm(0.1), optax.add_decayed_weights(1e-4)), "update", "conv1.weight"),
    # Data
    Mistake("red and blue exchanged", "jax", entry("images", lambda a: np.flip(a, axis=1)), "data", "images"),
    *losses_and_data(_port),
    *images(_port),
]  # fmt: skip
