"""Operations that change nothing are found by name and layer, and those that change anything are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from parity.torch_side.idle import Idle

X = torch.tensor([[0.5, 2.0, 3.0]], dtype=torch.float64)
MASK = torch.tensor([[True, False, True]])
NONE, ALL = torch.zeros(1, 3, dtype=torch.bool), torch.ones(1, 3, dtype=torch.bool)
Operation = Callable[[Tensor], Tensor]
IDLE: dict[str, list[Operation]] = {
    "clamp": [lambda x: x.clamp(0, 9), lambda x: x.clone().clamp_(0, 9)],
    "clamp_max": [lambda x: torch.clamp_max(x, 9)],
    "relu": [torch.relu, functional.relu_, nn.ReLU()],
    "hardtanh": [lambda x: functional.hardtanh(x, -4, 4)],
    "leaky_relu": [functional.leaky_relu],
    "abs": [torch.abs],
    "maximum": [lambda x: torch.maximum(x, torch.zeros_like(x)), lambda x: torch.maximum(torch.zeros(1).double(), x)],
    "minimum": [lambda x: torch.minimum(x, torch.full((1,), 9.0, dtype=torch.float64))],
    "where": [lambda x: torch.where(x > 0, x, 0.0), lambda x: torch.where(x < 0, 0.0, x)],
    "masked_fill": [lambda x: x.masked_fill(NONE, 0.0), lambda x: x.clone().masked_fill_(NONE, 0.0)],
    "add": [lambda x: x + torch.zeros_like(x), lambda x: x.clone().add_(torch.zeros_like(x))],
    "mul": [lambda x: x * torch.ones(3, dtype=torch.float64)],
}
BUSY: list[Operation] = [
    lambda x: x.clamp(1, 9), lambda x: x.clone().clamp_(1, 9), lambda x: torch.relu(x - 1), lambda x: torch.abs(-x),
    lambda x: functional.relu_(x - 1), lambda x: torch.maximum(x, torch.ones_like(x)),
    lambda x: torch.where(x > 1, x, 0.0), lambda x: x.masked_fill(MASK, 0.0), lambda x: x + MASK, lambda x: x * MASK,
    lambda x: x + torch.eye(3).double()[:1], lambda x: x.clone().masked_fill_(MASK, 0.0),
]  # fmt: skip


class Model(nn.Module):
    """What does something in a block of a model, and in the model."""

    def __init__(self, inner: Operation, outer: Operation = torch.neg) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(inner), Block(torch.exp)])
        self.outer = outer

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.outer(x)


class Block(nn.Module):
    def __init__(self, does: Operation) -> None:
        super().__init__()
        self.does = [does]  # a module in a list has no name

    def forward(self, x: Tensor) -> Tensor:
        return self.does[0](x)


class Shifted(nn.Module):
    """What begins as the identity, and is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(3, dtype=torch.float64))
        self.scale = nn.Parameter(torch.ones(2, 3, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.shift) * self.scale[0]


def changed(model: nn.Module, x: Tensor = X) -> dict[str, bool]:
    idle = Idle(model)
    with idle.watching():
        model(x)
    return idle.changed


@pytest.mark.parametrize("name", IDLE)
def test_what_changes_nothing_is_found_by_its_layer(name: str) -> None:
    for does in IDLE[name]:
        assert changed(Model(does)) == {f"{name} in blocks.0": False}


@pytest.mark.parametrize("number", range(len(BUSY)))
def test_what_changes_anything_is_not_idle(number: int) -> None:
    assert list(changed(Model(BUSY[number])).values()) == [True]


def test_one_call_that_changes_something_is_enough() -> None:
    assert changed(Model(lambda x: torch.relu(torch.relu(x) - 1))) == {"relu in blocks.0": True}
    assert changed(Model(torch.relu, lambda x: torch.relu(-x))) == {"relu in blocks.0": False, "relu in model": True}


def test_what_stands_in_no_layer_is_told_so() -> None:
    idle = Idle(nn.Linear(1, 1))
    with idle.watching():
        torch.relu(X)
        nn.ReLU()(X)
    assert idle.changed == {"relu outside of its layers": False}


def test_a_parameter_that_begins_with_zeros_is_no_mask() -> None:
    model = Shifted()
    assert changed(model) == {"add in model": True, "mul in model": True}
    model.requires_grad_(False)
    assert changed(model) == {"add in model": True, "mul in model": True}


@pytest.mark.parametrize("mask", [torch.ones(3, 3, dtype=torch.bool), torch.zeros(3, 3, dtype=torch.float64)])
def test_attention_with_a_mask_that_hides_nothing(mask: Tensor) -> None:
    def attend(x: Tensor) -> Tensor:
        return functional.scaled_dot_product_attention(x, x, x, attn_mask=mask)

    x = X.reshape(1, 1, 3, 1)
    assert not changed(Model(attend), x)["attn_mask in blocks.0"]
    mask[0, 2] = not mask[0, 2]
    assert changed(Model(attend), x)["attn_mask in blocks.0"]
    assert "attn_mask in blocks.0" not in changed(Model(lambda x: functional.scaled_dot_product_attention(x, x, x)), x)


def test_padding_that_no_example_has_is_idle_in_torchs_own_attention() -> None:
    attention = nn.MultiheadAttention(4, 2, batch_first=True, dtype=torch.float64)
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    padding = torch.zeros(2, 3, dtype=torch.bool)

    def found() -> bool:
        idle = Idle(attention)
        with idle.watching():
            attention(x, x, x, key_padding_mask=padding)
        return idle.changed["masked_fill in model"]

    assert not found()
    padding[1, 2] = True
    assert found()


def looked_up(tokens: Tensor, **options: Any) -> dict[str, bool]:
    return changed(nn.Embedding(4, 3, dtype=torch.float64, **options), tokens)


def test_a_token_for_padding_that_no_batch_has() -> None:
    assert looked_up(torch.tensor([1, 2]), padding_idx=3) == {"padding_idx in model": False}
    assert looked_up(torch.tensor([1, 3]), padding_idx=-1) == {"padding_idx in model": True}
    assert looked_up(torch.tensor([0, 1])) == {}


def test_a_bound_of_the_norm_that_no_row_reaches() -> None:
    assert looked_up(torch.tensor([1, 2]), max_norm=99.0) == {"embedding_renorm in model": False}
    assert looked_up(torch.tensor([1, 2]), max_norm=1e-3) == {"embedding_renorm in model": True}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 2)], ids=["examples", "sequences"])
