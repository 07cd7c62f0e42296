"""What is recorded of the layers of an `nn.Module`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from parity import tap
from parity.errors import NotCheckable
from parity.pair.tap import tapped
from parity.torch_side.layers import Layers, rounded, watch


def watched(model: Any, *inputs: Tensor, bits: int | None = None) -> tuple[Tensor, Layers]:
    with watch(model, bits) as layers:
        output = model(*inputs)
    return output, layers


class Twice(nn.Module):
    """One layer called twice, in a module that owns none itself."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(3, 3, dtype=torch.float64), nn.ReLU())

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.block(self.block(inputs))
        return found


class Own(nn.Module):
    """A module with a parameter of its own and two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((3,), 2.0))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return self.scale * first * second


def test_calls_are_named_by_module_and_counted_in_the_order_of_the_flow() -> None:
    _, layers = watched(Twice(), torch.ones(2, 3, dtype=torch.float64))
    assert list(layers.forward) == ["block.0.input", "block.0.output", "block.0#2.input", "block.0#2.output"]
    assert list(layers.inputs) == ["block.0.input", "block.0#2.input"]


def test_each_call_has_its_own_tensors_and_gradients() -> None:
    torch.manual_seed(0)
    model, inputs = Twice(), torch.randn(2, 3, dtype=torch.float64)
    output, layers = watched(model, inputs)
    first, second = layers.forward["block.0.output"], layers.forward["block.0#2.input"]
    assert torch.equal(layers.forward["block.0.input"], inputs)
    assert torch.equal(torch.relu(first), second)
    assert torch.equal(torch.relu(layers.forward["block.0#2.output"]), output)
    to_first, to_second = torch.autograd.grad(output.sum(), list(layers.inputs.values()))
    weight = model.get_parameter("block.0.weight")
    torch.testing.assert_close(to_first, (to_second * (first > 0)) @ weight, rtol=0, atol=1e-14)


def test_the_model_itself_and_a_second_input_have_names_too() -> None:
    _, layers = watched(Own(), torch.ones(3), torch.full((3,), 5.0))
    assert list(layers.forward) == ["model.input", "model.input1", "model.output"]
    assert layers.forward["model.input1"].tolist() == [5.0] * 3


def test_whole_numbers_are_no_activations() -> None:
    output, layers = watched(nn.Embedding(4, 2), torch.tensor([1, 3]))
    assert list(layers.forward) == ["model.output"]
    assert torch.equal(layers.forward["model.output"], output)
    assert not layers.inputs


class InPlace(nn.Module):
    """Writes into what a layer was given and into what it gave back."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        given = inputs * 1
        output: Tensor = self.inner(given)
        given.zero_()
        return torch.relu_(output.sub_(100))


def test_an_operation_in_place_does_not_overwrite_what_was_recorded() -> None:
    torch.manual_seed(0)
    model, inputs = InPlace(), torch.randn(2, 3)
    expected = model.inner(inputs)
    output, layers = watched(model, inputs)
    assert torch.equal(layers.forward["inner.input"], inputs)
    assert torch.equal(layers.forward["inner.output"], expected)
    assert not output.any()


class Reread(nn.Module):
    """A layer that changes what it is given, beside code that reads it again; `named` hands it over by its name."""

    def __init__(self, named: bool) -> None:
        super().__init__()
        self.inner, self.scale, self.named = nn.Linear(3, 3, dtype=torch.float64), Scale(), named

    def forward(self, inputs: Tensor) -> Tensor:
        first, second = self.inner(inputs), 2 * inputs
        # The second asks for no gradient.
        scaled = self.scale(first, second=second) if self.named else self.scale(first, second)
        return scaled + 3 * first + second  # type: ignore[no-any-return]


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((3,), 0.5, dtype=torch.float64))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        second[0] = 7.0
        return first.mul_(self.gamma) + second.mul_(self.gamma)


@pytest.mark.parametrize("named", [False, True])
def test_what_a_layer_does_to_its_input_in_place_is_seen_by_what_comes_after_it(named: bool) -> None:
    torch.manual_seed(0)
    model, inputs = Reread(named), torch.randn(2, 3, dtype=torch.float64)
    plain = model(inputs)
    expected = torch.autograd.grad(plain.square().sum(), list(model.parameters()))
    output, layers = watched(model, inputs)
    assert torch.equal(output, plain)
    assert torch.equal(layers.forward["scale.input"], layers.forward["inner.output"])
    assert torch.equal(layers.forward["scale.input1"], 2 * inputs)
    for found, gradient in zip(
        torch.autograd.grad(output.square().sum(), list(model.parameters())), expected, strict=True
    ):
        torch.testing.assert_close(found, gradient, rtol=1e-14, atol=0)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_so_it_is_where_nothing_is_differentiated(mode: Any) -> None:
    model, inputs = Reread(named=False), torch.ones(2, 3, dtype=torch.float64)
    with mode():
        plain = model(inputs)
        with watch(model, None, slopes=False) as layers:
            assert torch.equal(model(inputs), plain)
        assert torch.equal(layers.forward["scale.input1"], 2 * inputs)


