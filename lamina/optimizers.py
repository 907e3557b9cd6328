"""Optimizers as plain functions on trees: `state = optimizer.initialize(parameters)`, then in every step
`parameters, state = optimizer.update(parameters, gradients, state)`, inside of a compiled function.

The state is a tree of arrays: it can be donated, and saved with `lamina.training.save_checkpoint`. Its floats have the
parameters' dtype; learning rates and corrections for bias, which are scalars, are computed in f64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from lamina.diagnostics import LaminaError
from lamina.frontends.python import ops
from lamina.frontends.python.tracer import Traced, operation
from lamina.trees import check_same_structure, flatten, map_leaves

Tree: TypeAlias = Any
Schedule: TypeAlias = "Callable[[Any], Any]"
"""From the number of steps done (a scalar) to the learning rate: a traced value while tracing, else a number."""
Rate: TypeAlias = "float | Schedule"


@dataclass(frozen=True)
class Optimizer:
    """Two functions: the state for parameters, and a step."""

    initialize: Callable[[Tree], Tree]
    """From parameters (a tree of arrays or traced values) to the first state, of the same kind."""
    update: Callable[[Tree, Tree, Tree], tuple[Tree, Tree]]
    """From parameters, gradients and state to the next parameters and state."""


def sgd(rate: Rate, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0) -> Optimizer:
    """Gradient descent: p ← p - rate·v with v ← momentum·v + g; with `nesterov`, p ← p - rate·(g + momentum·v).

    `weight_decay` adds weight_decay·p to the gradient. PyTorch's `SGD`.
    """
    if nesterov and not momentum:
        raise LaminaError("sgd: nesterov needs a momentum")

    def initialize(parameters: Tree) -> Tree:
        return {
            "step": _count(parameters) if callable(rate) else None,
            "velocity": map_leaves(_zeros_like, parameters) if momentum else None,
        }

    def one(rate_now: Any) -> Callable[..., tuple[Any, Any]]:
        def step(parameter: Traced, gradient: Traced, velocity: Any = None) -> tuple[Any, Any]:
            if weight_decay:
                gradient = gradient + weight_decay * parameter
            if momentum:
                velocity = momentum * velocity + gradient
                gradient = gradient + momentum * velocity if nesterov else velocity
            return parameter - _as(rate_now, parameter) * gradient, velocity

        return step

    def update(parameters: Tree, gradients: Tree, state: Tree) -> tuple[Tree, Tree]:
        _check("sgd", parameters, gradients)
        rest = [state["velocity"]] if momentum else []
        updated, velocity = _columns(one(_rate_at(rate, state["step"])), 2, parameters, gradients, *rest)
        return updated, {"step": _next(state["step"]), "velocity": velocity if momentum else None}

    return Optimizer(initialize, operation(update))


def adam(
    rate: Rate, first_decay: float = 0.9, second_decay: float = 0.999, epsilon: float = 1e-8, weight_decay: float = 0.0
) -> Optimizer:
    """Adam (Kingma and Ba 2015, algorithm 1): p ← p - rate·m̂ / (√v̂ + epsilon), the means m and v corrected for bias.

    `weight_decay` adds weight_decay·p to the gradient. PyTorch's `Adam`, optax's `adam`.
    """
    return _adam("adam", rate, first_decay, second_decay, epsilon, weight_decay, 0.0)


def adamw(
    rate: Rate, first_decay: float = 0.9, second_decay: float = 0.999, epsilon: float = 1e-8, weight_decay: float = 0.01
) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019): besides Adam's step, p ← p - rate·weight_decay·p.

    PyTorch's `AdamW`, optax's `adamw`.
    """
    return _adam("adamw", rate, first_decay, second_decay, epsilon, 0.0, weight_decay)


def _adam(
    name: str, rate: Rate, first_decay: float, second_decay: float, epsilon: float, coupled: float, decoupled: float
) -> Optimizer:
    def initialize(parameters: Tree) -> Tree:
        return {
            "step": _count(parameters),
            "mean": map_leaves(_zeros_like, parameters),
            "square": map_leaves(_zeros_like, parameters),
        }

    def update(parameters: Tree, gradients: Tree, state: Tree) -> tuple[Tree, Tree]:
        _check(name, parameters, gradients)
        following = state["step"] + 1
        count = following.astype("f64")
        # The factors 1 / (1 - decay^count), once for all parameters; in f32, 1 - 0.999^1 would be wrong by 1e-5.
        mean_factor = -1.0 / ops.expm1(count * math.log(first_decay))
        square_factor = -1.0 / ops.expm1(count * math.log(second_decay))
        rate_now = _rate_at(rate, state["step"])

        def step(parameter: Traced, gradient: Traced, mean: Traced, square: Traced) -> tuple[Any, Any, Any]:
            if coupled:
                gradient = gradient + coupled * parameter
            mean = first_decay * mean + (1.0 - first_decay) * gradient
            square = second_decay * square + (1.0 - second_decay) * (gradient * gradient)
            root = ops.sqrt(square * _as(square_factor, square)) + epsilon
            change = mean * _as(mean_factor, mean) / root
            if decoupled:
                change = change + decoupled * parameter
            return parameter - _as(rate_now, parameter) * change, mean, square

        updated, mean, square = _columns(step, 3, parameters, gradients, state["mean"], state["square"])
        return updated, {"step": following, "mean": mean, "square": square}

    return Optimizer(initialize, operation(update))


