"""What a side's own code raises is told in one line, and where it failed over two dtypes, the constant that it was."""

from __future__ import annotations

from typing import Any

import jax
import pytest
import torch

from parity.errors import NotCheckable
from parity.recording import FRAMEWORKS, Dtype
from parity.sides.blame import KEEPS, MADE_IN_FLOAT32, WHOLE_NUMBERS, blame, likely_cause
from parity_tests.parity.tiny import live
from parity_tests.parity.tiny_draws import batches, draw_parameters

MISMATCH = "Input type (double) and bias type (float) should be the same"


def raised(message: str = MISMATCH, **variables: Any) -> Exception:
    """What a function raises whose module has these variables."""
    module: dict[str, Any] = {"__name__": "net", **variables}
    exec(f"def loss():\n    raise RuntimeError({message!r})", module)
    with pytest.raises(RuntimeError) as caught:
        module["loss"]()
    return caught.value


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("ones", [torch.ones, jax.numpy.ones], ids=FRAMEWORKS)
def test_a_module_variable_of_the_other_dtype_is_named(ones: Any, dtype: Dtype) -> None:
    dtypes = torch if ones is torch.ones else jax.numpy
    other = "float32" if dtype == "float64" else "float64"
    with jax.enable_x64(True):
        right, wrong = (ones(2, dtype=getattr(dtypes, name)) for name in (dtype, other))
    assert likely_cause(raised(RIGHT=right, WRONG=wrong), dtype) == f"; net.WRONG is {other}: {KEEPS}"


def test_code_that_is_in_no_module_and_what_cannot_be_asked_are_no_fault() -> None:
    class Lazy:
        @property
        def dtype(self) -> str:
            raise RuntimeError("asked")

    error = raised(LAZY=Lazy(), WRONG=torch.ones(2, dtype=torch.float64))
    assert likely_cause(error, "float32") == f"; net.WRONG is float64: {KEEPS}"
    module: dict[str, Any] = {"WRONG": torch.ones(2, dtype=torch.float64)}
    exec(f"def loss():\n    raise RuntimeError({MISMATCH!r})", module)
    with pytest.raises(RuntimeError) as caught:
        module["loss"]()
    assert likely_cause(caught.value, "float32") == f"; WRONG is float64: {KEEPS}"


def test_without_such_a_variable_it_is_likely_only_after_the_other_run() -> None:
    assert KEEPS in likely_cause(raised("mat1 and mat2 must have the same dtype, but got Double and Float"), "float32")
    assert KEEPS not in likely_cause(raised(), "float64")


def test_without_such_a_variable_the_first_run_says_what_to_do_about_float32() -> None:
    assert likely_cause(raised(), "float64") == f"; {MADE_IN_FLOAT32}"
    assert likely_cause(raised("lax.conv requires arguments of one dtype, got float32, float64"), "float64") != ""
    assert likely_cause(raised("shapes do not match"), "float64") == ""


@pytest.mark.parametrize("message", ["shapes do not match", "float32 is not supported", "a floating double float64"])
def test_other_errors_are_left_as_they_are(message: str) -> None:
    assert likely_cause(raised(message, TABLE=torch.ones(2, dtype=torch.float64)), "float32") == ""


def test_whole_numbers_of_two_dtypes_are_told_in_the_run_that_has_them() -> None:
    with jax.enable_x64(True):
        queue, pointer = jax.numpy.ones((4, 8)), jax.numpy.zeros((), jax.numpy.int32)
        with pytest.raises(TypeError) as caught:
            jax.lax.dynamic_update_slice(queue, queue[:, :2], (0, pointer))
    assert likely_cause(caught.value, "float64") == f"; {WHOLE_NUMBERS}"
    assert likely_cause(caught.value, "float32") == ""
    said = "index_select(): Expected dtype int32 or int64 for index"
    assert likely_cause(raised(said), "float64") == ""


def test_outside_of_a_run_nothing_is_said() -> None:
    assert likely_cause(raised(TABLE=torch.ones(2, dtype=torch.float64)), None) == ""


NET = """
import torch
TABLE = torch.ones(3, dtype=torch.float64)
def loss(model, batch):
    return torch.nn.functional.linear(TABLE, torch.ones(2, 3)).sum()
"""


def test_a_sides_loss_that_fails_names_the_constant() -> None:
    net: dict[str, Any] = {"__name__": "net"}
    exec(NET, net)
    side = live("torch", "float32", loss=net["loss"])
    with pytest.raises(NotCheckable, match=f"loss failed: RuntimeError: .*; net.TABLE is float64: {KEEPS}"):
        side.observe(draw_parameters(0), batches(0, 1)[0])


def test_an_error_without_words_is_told_by_its_kind() -> None:
    with pytest.raises(NotCheckable, match="the torch side's loss failed: Silent"), blame("torch", "loss"):
        raise type("Silent", (Exception,), {})


def test_an_interruption_is_nobodys_fault() -> None:
    with pytest.raises(KeyboardInterrupt), blame("torch", "loss"):
        raise KeyboardInterrupt
