"""The steps of `torch.optim`, each for one parameter: what is added to it, and what is remembered of it afterwards.

`slope` is the gradient, its sign turned for `maximize`, with the decay that is added to it; `number` counts the steps
with this one. The formulas are those of `_single_tensor_*` in `torch/optim/*.py` (torch 2.14), in the order in which
torch computes, since rounding follows it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from parity.jax_side.optimizer.scalars import halved, one_minus_power, rectified
from parity.jax_side.optimizer.scalars import number as single
from parity.pair.optimizers import PRODUCT, Options

Memory = dict[str, jax.Array]
Taken = tuple[jax.Array, Memory]
OF_PRODUCT = jnp.float32
"""The dtype that torch keeps the product of NAdam's momenta in, and multiplies it in, whatever the parameter's is."""
Rule = Callable[[jax.Array, jax.Array, Memory, Options, Any], Taken]


def lerp(start: jax.Array, end: jax.Array, weight: Any) -> jax.Array:
    """`start + weight * (end - start)`, from the nearer end as `torch.lerp` does."""
    weight = in_dtype(weight, start)
    near_start, near_end = start + weight * (end - start), end - (end - start) * (1 - weight)
    return jnp.where(weight < 0.5, near_start, near_end)


def in_dtype(value: Any, like: jax.Array) -> jax.Array:
    """A single number in the dtype of a parameter."""
    return jnp.asarray(value, like.dtype)


def sgd(slope: jax.Array, parameter: jax.Array, memory: Memory, o: Options, number: Any) -> Taken:
    """`b = momentum b + (1 - dampening) g`, first `b = g`; `p -= lr b`, or `lr (g + momentum b)` with Nesterov."""
    rate, along = in_dtype(o["lr"], parameter), slope
    if memory:
        momentum = in_dtype(o["momentum"], parameter)
        buffer = momentum * memory["momentum_buffer"] + in_dtype(1 - o["dampening"], parameter) * slope
        if o["dampening"]:
            buffer = jnp.where(number == 1, slope, buffer)
        memory = {"momentum_buffer": buffer}
        along = slope + momentum * buffer if o["nesterov"] else buffer
    return -rate * along, memory


def adam(slope: jax.Array, parameter: jax.Array, memory: Memory, o: Options, number: Any) -> Taken:
    """`m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`, `p -= lr m / c1 / (sqrt(v) / sqrt(c2) + eps)`, `c = 1 - b^t`.

    With `amsgrad` the largest `v` so far stands for `v`.
    """
    beta1, beta2 = o["betas"]
    mean = lerp(memory["exp_avg"], slope, 1 - beta1)
    share = in_dtype(1 - beta2, parameter)
    square = in_dtype(beta2, parameter) * memory["exp_avg_sq"] + share * slope * slope
    kept, used = {"exp_avg": mean, "exp_avg_sq": square}, square
    if o["amsgrad"]:
        used = kept["max_exp_avg_sq"] = jnp.maximum(memory["max_exp_avg_sq"], square)
    step_size = in_dtype(o["lr"] / one_minus_power(beta1, number), parameter)
    root = in_dtype(jnp.sqrt(one_minus_power(beta2, number)), parameter)
    return -step_size * (mean / (jnp.sqrt(used) / root + in_dtype(o["eps"], parameter))), kept


def rmsprop(slope: jax.Array, parameter: jax.Array, memory: Memory, o: Options, number: Any) -> Taken:
    """`v = a v + (1 - a) g^2`, `d = sqrt(v) + eps`, `p -= lr g / d`; with momentum `b = m b + g / d`, `p -= lr b`.

    Centred, the square of the mean gradient is taken from `v` under the root.
    """
    share = in_dtype(1 - o["alpha"], parameter)
    square = in_dtype(o["alpha"], parameter) * memory["square_avg"] + share * slope * slope
    kept, spread = {"square_avg": square}, square
    if o["centered"]:
        mean = kept["grad_avg"] = lerp(memory["grad_avg"], slope, 1 - o["alpha"])
        spread = square - mean * mean
    along = slope / (jnp.sqrt(spread) + in_dtype(o["eps"], parameter))
    if "momentum_buffer" in memory:
        along = kept["momentum_buffer"] = in_dtype(o["momentum"], parameter) * memory["momentum_buffer"] + along
    return -in_dtype(o["lr"], parameter) * along, kept


def adagrad(slope: jax.Array, parameter: jax.Array, memory: Memory, o: Options, number: Any) -> Taken:
    """`s = s + g^2`, `p -= lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)`."""
    total = memory["sum"] + slope * slope
    rate = o["lr"] / (1 + (single(number) - 1) * o["lr_decay"])
    return -in_dtype(rate, parameter) * (slope / (jnp.sqrt(total) + in_dtype(o["eps"], parameter))), {"sum": total}


def adamax(slope: jax.Array, parameter: jax.Array, memory: Memory, o: Options, number: Any) -> Taken:
    """`m = b1 m + (1 - b1) g`, `u = max(b2 u, |g| + eps)`, `p -= lr / (1 - b1^t) m / u`."""
    beta1, beta2 = o["betas"]
    mean = lerp(memory["exp_avg"], slope, 1 - beta1)
    largest = jnp.maximum(
        memory["exp_inf"] * in_dtype(beta2, parameter), jnp.abs(slope) + in_dtype(o["eps"], parameter)
    )
    step_size = in_dtype(o["lr"] / one_minus_power(beta1, number), parameter)
    return -step_size * (mean / largest), {"exp_avg": mean, "exp_inf": largest}


def nadam(slope: jax.Array, parameter: jax.Array, memory: Memory, o: Options, number: Any) -> Taken:
    """The moments of Adam; `p -= lr ((1 - u) / (1 - U) g + w / (1 - U w) m) / (sqrt(v / c2) + eps)`.

    `u` is `b1` less the share of it that is `halved`, `w` that of the next step, and `U` the product of all `u` so far.
    """
    beta1, beta2 = o["betas"]
    mean = lerp(memory["exp_avg"], slope, 1 - beta1)
    share = in_dtype(1 - beta2, parameter)
    square = in_dtype(beta2, parameter) * memory["exp_avg_sq"] + share * slope * slope
    root = jnp.sqrt(square / in_dtype(one_minus_power(beta2, number), parameter)) + in_dtype(o["eps"], parameter)
    left, following = (halved(o["momentum_decay"], number + ahead) for ahead in (0, 1))
    product = memory[PRODUCT].astype(OF_PRODUCT) * (beta1 - beta1 * left).astype(OF_PRODUCT)
    wide_product, mu_next = single(product), beta1 - beta1 * following
    now = in_dtype(o["lr"] * ((1 - beta1) + beta1 * left) / (1 - wide_product), parameter)
    onward = in_dtype(o["lr"] * mu_next / (1 - wide_product * mu_next), parameter)
    kept = {"exp_avg": mean, "exp_avg_sq": square, PRODUCT: product.astype(parameter.dtype)}
    return -(now * slope / root + onward * mean / root), kept


def radam(slope: jax.Array, parameter: jax.Array, memory: Memory, o: Options, number: Any) -> Taken:
    """The moments of Adam; `p -= lr m / c1 r sqrt(c2) / (sqrt(v) + eps)`, and `lr m / c1` while there is no `r`.

    `r` is `rectified`; there is none while the length of the average is at most 5.
    """
    beta1, beta2 = o["betas"]
    mean = lerp(memory["exp_avg"], slope, 1 - beta1)
    share = in_dtype(1 - beta2, parameter)
    square = in_dtype(beta2, parameter) * memory["exp_avg_sq"] + share * slope * slope
    along = mean / in_dtype(one_minus_power(beta1, number), parameter) * in_dtype(o["lr"], parameter)
    factor = in_dtype(rectified(float(beta2), number), parameter)
    root = in_dtype(jnp.sqrt(one_minus_power(beta2, number)), parameter)
    adapted = along * (root / (jnp.sqrt(square) + in_dtype(o["eps"], parameter))) * factor
    return -jnp.where(factor > 0, adapted, along), {"exp_avg": mean, "exp_avg_sq": square}


def adadelta(slope: jax.Array, parameter: jax.Array, memory: Memory, o: Options, number: Any) -> Taken:
    """`v = r v + (1 - r) g^2`, `d = sqrt(u + eps) / sqrt(v + eps) g`, `u = r u + (1 - r) d^2`, `p -= lr d`."""
    rho, share, eps = (in_dtype(value, parameter) for value in (o["rho"], 1 - o["rho"], o["eps"]))
    square = rho * memory["square_avg"] + share * slope * slope
    change = jnp.sqrt(memory["acc_delta"] + eps) / jnp.sqrt(square + eps) * slope
    kept = {"square_avg": square, "acc_delta": rho * memory["acc_delta"] + share * change * change}
    return -in_dtype(o["lr"], parameter) * change, kept


def rprop(slope: jax.Array, parameter: jax.Array, memory: Memory, o: Options, number: Any) -> Taken:
    """Steps of `s`, which grows while the sign of `g` stays and shrinks where it turns; where it turned, no step."""
    (shrunk, grown), (least, most) = o["etas"], o["step_sizes"]
    sign = jnp.sign(slope * memory["prev"])
    factor = jnp.where(sign > 0, in_dtype(grown, parameter), jnp.where(sign < 0, in_dtype(shrunk, parameter), 1))
    size = jnp.clip(memory["step_size"] * factor, in_dtype(least, parameter), in_dtype(most, parameter))
    slope = jnp.where(sign < 0, jnp.zeros_like(slope), slope)
    return -jnp.sign(slope) * size, {"prev": slope, "step_size": size}


RULES: dict[str, Rule] = {
    "SGD": sgd, "Adam": adam, "AdamW": adam, "RMSprop": rmsprop, "Adagrad": adagrad,
    "Adamax": adamax, "NAdam": nadam, "RAdam": radam, "Adadelta": adadelta, "Rprop": rprop,
}  # fmt: skip


def taken(kind: str, gradient: jax.Array, parameter: jax.Array, memory: Memory, o: Options, number: Any) -> Taken:
    """A step: what is added to the parameter, decay included, and what is remembered afterwards."""
    change, memory = RULES[kind](_slope_of(gradient, parameter, o), parameter, memory, o, number)
    if o.get("weight_decay") and o.get("decoupled_weight_decay"):
        # Torch multiplies by this number first, which float32 rounds: taking the product off would be another step.
        change = (parameter * in_dtype(1 - o["lr"] * o["weight_decay"], parameter) + change) - parameter
    return change, memory


def _slope_of(gradient: jax.Array, parameter: jax.Array, o: Options) -> jax.Array:
    """The gradient as the rules take it."""
    slope = -gradient if o["maximize"] else gradient
    if o.get("weight_decay") and not o.get("decoupled_weight_decay"):
        slope = slope + in_dtype(o["weight_decay"], parameter) * parameter
    return slope
