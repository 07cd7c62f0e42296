"""The MNIST classifier: real data, minibatches, scored on images that it has seen and on some that it has not."""

from parity import Pair, Side

LOOPS = ("stepped", "whole_run", "many_seeds")

pair = Pair(
    name="mnist",
    torch=Side.from_module(
        "torchnet.mnist",
        optimizer="torchnet.mnist:optimizer",
        train="torchnet.mnist:train",
        loops=(*LOOPS, "compiled"),
        missing="torchnet.loops:missing",
        scores="torchnet.mnist:accuracies_of_seeds",
    ),
    jax=Side.from_module(
        "jaxnet.mnist",
        optimizer="jaxnet.mnist:optimizer",
        train="jaxnet.mnist:train",
        loops=LOOPS,
        missing="jaxnet.loops:missing",
        scores="jaxnet.mnist:accuracies_of_seeds",
    ),
    labels="labels",
    scored_on={
        "notebook": "the last 1000 training images, which the notebook scores on",
        "test": "the 10,000 test images",
    },
    published={"notebook": 0.978},
)
