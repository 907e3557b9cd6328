"""What elementwise ops share: broadcasting, element types, tracking of sizes, syntax."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, cast

import numpy as np
from xdsl.dialects.builtin import LocationAttr, TensorType, i1
from xdsl.interfaces import HasCanonicalizationPatternsInterface
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import IRDLOperation, operand_def, result_def, traits_def
from xdsl.irdl.declarative_assembly_format import (
    CustomDirective,
    ParsingState,
    PrintingState,
    TypeDirective,
    irdl_custom_directive,
)
from xdsl.parser import Parser
from xdsl.pattern_rewriter import RewritePattern
from xdsl.printer import Printer
from xdsl.traits import Pure

from lamina.dialects.graph.arithmetic import Numbers
from lamina.dialects.graph.base import (
    MAX_TRACKED_ELEMENTS,
    AbstractTensor,
    Array,
    Differentiability,
    GraphOp,
    InferenceError,
)
from lamina.dialects.graph.broadcasting import broadcast_constraints, broadcast_shapes
from lamina.dialects.graph.construction import construct
from lamina.dialects.graph.dims import Dim
from lamina.dialects.graph.properties import TENSOR
from lamina.dialects.graph.types import (
    BFLOAT16,
    FLOAT,
    FLOAT16,
    INTEGER,
    INTEGER_OR_BOOLEAN,
    NUMBER,
    ElementKind,
    dtype_of,
    is_boolean,
    is_float,
)


@irdl_custom_directive
class ElementwiseTypes(CustomDirective):
    """`custom<ElementwiseTypes>(type(operands), type($result))`: one type where all are the same, else `a, b -> c`."""

    operands: TypeDirective
    result: TypeDirective

    def parse(self, parser: Parser, state: ParsingState) -> None:
        position = parser.pos
        types: list[Attribute] = [parser.parse_type()]
        while parser.parse_optional_punctuation(","):
            types.append(parser.parse_type())
        count = len(state.operand_types)
        if parser.parse_optional_punctuation("->"):
            result = parser.parse_type()
        else:
            result, types = types[0], types * count if len(types) == 1 else []
        if len(types) != count:
            parser.raise_error(
                f"expected one type for all, or {count} operand types, '->' and the result's type",
                at_position=position,
                end_position=parser.pos,
            )
        self.operands.inner.set_types(state, types)
        self.result.inner.set_types(state, (result,))

    def print(self, printer: Printer, state: PrintingState, op: IRDLOperation) -> None:
        state.print_whitespace(printer)
        result = op.results[0].type
        if all(type_ == result for type_ in op.operand_types):
            printer.print_attribute(result)
            return
        printer.print_list(op.operand_types, printer.print_attribute)
        printer.print_string(" -> ")
        printer.print_attribute(result)


class ElementwiseOp(GraphOp, HasCanonicalizationPatternsInterface, ABC):
    """An op computed element by element on operands that broadcast as in NumPy.

    The operands have one element type (where an op does not say otherwise), one of `ELEMENTS`; so has the result.
    f16 and bf16 are computed in f32 and rounded.
    """

    ELEMENTS: ClassVar[ElementKind] = NUMBER
    traits = traits_def(Pure())

    # `Any` keywords let the ops declare their operands by name.
    @abstractmethod
    def compute(self, *operands: Any, **_: Any) -> Any:
        """The elements in NumPy; f16 and bf16 operands come as f32, and the result is rounded to the result type."""

    def track(self, *elements: Any, **_: Any) -> Dim | None:
        """One element of the result as a size, from one element of each operand, where sizes allow it."""
        return None

    def result_element_type(self, operands: Sequence[AbstractTensor]) -> Attribute:
        """The result's element type; raises InferenceError for operands that do not fit."""
        return self.check_elements(operands)

    def check_elements(self, operands: Sequence[AbstractTensor]) -> Attribute:
        """The operands' common element type, one of `ELEMENTS`; raises InferenceError for others."""
        first = operands[0].element_type
        for index, operand in enumerate(operands):
            if not self.ELEMENTS.accepts(operand.element_type):
                raise InferenceError(
                    f"{self.name}: operand {index}: expected {self.ELEMENTS.description}, found {operand.element_type}"
                )
            if operand.element_type != first:
                raise InferenceError(
                    f"{self.name}: operand {index}: expected {first} as operand 0, found {operand.element_type}"
                )
        return first

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        element_type = self.result_element_type(operands)
        shape = broadcast_shapes(self.name, [operand.shape for operand in operands])
        return (AbstractTensor(shape, element_type, self._elements(operands, element_type)),)

    def constraints(self, operands: Sequence[AbstractTensor]) -> Sequence[tuple[Dim, Dim]]:
        return broadcast_constraints([operand.shape for operand in operands])

    def reference(self, *operands: Array) -> Array:
        with np.errstate(all="ignore"):
            wide = [widened(operand) for operand in operands]
            return np.asarray(self.compute(*wide)).astype(self._result_dtype())

    def _result_dtype(self) -> np.dtype[Any]:
        return dtype_of(cast("TensorType[Attribute]", self.results[0].type).get_element_type())

    def _elements(self, operands: Sequence[AbstractTensor], element_type: Attribute) -> tuple[Dim, ...] | None:
        if is_float(element_type):
            return None
        known = [operand.elements for operand in operands]
        count = max((len(elements) for elements in known if elements is not None), default=0)
        result: list[Dim] = []
        for elements in known:
            if elements is None or len(elements) not in (1, count):
                return None
        for row in range(count):
            element = self.track(*(elements[row % len(elements)] for elements in known if elements is not None))
            if element is None or not representable(element, element_type):
                return None
            result.append(element)
        return tuple(result) if len(result) <= MAX_TRACKED_ELEMENTS else None

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        from lamina.dialects.graph.canonicalization.elementwise import PATTERNS

        return PATTERNS.get(cls, ())


