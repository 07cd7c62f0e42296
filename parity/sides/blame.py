"""What a side's own code raises, in one line that names the side, the part and, over two dtypes, the likely cause."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import TracebackType
from typing import Any

from parity.errors import NotCheckable
from parity.recording import Dtype, Framework

_WORDS = {"float32": "float32", "float": "float32", "float64": "float64", "double": "float64"}
KEEPS = (
    "a constant that is made on import keeps the dtype of the run that imports it: "
    "make it inside the function, or hand it in the batch"
)

MADE_IN_FLOAT32 = (
    "this is the float64 run, and something is in float32 whatever the run, as `.float()` or dtype=float32 makes it: "
    "take the dtype of what it meets, such as `.to(x.dtype)` or `.astype(x.dtype)`"
)

WHOLE_NUMBERS = (
    "in the float64 run JAX's whole numbers are int64 by default, as under jax_enable_x64, and int32 only where it is "
    "written out: take the dtype of what they meet, such as `jnp.asarray(0, index.dtype)`"
)


@contextmanager
def blame(framework: Framework, part: str, dtype: Dtype | None = None) -> Iterator[None]:
    """Turn what a side's own code raises, in a run of `dtype`, into one line that names the side and the part."""
    try:
        yield
    except NotCheckable:
        raise
    except Exception as error:
        message = str(error).strip().splitlines() or [""]
        failed = f"the {framework} side's {part} failed: {type(error).__name__}: {message[0]}"
        raise NotCheckable(failed + likely_cause(error, dtype)) from error


def watched(
    framework: Framework, label: str, function: Callable[..., Any], dtype: Dtype | None = None
) -> Callable[..., Any]:
    """The function, with `blame` watching over every call."""

    @wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        with blame(framework, label, dtype):
            return function(*arguments, **named)

    return call


def likely_cause(error: Exception, dtype: Dtype | None) -> str:
    """What the likely cause of an error in a run of `dtype` is, after a semicolon; empty where it is no such error."""
    if dtype == "float64" and _of_two_whole_dtypes(error):
        return f"; {WHOLE_NUMBERS}"
    words = re.findall(r"\b(?:float(?:32|64)?|double)\b", str(error), re.IGNORECASE)
    if dtype is None or {_WORDS[word.lower()] for word in words} != {"float32", "float64"}:
        return ""
    other = "float32" if dtype == "float64" else "float64"
    if found := next(_constants(error.__traceback__, other), None):
        return f"; {found} is {other}: {KEEPS}"
    # The float64 run comes first, and what it imports is made in float64.
    if dtype == "float32":
        return f"; the float64 run did not fail, and this may be why: {KEEPS}"
    return f"; {MADE_IN_FLOAT32}" if dtype == "float64" else ""


def _of_two_whole_dtypes(error: Exception) -> bool:
    """Whether JAX was handed whole numbers of two dtypes; torch, which says the same of what it takes, has one."""
    return isinstance(error, TypeError) and all(re.search(rf"\b{word}\b", str(error)) for word in ("int32", "int64"))


def _constants(traceback: TracebackType | None, dtype: str) -> Iterator[str]:
    """Tensors of `dtype` among the module variables of the code in which the error arose, the outermost first."""
    while traceback is not None:
        module = traceback.tb_frame.f_globals
        for name, value in module.items():
            # A dtype is asked of tensors alone: what else a module holds may do anything when it is asked.
            if type(value).__module__.partition(".")[0] not in ("torch", "jax", "jaxlib"):
                continue
            if str(getattr(value, "dtype", "")).removeprefix("torch.") == dtype:
                # Code that was made by exec is in no module.
                yield f"{module['__name__']}.{name}" if "__name__" in module else name
        traceback = traceback.tb_next
