"""Recurrent layers over sequences (batch, length, features), with PyTorch's parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from lamina.frontends.python import ops
from lamina.frontends.python.nn.initializers import fan_in_uniform
from lamina.frontends.python.nn.module import Module, parameter
from lamina.frontends.python.specs import DTypeLike
from lamina.frontends.python.tracer import Traced

State = Any
"""Tensors (batch, hidden): one for GRU, a tuple (hidden, cell) for LSTM."""


class _Recurrent(Module):
    """`layers` layers one above the other, each once forwards and, if `bidirectional`, once backwards.

    Parameters: weight_ih_l0 (gates · hidden, features), weight_hh_l0 (gates · hidden, hidden), bias_ih_l0, bias_hh_l0,
    then _l1 …; those of the backward direction end in _reverse.
    """

    GATES: ClassVar[int]

    def __init__(
        self,
        features: int,
        hidden: int,
        layers: int = 1,
        bias: bool = True,
        bidirectional: bool = False,
        dtype: DTypeLike = "f32",
    ):
        self.hidden = hidden
        self.suffixes = [
            [f"_l{layer}{direction}" for direction in ("", "_reverse")[: 1 + bidirectional]] for layer in range(layers)
        ]
        initializer, rows = fan_in_uniform(hidden), self.GATES * hidden
        for layer, suffixes in enumerate(self.suffixes):
            width = features if layer == 0 else hidden * len(suffixes)
            for suffix in suffixes:
                setattr(self, f"weight_ih{suffix}", parameter((rows, width), initializer, dtype))
                setattr(self, f"weight_hh{suffix}", parameter((rows, hidden), initializer, dtype))
                for name in ("bias_ih", "bias_hh"):
                    setattr(self, name + suffix, parameter((rows,), initializer, dtype) if bias else None)

    def _run(
        self, x: Traced, initial: Callable[[int], State], step: Callable[[str, State, Any], State]
    ) -> tuple[Traced, list[State]]:
        """The top layer's outputs (batch, length, directions · hidden) and every direction's last state."""
        last: list[State] = []
        for suffixes in self.suffixes:
            outputs: list[Traced] = []
            for suffix in suffixes:
                # The input's part of all steps is one product.
                gates = ops.linear(x, getattr(self, f"weight_ih{suffix}"), getattr(self, f"bias_ih{suffix}"))

                def body(state: State, row: Any, suffix: str = suffix) -> tuple[State, Any]:
                    following = step(suffix, state, row)
                    return following, following[0]

                state, stacked = ops.scan(
                    body, initial(len(last)), gates.transpose(1, 0, 2), reverse=suffix.endswith("_reverse")
                )
                last.append(state)
                outputs.append(stacked.transpose(1, 0, 2))
            x = outputs[0] if len(outputs) == 1 else ops.concatenate(outputs, axis=2)
        return x, last

    def _recurrent(self, suffix: str, hidden: Traced) -> Traced:
        return ops.linear(hidden, getattr(self, f"weight_hh{suffix}"), getattr(self, f"bias_hh{suffix}"))

    def _zeros(self, x: Traced) -> Traced:
        return ops.full((x.shape[0], self.hidden), 0.0, x.dtype)


class LSTM(_Recurrent):
    """Long short-term memory, gates in the order input, forget, cell, output (Hochreiter and Schmidhuber 1997).

    x (batch, length, features) → (outputs (batch, length, directions · hidden), (hidden, cell)), the last states of
    (layers · directions, batch, hidden). `state`: such a pair to begin with, zeros when left out.
    """

    GATES = 4

    def __call__(self, x: Traced, state: tuple[Traced, Traced] | None = None) -> tuple[Traced, tuple[Traced, Traced]]:
        def initial(index: int) -> State:
            return (self._zeros(x), self._zeros(x)) if state is None else (state[0][index], state[1][index])

        outputs, last = self._run(x, initial, self._step)
        return outputs, (ops.stack([hidden for hidden, _ in last]), ops.stack([cell for _, cell in last]))

    def _step(self, suffix: str, state: State, row: Traced) -> State:
        hidden, cell = state
        enter, forget, fresh, leave = ops.split(row + self._recurrent(suffix, hidden), 4, axis=1)
        cell = ops.sigmoid(forget) * cell + ops.sigmoid(enter) * ops.tanh(fresh)
        return ops.sigmoid(leave) * ops.tanh(cell), cell


class GRU(_Recurrent):
    """Gated recurrent units, gates in the order reset, update, new (Cho et al. 2014).

    x (batch, length, features) → (outputs (batch, length, directions · hidden), hidden (layers · directions, batch,
    hidden)). `state`: such a hidden state to begin with, zeros when left out.
    """

    GATES = 3

    def __call__(self, x: Traced, state: Traced | None = None) -> tuple[Traced, Traced]:
        def initial(index: int) -> State:
            return (self._zeros(x),) if state is None else (state[index],)

        outputs, last = self._run(x, initial, self._step)
        return outputs, ops.stack([hidden for (hidden,) in last])

    def _step(self, suffix: str, state: State, row: Traced) -> State:
        (hidden,) = state
        reset_in, update_in, new_in = ops.split(row, 3, axis=1)
        reset_by, update_by, new_by = ops.split(self._recurrent(suffix, hidden), 3, axis=1)
        update = ops.sigmoid(update_in + update_by)
        new = ops.tanh(new_in + ops.sigmoid(reset_in + reset_by) * new_by)
        return ((1.0 - update) * new + update * hidden,)
