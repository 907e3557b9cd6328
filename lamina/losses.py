"""Losses of traced values: means over a batch, as float scalars."""

from __future__ import annotations

from typing import Any, cast

from lamina.diagnostics import LaminaError
from lamina.frontends.python import ops
from lamina.frontends.python.tracer import Operand, Traced, as_value, operation


@operation
def softmax_cross_entropy(logits: Traced, labels: Operand, label_smoothing: float = 0.0) -> Traced:
    """The mean over all rows of -log softmax(logits) at the label.

    `logits` [..., classes] floats; `labels` [...] integers, or [..., classes] floats that are probabilities. With
    `label_smoothing` s the probabilities are (1 - s) · labels + s / classes (Szegedy et al. 2016). A label outside of
    the classes counts as 0 loss, and is still counted in the mean.
    """
    if not 0 <= label_smoothing <= 1:
        raise LaminaError(f"softmax_cross_entropy: label_smoothing: expected within [0, 1], found {label_smoothing}")
    classes = logits.shape[-1]
    if not isinstance(classes, int):
        raise LaminaError(f"softmax_cross_entropy: expected a static number of classes, found {classes}")
    targets = Traced(as_value(labels))
    if targets.dtype.kind in "iu":
        if targets.shape != logits.shape[:-1]:
            raise LaminaError(
                f"softmax_cross_entropy: expected labels of the shape {list(logits.shape[:-1])}, "
                f"found {list(targets.shape)}"
            )
        numbers = targets
        targets = ops.one_hot(numbers, classes, logits.dtype)
        if label_smoothing:
            inside = ops.bitwise_and(ops.greater_equal(numbers, 0), ops.less(numbers, classes))
            rest = ops.cast(inside, logits.dtype)[..., None] * (label_smoothing / classes)
            targets = targets * (1 - label_smoothing) + rest
    elif targets.shape != logits.shape:
        raise LaminaError(
            f"softmax_cross_entropy: expected probabilities of the shape {list(logits.shape)}, "
            f"found {list(targets.shape)}",
            hints=("labels are integers, one for each row",),
        )
    elif label_smoothing:
        targets = targets * (1 - label_smoothing) + label_smoothing / classes
    return -(targets * ops.log_softmax(logits, -1)).sum(-1).mean()


@operation
def sigmoid_cross_entropy(logits: Traced, labels: Operand) -> Traced:
    """The mean of the binary cross entropy of sigmoid(logits); `labels` are floats within [0, 1] of one shape.

    max(z, 0) - z·y + log(1 + exp(-|z|)), which neither overflows nor cancels.
    """
    return (ops.relu(logits) - logits * labels + ops.log1p(ops.exp(-ops.abs(logits)))).mean()


@operation
def mean_squared_error(predictions: Traced, targets: Operand) -> Traced:
    """The mean of (predictions - targets)²."""
    difference = predictions - cast(Any, targets)
    return (difference * difference).mean()


@operation
def mean_absolute_error(predictions: Traced, targets: Operand) -> Traced:
    """The mean of |predictions - targets|."""
    return ops.abs(predictions - cast(Any, targets)).mean()


@operation
def huber_loss(predictions: Traced, targets: Operand, delta: float = 1.0) -> Traced:
    """The mean of ½d² where |d| ≤ delta, else delta·(|d| - ½·delta), with d = predictions - targets (Huber 1964)."""
    distance = ops.abs(predictions - cast(Any, targets))
    near = ops.minimum(distance, delta)
    return (near * (distance - near * 0.5)).mean()


@operation
def accuracy(logits: Traced, labels: Operand) -> Traced:
    """The share of rows whose largest logit is at the label; f32."""
    return ops.equal(ops.argmax(logits, -1), labels).astype("f32").mean()