def widened(operand: Array) -> Numbers:
    """f16 and bf16 as f32 (exact), everything else as it is."""
    return operand.astype(np.float32) if operand.dtype in (FLOAT16, BFLOAT16) else operand


def representable(element: Dim, element_type: Attribute) -> bool:
    """Whether an integer fits an element type; a symbolic size fits 32 bits and more."""
    dtype = dtype_of(element_type)
    if not isinstance(element, int):
        return dtype.itemsize >= 4
    if is_boolean(element_type):
        return element in (0, 1)
    limits = np.iinfo(cast(Any, dtype))
    return limits.min <= element <= limits.max


class UnaryOp(ElementwiseOp, ABC):
    """One operand of any shape; the result has its shape."""

    operand = operand_def(TENSOR)
    result = result_def(TENSOR)
    custom_directives = (ElementwiseTypes,)
    assembly_format = "$operand attr-dict `:` custom<ElementwiseTypes>(type(operands), type($result))"

    def __init__(self, operand: SSAValue | Operation, *, location: LocationAttr | None = None):
        construct(self, (operand,), {}, location=location)


class FloatUnaryOp(UnaryOp, ABC):
    """A function of floats."""

    ELEMENTS: ClassVar[ElementKind] = FLOAT


class RoundingOp(FloatUnaryOp, ABC):
    """A float rounded to an integral value; the derivative is zero wherever it exists."""

    DIFFERENTIABILITY: ClassVar[Differentiability] = Differentiability.DISCRETE


class BinaryOp(ElementwiseOp, ABC):
    """Two operands of one element type; the result has the shape they broadcast to."""

    lhs = operand_def(TENSOR)
    rhs = operand_def(TENSOR)
    result = result_def(TENSOR)
    custom_directives = (ElementwiseTypes,)
    assembly_format = "$lhs `,` $rhs attr-dict `:` custom<ElementwiseTypes>(type(operands), type($result))"

    def __init__(self, lhs: SSAValue | Operation, rhs: SSAValue | Operation, *, location: LocationAttr | None = None):
        construct(self, (lhs, rhs), {}, location=location)


class BitwiseOp(BinaryOp, ABC):
    """A function of the bits of two integers, or of two booleans."""

    ELEMENTS: ClassVar[ElementKind] = INTEGER_OR_BOOLEAN
    DIFFERENTIABILITY: ClassVar[Differentiability] = Differentiability.INTEGER_VALUED


class ShiftOp(BinaryOp, ABC):
    """A shift of an integer by as many bits as the other operand says."""

    ELEMENTS: ClassVar[ElementKind] = INTEGER
    DIFFERENTIABILITY: ClassVar[Differentiability] = Differentiability.INTEGER_VALUED


class PredicateOp(UnaryOp, ABC):
    """A property of floats; the result is i1."""

    ELEMENTS: ClassVar[ElementKind] = FLOAT
    DIFFERENTIABILITY: ClassVar[Differentiability] = Differentiability.INTEGER_VALUED

    def result_element_type(self, operands: Sequence[AbstractTensor]) -> Attribute:
        self.check_elements(operands)
        return i1
