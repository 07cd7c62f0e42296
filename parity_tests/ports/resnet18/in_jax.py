"""The port of torchvision's ResNet-18 to Flax NNX, for ten classes."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from parity_tests.ports.counterparts import BatchNorm, MaxPool


def _conv(inputs: int, outputs: int, size: int, stride: int, rngs: nnx.Rngs) -> nnx.Conv:
    """Padded alike at both ends, as torch does it: "SAME" under stride 2 would pad the end alone."""
    return nnx.Conv(inputs, outputs, (size, size), strides=stride, padding=(size - 1) // 2, use_bias=False, rngs=rngs)


class BasicBlock(nnx.Module):
    """Two convolutions, added to their input."""

    def __init__(self, inputs: int, outputs: int, stride: int, rngs: nnx.Rngs) -> None:
        self.conv1 = _conv(inputs, outputs, 3, stride, rngs)
        self.bn1 = BatchNorm(outputs, rngs=rngs)
        self.conv2 = _conv(outputs, outputs, 3, 1, rngs)
        self.bn2 = BatchNorm(outputs, rngs=rngs)
        self.downsample = (
            None
            if stride == 1
            else nnx.Sequential(_conv(inputs, outputs, 1, stride, rngs), BatchNorm(outputs, rngs=rngs))
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        out = nnx.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return nnx.relu(out + (x if self.downsample is None else self.downsample(x)))


class Net(nnx.Module):
    """Images (N, H, W, 3) to logits (N, 10)."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.conv1 = _conv(3, 64, 7, 2, rngs)
        self.bn1 = BatchNorm(64, rngs=rngs)
        self.maxpool = MaxPool((3, 3), stride=2, padding=1)
        self.layer1 = nnx.List([BasicBlock(64, 64, 1, rngs), BasicBlock(64, 64, 1, rngs)])
        self.layer2 = nnx.List([BasicBlock(64, 128, 2, rngs), BasicBlock(128, 128, 1, rngs)])
        self.layer3 = nnx.List([BasicBlock(128, 256, 2, rngs), BasicBlock(256, 256, 1, rngs)])
        self.layer4 = nnx.List([BasicBlock(256, 512, 2, rngs), BasicBlock(512, 512, 1, rngs)])
        self.fc = nnx.Linear(512, 10, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        x = self.maxpool(nnx.relu(self.bn1(self.conv1(images))))
        for block in (*self.layer1, *self.layer2, *self.layer3, *self.layer4):
            x = block(x)
        return self.fc(x.mean(axis=(1, 2)))


def loss(model: Net, batch: dict[str, jax.Array]) -> jax.Array:
    """The mean cross entropy."""
    logits = model(batch["images"].transpose(0, 2, 3, 1))
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, batch["labels"]))


def optimizer() -> optax.GradientTransformation:
    return optax.chain(optax.add_decayed_weights(1e-4), optax.sgd(0.01, momentum=0.9))
