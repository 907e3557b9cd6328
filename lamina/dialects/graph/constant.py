"""Constants: small ones and splats in the text, others in the resource store beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

import numpy as np
from xdsl.dialects.builtin import BytesAttr, DenseIntOrFPElementsAttr, DenseResourceAttr, LocationAttr, TensorType
from xdsl.interfaces import HasFolderInterface
from xdsl.ir import Attribute
from xdsl.irdl import base, irdl_op_definition, prop_def, result_def, traits_def
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import ConstantLike, Pure

from lamina.dialects.graph.base import (
    MAX_TRACKED_ELEMENTS,
    AbstractTensor,
    Array,
    Differentiability,
    GraphOp,
    InferenceError,
    abstract_of,
)
from lamina.dialects.graph.construction import construct
from lamina.dialects.graph.dims import static_size
from lamina.dialects.graph.properties import TENSOR
from lamina.dialects.graph.types import DTYPES, dtype_of, element_type_of, is_boolean, is_float
from lamina.resources import ResourceStore

MAX_DENSE_ELEMENTS = 64
"""Constants of more elements (splats aside) live in the resource store."""


def is_splat(value: Attribute) -> bool:
    """Whether a `dense` constant has elements, all of them equal."""
    if not isinstance(value, DenseIntOrFPElementsAttr):
        return False
    elements = cast(DenseIntOrFPElementsAttr[Any], value)
    return len(elements) > 0 and elements.is_splat()


@irdl_op_definition
class ConstantOp(GraphOp, HasFolderInterface):
    """A tensor known when the model is compiled.

    `value` is `dense<…>` up to 64 elements or where all elements are equal, else `dense_resource<KEY>` with the
    content key of an array in the resource store.

    Result: a tensor of static shape, any element type of the dialect.

    Constraints:
    1. `value` is typed as a tensor of static shape, with an element type of the dialect.
    2. The result has that type.

    ONNX Constant and initializers, StableHLO constant.
    """

    name = "graph.constant"
    DIFFERENTIABILITY: ClassVar[Differentiability] = Differentiability.STRUCTURAL
    value = prop_def(base(DenseIntOrFPElementsAttr) | base(DenseResourceAttr))
    result = result_def(TENSOR)
    traits = traits_def(Pure(), ConstantLike())

    def __init__(self, value: DenseIntOrFPElementsAttr | DenseResourceAttr, location: LocationAttr | None = None):
        construct(self, (), {"value": value}, location=location)

    @classmethod
    def from_array(cls, array: Array, resources: ResourceStore, location: LocationAttr | None = None) -> ConstantOp:
        """The constant with an array's shape, dtype and elements; a large array goes into `resources` without a copy.

        Raises LaminaError for a dtype that tensors cannot hold.
        """
        return cls(constant_attribute(array, resources), location)

    @property
    def type(self) -> TensorType[Attribute]:
        """The type of the value: always static, also where the result is declared with `?`."""
        return cast("TensorType[Attribute]", self.value.type)

    def array(self, resources: ResourceStore) -> Array:
        """The elements as a read-only array; raises LaminaError where the resource store lacks them."""
        if isinstance(self.value, DenseResourceAttr):
            return resources.get(self.value.resource_handle.data)
        return dense_array(self.value)

    def small_integer_elements(self) -> tuple[int, ...] | None:
        """The elements of a dense integer or boolean tensor of rank 0 or 1 with at most 32 elements, else None."""
        if isinstance(self.value, DenseResourceAttr) or is_float(self.type.get_element_type()):
            return None
        shape = self.type.get_shape()
        if len(shape) > 1 or np.prod(shape) > MAX_TRACKED_ELEMENTS:
            return None
        return tuple(int(element) for element in dense_array(self.value).reshape(-1).tolist())

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        known = abstract_of(self.value.type, "result0")
        if static_size(known.shape) is None:
            raise InferenceError(f"{self.name}: expected a static shape, found {self.value.type}")
        if known.element_type not in DTYPES:
            raise InferenceError(f"{self.name}: expected an element type of the dialect, found {known.element_type}")
        return (AbstractTensor(known.shape, known.element_type, self.small_integer_elements()),)

    def reference(self, *operands: Array) -> Array:
        """The elements of a dense constant; `array` serves those in a resource store as well."""
        return self.array(ResourceStore())

    def fold(self) -> Sequence[Attribute]:
        return (self.value,)

    @classmethod
    def parse(cls, parser: Parser) -> ConstantOp:
        attributes = parser.parse_optional_attr_dict()
        position = parser.pos
        value = parser.parse_attribute()
        if not isinstance(value, DenseIntOrFPElementsAttr | DenseResourceAttr):
            parser.raise_error("expected dense<…> or dense_resource<…>", at_position=position, end_position=parser.pos)
        result_type = (
            parser.parse_type() if parser.parse_optional_punctuation("->") else cast(Attribute, cast(Any, value).type)
        )
        properties = {"value": cast(Attribute, value)}
        return cls.create(properties=properties, attributes=attributes, result_types=(result_type,))

    def print(self, printer: Printer) -> None:
        printer.print_op_attributes(self.attributes)
        printer.print_string(" ")
        printer.print_attribute(self.value)
        if self.result.type != self.value.type:
            printer.print_string(" -> ")
            printer.print_attribute(self.result.type)


def constant_attribute(array: Array, resources: ResourceStore) -> DenseIntOrFPElementsAttr | DenseResourceAttr:
    """The value of a constant: dense up to 64 elements and for splats, else the key of the array in `resources`."""
    array = np.asarray(array)
    element_type = element_type_of(array.dtype)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    type_ = TensorType(element_type, array.shape)
    if (array.size <= MAX_DENSE_ELEMENTS and not _mixes_zeros(array)) or _is_splat(array):
        return DenseIntOrFPElementsAttr(cast("TensorType[Any]", type_), BytesAttr(_stored_bytes(array)))
    return DenseResourceAttr.from_params(resources.put(array), type_)


def dense_array(value: DenseIntOrFPElementsAttr) -> Array:
    """The elements of a `dense<…>` attribute as a read-only array."""
    element_type = cast(Attribute, value.get_element_type())
    data = value.data.data
    if is_boolean(element_type):
        elements = np.frombuffer(data, np.uint8) != 0
    else:
        elements = np.frombuffer(data, dtype_of(element_type))
    return elements.reshape(value.get_shape())


def _stored_bytes(array: Array) -> bytes:
    # xDSL keeps `true` as -1: equal booleans have to be equal bytes for CSE.
    return (array.astype(np.int8) * np.int8(-1)).tobytes() if array.dtype == np.bool_ else array.tobytes()


def _is_splat(array: Array) -> bool:
    """All elements have the same bits (so that a splat of NaN is one, and 0.0 beside -0.0 is none)."""
    # The last element tells most arrays apart without a pass over the whole.
    if array[(-1,) * array.ndim].tobytes() != array[(0,) * array.ndim].tobytes():
        return False
    bits = np.dtype(f"u{array.dtype.itemsize}")
    elements = np.ascontiguousarray(array).reshape(-1).view(bits)
    return bool((elements == elements[0]).all())


def _mixes_zeros(array: Array) -> bool:
    """Zeros of both signs and nothing else: xDSL prints them as a splat of the first one."""
    return bool(array.size) and bool((array == 0).all())


CONSTANT_OPS: tuple[type[GraphOp], ...] = (ConstantOp,)
