"""What import paths and pair files name: the parts of a side, and pairs."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

from parity.errors import MissingFramework, NotCheckable
from parity.pair.pair import Pair, Part
from parity.recording import Framework

PACKAGES = {"torch": ("torch", "torchvision"), "jax": ("jax", "jaxlib", "flax", "optax")}
"""The packages without which a side of each framework cannot run."""
OWN_MODULES = ": modules are looked for beside the pair file, in the project's folder and among what is installed"


def resolve(path: Part, framework: Framework) -> Any:
    """The object that an import path such as `torchnet.mnist:loss` names; a function is itself.

    Raises:
        MissingFramework: the framework of this side is not installed.
        NotCheckable: the path is malformed, its module is missing or does not import, or the name is not in it.
    """
    if not isinstance(path, str):
        return path
    module_name, colon, name = path.partition(":")
    if not colon or not module_name or not name:
        raise NotCheckable(f"{path!r} is not an import path: write it as package.module:name")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in PACKAGES[framework]:
            raise MissingFramework.of(framework, missing) from error
        own = f"{module_name}.".startswith(f"{error.name}.")
        why = OWN_MODULES if own else f": {module_name} imports it"
        raise NotCheckable(f"{path}: no module named {error.name!r}{why}") from error
    except NotCheckable as error:
        # Such as a pair's file that has the name of the model's.
        raise NotCheckable(f"{path}: does not import: {error}") from error
    except Exception as error:
        raise NotCheckable(f"{path}: does not import: {type(error).__name__}: {error}") from error
    try:
        return getattr(module, name)
    except AttributeError as error:
        where = getattr(module, "__file__", None)
        raise NotCheckable(f"{path}: {module_name} has no {name!r}{f' (it is {where})' if where else ''}") from error


def load_pair(file: Path) -> Pair:
    """The `pair` that a Python file defines.

    Raises:
        NotCheckable: the file is missing, does not run, or defines no `pair = Pair(...)`.
    """
    if not file.is_file():
        raise NotCheckable(f"{file}: no such pair file; it is a Python file that defines pair = Pair(...)")
    spec = importlib.util.spec_from_file_location(f"parity_pair_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise NotCheckable(f"{file}: not a Python file; a pair file ends in .py and defines pair = Pair(...)")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except NotCheckable as error:
        raise type(error)(f"{file}: {error}") from error.__cause__
    except Exception as error:
        raise NotCheckable(f"{file}: does not run: {type(error).__name__}: {error}") from error
    pair = getattr(module, "pair", None)
    if not isinstance(pair, Pair):
        raise NotCheckable(f"{file}: defines no pair; write pair = Pair(torch=dict(...), jax=dict(...), batches=...)")
    return pair if pair.name else replace(pair, name=file.stem)
