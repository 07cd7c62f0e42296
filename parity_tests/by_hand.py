"""The three problems a third time: forward, loss, gradients and Adam written out in NumPy float64, without autodiff.

Two sides that agree can be wrong together. What stands here comes from the formulas alone and knows neither framework:
it is the second judge.

Parameters have the canonical names and layout (a weight is (out, in)) and stand in the order of the layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

Array = Float64[np.ndarray, "..."]
Arrays = dict[str, Array]
Batch = dict[str, np.ndarray]
Losses = Float64[np.ndarray, "steps"]


class Pass(NamedTuple):
    """One pass forward and backward: the output, the loss, and its gradient for every parameter."""

    output: Array
    loss: float
    gradients: Arrays


Problem = Callable[[Arrays, Batch], Pass]


def line_fit(parameters: Arrays, batch: Batch) -> Pass:
    """Norm of the residual of y = m x + c. With r = y - target: d norm / dr = r / norm, and 0 where the norm is 0."""
    output = parameters["m"] * batch["x"] + parameters["c"]
    residual = output - batch["target"]
    loss = np.sqrt(np.sum(residual * residual))
    direction = residual / loss if loss > 0 else np.zeros_like(residual)
    gradients = {"m": np.sum(direction * batch["x"]), "c": np.sum(direction)}
    return Pass(output, float(loss), {name: np.reshape(gradients[name], parameters[name].shape) for name in gradients})


def mlp(parameters: Arrays, batch: Batch) -> Pass:
    """Sum of squared errors behind dense layers with ReLU between them: d loss / d output = 2 (output - target)."""
    inputs, output = forward(parameters, batch["x"])
    error = output - batch["target"]
    return Pass(output, float(np.sum(error * error)), _backward(parameters, inputs, 2 * error))


def mnist(parameters: Arrays, batch: Batch) -> Pass:
    """Mean cross-entropy: log sum exp(logits) - logit of the label; d loss / d logits = (softmax - one hot) / n."""
    inputs, logits = forward(parameters, batch["images"])
    examples = np.arange(len(logits))
    shifted = logits - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    sums = exponentials.sum(axis=1, keepdims=True)
    losses = np.log(sums[:, 0]) - shifted[examples, batch["labels"]]
    slope = exponentials / sums
    slope[examples, batch["labels"]] -= 1
    return Pass(logits, float(losses.mean()), _backward(parameters, inputs, slope / len(logits)))


def _layers(parameters: Arrays) -> list[tuple[str, str]]:
    """The names of each layer's weight and bias."""
    layers = [name.removesuffix(".weight") for name in parameters if name.endswith(".weight")]
    return [(f"{layer}.weight", f"{layer}.bias") for layer in layers]


def forward(parameters: Arrays, first: Array) -> tuple[list[Array], Array]:
    """The input of each dense layer, and the output of the last, which has no ReLU."""
    inputs: list[Array] = []
    output = first
    for weight, bias in _layers(parameters):
        inputs.append(np.maximum(output, 0) if inputs else output)
        output = inputs[-1] @ parameters[weight].T + parameters[bias]
    return inputs, output


def _backward(parameters: Arrays, inputs: list[Array], slope: Array) -> Arrays:
    """The gradients, from the slope of the loss at the last layer's output back to the first layer."""
    gradients = {}
    for (weight, bias), values in zip(reversed(_layers(parameters)), reversed(inputs), strict=True):
        gradients[weight] = slope.T @ values
        gradients[bias] = slope.sum(axis=0)
        # The input of this layer is the ReLU of the output before it: it passes on what is above zero.
        slope = (slope @ parameters[weight]) * (values > 0)
    return {name: gradients[name] for name in parameters}


class State(NamedTuple):
    """Where training stands: parameters, and Adam's running means of the gradients and of their squares."""

    parameters: Arrays
    exp_avg: Arrays
    exp_avg_sq: Arrays


def adam(state: State, gradients: Arrays, step: int, learning_rate: float) -> State:
    """State after update number `step`, the first being 1 (Kingma and Ba 2015, algorithm 1, with its settings)."""
    beta1, beta2, epsilon = 0.9, 0.999, 1e-8
    parameters, first, second = {}, {}, {}
    for name, gradient in gradients.items():
        first[name] = beta1 * state.exp_avg[name] + (1 - beta1) * gradient
        second[name] = beta2 * state.exp_avg_sq[name] + (1 - beta2) * gradient**2
        mean, square = first[name] / (1 - beta1**step), second[name] / (1 - beta2**step)
        parameters[name] = state.parameters[name] - learning_rate * mean / (np.sqrt(square) + epsilon)
    return State(parameters, first, second)


def descend(state: State, gradients: Arrays, step: int, learning_rate: float) -> State:
    """State after one step down the gradient; Adam's means stay as they are, and `step` does not matter."""
    return state._replace(
        parameters={name: state.parameters[name] - learning_rate * gradient for name, gradient in gradients.items()}
    )


Update = Callable[[State, Arrays, int, float], State]


def train(
    problem: Problem, update: Update, parameters: Arrays, batches: Iterable[Batch], learning_rate: float
) -> tuple[Losses, State]:
    """The loss of each step, before its update, and the state at the end."""
    zeros = {name: np.zeros_like(array) for name, array in parameters.items()}
    state, losses = State(parameters, zeros, zeros), []
    for step, batch in enumerate(batches, start=1):
        _, loss, gradients = problem(state.parameters, batch)
        losses.append(loss)
        state = update(state, gradients, step, learning_rate)
    return np.array(losses), state