def test_watching_changes_neither_the_output_nor_the_gradients() -> None:
    torch.manual_seed(0)
    model, inputs = Twice(), torch.randn(2, 3, dtype=torch.float64)
    plain, parameters = model(inputs), list(model.parameters())
    output, _ = watched(model, inputs)
    assert torch.equal(output, plain)
    for found, expected in zip(*(torch.autograd.grad(o.sum(), parameters) for o in (output, plain)), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_module_that_owns_only_buffers_is_a_layer_where_a_weight_map_pairs_the_modules(by_hand: bool) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3, affine=False))
    with watch(model, None, by_hand=by_hand) as layers:
        model(torch.randn(4, 3))
    assert ("1.output" in layers.forward) != by_hand
    assert "0.output" in layers.forward


@pytest.mark.parametrize("by_hand", [False, True])
def test_the_model_itself_is_a_layer_only_by_hand(by_hand: bool) -> None:
    model = Own()
    with watch(model, None, by_hand=by_hand) as layers:
        model(torch.ones(3), torch.ones(3))
    assert bool(layers.forward) == by_hand


def test_nothing_is_watched_afterwards_even_where_the_model_raised() -> None:
    model = Twice()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), watch(model, None) as layers:
        model(torch.ones(2, 4, dtype=torch.float64))
    model(torch.ones(2, 3, dtype=torch.float64))
    assert list(layers.forward) == ["block.0.input"]


def test_what_is_no_module_has_no_layers() -> None:
    with watch({"m": torch.ones(1)}, None) as layers:
        pass
    assert not layers.forward


# Taps


def square(inputs: Tensor) -> Tensor:
    """A function with two calls of one tap, which goes on in place."""
    return tap(tap(inputs**2, "square").mul_(3), "square").mul_(0.5).sum()


def at_taps(inputs: Tensor, **others: Any) -> tuple[Tensor, Layers]:
    layers = Layers(None, **others)
    with tapped(layers.tap):
        return square(inputs), layers


@pytest.mark.parametrize("requires_grad", [True, False])
def test_a_tap_keeps_what_stands_there_and_what_comes_back(requires_grad: bool) -> None:
    inputs = torch.tensor([1.0, 2.0]).requires_grad_(requires_grad)
    output, layers = at_taps(inputs)
    assert output.item() == 7.5
    assert {name: tensor.tolist() for name, tensor in layers.forward.items()} == {
        "square.tap": [1.0, 4.0], "square#2.tap": [3.0, 12.0],
    }  # fmt: skip
    found = torch.autograd.grad(output, [*layers.inputs.values(), *([inputs] if requires_grad else [])])
    expected = [[1.5, 1.5], [0.5, 0.5], [3.0, 6.0]]
    assert [gradient.tolist() for gradient in found] == expected[: len(found)]


def test_a_tap_hands_on_what_is_taught_where_that_fits() -> None:
    taught = {"square.tap": torch.tensor([2.0, 2.0]), "square#2.tap": torch.ones(3)}
    output, layers = at_taps(torch.tensor([1.0, 2.0]), taught=taught)
    assert layers.forward["square.tap"].tolist() == [1.0, 4.0]
    assert layers.forward["square#2.tap"].tolist() == [6.0, 6.0]
    assert output.item() == 6.0


def test_what_is_taught_lets_the_gradient_through_as_if_nothing_had_been() -> None:
    """It is that of what is taught: of `relu` the branch on which this lies."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU(), nn.Linear(1, 1, bias=False)).double()
    for parameter, value in zip(model.parameters(), (2.0, 3.0), strict=True):
        nn.init.constant_(parameter, value)
    for handed, slope in ((0.5, 12.0), (-0.5, 0.0)):
        taught = {"0.output": torch.tensor([[handed]]).double()}
        with watch(model, None, taught=taught) as layers:
            output = model(torch.tensor([[4.0]]).double())
        assert output.item() == 3 * max(handed, 0.0)
        assert layers.forward["0.output"].item() == 8.0
        (found,) = torch.autograd.grad(output.sum(), [next(model.parameters())])
        assert found.item() == slope


def test_what_is_no_floating_tensor_and_what_is_called_like_a_layer_is_no_tap() -> None:
    for value in (torch.arange(3), 1.0, None):
        with pytest.raises(NotCheckable, match=r"the tap 'here' was given a .*: expected a tensor of"):
            Layers(None).tap(value, "here")
    with (
        watch(Twice(), None) as layers,
        pytest.raises(NotCheckable, match=r"the tap 'block\.0' has the name of"),
    ):
        layers.tap(torch.ones(1), "block.0")


# Rounding


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_rounded_tensor_keeps_as_many_bits_as_it_was_given(dtype: torch.dtype) -> None:
    kept, lost = 1 + 2**-10, 1 + 2**-10 + 2**-13
    assert rounded(torch.tensor([kept, lost, -lost], dtype=dtype), 10).tolist() == [kept, kept, -kept]


def test_the_gradient_passes_a_rounding_as_if_there_were_none() -> None:
    tensor = torch.tensor([0.1, -0.3], requires_grad=True)
    (gradient,) = torch.autograd.grad((rounded(tensor, 10) * torch.tensor([2.0, 3.0])).sum(), tensor)
    assert gradient.tolist() == [2.0, 3.0]


def test_without_bits_and_for_whole_numbers_nothing_is_rounded() -> None:
    tensor, whole = torch.tensor([0.1]), torch.tensor([2**30 + 1])
    assert rounded(tensor, None) is tensor
    assert rounded(whole, 10) is whole


def test_a_mask_stays_as_it_is() -> None:
    lowest = torch.finfo(torch.float32).min
    assert rounded(torch.tensor([-torch.inf, lowest, 1 + 2**-13]), 10).tolist() == [-torch.inf, lowest, 1.0]
