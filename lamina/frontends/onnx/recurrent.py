"""RNN, GRU and LSTM: one contraction of the input with all its weights, then a scan over the steps.

The formulas are those of the ONNX operators; Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997; Cho et al.,
"Learning Phrase Representations using RNN Encoder-Decoder", 2014.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue

from lamina.diagnostics import LaminaError
from lamina.frontends.onnx.builder import OnnxBuilder
from lamina.frontends.onnx.node import Node, Versions

Activation: TypeAlias = "Callable[[OnnxBuilder, SSAValue], SSAValue]"
Cell: TypeAlias = "Callable[[Direction, SSAValue, Sequence[SSAValue]], list[SSAValue]]"
"""The next states (the output first) from a step's projected input and the states."""


@dataclass(frozen=True)
class Parametrized:
    """An activation with parameters: its defaults, and what it does with them."""

    defaults: Mapping[str, float]
    apply: Callable[[OnnxBuilder, SSAValue, float, float], SSAValue]


def _where_negative(build: OnnxBuilder, x: SSAValue, negative: SSAValue) -> SSAValue:
    return build.select(build.compare("LT", x, 0), negative, x)


ACTIVATIONS: Mapping[str, Parametrized] = {
    "sigmoid": Parametrized({}, lambda build, x, a, b: build.logistic(x)),
    "tanh": Parametrized({}, lambda build, x, a, b: build.tanh(x)),
    "relu": Parametrized({}, lambda build, x, a, b: build.relu(x)),
    "softsign": Parametrized({}, lambda build, x, a, b: build.divide(x, build.add(build.abs(x), 1))),
    "softplus": Parametrized(
        {}, lambda build, x, a, b: build.add(build.maximum(x, 0), build.log1p(build.exp(build.negate(build.abs(x)))))
    ),
    "affine": Parametrized({"alpha": 1.0, "beta": 0.0}, lambda build, x, a, b: build.add(build.multiply(x, a), b)),
    "leakyrelu": Parametrized({"alpha": 0.01}, lambda build, x, a, b: _where_negative(build, x, build.multiply(x, a))),
    "thresholdedrelu": Parametrized(
        {"alpha": 1.0}, lambda build, x, a, b: build.select(build.compare("GE", x, a), x, 0)
    ),
    "scaledtanh": Parametrized(
        {"alpha": 1.0, "beta": 1.0}, lambda build, x, a, b: build.multiply(build.tanh(build.multiply(x, b)), a)
    ),
    "hardsigmoid": Parametrized(
        {"alpha": 0.2, "beta": 0.5}, lambda build, x, a, b: build.clamp(0, build.add(build.multiply(x, a), b), 1)
    ),
    "elu": Parametrized(
        {"alpha": 1.0}, lambda build, x, a, b: _where_negative(build, x, build.multiply(build.expm1(x), a))
    ),
}


def activations(node: Node, defaults: Sequence[str], directions: int) -> list[list[Activation]]:
    """Per direction the activations that a node names, each taking its parameters from the lists in turn."""
    wanted = len(defaults) * directions
    names = list(node.attributes.get("activations") or ())
    # RNN's default in the schema has a name for each of two directions.
    names = names[:wanted] if names[:wanted] == list(defaults) * directions or len(names) == wanted else names
    names = names or list(defaults) * directions
    if len(names) != wanted:
        raise LaminaError(f"{node.op_type}: expected {wanted} activations, found {list(names)}")
    given = {name: list(node.attributes.get(f"activation_{name}") or ()) for name in ("alpha", "beta")}
    made: list[Activation] = []
    for name in names:
        form = ACTIVATIONS.get(name.lower())
        if form is None:
            raise LaminaError(f"{node.op_type}: unknown activation '{name}'; known: {', '.join(ACTIVATIONS)}")
        values = {key: (given[key].pop(0) if given[key] else default) for key, default in form.defaults.items()}
        alpha, beta = values.get("alpha", 0.0), values.get("beta", 0.0)
        made.append(lambda build, x, form=form, alpha=alpha, beta=beta: form.apply(build, x, alpha, beta))
    count = len(defaults)
    return [made[index * count : (index + 1) * count] for index in range(directions)]


