"""Optimizers and losses against PyTorch: the kept numbers are of test/support/optimizers_expected.py."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
import lamina.numpy as lnp
from lamina import losses, optimizers
from lamina.diagnostics import LaminaError

EXPECTED = json.loads((Path(__file__).parents[1] / "support" / "optimizers_expected.json").read_text())
CASES = {
    "sgd": optimizers.sgd(0.1),
    "sgd_decay": optimizers.sgd(0.1, weight_decay=0.05),
    "momentum": optimizers.sgd(0.1, momentum=0.9),
    "nesterov": optimizers.sgd(0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": optimizers.adam(0.05),
    "adam_decay": optimizers.adam(0.05, 0.8, 0.99, 1e-6, weight_decay=0.1),
    "adamw": optimizers.adamw(0.05, weight_decay=0.1),
}


def parameters(dtype: Any = np.float64) -> dict[str, Any]:
    return {
        "first": np.linspace(-1, 1.5, 6).reshape(3, 2).astype(dtype),
        "second": np.linspace(0.5, 2, 3).astype(dtype),
    }


def loss(values: Any) -> Any:
    return ((values["first"] ** 2).sum(1) * values["second"] + lnp.sin(values["second"])).sum()


def step_of(optimizer: optimizers.Optimizer) -> Any:
    def step(values: Any, state: Any) -> Any:
        return optimizer.update(values, lamina.grad(loss)(values), state)

    return lamina.jit(step, donate_argnums=(0, 1))


SCHEDULED = {
    "sgd": optimizers.sgd(optimizers.constant(0.1)),
    "adam": optimizers.adam(optimizers.constant(0.05)),
    "adamw": optimizers.adamw(optimizers.constant(0.05), weight_decay=0.1),
}
ALL = [*CASES.items(), *SCHEDULED.items()]


@pytest.mark.parametrize(("name", "optimizer"), ALL, ids=[*CASES, *(f"{name}-scheduled" for name in SCHEDULED)])
def test_steps_are_those_of_pytorch(name: str, optimizer: optimizers.Optimizer) -> None:
    values = parameters()
    state = optimizer.initialize(values)
    storage = values["first"]
    step = step_of(optimizer)
    for _ in range(EXPECTED["steps"]):
        values, state = step(values, state)
    assert values["first"] is storage and step.compile_count == 1
    for found, expected in zip(values.values(), EXPECTED[name], strict=True):
        np.testing.assert_allclose(found.ravel(), expected, rtol=1e-12, atol=1e-14)


def test_every_array_of_the_state_is_updated_in_place() -> None:
    optimizer = optimizers.adamw(0.1)
    values = parameters(np.float32)
    state = optimizer.initialize(values)
    before = dict(lamina.trees.leaves((values, state)))
    after = dict(lamina.trees.leaves(step_of(optimizer)(values, state)))
    assert all(after[path] is before[path] for path in before)
    assert after["1.step"] == 1


def test_state_inside_of_a_trace() -> None:
    def both(values: Any) -> Any:
        optimizer = optimizers.adam(0.05)
        return optimizer.update(values, lamina.grad(loss)(values), optimizer.initialize(values))

    _, state = lamina.jit(both)(parameters())
    assert state["step"] == 1 and state["mean"]["first"].shape == (3, 2)


def test_clipping() -> None:
    norm, *gradients = EXPECTED["clip"]
    clipped, found = lamina.jit(lambda values: optimizers.clip_by_global_norm(lamina.grad(loss)(values), 0.75))(
        parameters(np.float32)
    )
    np.testing.assert_allclose(found, norm, rtol=1e-6)
    for one, expected in zip(clipped.values(), gradients, strict=True):
        np.testing.assert_allclose(one.ravel(), expected, rtol=1e-5)
    zero = {"a": np.zeros(3, np.float32)}
    clipped, found = lamina.jit(lambda tree: optimizers.clip_by_global_norm(tree, 0.75))(zero)
    assert found == 0 and clipped["a"].tolist() == [0, 0, 0]


def test_losses() -> None:
    logits = np.linspace(-3, 3, 15).reshape(3, 5)
    targets = np.linspace(0, 1, 15).reshape(3, 5)
    labels = np.array([4, 0, 2])
    expected = EXPECTED["losses"]
    found = lamina.jit(
        lambda logits, targets, labels: {
            "softmax_cross_entropy": losses.softmax_cross_entropy(logits, labels),
            "softmax_cross_entropy_probabilities": losses.softmax_cross_entropy(logits, targets),
            "sigmoid_cross_entropy": losses.sigmoid_cross_entropy(logits, targets),
            "mean_squared_error": losses.mean_squared_error(logits, targets),
            "mean_absolute_error": losses.mean_absolute_error(logits, targets),
            "huber_loss": losses.huber_loss(logits, targets, 0.7),
        }
    )(logits, targets, labels)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-12, err_msg=name)
    shares = lamina.jit(losses.accuracy)(np.eye(4, dtype=np.float32), np.array([0, 1, 2, 0]))
    assert shares == 0.75


def test_smoothed_labels() -> None:
    """As the cross entropy of smoothed probabilities, by NumPy; gradients are softmax less probabilities."""
    generator = np.random.default_rng(0)
    logits, labels = generator.standard_normal((4, 7)) * 30, np.array([6, 0, 3, 9])
    smooth = 0.1
    probabilities = np.zeros((4, 7))
    probabilities[range(3), labels[:3]] = 1 - smooth
    probabilities[:3] += smooth / 7  # the last label is none
    shifted = logits - logits.max(1, keepdims=True)
    normal = np.log(np.exp(shifted).sum(1, keepdims=True))
    expected = -(probabilities * (shifted - normal)).sum(1).mean()
    softmax = np.exp(shifted - normal)
    slope = (softmax * probabilities.sum(1, keepdims=True) - probabilities) / 4

    def loss(logits: Any, labels: Any) -> Any:
        return losses.softmax_cross_entropy(logits, labels, label_smoothing=smooth)

    value, gradient = lamina.jit(lamina.value_and_grad(loss))(logits, labels)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(gradient, slope, atol=1e-14)
    dense = np.where(probabilities.sum(1, keepdims=True) > 0, np.eye(7)[labels % 7], 0)[:3]
    again = lamina.jit(loss)(logits[:3], dense)
    np.testing.assert_allclose(again, -(probabilities[:3] * (shifted - normal)[:3]).sum(1).mean(), rtol=1e-12)
    with pytest.raises(LaminaError, match=r"expected within \[0, 1\], found 2"):
        lamina.jit(lambda x, y: losses.softmax_cross_entropy(x, y, 2))(logits, labels)


SCHEDULES = {
    "constant": (optimizers.constant(0.5), [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]),
    "cosine": (
        optimizers.cosine(0.5, 4, 0.1),
        [0.1 + 0.2 * (1 + math.cos(math.pi * min(step, 4) / 4)) for step in range(6)],
    ),
    "warmup": (optimizers.warmup(4, 0.8), [0, 0.2, 0.4, 0.6, 0.8, 0.8]),
    "warmup and cosine": (
        optimizers.warmup(2, optimizers.cosine(1.0, 2)),
        [0, 0.5, 1, 0.5, 0, 0],
    ),
    "step_decay": (optimizers.step_decay(1.0, (2, 4), 0.5), [1, 1, 0.5, 0.5, 0.25, 0.25]),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name: str) -> None:
    schedule, expected = SCHEDULES[name]
    np.testing.assert_allclose([schedule(step) for step in range(6)], expected, atol=1e-12)
    compiled = lamina.jit(lambda step: lnp.asarray(schedule(step)))
    np.testing.assert_allclose([compiled(step) for step in range(6)], expected, atol=1e-6)


def test_wrong_use() -> None:
    values = parameters()
    with pytest.raises(LaminaError, match="adam: the gradients: expected the structure"):
        optimizer = optimizers.adam(0.1)
        lamina.jit(lambda values, state: optimizer.update(values, values["first"], state))(
            values, optimizer.initialize(values)
        )
    with pytest.raises(LaminaError, match="nesterov needs a momentum"):
        optimizers.sgd(0.1, nesterov=True)
    with pytest.raises(LaminaError, match="expected at least one step"):
        optimizers.cosine(0.1, 0)
    with pytest.raises(LaminaError, match="expected labels of the shape"):
        lamina.jit(losses.softmax_cross_entropy)(np.zeros((3, 5), np.float32), np.zeros(4, np.int64))
