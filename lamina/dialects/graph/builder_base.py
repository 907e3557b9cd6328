"""What building graph IR stands on: insertion with a location and inferred types, constants, known symbolic sizes."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Self, TypeAlias

import numpy as np
from xdsl.dialects.builtin import FloatAttr, LocationAttr, NoneAttr, StringAttr, UnitAttr, UnknownLoc, f64
from xdsl.ir import Attribute, Block, OpResult, Region, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.graph.base import (
    AbstractTensor,
    Array,
    GraphOp,
    InferenceError,
    abstract_of,
    set_result_types,
    with_constant_elements,
)
from lamina.dialects.graph.dims import DimExpr, Shape, fresh
from lamina.dialects.graph.properties import integer, integers
from lamina.dialects.graph.types import DType, dtype_of
from lamina.resources import ResourceStore

Value: TypeAlias = "SSAValue | Array | np.generic | float | bool"
"""What methods take for an operand: a value of the IR, or data that becomes a constant."""


@cache
def op_types() -> Mapping[str, type[GraphOp]]:
    """Every op of the dialect by its name without `graph.`."""
    from lamina.dialects.graph import GRAPH_OPS

    return {op.name.removeprefix("graph."): op for op in GRAPH_OPS}


def property_of(value: Any) -> Attribute:
    """The attribute for a Python value: flags, integers, floats, words, lists of integers; attributes stay."""
    match value:
        case Attribute():
            return value
        case True:
            return UnitAttr()
        case int():
            return integer(value)
        case float():
            return FloatAttr(value, f64)
        case str():
            return StringAttr(value)
        case _:
            return integers(int(item) for item in value)


class BuilderBase:
    """Inserts graph ops at a point, with the current location, and knows the symbolic sizes of what it made.

    `resources` receives large constants. Every method raises LaminaError, with the current location, where operands
    and attributes do not fit.
    """

    def __init__(
        self,
        insertion_point: InsertPoint,
        resources: ResourceStore | None = None,
        location: LocationAttr | None = None,
    ):
        self.insertion_point = insertion_point
        self.resources = ResourceStore() if resources is None else resources
        self.location: LocationAttr = UnknownLoc() if location is None else location
        self._known: dict[SSAValue, AbstractTensor] = {}

    @classmethod
    def at_end(cls, block: Block, resources: ResourceStore | None = None) -> Self:
        """A builder that appends to a block."""
        return cls(InsertPoint.at_end(block), resources)

    @contextmanager
    def inside(self, block: Block) -> Generator[None]:
        """Append to another block for a while."""
        outer, self.insertion_point = self.insertion_point, InsertPoint.at_end(block)
        try:
            yield
        finally:
            self.insertion_point = outer

    # What is known of values

    def declare(self, value: SSAValue, known: AbstractTensor) -> None:
        """State what is known of a value that this builder did not make: the named sizes of an argument."""
        self._known[value] = known

    def abstract(self, value: SSAValue) -> AbstractTensor:
        """Shape, element type and, for small integer tensors, elements, as far as they are known."""
        known = self._known.get(value)
        if known is not None:
            return known
        plain = abstract_of(value.type, "unknown")
        shape = tuple(fresh() if isinstance(dim, DimExpr) else dim for dim in plain.shape)
        known = with_constant_elements(value, AbstractTensor(shape, plain.element_type))
        self._known[value] = known
        return known

    def shape(self, value: SSAValue) -> Shape:
        """Sizes: numbers, or expressions over named sizes."""
        return self.abstract(value).shape

    def rank(self, value: SSAValue) -> int:
        """The number of axes."""
        return len(self.abstract(value).shape)

    def element_type(self, value: SSAValue) -> Attribute:
        """The element type."""
        return self.abstract(value).element_type

    def axis(self, value: SSAValue, axis: int) -> int:
        """An axis counted from the start; negative ones count from the end. Raises LaminaError when out of range."""
        rank = self.rank(value)
        if not -rank <= axis < rank:
            raise self.error(f"axis: expected a number within [{-rank}, {rank}), found {axis}")
        return axis % rank

    def error(self, message: str) -> LaminaError:
        """An error at the current location."""
        return LaminaError(message, where=location_text(self.location))

    # Creation

    def create(self, name: str | type[GraphOp], operands: Sequence[SSAValue], **properties: Any) -> OpResult:
        """Insert `graph.NAME`, or an op of a class, with one result.

        Properties are as `property_of` takes them; None and False are left out.
        """
        return self.create_with_regions(name, operands, (), 1, **properties)[0]

    def create_with_regions(
        self,
        name: str | type[GraphOp],
        operands: Sequence[SSAValue],
        regions: Sequence[Region],
        result_count: int,
        **properties: Any,
    ) -> Sequence[OpResult]:
        """Insert `graph.NAME`, or an op of a class, with regions and any number of results."""
        attributes = {
            key: property_of(value) for key, value in properties.items() if value is not None and value is not False
        }
        op_type = op_types()[name] if isinstance(name, str) else name
        op = op_type.create(
            operands=operands,
            result_types=[NoneAttr()] * result_count,
            properties=attributes,
            regions=regions,
            location=self.location,
        )
        try:
            inferred = op.infer([self.abstract(operand) for operand in operands])
        except InferenceError as error:
            raise self.error(str(error)) from error
        set_result_types(op, [known.type for known in inferred])
        self._known.update(zip(op.results, inferred, strict=True))
        self.insert(op)
        return op.results

    def insert(self, op: GraphOp) -> GraphOp:
        """Insert an op as it is."""
        Rewriter.insert_op(op, self.insertion_point)
        return op

    # Constants

    def constant(self, data: Array | np.generic | float | bool, element_type: Attribute | None = None) -> SSAValue:
        """A constant; Python numbers without an element type become f32, i64 or i1."""
        from lamina.dialects.graph.constant import ConstantOp

        array = self._array(data, None if element_type is None else dtype_of(element_type))
        op = ConstantOp.from_array(array, self.resources, self.location)
        self.insert(op)
        return op.result

    def _array(self, data: Array | np.generic | float | bool, dtype: DType | None) -> Array:
        if isinstance(data, np.ndarray | np.generic):
            array = np.asarray(data)
            return array if dtype is None else array.astype(dtype)
        if dtype is None:
            dtype = np.dtype(bool if isinstance(data, bool) else np.int64 if isinstance(data, int) else np.float32)
        exact = np.asarray(data)
        with np.errstate(over="ignore", invalid="ignore"):
            array = exact.astype(dtype)
        if dtype.kind in "iub" and not np.array_equal(array, exact):
            raise self.error(f"expected a value that {dtype} holds, found {data}")
        return array

    def value(self, operand: Value, element_type: Attribute | None = None) -> SSAValue:
        """The operand as a value of the IR."""
        return operand if isinstance(operand, SSAValue) else self.constant(operand, element_type)

    def values(self, *operands: Value) -> tuple[SSAValue, ...]:
        """Operands of one element type: Python scalars get that of the operands that have one."""
        typed = [operand for operand in operands if isinstance(operand, SSAValue | np.ndarray | np.generic)]
        element_type = None
        if typed:
            first = next((operand for operand in typed if isinstance(operand, SSAValue)), None)
            element_type = self.element_type(first if first is not None else self.value(typed[0]))
        return tuple(
            self.value(operand, None if isinstance(operand, np.ndarray | np.generic) else element_type)
            for operand in operands
        )