@dataclass(frozen=True)
class Direction:
    """One direction of a node: its weights, as the steps use them, and its activations."""

    node: Node
    build: OnnxBuilder
    hidden: int
    recurrent: SSAValue
    """[hidden, gates · hidden]"""
    recurrent_bias: SSAValue | None
    """[gates · hidden], where it is not part of the projected input."""
    peepholes: SSAValue | None
    functions: Sequence[Activation]

    def gate(self, gates: SSAValue, index: int, count: int = 1) -> SSAValue:
        """Some of the gates in a tensor [batch, gates · hidden]."""
        return self.build.slice_axis(gates, 1, index * self.hidden, (index + count) * self.hidden)

    def peephole(self, state: SSAValue, index: int) -> SSAValue | None:
        """A peephole's contribution."""
        if self.peepholes is None:
            return None
        weights = self.build.slice_axis(self.peepholes, 0, index * self.hidden, (index + 1) * self.hidden)
        return self.build.multiply(state, weights)

    def activate(self, index: int, *terms: SSAValue | None) -> SSAValue:
        """An activation of a sum, clipped if the node says so."""
        total: SSAValue | None = None
        for term in terms:
            if term is not None:
                total = term if total is None else self.build.add(total, term)
        assert total is not None
        if self.node.has("clip"):
            limit = self.node.floating("clip")
            total = self.build.clamp(-limit, total, limit)
        return self.functions[index](self.build, total)

    def product(self, state: SSAValue, weights: SSAValue) -> SSAValue:
        """[batch, hidden] · [hidden, n]"""
        return self.build.dot_general(state, weights, [1], [0])


def _rnn(d: Direction, x: SSAValue, states: Sequence[SSAValue]) -> list[SSAValue]:
    return [d.activate(0, d.build.add(d.product(states[0], d.recurrent), x))]


def _gru(d: Direction, x: SSAValue, states: Sequence[SSAValue]) -> list[SSAValue]:
    build, (h,) = d.build, states
    if d.node.flag("linear_before_reset"):
        product = d.product(h, d.recurrent)
        if d.recurrent_bias is not None:
            product = build.add(product, d.recurrent_bias)
        update = d.activate(0, build.add(d.gate(product, 0), d.gate(x, 0)))
        reset = d.activate(0, build.add(d.gate(product, 1), d.gate(x, 1)))
        candidate = d.activate(1, build.multiply(reset, d.gate(product, 2)), d.gate(x, 2))
    else:
        product = build.add(d.product(h, build.slice_axis(d.recurrent, 1, 0, 2 * d.hidden)), d.gate(x, 0, 2))
        update, reset = d.activate(0, d.gate(product, 0)), d.activate(0, d.gate(product, 1))
        weights = build.slice_axis(d.recurrent, 1, 2 * d.hidden, 3 * d.hidden)
        candidate = d.activate(1, build.add(d.product(build.multiply(reset, h), weights), d.gate(x, 2)))
    kept = build.multiply(update, h)
    return [build.add(build.multiply(build.subtract(1, update), candidate), kept)]


def _lstm(d: Direction, x: SSAValue, states: Sequence[SSAValue]) -> list[SSAValue]:
    build, (h, c) = d.build, states
    gates = build.add(d.product(h, d.recurrent), x)
    entering = d.activate(0, d.gate(gates, 0), d.peephole(c, 0))
    if d.node.flag("input_forget"):
        forgetting = build.subtract(1, entering)
    else:
        forgetting = d.activate(0, d.gate(gates, 2), d.peephole(c, 2))
    candidate = d.activate(1, d.gate(gates, 3))
    following = build.add(build.multiply(forgetting, c), build.multiply(entering, candidate))
    leaving = d.activate(0, d.gate(gates, 1), d.peephole(following, 1))
    return [build.multiply(leaving, d.functions[2](build, following)), following]


@dataclass(frozen=True)
class Kind:
    """What the operators differ in."""

    gates: int
    activations: Sequence[str]
    cell: Cell
    states: int = 1


def recurrent(kind: Kind) -> Callable[[Node, OnnxBuilder], Sequence[SSAValue | None]]:
    """The converter of an operator."""

    def convert(node: Node, build: OnnxBuilder) -> Sequence[SSAValue | None]:
        return _recurrent(node, build, kind)

    return convert


def _recurrent(node: Node, build: OnnxBuilder, kind: Kind) -> Sequence[SSAValue | None]:
    x, weights, recurrent_weights = node.operand(0), node.operand(1), node.operand(2)
    batch_first = node.integer("layout", 0) == 1
    if batch_first:
        x = build.transpose(x, (1, 0, 2))
    word = node.string("direction", "forward")
    reverses = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}.get(word)
    if reverses is None:
        raise LaminaError(f"{node.op_type}: direction is forward, reverse or bidirectional, found {word}")
    size = build.shape(recurrent_weights)[2]
    hidden = size if isinstance(size, int) else node.integer("hidden_size")
    functions = activations(node, kind.activations, len(reverses))
    lengths = _lengths(build, node.optional(4), x)
    outputs: list[SSAValue] = []
    lasts: list[list[SSAValue]] = []
    for index, reverse in enumerate(reverses):

        def of(value: SSAValue, index: int = index) -> SSAValue:
            rest = build.sizes_of(value)[1:]
            return build.reshape_to(build.slice_axis(value, 0, index, index + 1), rest)

        bias, rest = _biases(node, build, kind, hidden, node.optional(3), of)
        projected = _projected(build, x, of(weights), bias)
        peepholes = node.optional(7) if kind.states == 2 else None
        direction = Direction(
            node,
            build,
            hidden,
            build.transpose(of(recurrent_weights), (1, 0)),
            rest,
            None if peepholes is None else of(peepholes),
            functions[index],
        )
        inits = [
            _initial(build, node.optional(5 + state), x, hidden, of, batch_first=batch_first)
            for state in range(kind.states)
        ]
        last, (stacked,) = _scanned(build, direction, kind.cell, inits, projected, lengths, reverse)
        outputs.append(stacked)
        lasts.append(list(last))
    return [
        _joined(build, outputs, 2 if batch_first else 1, batch_first=batch_first) if node.wants(0) else None,
        *(
            _joined(build, [last[state] for last in lasts], 1 if batch_first else 0, batch_first=False)
            if node.wants(1 + state)
            else None
            for state in range(kind.states)
        ),
    ]


