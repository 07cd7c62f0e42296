"""Functions that stand in for others while a pass is traced."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

Function = Callable[..., Any]


@contextmanager
def everywhere(stand_ins: Mapping[Function, Function]) -> Iterator[None]:
    """Meanwhile functions are replaced, by whatever name a module calls them.

    So a `scan` is found that was imported by its name, and the one that `jax.lax.map` calls.
    """
    _replace(stand_ins)
    try:
        yield
    finally:
        # In what was imported meanwhile, too.
        _replace({stand_in: function for function, stand_in in stand_ins.items()})


def _replace(stand_ins: Mapping[Function, Function]) -> None:
    by_identity = {id(function): stand_in for function, stand_in in stand_ins.items()}
    for module in [*sys.modules.values()]:
        if isinstance(module, ModuleType):
            for name, value in [*vars(module).items()]:
                if id(value) in by_identity:
                    setattr(module, name, by_identity[id(value)])
