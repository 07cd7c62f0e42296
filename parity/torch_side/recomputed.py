"""Activation checkpointing left out: what it would compute again on the way back is kept, and has the same numbers.

Computed again, a dropout would be handed another mask, a layer would be seen twice, and the reentrant form cannot be
differentiated by what comes to a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch.utils.checkpoint


class _Called:
    """Stands in for the function of autograd that the reentrant form is."""

    @staticmethod
    def apply(function: Callable[..., Any], preserve_rng_state: bool, *arguments: Any) -> Any:
        return function(*arguments)


def _nothing_around(*_: Any, **__: Any) -> Iterator[None]:
    """Stands in for what the other form does before and after the call."""
    yield


STAND_INS: dict[str, Any] = {
    "CheckpointFunction": _Called,
    "_checkpoint_without_reentrant_generator": _nothing_around,
    "_checkpoint_without_reentrant_generator_impl": _nothing_around,
}
"""By the names of what `torch.utils.checkpoint.checkpoint` calls in torch 2.11 to 2.14. Its own name is often held
elsewhere: by `from`-imports, by a `partial` that a model keeps."""


@contextmanager
def nothing_recomputed() -> Iterator[None]:
    """While it lasts, `torch.utils.checkpoint.checkpoint` calls what it is given and does nothing else."""
    module = torch.utils.checkpoint
    with ExitStack() as patches:
        for name, stand_in in STAND_INS.items():
            if hasattr(module, name):
                patches.enter_context(patch.object(module, name, stand_in))
        yield
