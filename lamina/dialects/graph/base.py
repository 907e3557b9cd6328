"""What every op of the graph dialect has: shape and type inference, a verifier derived from it, a NumPy reference.

An op class states its rule once, in `infer`, over sizes that may be symbolic (`lamina.dialects.graph.dims`). The
builder, the verifier, `infer-types` and the shape analysis all call that one rule.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import ClassVar, Self, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import DYNAMIC_INDEX, LocationAttr, NoneAttr, TensorType
from xdsl.ir import Attribute, Operation, Region, SSAValue
from xdsl.irdl import IRDLOperation
from xdsl.rewriter import Rewriter
from xdsl.utils.exceptions import VerifyException

from lamina.dialects.graph.dims import Dim, Shape, symbol

Array: TypeAlias = npt.NDArray[np.generic]


@dataclass(frozen=True)
class AbstractTensor:
    """What is known of a tensor before it is computed.

    `elements` holds, in row-major order, the values of a small integer tensor (rank 0 or 1) where they are known as
    sizes: this is how `shape_of -> slice -> concat -> reshape` chains give symbolic result shapes.
    """

    shape: Shape
    element_type: Attribute
    elements: tuple[Dim, ...] | None = None

    @property
    def type(self) -> TensorType[Attribute]:
        """The builtin tensor type; symbolic sizes become `?`."""
        return _tensor_type(
            self.element_type, tuple([dim if isinstance(dim, int) else DYNAMIC_INDEX for dim in self.shape])
        )


@lru_cache(maxsize=4096)
def _tensor_type(element_type: Attribute, sizes: tuple[int, ...]) -> TensorType[Attribute]:
    """Types are values, asked for by every analysis; xDSL checks each when it is made."""
    return TensorType(element_type, sizes)


def abstract_of(type_: Attribute, prefix: str) -> AbstractTensor:
    """A tensor of which only the type is known; every `?` becomes a symbol `PREFIX_AXIS`."""
    if not isinstance(type_, TensorType):
        raise VerifyException(f"expected a tensor, found {type_}")
    tensor = cast("TensorType[Attribute]", type_)
    shape = tuple(
        symbol(f"{prefix}_{axis}") if size == DYNAMIC_INDEX else size for axis, size in enumerate(tensor.get_shape())
    )
    return AbstractTensor(shape, tensor.get_element_type())


class InferenceError(VerifyException):
    """Operands and attributes of an op do not fit; the message says what was expected and what was found."""


class Differentiability(Enum):
    """Whether an op has a derivative; every op states one."""

    DIFFERENTIABLE = "has a derivative"
    BY_DECOMPOSITION = "through its decomposition"
    INTEGER_VALUED = "none: the result is an integer or a boolean"
    DISCRETE = "none: piecewise constant"
    OPAQUE = "none: a library call"
    STRUCTURAL = "none: a terminator or a constant"
    STOPPED = "none: asked for"


class GraphOp(IRDLOperation, ABC):
    """An op on immutable tensors (operands and results are builtin tensors; regions for control flow)."""

    # In upper case, and annotated `ClassVar` where a subclass sets it: xDSL takes other class variables for fields.
    DIFFERENTIABILITY: ClassVar[Differentiability] = Differentiability.DIFFERENTIABLE

    @abstractmethod
    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        """Result shapes and types from the operands'; raises InferenceError where they do not fit."""

    @abstractmethod
    def reference(self, *operands: Array) -> Array | tuple[Array, ...]:
        """The results in NumPy (ml_dtypes for bf16): the definition of the op, not its speed."""

    def constraints(self, operands: Sequence[AbstractTensor]) -> Sequence[tuple[Dim, Dim]]:
        """Pairs of symbolic sizes that `infer` took to be equal; checked at run time."""
        return ()

    @classmethod
    def make(
        cls,
        operands: Sequence[SSAValue],
        properties: Mapping[str, Attribute] | None = None,
        regions: Sequence[Region] = (),
        result_count: int = 1,
        location: LocationAttr | None = None,
    ) -> Self:
        """Build the op with inferred result types. `properties` and region contents must be complete."""
        op = cls.create(
            operands=operands,
            result_types=[NoneAttr()] * result_count,
            properties=dict(properties or {}),
            regions=regions,
            location=location,
        )
        set_result_types(op, [result.type for result in op.infer(abstract_operands(op))])
        return op

    def verify_(self) -> None:
        inferred = self.infer(abstract_operands(self))
        if len(inferred) != len(self.results):
            raise VerifyException(f"{self.name}: expected {len(inferred)} results, found {len(self.results)}")
        for index, (result, expected) in enumerate(zip(self.results, inferred, strict=True)):
            if not compatible(result.type, expected.type):
                raise VerifyException(f"{self.name}: result {index}: expected {expected.type}, found {result.type}")


def abstract_operands(op: Operation) -> list[AbstractTensor]:
    """The operands' types as abstract tensors (symbols `operandI_AXIS`), constants' elements included."""
    return [
        with_constant_elements(operand, abstract_of(operand.type, f"operand{index}"))
        for index, operand in enumerate(op.operands)
    ]


MAX_TRACKED_ELEMENTS = 32


def with_constant_elements(value: SSAValue, known: AbstractTensor) -> AbstractTensor:
    """Add the elements of a small integer `graph.constant`."""
    from lamina.dialects.graph.constant import ConstantOp

    owner = value.owner
    if known.elements is None and isinstance(owner, ConstantOp):
        return AbstractTensor(known.shape, known.element_type, owner.small_integer_elements())
    return known


def compatible(declared: Attribute, inferred: TensorType[Attribute]) -> bool:
    """Same rank and element type, and no two different static sizes on an axis (`?` fits anything)."""
    if not isinstance(declared, TensorType):
        return False
    tensor = cast("TensorType[Attribute]", declared)
    if tensor.get_element_type() != inferred.get_element_type():
        return False
    left, right = tensor.get_shape(), inferred.get_shape()
    return len(left) == len(right) and all(a == b or DYNAMIC_INDEX in (a, b) for a, b in zip(left, right, strict=True))


def set_result_types(op: Operation, types: Sequence[Attribute]) -> None:
    """Replace the types of an op's results in place, keeping their uses."""
    for result, type_ in zip(op.results, types, strict=True):
        if result.type != type_:
            Rewriter.replace_value_with_new_type(result, type_)
