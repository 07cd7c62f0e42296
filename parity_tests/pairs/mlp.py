"""The MLP: modules and optimizers of both frameworks, full batches."""

from parity import Pair, Side

LOOPS = ("stepped", "whole_run", "many_seeds")

pair = Pair(
    name="mlp",
    torch=Side.from_module(
        "torchnet.mlp",
        optimizer="torchnet.mlp:optimizer",
        train="torchnet.mlp:train",
        loops=(*LOOPS, "compiled"),
        missing="torchnet.loops:missing",
    ),
    jax=Side.from_module(
        "jaxnet.mlp",
        optimizer="jaxnet.mlp:optimizer",
        train="jaxnet.mlp:train",
        loops=LOOPS,
        missing="jaxnet.loops:missing",
    ),
)
