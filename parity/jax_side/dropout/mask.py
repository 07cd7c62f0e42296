"""A mask that is drawn outside of the program, for all that `jax.vmap` maps over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from parity.arrays.draws import mask
from parity.jax_side.dropout.keys import Keys
from parity.jax_side.dropout.matching import Dropout, Path
from parity.recording import Array
from parity.weight_map.outline import Shape


@dataclass(frozen=True)
class Mask:
    """Draws a mask outside of the program.

    Attributes:
        shape: that the code asks for.
        rate: None where the program tells it.
        keys: are told of each key.
        traced: the pass in which it is drawn.
        path: where in it.
        examples: how many turns each loop has whose turns are examples of one mask.
        strides: those of `parity.jax_side.dropout.matching.Apart`.
        over: how many each `jax.vmap` around it maps over with keys of their own, the innermost first.
    """

    shape: Shape
    rate: float | None
    keys: Keys
    traced: object
    path: Path = ()
    examples: Shape = ()
    strides: Shape = ()
    over: Shape = ()

    @property
    def whole(self) -> Shape:
        """The shape with what is mapped over, the outermost first."""
        return (*self.over[::-1], *self.shape)

    def __call__(self, stream: Any, place: Any, key: Any, *rate: Any) -> Array:
        """The mask at a place of that stream: of that number, and of these examples.

        The key is not drawn by. It tells whether something is left out twice.
        """
        places = np.asarray(place).reshape(-1, 1 + len(self.examples))
        rates = np.ravel(rate[0] if self.rate is None else self.rate)
        # Where each example may take a branch of its own, JAX hands each what is the same for all.
        self.keys.unlike |= bool((places != places[0]).any() or (rates != rates[0]).any())
        number, *examples = (int(one) for one in places[0])
        keys = np.asarray(key)
        self.keys.see(self.traced, self.path, (number, *examples), keys.reshape(-1, keys.shape[-1]))
        # Of what is mapped over the outermost comes first in the array.
        strides = [*self.strides, *[0] * (len(self.over) - len(self.strides))][::-1]
        sizes = [*zip(self.over[::-1], strides, strict=True)]
        together = tuple(size for size, stride in sizes if not stride)
        found = np.empty(self.whole, bool)
        for one in product(*(range(size) if stride else [0] for size, stride in sizes)):
            later = sum(index * stride for index, (_, stride) in zip(one, sizes, strict=True))
            drawn = mask(stream, number + later, (*self.examples, *together, *self.shape), float(rates[0]))
            where = tuple(index if stride else slice(None) for index, (_, stride) in zip(one, sizes, strict=True))
            found[where] = drawn[tuple(examples)]
        return found


def kept(drawn: Mask, called: Dropout, *given: Any) -> jax.Array:
    """What the mask leaves standing. The dropout is told what is mapped over."""
    result = jax.ShapeDtypeStruct(drawn.whole, jnp.bool_)  # type: ignore[no-untyped-call]

    @jax.custom_batching.custom_vmap
    def one(stream: Any, place: Any, key: Any, *rate: Any) -> Any:
        return jax.pure_callback(drawn, result, stream, place, jax.random.key_data(key), *rate)

    @one.def_vmap
    def _(size: int, batched: list[bool], stream: Any, place: Any, key: Any, *rate: Any) -> tuple[jax.Array, bool]:
        # With keys of their own, all examples have one mask together; with one key, each has the same.
        of_all = replace(drawn, over=(*drawn.over, size)) if batched[2] else drawn
        called.over = of_all.over
        return kept(of_all, called, stream[0] if batched[0] else stream, place, key, *rate), batched[2]

    found: jax.Array = one(*given)
    return found
