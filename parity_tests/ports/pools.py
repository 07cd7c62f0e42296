"""The table of pooling: each way of torch beside its counterpart."""

from __future__ import annotations

from collections.abc import Iterator

import jax.numpy as jnp
from torch import nn

from parity_tests.ports import counterparts
from parity_tests.ports.layer_case import LayerCase, channels, function


def _pools() -> Iterator[LayerCase]:
    told = {
        "2 by 2": (2, 2, 0), "3 by 2 with padding": (3, 2, 1), "2 by 3 with padding": (2, 3, 1),
    }  # fmt: skip
    for axes in (1, 2, 3):
        for title, (window, stride, padding) in told.items():
            for ceil_mode in (False, True):
                yield from _pools_of(axes, title, window, stride, padding, ceil_mode)


def _pools_of(axes: int, title: str, window: int, stride: int, padding: int, ceil_mode: bool) -> Iterator[LayerCase]:
    how = f"{title}{', ceil mode' if ceil_mode else ''}"
    yield LayerCase(
        f"MaxPool{axes}d, {how}",
        lambda: getattr(nn, f"MaxPool{axes}d")(window, stride, padding, ceil_mode=ceil_mode),
        lambda rngs: counterparts.MaxPool((window,) * axes, stride, padding, ceil_mode=ceil_mode),
        channels(3, axes),
        channels_last=True,
        missing="no ceil_mode, no dilation, no indices of the maxima",
    )
    for counted in (True, False):
        yield LayerCase(
            f"AvgPool{axes}d, {how}{'' if counted else ', padding not counted'}",
            lambda counted=counted: getattr(nn, f"AvgPool{axes}d")(  # type: ignore[misc]
                window, stride, padding, ceil_mode=ceil_mode, count_include_pad=counted
            ),
            lambda rngs, counted=counted: counterparts.AvgPool(  # type: ignore[misc]
                (window,) * axes, stride, padding, ceil_mode=ceil_mode, count_include_pad=counted
            ),
            channels(3, axes),
            channels_last=True,
            missing="no ceil_mode, no divisor_override",
        )


POOLS: tuple[LayerCase, ...] = (
    *_pools(),
    LayerCase(
        "AdaptiveAvgPool2d to one",
        lambda: nn.AdaptiveAvgPool2d(1),
        function(lambda x: jnp.mean(x, axis=(1, 2), keepdims=True)),
        channels(3, 2),
        channels_last=True,
        missing="no adaptive pooling; to one it is a mean",
    ),
)
