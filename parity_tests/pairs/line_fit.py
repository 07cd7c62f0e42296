"""The line fit: raw gradients, update by hand."""

from parity import Pair, Side

LOOPS = ("stepped", "whole_run", "many_seeds")

pair = Pair(
    name="line_fit",
    torch=Side.from_module(
        "torchnet.line_fit",
        update="torchnet.line_fit:update",
        train="torchnet.line_fit:train",
        loops=(*LOOPS, "compiled"),
        missing="torchnet.loops:missing",
    ),
    jax=Side.from_module(
        "jaxnet.line_fit",
        update="jaxnet.line_fit:update",
        train="jaxnet.line_fit:train",
        loops=LOOPS,
        missing="jaxnet.loops:missing",
    ),
)
