"""Full float32 products: set in both of torch's interfaces, restored, and looked at again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

import pytest
import torch

from parity.torch_side.precision import FULL, PARENTS, PRODUCTS, full_float32, lowered

backends: Any = torch.backends
CUDNN = ("cudnn.conv.fp32_precision", "cudnn.rnn.fp32_precision")


@pytest.fixture(autouse=True)
def _as_usual() -> Iterator[None]:
    """As torch begins, as far as its interface comes back there."""
    yield
    torch.set_float32_matmul_precision("highest")
    backends.cudnn.allow_tf32 = True
    for name in (*PARENTS, *PRODUCTS):
        if name not in CUDNN:
            put(name, "none")


def put(name: str, value: str) -> None:
    where, _, last = name.rpartition(".")
    setattr(attrgetter(where)(backends) if where else backends, last, value)


def shown() -> dict[str, object]:
    """All that can be read in both interfaces; an error where the older one cannot be."""
    older: dict[str, Callable[[], object]] = {
        "matmul": torch.get_float32_matmul_precision,
        "cublas": lambda: backends.cuda.matmul.allow_tf32,
        "cudnn": lambda: backends.cudnn.allow_tf32,
    }
    found: dict[str, object] = {name: attrgetter(name)(backends) for name in (*PARENTS, *PRODUCTS)}
    for name, read in older.items():
        try:
            found[name] = read()
        except RuntimeError:
            found[name] = "mixed"
    return found


def high_then_full() -> None:
    torch.set_float32_matmul_precision("high")
    put("cuda.matmul.fp32_precision", FULL)


SET: dict[str, Callable[[], None]] = {
    "nothing": lambda: None,
    "high": lambda: torch.set_float32_matmul_precision("high"),
    "medium": lambda: torch.set_float32_matmul_precision("medium"),
    "cuBLAS's TF32": lambda: setattr(backends.cuda.matmul, "allow_tf32", True),
    "no TF32 in cuDNN": lambda: setattr(backends.cudnn, "allow_tf32", False),
    "everything TF32": lambda: put("fp32_precision", "tf32"),
    "everything bfloat16": lambda: put("fp32_precision", "bf16"),
    "everything on a GPU TF32": lambda: put("cudnn.fp32_precision", "tf32"),
    **{f"{name} TF32": lambda name=name: put(name, "tf32") for name in PRODUCTS},  # type: ignore[misc]
    "bfloat16 on a CPU": lambda: put("mkldnn.matmul.fp32_precision", "bf16"),
    "high, and then full": high_then_full,
}


@pytest.mark.parametrize("setting", SET)
def test_inside_all_is_full_float32_in_both_interfaces_and_then_as_it_was(setting: str) -> None:
    SET[setting]()
    before = shown()
    with full_float32():
        inside = shown()
        assert lowered() == ""
    assert {inside[name] for name in (*PARENTS, *PRODUCTS)} == {FULL}
    assert [inside[name] for name in ("matmul", "cublas", "cudnn")] == ["highest", False, False]
    assert shown() == before


def test_what_follows_the_setting_above_it_follows_it_afterwards() -> None:
    with full_float32():
        pass
    put("fp32_precision", "tf32")
    following = {name for name in PRODUCTS if shown()[name] == "tf32"}
    assert following == {*PRODUCTS}


@pytest.mark.parametrize("setting", [name for name in SET if "TF32" in name and "no TF32" not in name])
def test_what_is_set_inside_is_told_and_does_not_stay(setting: str) -> None:
    with full_float32():
        pass
    before = shown()
    with full_float32():
        SET[setting]()
        told = lowered()
    assert "is 'tf32'" in told
    assert shown() == before


def test_it_comes_back_where_code_raises() -> None:
    def lowering() -> None:
        torch.set_float32_matmul_precision("medium")
        raise ValueError("not today")

    before = shown()
    with pytest.raises(ValueError, match="not today"), full_float32():
        lowering()
    assert shown() == before
