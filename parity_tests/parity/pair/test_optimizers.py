"""What a torch optimizer is can be written down and read back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from parity import read_torch_optimizer
from parity.pair.optimizers import Optimizer
from parity_tests.parity.optimizers.cases import CASES, Case
from parity_tests.parity.tiny_draws import draw_parameters


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_document_holds_all_but_the_state(case: Case) -> None:
    tensors = {name: torch.from_numpy(array).requires_grad_() for name, array in draw_parameters(0).items()}
    optimizer = case.optimizer(tensors, 0.01)
    read = read_torch_optimizer(optimizer, tensors, case.scheduler and case.scheduler(optimizer), case.clip, steps=9)
    document = json.loads(json.dumps(read.document()))
    found = Optimizer.from_document(document)
    assert found == replace(read, state={})
    other = document | {"kind": "Adadelta" if read.kind == "Adam" else "Adam"}
    assert Optimizer.from_document(other) != found


@pytest.mark.parametrize(
    "broken", [{"kind": "SGD"}, {"kind": "SGD", "groups": [[]], "shapes": {}, "schedule": None, "clip": None}]
)
def test_another_document_is_none(broken: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Optimizer.from_document(broken)
