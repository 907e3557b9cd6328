"""Library calls: private functions without a body, and what a linker has to know about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias, cast

from xdsl.dialects import func
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ArrayAttr,
    DictionaryAttr,
    IntegerAttr,
    ModuleOp,
    StringAttr,
    TensorType,
    i64,
)
from xdsl.ir import Attribute

from lamina.artefact import ExternInfo
from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.graph.base import compatible
from lamina.dialects.graph.extern import CFunction, ExternOp
from lamina.dialects.graph.types import dtype_of
from lamina.lowering.graph_to_linalg.emitter import signless_type

EXTERN = "lamina.extern"
"""On a function without a body: the op, its buffers (dtype and rank), how many of them are results."""

Tensor: TypeAlias = TensorType[Attribute]


@dataclass
class Externs:
    """The functions without a body of one module, by name."""

    declarations: dict[str, func.FuncOp] = field(default_factory=dict[str, func.FuncOp])

    def declare(self, op: ExternOp) -> func.FuncOp:
        """The function that an op calls, its operands' and destinations' types as the function takes them.

        A C function has one declaration. A Python callable takes any types, and has one for each combination of
        element types and ranks, all sizes dynamic. Raises LaminaError for operands that a C function does not take.
        """
        if op.properties or op.regions:
            raise LaminaError(
                f"{op.name}: a library call has no properties or regions", where=location_text(op.location)
            )
        types = [cast(Tensor, value.type) for value in (*op.operands, *op.results)]
        buffers = [f"{dtype_of(type_.get_element_type()).name}x{type_.get_num_dims()}" for type_ in types]
        if isinstance(op.FUNCTION, CFunction):
            name, taken = op.name, _taken(op, op.FUNCTION, types)
        else:
            name = ".".join((op.name, *buffers))
            taken = [TensorType(type_.get_element_type(), [DYNAMIC_INDEX] * type_.get_num_dims()) for type_ in types]
        found = self.declarations.get(name)
        if found is not None:
            return found
        inputs = [signless_type(type_) for type_ in taken]
        function = func.FuncOp.external(name, inputs, inputs[len(op.operands) :])
        function.attributes[EXTERN] = DictionaryAttr(
            {
                "op": StringAttr(op.name),
                "buffers": ArrayAttr([StringAttr(buffer) for buffer in buffers]),
                "results": IntegerAttr(len(op.results), i64),
            }
        )
        function.location = op.location
        self.declarations[name] = function
        return function


def _taken(op: ExternOp, function: CFunction, types: list[Tensor]) -> list[Tensor]:
    """A C function's types; a size that it fixes has to be known."""
    taken = function.tensor_types()
    fits = len(taken) == len(types) and all(
        compatible(signless_type(type_), wanted)
        and all(size in (DYNAMIC_INDEX, known) for size, known in _sizes(wanted, type_))
        for wanted, type_ in zip(taken, types, strict=True)
    )
    if not fits:
        raise LaminaError(
            f"{op.name}: the C function takes ({', '.join(map(str, taken))}), found ({', '.join(map(str, types))})",
            where=location_text(op.location),
        )
    return taken


def _sizes(wanted: Tensor, found: Tensor) -> list[tuple[int, int]]:
    return list(zip(wanted.get_shape(), found.get_shape(), strict=True))


def extern_infos(module: ModuleOp) -> tuple[ExternInfo, ...]:
    """The library calls of a module at any level from `tensor` down."""
    found: list[ExternInfo] = []
    for op in module.ops:
        facts = op.attributes.get(EXTERN) if isinstance(op, func.FuncOp) else None
        if not isinstance(op, func.FuncOp) or not isinstance(facts, DictionaryAttr):
            continue
        match facts.data:
            case {"op": StringAttr(data=name), "buffers": ArrayAttr(data=buffers), "results": IntegerAttr(value=count)}:
                texts = tuple(buffer.data for buffer in buffers if isinstance(buffer, StringAttr))
                found.append(ExternInfo(op.sym_name.data, name, texts, count.data))
            case _:
                raise LaminaError(f"{EXTERN}: expected op, buffers and results", where=location_text(op.location))
    return tuple(found)
