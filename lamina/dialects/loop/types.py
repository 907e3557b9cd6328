"""Narrowing of upstream container types: `isinstance` leaves their element type unknown to a type checker."""

from __future__ import annotations

from typing import TypeAlias, TypeGuard

from xdsl.dialects.builtin import ArrayAttr, IntegerType, MemRefType, TensorType, VectorType
from xdsl.ir import Attribute

AnyMemRef: TypeAlias = MemRefType[Attribute]
AnyTensor: TypeAlias = TensorType[Attribute]
AnyVector: TypeAlias = VectorType[Attribute]


def is_memref(type_: object) -> TypeGuard[AnyMemRef]:
    """Whether an attribute is a ranked memref type."""
    return isinstance(type_, MemRefType)


def is_tensor(type_: object) -> TypeGuard[AnyTensor]:
    """Whether an attribute is a ranked tensor type."""
    return isinstance(type_, TensorType)


def is_vector(type_: object) -> TypeGuard[AnyVector]:
    """Whether an attribute is a vector type."""
    return isinstance(type_, VectorType)


def is_integer(type_: object) -> TypeGuard[IntegerType]:
    """Whether an attribute is an integer type (index is not)."""
    return isinstance(type_, IntegerType)


def is_array(attribute: object) -> TypeGuard[ArrayAttr[Attribute]]:
    """Whether an attribute is an array of attributes."""
    return isinstance(attribute, ArrayAttr)
