"""What only saves time or memory left out: `torch.compile`, and activation checkpointing. The numbers are the same.

Inside of compiled code no layer is seen. Computed again on the way back, a dropout would be handed another mask and a
layer would be seen twice; the reentrant form cannot be differentiated by what comes to a layer.
"""

from __future__ import annotations

import sys
import warnings
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
def eagerly() -> Iterator[None]:
    """While it lasts, compiled code runs as it was written, and `torch.utils.checkpoint.checkpoint` only calls."""
    module = torch.utils.checkpoint
    with ExitStack() as changes:
        for name, stand_in in STAND_INS.items():
            if hasattr(module, name):
                changes.enter_context(patch.object(module, name, stand_in))
        if "torch._dynamo" in sys.modules:  # Seconds to import, and where nobody has, nothing is compiled.
            changes.enter_context(torch.compiler.set_stance("force_eager"))
            changes.enter_context(warnings.catch_warnings())
            # A check watches all modules by a hook, of which this warns; it does so as long as code is compiled.
            warnings.filterwarnings("ignore", r"Using `torch\.compile\(module\)` when there are global hooks")
        yield
