"""A case knows what it may be, and is called by what is special about it."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.case import Case
from parity.errors import NotCheckable


def test_a_case_is_called_by_what_is_not_the_notebooks() -> None:
    assert Case().name == "mnist-float32-cpu"
    assert Case("mlp", "tf32", "gpu", steps=20, seeds=4).name == "mlp-tf32-gpu-t20-s4"
    assert Case(width=50, batch_size=10, seed=3).name == "mnist-float32-cpu-w50-b10-r3"


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ({"problem": "cifar"}, "there is no problem 'cifar': expected line_fit, mlp, mnist"),
        ({"precision": "float16"}, "there is no precision 'float16': expected float32, tf32, bfloat16"),
        ({"device": "tpu"}, "there is no device 'tpu'"),
        ({"batch_size": 0}, "batch size is 0: expected 1 or more"),
        ({"precision": "tf32"}, "tf32 needs a GPU: use --device gpu, or --precision float32"),
        (
            {"problem": "line_fit", "precision": "bfloat16"},
            "line_fit multiplies no matrices: use --precision float32",
        ),
    ],
)
def test_what_cannot_be_is_told(sizes: dict[str, Any], told: str) -> None:
    with pytest.raises(NotCheckable, match=told):
        Case(**sizes)