def test_a_label_to_leave_out_that_no_example_has(shape: tuple[int, ...], smoothing: float) -> None:
    labels = torch.zeros(2, *shape[2:], dtype=torch.int64)

    def found(ignored: int) -> dict[str, bool]:
        idle = Idle(nn.Identity())
        with idle.watching():
            functional.cross_entropy(torch.zeros(shape), labels, ignore_index=ignored, label_smoothing=smoothing)
        return {name: changed for name, changed in idle.changed.items() if not name.startswith(("add", "mul"))}

    assert found(2) == {"ignore_index outside of its layers": False}
    assert found(0) == {"ignore_index outside of its layers": True}
    assert found(-100) == {}


@pytest.mark.filterwarnings("ignore:.*prototype")
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_nested_and_sparse_tensors_are_left_alone(layout: torch.layout) -> None:
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=layout)
    assert changed(Block(torch.relu), nested) == {}
    assert changed(Block(torch.relu), X.to_sparse()) == {}


def test_whole_numbers_and_nothing_at_all_are_no_masks() -> None:
    assert changed(Block(lambda x: x + torch.zeros(3, dtype=torch.int64)), torch.arange(3)) == {}
    assert changed(Block(torch.relu), X[:, :0]) == {}
    assert changed(Block(torch.abs), torch.complex(X, X)) == {"abs in model": True}


def test_hooks_do_not_stay() -> None:
    idle = Idle(nn.ReLU())
    with pytest.raises(ZeroDivisionError), idle.watching():
        nn.ReLU()(1 / 0)
    nn.ReLU()(X)
    assert idle.changed == {}