# Gradients


@operation
def global_norm(tree: Tree) -> Traced:
    """The square root of the sum of the squares of all elements, in f32."""
    total: Any = 0.0
    for leaf in flatten(tree)[0]:
        wide = leaf.astype("f32")
        total = (wide * wide).sum() + total
    return ops.sqrt(total)


@operation
def clip_by_global_norm(tree: Tree, largest: float) -> tuple[Tree, Traced]:
    """The tree scaled so that its global norm is at most `largest`, and the norm before; PyTorch's `clip_grad_norm_`
    without its 1e-6."""
    norm = global_norm(tree)
    # A norm of 0 divides nothing: the larger of both is `largest` then.
    factor = largest / ops.maximum(norm, largest)

    def scaled(leaf: Traced) -> Traced:
        return leaf * _as(factor, leaf)

    return map_leaves(scaled, tree), norm


# Learning rates


def constant(rate: float) -> Schedule:
    """The same learning rate for every step."""
    return lambda step: rate


def cosine(rate: float, steps: int, final: float = 0.0) -> Schedule:
    """From `rate` to `final` along half a cosine over `steps` steps, then `final` (Loshchilov and Hutter 2017)."""
    if steps < 1:
        raise LaminaError(f"cosine: expected at least one step, found {steps}")

    def schedule(step: Any) -> Any:
        part = _minimum(_float(step) * (1.0 / steps), 1.0)
        return final + (rate - final) * 0.5 * (1.0 + _cos(math.pi * part))

    return schedule


def warmup(steps: int, following: Rate) -> Schedule:
    """`steps` steps that lead linearly from 0 to the first learning rate of what follows, which counts from there."""
    if steps < 1:
        raise LaminaError(f"warmup: expected at least one step, found {steps}")
    after = following if callable(following) else constant(following)

    def schedule(step: Any) -> Any:
        done = _float(step)
        return after(_maximum(done - float(steps), 0.0)) * _minimum(done * (1.0 / steps), 1.0)

    return schedule


def step_decay(rate: float, boundaries: Sequence[int], factor: float = 0.1) -> Schedule:
    """`rate`, multiplied by `factor` from each of the `boundaries` (numbers of steps done) on."""

    def schedule(step: Any) -> Any:
        done = _float(step)
        result: Any = rate
        for boundary in boundaries:
            result = result * _where(done >= float(boundary), factor, 1.0)
        return result

    return schedule


# Traced values, or numbers where a schedule is asked outside of a trace


def _float(step: Any) -> Any:
    return step.astype("f64") if isinstance(step, Traced) else float(step)


def _minimum(x: Any, y: float) -> Any:
    return ops.minimum(x, y) if isinstance(x, Traced) else min(x, y)


def _maximum(x: Any, y: float) -> Any:
    return ops.maximum(x, y) if isinstance(x, Traced) else max(x, y)


def _cos(x: Any) -> Any:
    return ops.cos(x) if isinstance(x, Traced) else math.cos(x)


def _where(condition: Any, x: float, y: float) -> Any:
    return ops.where(condition, x, y) if isinstance(condition, Traced) else (x if condition else y)


def _zeros_like(leaf: Any) -> Any:
    return ops.zeros_like(leaf) if isinstance(leaf, Traced) else np.zeros(leaf.shape, leaf.dtype)


def _count(parameters: Tree) -> Any:
    """The number of steps done: 0, an array where the parameters are."""
    leaves = flatten(parameters)[0]
    return ops.full((), 0, "i64") if leaves and isinstance(leaves[0], Traced) else np.zeros((), np.int64)


def _next(step: Any) -> Any:
    return None if step is None else step + 1


def _rate_at(rate: Rate, step: Any) -> Any:
    return rate(step) if callable(rate) else rate


def _as(factor: Any, like: Traced) -> Any:
    """A scalar in the dtype of what it multiplies."""
    return factor.astype(like.dtype) if isinstance(factor, Traced) else factor


def _check(name: str, parameters: Tree, gradients: Tree) -> None:
    check_same_structure(parameters, gradients, f"{name}: the gradients")


def _columns(function: Callable[..., tuple[Any, ...]], count: int, tree: Tree, *others: Tree) -> list[Tree]:
    """The trees of the first, second … results of a function of the leaves at each place."""
    found, shape = flatten(tree)
    rows = [function(*row) for row in zip(found, *(flatten(other)[0] for other in others), strict=True)]
    return [shape.unflatten([row[index] for row in rows]) for index in range(count)]
