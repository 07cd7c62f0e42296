"""MNIST's examples as batches, in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxnet.data import Images, Labels, Mnist
from jaxnet.draws import DATA, generator

NumpyBatch = dict[str, np.ndarray]
Rows = Int[np.ndarray, "steps batch"]


def draw_rows(seed: int, steps: int, batch_size: int, examples: int) -> Rows:
    """Which of the examples each step trains on, drawn with replacement; more steps leave the first as they are."""
    return generator(seed, DATA).integers(examples, size=(steps, batch_size))


def to_unit_range(pixels: Images, dtype: str = "float64") -> Float[np.ndarray, "examples 784"]:
    """Pixels from 0 to 255, (examples, 28, 28), as numbers from 0 to 1, (examples, 784), rounded to `dtype` once."""
    images: Float[np.ndarray, "examples 784"] = np.divide(pixels.reshape(len(pixels), -1), 255, dtype=dtype)
    return images


def batch_of(pixels: Images, labels: Labels) -> NumpyBatch:
    """Examples as the model takes them: images (examples, 784) float64 and labels (examples,) int64."""
    return {"images": to_unit_range(pixels), "labels": labels.astype("int64")}


class Minibatches(Sequence[NumpyBatch]):
    """The batch of every step, made when it is asked for: as float64, those of 100 steps would fill 630 MB."""

    def __init__(self, mnist: Mnist, rows: Rows) -> None:
        self._mnist, self._rows = mnist, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, step: Any) -> Any:
        if isinstance(step, slice):
            return Minibatches(self._mnist, self._rows[step])
        return batch_of(self._mnist.train_images[self._rows[step]], self._mnist.train_labels[self._rows[step]])
