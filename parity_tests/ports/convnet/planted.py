"""Mistakes in a port of the convolutional net."""

from __future__ import annotations

import jax
import torch
import torch.nn.functional as F
from flax import nnx

from parity_tests.ports.anywhere import Port, adam, images, losses_and_data
from parity_tests.ports.convnet import in_jax, in_torch
from parity_tests.ports.convnet.in_jax import Net
from parity_tests.ports.counterparts import AvgPool, BatchNorm, MaxPool
from parity_tests.ports.planted import Mistake, Plant, drawn, mapped, parts
from parity_tests.ports.planted_jax import (
    Change,
    EvaluatingNorm,
    ExchangedConv,
    Float32Norm,
    TrainingNorm,
    UnscaledDropout,
    WithoutBias,
    become,
    have,
    model,
    replaced,
)
from parity_tests.ports.planted_torch import gives
from parity_tests.ports.planted_torch import have as torch_have
from parity_tests.ports.planted_torch import model as torch_model


class Parted(Net):
    """The right net in three parts, each of which a mistake may replace."""

    pool: MaxPool | AvgPool = MaxPool((2, 2), stride=2)

    def __call__(self, images: jax.Array) -> jax.Array:
        x = self.second(self.first(images))
        x = self.dropout(x)
        return self.fc2(nnx.relu(self.fc1(x.reshape(x.shape[0], -1))))

    def first(self, images: jax.Array) -> jax.Array:
        return self.pool(nnx.relu(self.bn1(self.conv1(images))))

    def second(self, x: jax.Array) -> jax.Array:
        return self.pool(nnx.relu(self.bn2(self.conv2(x))))


class WithoutReLU(Parted):
    def first(self, images: jax.Array) -> jax.Array:
        return self.pool(self.bn1(self.conv1(images)))


class ReLUBeforeNorm(Parted):
    def first(self, images: jax.Array) -> jax.Array:
        return self.pool(self.bn1(nnx.relu(self.conv1(images))))


class AveragePooled(Parted):
    pool = AvgPool((2, 2), stride=2)


class NormedTwice(Parted):
    def first(self, images: jax.Array) -> jax.Array:
        return self.pool(nnx.relu(self.bn1(self.bn1(self.conv1(images)))))


class GradientStopped(Parted):
    def second(self, x: jax.Array) -> jax.Array:
        return super().second(jax.lax.stop_gradient(x))


class DroppedTwice(Parted):
    def second(self, x: jax.Array) -> jax.Array:
        return self.dropout(super().second(x))


def left_in_evaluation(net: Net, batch: dict[str, jax.Array]) -> jax.Array:
    net.eval()  # type: ignore[no-untyped-call]
    return in_jax.loss(net, batch)


class AlwaysDropping(in_torch.Net):
    """F.dropout is not told whether the model is in training."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(images))), 2)
        x = F.dropout(F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2), 0.25)
        logits: torch.Tensor = self.fc2(F.relu(self.fc1(torch.flatten(x, 1))))
        return logits


def _net(*changes: Change) -> Plant:
    return parts(model=model(Net, *changes))


def _norm(**settings: float) -> BatchNorm:
    return BatchNorm(8, rngs=nnx.Rngs(0), **settings)


def _stock() -> nnx.BatchNorm:
    return nnx.BatchNorm(8, momentum=0.9, rngs=nnx.Rngs(0))


_port = Port(
    inputs="images",
    labels="labels",
    loss=in_jax.loss,
    first="conv1.weight",
    last="fc2.bias",
    last_in_jax="fc2.bias",
    decayed="conv1.weight",
    vector="conv1.bias",
    drawn=0,
)

MISTAKES = [
    # Parameters
    Mistake("fc1 not reordered for features that are last", "jax", mapped({"fc1.weight": "fc1.kernel: transpose"}),
            "forward", "fc1.input", says="another order"),
    Mistake("a bias of zeros", "jax", drawn("fc2.bias", lambda bias: 0 * bias), "init", "fc2.bias", says="zero"),
    Mistake("square kernels with height and width exchanged", "jax", _net(become("conv2", ExchangedConv)),
            "forward", "conv2.output"),
    Mistake("one layer's bias dropped", "jax", _net(become("fc1", WithoutBias)), "forward", "fc1.output"),
    # Layers
    Mistake("batch norm's epsilon 1e-6 for 1e-5", "jax", _net(have("bn1", epsilon=1e-6)), "forward", "bn1.output"),
    Mistake("batch norm's epsilon 1e-3 for 1e-5", "torch",
            parts(model=torch_model(in_torch.Net, torch_have("bn2", eps=1e-3))), "forward", "bn2.output"),
    Mistake("Flax's batch norm, of a biased running variance", "jax", _net(replaced("bn1", _stock)),
            "update", "bn1.running_var"),
    Mistake("batch norm's momentum counted the other way", "jax", _net(replaced("bn1", lambda: _norm(momentum=0.9))),
            "update", "bn1.running_mean"),
    Mistake("ReLU missing", "jax", _net(become("", WithoutReLU)), "forward", "conv2.input"),
    Mistake("ReLU before the batch norm", "jax", _net(become("", ReLUBeforeNorm)), "forward", "bn1.input"),
    Mistake("average pooling for max pooling", "jax", _net(become("", AveragePooled)), "forward", "conv2.input"),
    Mistake("batch norm applied twice", "jax", _net(become("", NormedTwice)), "forward", "conv2.input"),
    Mistake("a gradient that stops before the second block", "jax", _net(become("", GradientStopped)),
            "backward", "bn1.weight", says="zero"),
    Mistake("a gradient that stops before fc2", "torch",
            parts(model=torch_model(in_torch.Net, gives("fc1", torch.Tensor.detach))), "backward", "fc1.weight",
            says="not zero"),
    Mistake("float32 inside a float64 run", "jax", _net(become("bn2", Float32Norm)), "forward", "bn2.output"),
    # Modes
    Mistake("left in evaluation mode", "jax", parts(loss=left_in_evaluation), "forward", "bn1.output"),
    Mistake("batch norm in evaluation mode while training", "jax", _net(become("bn2", EvaluatingNorm)),
            "forward", "bn2.output"),
    Mistake("batch norm in training mode while evaluating", "jax", _net(become("bn2", TrainingNorm)),
            "score", "held out.output"),
    Mistake("dropout while evaluating", "torch", parts(model=AlwaysDropping), "",
            says="the torch side draws random numbers of its own"),
    Mistake("dropout of 0.5 for 0.25", "jax", _net(have("dropout", rate=0.5)), "forward", "fc1.input"),
    Mistake("dropout that scales nothing up", "jax", _net(become("dropout", UnscaledDropout)), "forward", "fc1.input",
            says="as without the factor of a dropout of 0.25"),
    Mistake("dropout applied twice", "jax", _net(become("", DroppedTwice)), "forward", "fc1.input"),
    *losses_and_data(_port),
    *images(_port),
    *adam(_port, rate=1e-3),
]  # fmt: skip
