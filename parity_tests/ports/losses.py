"""Losses of torch in JAX, with what Optax's lack: reductions, weights of classes, an ignored index, smoothed labels.

Optax gives one loss an example, as torch does with `reduction="none"`. Arrays are in torch's layout: classes on axis 1.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax


def reduced(losses: jax.Array, reduction: str) -> jax.Array:
    """The losses, or their mean or sum over all entries."""
    if reduction == "none":
        return losses
    return jnp.mean(losses) if reduction == "mean" else jnp.sum(losses)


def cross_entropy(
    logits: jax.Array,
    labels: jax.Array,
    weight: jax.Array | None = None,
    *,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> jax.Array:
    """`torch.nn.CrossEntropyLoss` for labels that are class indices: logits (N, classes, ...), labels (N, ...).

    `optax.softmax_cross_entropy_with_integer_labels` has no weights of classes, no ignored index and no smoothing; a
    mean over it counts every example as one, where torch divides by the weights of those that are not ignored.
    `optax.smooth_labels` smooths as torch does, but leaves the share of the other classes without their weights.
    """
    return nll(
        jax.nn.log_softmax(logits, axis=1),
        labels,
        weight,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        reduction=reduction,
    )


def nll(
    log_probabilities: jax.Array,
    labels: jax.Array,
    weight: jax.Array | None = None,
    *,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> jax.Array:
    """`torch.nn.NLLLoss`, of which Optax has none: log probabilities (N, classes, ...), labels (N, ...)."""
    classes = log_probabilities.shape[1]
    weights = jnp.ones_like(log_probabilities, shape=(classes,)) if weight is None else weight
    counted = labels != ignore_index
    labels = jnp.where(counted, labels, 0)
    chosen = jnp.take_along_axis(log_probabilities, labels[:, None], axis=1)[:, 0]
    of_label = jnp.where(counted, weights[labels], 0)
    losses = -of_label * chosen
    if label_smoothing:
        spread = -jnp.tensordot(weights, log_probabilities, axes=(0, 1)) / classes
        losses = (1 - label_smoothing) * losses + label_smoothing * jnp.where(counted, spread, 0)
    return jnp.sum(losses) / jnp.sum(of_label) if reduction == "mean" else reduced(losses, reduction)


def cross_entropy_of_probabilities(
    logits: jax.Array, targets: jax.Array, *, label_smoothing: float = 0.0, reduction: str = "mean"
) -> jax.Array:
    """`torch.nn.CrossEntropyLoss` for targets that are probabilities of the classes, both (N, classes, ...)."""
    smoothed = (1 - label_smoothing) * targets + label_smoothing / logits.shape[1]
    losses = optax.softmax_cross_entropy(jnp.moveaxis(logits, 1, -1), jnp.moveaxis(smoothed, 1, -1))
    # Torch's mean is over the examples, and not over the entries of the targets.
    return reduced(losses, reduction)


def binary_cross_entropy_with_logits(
    logits: jax.Array, targets: jax.Array, pos_weight: jax.Array | None = None, *, reduction: str = "mean"
) -> jax.Array:
    """`torch.nn.BCEWithLogitsLoss`. `optax.sigmoid_binary_cross_entropy` has no weight of the positive class."""
    positive = targets if pos_weight is None else pos_weight * targets
    losses = -positive * jax.nn.log_sigmoid(logits) - (1 - targets) * jax.nn.log_sigmoid(-logits)
    return reduced(losses, reduction)


def binary_cross_entropy(probabilities: jax.Array, targets: jax.Array, *, reduction: str = "mean") -> jax.Array:
    """`torch.nn.BCELoss`, of which Optax has none. Torch takes no logarithm below -100."""
    logarithm = jnp.maximum(jnp.log(probabilities), -100)
    of_the_rest = jnp.maximum(jnp.log1p(-probabilities), -100)
    return reduced(-(targets * logarithm + (1 - targets) * of_the_rest), reduction)


def kl_divergence(
    log_probabilities: jax.Array, targets: jax.Array, *, log_target: bool = False, reduction: str = "batchmean"
) -> jax.Array:
    """`torch.nn.KLDivLoss`: one loss an entry. Optax's are summed over the classes."""
    if log_target:
        losses = jnp.exp(targets) * (targets - log_probabilities)
    else:
        losses = jax.scipy.special.xlogy(targets, targets) - targets * log_probabilities
    if reduction == "batchmean":
        return jnp.sum(losses) / losses.shape[0]
    return reduced(losses, reduction)


def smooth_l1(predictions: jax.Array, targets: jax.Array, *, beta: float = 1.0, reduction: str = "mean") -> jax.Array:
    """`torch.nn.SmoothL1Loss`: Huber's loss divided by beta, of which Optax has only the undivided one."""
    return reduced(optax.huber_loss(predictions, targets, delta=beta) / beta, reduction)
