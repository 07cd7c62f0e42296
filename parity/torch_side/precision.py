"""Full float32 products in torch, whatever the caller has set, and whether a side's own code has left it so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any, NamedTuple

import torch

FULL = "ieee"
"""The setting that rounds products as float32 does. With "none" a setting is that of the one above it."""
PARENTS = ("fp32_precision", "cudnn.fp32_precision")
"""In `torch.backends`: of everything, and of everything on an NVIDIA GPU."""
PRODUCTS = tuple(
    f"{where}.fp32_precision"
    for where in ("cuda.matmul", "cudnn.conv", "cudnn.rnn", "mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn")
)
"""In `torch.backends`: of each kind of products. cuDNN's are TF32 where nobody has set them."""


class _Older(NamedTuple):
    """The settings of torch's older interface. Reading one raises where the newer ones say otherwise."""

    matmul: str
    tf32_in_cudnn: bool


@contextmanager
def full_float32() -> Iterator[None]:
    """Full float32 products, whatever the caller's settings; the settings come back afterwards.

    What cuDNN does where nobody has set it is then set as it was, as it is by torch's own `torch.backends.cudnn.flags`.
    """
    before = {name: _value(name) for name in (*PARENTS, *PRODUCTS)}
    older = _all_full()
    try:
        yield
    finally:
        _all_full()
        if older.matmul != "highest":
            torch.set_float32_matmul_precision(older.matmul)
        if older.tf32_in_cudnn:
            torch.backends.cudnn.allow_tf32 = True
        for name, value in before.items():
            _set(name, value)


def lowered() -> str:
    """The products that are not those of full float32 now, a phrase; empty where all are."""
    return ", ".join(
        f"torch.backends.{name} is {value!r}" for name in PRODUCTS if (value := _value(name)) not in (FULL, "none")
    )


def _all_full() -> _Older:
    """Set everything to full float32, in both interfaces, and tell what the older one had."""
    for name in (*PARENTS, *PRODUCTS):
        _set(name, FULL)
    # All is full float32 in the newer interface, where the older one can be read, but for cuDNN's flag if that is on.
    older = _Older(torch.get_float32_matmul_precision(), _tf32_in_cudnn())
    if older.matmul != "highest":
        torch.set_float32_matmul_precision("highest")
    if older.tf32_in_cudnn:
        torch.backends.cudnn.allow_tf32 = False
    return older


def _tf32_in_cudnn() -> bool:
    try:
        return bool(torch.backends.cudnn.allow_tf32)
    except RuntimeError:
        return True


def _value(name: str) -> str:
    return str(attrgetter(name)(torch.backends))


def _set(name: str, value: str) -> None:
    """Set it where it is another, so that a setting which is that of the one above it stays so."""
    if _value(name) != value:
        where, _, last = name.rpartition(".")
        holder: Any = attrgetter(where)(torch.backends) if where else torch.backends
        setattr(holder, last, value)
