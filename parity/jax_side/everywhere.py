"""Functions that stand in for others while a pass is traced."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from weakref import WeakSet

Function = Callable[..., Any]

_LIBRARIES = tuple({sysconfig.get_path(kind) for kind in ("purelib", "platlib", "stdlib")})
_sought: WeakSet[Function] = WeakSet()
"""What was ever replaced, and what stands in for it."""
_without: dict[str, tuple[ModuleType, int]] = {}
"""The modules of libraries that hold nothing sought, and how many names they had then.

All modules together have a hundred thousand names, and several times a pass they are asked for: looked through each
time, that was a third of a check. A library's module is looked through again once it has more names or fewer.
"""


@contextmanager
def everywhere(stand_ins: Mapping[Function, Function]) -> Iterator[None]:
    """Meanwhile functions are replaced, by whatever name a module calls them.

    So a `scan` is found that was imported by its name, and the one that `jax.lax.map` calls.
    """
    if not stand_ins:
        yield
        return
    _replace(stand_ins)
    try:
        yield
    finally:
        # In what was imported meanwhile, too.
        _replace({stand_in: function for function, stand_in in stand_ins.items()})


def _replace(stand_ins: Mapping[Function, Function]) -> None:
    if any(function not in _sought for function in stand_ins):
        _without.clear()
    _sought.update([*stand_ins, *stand_ins.values()])
    by_identity = {id(function): stand_in for function, stand_in in stand_ins.items()}
    sought = {id(function) for function in _sought}
    for called in _worth_a_look():
        module = sys.modules.get(called)
        if not isinstance(module, ModuleType):
            continue
        names = vars(module)
        if not sought.isdisjoint(map(id, names.values())):
            for name, value in [*names.items()]:
                if id(value) in by_identity:
                    setattr(module, name, by_identity[id(value)])
        elif str(names.get("__file__")).startswith(_LIBRARIES):
            _without[called] = module, len(names)


def _worth_a_look() -> set[str]:
    """The names of the modules that may hold something sought."""
    changed = {called for called, (module, size) in _without.items() if len(module.__dict__) != size}
    return {*sys.modules} - _without.keys() | changed