def _projected(build: OnnxBuilder, x: SSAValue, weights: SSAValue, bias: SSAValue | None) -> SSAValue:
    """[steps, batch, inputs] · [size, inputs]ᵀ + [size]: one product over all rows, whatever the sizes."""
    steps, batch, inputs = build.sizes_of(x)
    rows = build.reshape_to(x, [build.product([steps, batch]), inputs])
    product = build.dot_general(rows, build.transpose(weights, (1, 0)), [1], [0])
    if bias is not None:
        product = build.add(product, bias)
    return build.reshape_to(product, [steps, batch, build.size(weights, 0)])


def _lengths(build: OnnxBuilder, lengths: SSAValue | None, x: SSAValue) -> SSAValue | None:
    """The sequences' lengths as [batch, 1]; None where all are whole."""
    if lengths is None:
        return None
    static = build.static(lengths)
    if static is not None and isinstance(build.shape(x)[0], int) and bool(np.all(static == build.shape(x)[0])):
        return None
    return build.reshape_to(build.cast(lengths, i64), [build.size(lengths, 0), 1])


def _biases(
    node: Node,
    build: OnnxBuilder,
    kind: Kind,
    hidden: int,
    biases: SSAValue | None,
    of: Callable[[SSAValue], SSAValue],
) -> tuple[SSAValue | None, SSAValue | None]:
    """What is added to the projected input, and what only to the product with the state."""
    if biases is None:
        return None, None
    size = kind.gates * hidden
    both = of(biases)
    of_input, of_state = build.slice_axis(both, 0, 0, size), build.slice_axis(both, 0, size, 2 * size)
    if node.op_type == "GRU" and node.flag("linear_before_reset"):
        return of_input, of_state
    return build.add(of_input, of_state), None


def _initial(
    build: OnnxBuilder,
    value: SSAValue | None,
    x: SSAValue,
    hidden: int,
    of: Callable[[SSAValue], SSAValue],
    *,
    batch_first: bool,
) -> SSAValue:
    if value is None:
        return build.filled(0, [build.size(x, 1), hidden], build.element_type(x))
    return of(build.transpose(value, (1, 0, 2)) if batch_first else value)


def _scanned(
    build: OnnxBuilder,
    direction: Direction,
    cell: Cell,
    inits: Sequence[SSAValue],
    projected: SSAValue,
    lengths: SSAValue | None,
    reverse: bool,
) -> tuple[Sequence[SSAValue], Sequence[SSAValue]]:
    """The steps; beyond the end of a sequence its states stay, and its output is 0."""

    def step(position: SSAValue, states: Sequence[SSAValue], slices: Sequence[SSAValue]):
        following = cell(direction, slices[0], states)
        if lengths is None:
            return following, [following[0]]
        inside = build.compare("LT", position, lengths)
        kept = [build.select(inside, after, before) for after, before in zip(following, states, strict=True)]
        return kept, [build.select(inside, following[0], 0)]

    return build.scan(inits, [projected], step, reverse=reverse)


def _joined(build: OnnxBuilder, parts: Sequence[SSAValue], axis: int, *, batch_first: bool) -> SSAValue:
    """The directions' tensors along a new axis; [steps, batch, hidden] becomes [batch, steps, …] first if asked for."""
    if batch_first:
        parts = [build.transpose(part, (1, 0, 2)) for part in parts]
    apart: list[SSAValue] = []
    for part in parts:
        sizes = build.sizes_of(part)
        apart.append(build.reshape_to(part, [*sizes[:axis], 1, *sizes[axis:]]))
    return apart[0] if len(apart) == 1 else build.concatenate(apart, axis)


RECURRENT: Mapping[str, Versions] = {
    "GRU": {7: recurrent(Kind(3, ("Sigmoid", "Tanh"), _gru))},
    "LSTM": {7: recurrent(Kind(4, ("Sigmoid", "Tanh", "Tanh"), _lstm, states=2))},
    "RNN": {7: recurrent(Kind(1, ("Tanh",), _rnn))},
}
