"""Is a JAX model the same as a PyTorch model?

    from parity import Pair, check, random_batches

    verdict = check(Pair(torch=dict(...), jax=dict(...), batches=random_batches(...)))

Neither framework is imported before a side runs, and what is named here is imported when first asked for.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parity.errors import NotCheckable
    from parity.jax_side.optimizer.translated import from_optax, to_optax
    from parity.judging.check import check
    from parity.pair.batches import random_batches, whole
    from parity.pair.checkpoint import checkpoint
    from parity.pair.pair import Pair, Side
    from parity.pair.tap import tap
    from parity.recording import Recording
    from parity.sides.record import record
    from parity.torch_side.described import read_torch_optimizer, write_torch_optimizer
    from parity.verdict import Verdict
    from parity.weight_map.weight_map import WeightMap

__all__ = [
    "NotCheckable", "Pair", "Recording", "Side", "Verdict", "WeightMap", "check", "checkpoint", "from_optax",
    "random_batches", "read_torch_optimizer", "record", "tap", "to_optax", "whole", "write_torch_optimizer",
]  # fmt: skip

_WHERE = {
    "NotCheckable": "errors",
    "Pair": "pair.pair",
    "Recording": "recording",
    "Side": "pair.pair",
    "Verdict": "verdict",
    "WeightMap": "weight_map.weight_map",
    "check": "judging.check",
    "checkpoint": "pair.checkpoint",
    "from_optax": "jax_side.optimizer.translated",
    "random_batches": "pair.batches",
    "read_torch_optimizer": "torch_side.described",
    "record": "sides.record",
    "tap": "pair.tap",
    "to_optax": "jax_side.optimizer.translated",
    "whole": "pair.batches",
    "write_torch_optimizer": "torch_side.described",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'parity' has no attribute {name!r}")
    return getattr(importlib.import_module(f"parity.{_WHERE[name]}"), name)


_MISSING = tuple(f"{name}_side." for name in ("torch", "jax") if not (sys.modules.get(name) or find_spec(name)))
"""Parts of parity whose framework is not installed."""
if not TYPE_CHECKING:
    # help(parity) and `from parity import *` import all that is listed. By its name everything can be asked for.
    __all__ = [name for name in __all__ if not _WHERE[name].startswith(_MISSING)]


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
