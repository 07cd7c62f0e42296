"""Batches as a JAX side's code takes them: on the device, in the dtypes of the run."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from parity.arrays.rounding import cast
from parity.recording import Batch, Dtype


class OnDevice:
    """Puts a batch on the device, where it stays until another is asked for: nothing can change it there."""

    def __init__(self, dtype: Dtype) -> None:
        self._dtype = dtype
        self._last: tuple[Batch, dict[str, jax.Array]] = {}, {}

    def __call__(self, batch: Batch) -> dict[str, jax.Array]:
        """The batch, its whole numbers in 64 bits in float64, else in 32."""
        if batch is not self._last[0]:
            self._last = batch, self._put(batch)
        return self._last[1]

    @property
    def last(self) -> Batch:
        """The batch that was put there last, as it came."""
        return self._last[0]

    def _put(self, batch: Batch) -> dict[str, jax.Array]:
        # Narrower ones would be divided in float32, in a float64 run too. Without 64-bit JAX there are no wider ones.
        whole = np.int64 if self._dtype == "float64" else np.int32
        held = {"f": jnp.dtype(self._dtype), "i": np.dtype(whole), "u": np.dtype(whole)}
        # Copied, since JAX may go on using the memory that it is given; all at once, without a program for each.
        given = cast(batch, self._dtype)
        tensors: dict[str, jax.Array] = jax.device_put(
            {name: np.array(a, held.get(a.dtype.kind, a.dtype), order="C") for name, a in given.items()}
        )
        return tensors
