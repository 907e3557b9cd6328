"""What a converter sees of an ONNX node: inputs as values, attributes as Python values, defaults filled in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import onnx
from onnx import AttributeProto
from xdsl.ir import SSAValue

from lamina.diagnostics import LaminaError

Decoder = Callable[[AttributeProto], Any]

DECODERS: Mapping[int, Decoder] = {
    AttributeProto.INT: lambda attribute: attribute.i,
    AttributeProto.INTS: lambda attribute: tuple(attribute.ints),
    AttributeProto.FLOAT: lambda attribute: attribute.f,
    AttributeProto.FLOATS: lambda attribute: tuple(attribute.floats),
    AttributeProto.STRING: lambda attribute: attribute.s.decode(errors="replace"),
    AttributeProto.STRINGS: lambda attribute: tuple(item.decode(errors="replace") for item in attribute.strings),
    AttributeProto.TENSOR: lambda attribute: attribute.t,
    AttributeProto.GRAPH: lambda attribute: attribute.g,
}


@dataclass(frozen=True)
class Unreadable:
    """An attribute of a kind that no converter reads (sparse tensors, types, lists of graphs)."""

    kind: str


def decode(attribute: AttributeProto) -> Any:
    """The value of an attribute: int, float, str, tuples of those, TensorProto, GraphProto or Unreadable."""
    decoder = DECODERS.get(attribute.type)
    if decoder is None:
        kinds: Mapping[int, str] = {number: name for name, number in AttributeProto.AttributeType.items()}
        return Unreadable(kinds.get(attribute.type, "unknown").lower().replace("_", " "))
    return decoder(attribute)


class Bodies(Protocol):
    """Converts the bodies of control-flow nodes."""

    def convert(self, graph: onnx.GraphProto, arguments: Sequence[SSAValue]) -> list[SSAValue]:
        """Append a body's nodes to the block under construction, its inputs being `arguments`; its outputs."""
        ...


@dataclass(frozen=True)
class Node:
    """A node under conversion.

    `version` is the opset in which this form of the operator appeared. Inputs left out are None; `outputs` tells which
    are used by name. Attributes left out have the schema's default, or are missing where there is none.
    """

    name: str
    domain: str
    op_type: str
    version: int
    inputs: Sequence[SSAValue | None]
    outputs: Sequence[str]
    attributes: Mapping[str, Any]
    bodies: Bodies

    def operand(self, index: int) -> SSAValue:
        """An input that must be there."""
        value = self.optional(index)
        if value is None:
            raise LaminaError(f"{self.op_type} needs its input {index}")
        return value

    def optional(self, index: int) -> SSAValue | None:
        """An input, None when left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    @property
    def operands(self) -> list[SSAValue]:
        """All inputs of a variadic operator."""
        return [self.operand(index) for index in range(len(self.inputs))]

    def wants(self, index: int) -> bool:
        """Whether the node names this output."""
        return index < len(self.outputs) and bool(self.outputs[index])

    def has(self, name: str) -> bool:
        """Whether an attribute is given or has a default."""
        return name in self.attributes

    def integer(self, name: str, default: int | None = None) -> int:
        """An integer attribute."""
        return self._typed(name, int, "an integer", default)

    def flag(self, name: str) -> bool:
        """An integer attribute that means yes or no; no when left out."""
        return self.integer(name, 0) != 0

    def floating(self, name: str, default: float | None = None) -> float:
        """A float attribute."""
        return self._typed(name, float, "a float", default)

    def string(self, name: str, default: str | None = None) -> str:
        """A string attribute."""
        return self._typed(name, str, "a string", default)

    def integers(self, name: str, default: Sequence[int] | None = None) -> tuple[int, ...]:
        """A list of integers."""
        values = self._typed(name, tuple, "a list of integers", None if default is None else tuple(default))
        if not all(isinstance(value, int) for value in values):
            raise LaminaError(f"the attribute '{name}' of {self.op_type} is no list of integers")
        return values

    def optional_integers(self, name: str) -> tuple[int, ...] | None:
        """A list of integers, None when left out."""
        return self.integers(name) if self.has(name) else None

    def tensor(self, name: str) -> onnx.TensorProto:
        """A tensor attribute."""
        return self._typed(name, onnx.TensorProto, "a tensor", None)

    def graph(self, name: str) -> onnx.GraphProto:
        """A body."""
        return self._typed(name, onnx.GraphProto, "a graph", None)

    def _typed(self, name: str, kind: type, description: str, default: Any) -> Any:
        value = self.attributes.get(name, default)
        if value is None:
            raise LaminaError(f"{self.op_type} needs the attribute '{name}'")
        if not isinstance(value, kind):
            raise LaminaError(f"the attribute '{name}' of {self.op_type} is not {description}")
        return value


if TYPE_CHECKING:
    from lamina.frontends.onnx.builder import OnnxBuilder

Converter: TypeAlias = "Callable[[Node, OnnxBuilder], SSAValue | Sequence[SSAValue | None]]"
"""Emits what a node means; raises UnsupportedNode for a form that it cannot express."""

Versions: TypeAlias = Mapping[int, Converter]
"""The converters of an operator, each by the operator set with which it begins to apply."""
