"""How mistakes are planted into a model of Flax NNX: it is built as it should be, and then some of its parts change."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from parity_tests.ports import counterparts

Change = Callable[[Any], None]
"""Changes a module that was built."""


def model(right: Callable[[nnx.Rngs], Any], *changes: Change) -> Callable[[nnx.Rngs], Any]:
    """The factory of a model with these changes."""

    def factory(rngs: nnx.Rngs) -> Any:
        built = right(rngs)
        for change in changes:
            change(built)
        return built

    return factory


def _at(module: Any, path: str) -> Any:
    for name in filter(None, path.split(".")):
        module = module[int(name)] if name.isdigit() else getattr(module, name)
    return module


def become(path: str, kind: type[Any]) -> Change:
    """The module at `path` ("" is the model) becomes one of another class, which may do something else when called."""
    return lambda built: object.__setattr__(_at(built, path), "__class__", kind)


def have(path: str, **settings: Any) -> Change:
    """The module at `path` has other settings."""

    def change(built: Any) -> None:
        for name, value in settings.items():
            setattr(_at(built, path), name, value)

    return change


def replaced(path: str, made: Callable[[], Any]) -> Change:
    """Another module stands in the place of the one at `path`."""
    around, _, name = path.rpartition(".")
    return lambda built: setattr(_at(built, around), name, made())


class EvaluatingNorm(counterparts.BatchNorm):
    """Takes its running statistics in training too."""

    def __call__(self, x: jax.Array, use_running_average: bool | None = None) -> jax.Array:  # type: ignore[override]
        return super().__call__(x, use_running_average=True)


class TrainingNorm(counterparts.BatchNorm):
    """Takes the batch's statistics in evaluation too."""

    def __call__(self, x: jax.Array, use_running_average: bool | None = None) -> jax.Array:  # type: ignore[override]
        return super().__call__(x, use_running_average=False)


class Float32Norm(counterparts.BatchNorm):
    """Gives what float32 can hold of its output."""

    def __call__(self, x: jax.Array, use_running_average: bool | None = None) -> jax.Array:  # type: ignore[override]
        return in_float32(super().__call__(x, use_running_average))


class UnscaledDropout(nnx.Dropout):
    """Does not divide what it leaves standing by its share."""

    def __call__(self, inputs: jax.Array, **named: Any) -> jax.Array:
        return super().__call__(inputs, **named) * (1 if self.deterministic else 1 - self.rate)


class ExchangedConv(nnx.Conv):
    """Reads its square kernel with height and width exchanged."""

    def __call__(self, inputs: jax.Array, out_sharding: Any = None) -> jax.Array:
        exchanged = nnx.clone(self)
        object.__setattr__(exchanged, "__class__", nnx.Conv)
        exchanged.kernel[...] = self.kernel[...].swapaxes(0, 1)
        output: jax.Array = exchanged(inputs)
        return output


class WithoutBias(nnx.Linear):
    """Leaves its bias out."""

    def __call__(self, inputs: jax.Array, out_sharding: Any = None) -> jax.Array:
        assert self.bias is not None
        return super().__call__(inputs) - self.bias[...]


def in_float32(array: jax.Array) -> jax.Array:
    """What float32 can hold of an array."""
    return array.astype(jnp.float32).astype(array.dtype)


def without(right: optax.GradientTransformation, names: Collection[str]) -> Callable[[], optax.GradientTransformation]:
    """The optimizer, which leaves the parameters of these paths where they are."""

    def update(updates: Any, parameters: Any = None) -> Any:
        return jax.tree_util.tree_map_with_path(
            lambda path, leaf: jnp.zeros_like(leaf) if _dotted(path) in names else leaf, updates
        )

    return lambda: optax.chain(right, optax.stateless(update))


def _dotted(path: Any) -> str:
    return ".".join(str(part.key) for part in path if hasattr(part, "key"))


def moving_matrices_only(parameters: Any) -> Any:
    """Whether a parameter has more than one axis: the mask that spares biases and norms the weight decay."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, parameters)
