"""Two sides of one framework are told apart by which was recorded, in everything that is said in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parity.golden.names import renamed
from parity.recording import FRAMEWORKS, Framework
from parity.verdict import Against, FirstDifference
from parity_tests.parity.made_verdicts import agreeing, differing, float64


def against(recorded: Framework, running: Framework) -> Against:
    return Against("file", recorded, running, {}, (0, 1), ())


def test_sides_of_two_frameworks_keep_their_names() -> None:
    for verdict in (agreeing(), replace(agreeing(), against=against("torch", "jax"))):
        assert renamed(verdict) is verdict


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_sides_of_one_are_called_by_what_they_are(framework: Framework) -> None:
    first, second = ("recorded", "running") if framework == "torch" else ("running", "recorded")
    at = replace(float64("forward", "torch.weight", loop="torch stepped"), side="jax", note="NaN on the torch side")
    verdict = replace(
        differing(), against=against(framework, framework),
        first_difference=FirstDifference(at, "on the jax side zero"), comparisons=[at],
        unseen=["whether the jax side clips as torch's does"],
        listed=["float32, jax, backward, step 0, jax.torch.weight: 1 activation flipped at zero"],
    )  # fmt: skip
    found = renamed(verdict)
    (comparison,) = found.comparisons
    assert (comparison.note, comparison.loop) == (f"NaN on the {first} side", f"{first} stepped")
    assert found.unseen == [f"whether the {second} side clips as {first}'s does"]
    assert found.listed == [f"float32, {second}, backward, step 0, jax.torch.weight: 1 activation flipped at zero"]
    assert str(found.first_difference) == (
        f"forward, step 0, tensor torch.weight, float64, {second} side, loop {first} stepped: "
        f"NaN on the {first} side; on the {second} side zero"
    )
    assert (found.outcome, found.curves) == (verdict.outcome, verdict.curves)
