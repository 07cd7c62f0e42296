from __future__ import annotations

import torch
from torch import nn

from parity.torch_side.outline import outline, still
from parity.weight_map.outline import STILL, Module


class Mine(nn.Conv2d):
    """A layer of somebody's, built on torch's."""


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.ones(1, 2))
        self.body = nn.Sequential(Mine(4, 6, (3, 2), groups=2, bias=False), nn.ReLU(), nn.BatchNorm2d(6))
        self.first, self.second = nn.Embedding(5, 3), nn.Linear(3, 5)
        self.second.weight = self.first.weight
        self.again = self.second


def test_modules_stand_in_order_with_their_own_arrays_and_settings() -> None:
    found = outline(Net())
    assert found.framework == "torch"
    assert [module.name for module in found.modules] == [
        "", "body", "body.0", "body.1", "body.2", "first", "second", "again",
    ]  # fmt: skip
    by_name = {module.name: module for module in found.modules}
    assert by_name[""] == Module("", "Net", {"token": (1, 2)}, {}, {"built_on": ""})
    assert by_name["body.0"] == Module(
        "body.0", "Mine", {"weight": (6, 2, 3, 2)}, {}, {"groups": 2, "built_on": "Conv2d"}
    )
    assert by_name["body.2"].buffers == {"running_mean": (6,), "running_var": (6,), "num_batches_tracked": ()}


def test_an_array_or_a_module_under_two_names_is_tied_to_where_it_is_first() -> None:
    assert outline(Net()).tied == {
        "second.weight": "first.weight", "again.weight": "first.weight", "again.bias": "second.bias",
    }  # fmt: skip


def test_what_stands_still_is_a_buffer_under_all_of_its_names_unless_one_is_declared_frozen() -> None:
    net = Net()
    net.first.requires_grad_(False)
    net.token.requires_grad_(False)
    assert still(net, ()) == {"token", "first.weight", "second.weight", "again.weight"}
    assert still(net, ("second.*",)) == {"token"}
    by_name = {module.name: module for module in outline(net, still(net, ())).modules}
    assert by_name[""] == Module("", "Net", {}, {"token": (1, 2)}, {"built_on": "", STILL: ["token"]})
    assert by_name["second"] == Module("second", "Linear", {"bias": (5,)}, {"weight": (5, 3)}, {STILL: ["weight"]})


def test_a_layer_whose_weight_is_parametrized_is_of_its_own_kind() -> None:
    layer = nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 6, 3, groups=2))
    assert outline(layer).modules[0].config == {"groups": 2, "built_on": "Conv1d"}
