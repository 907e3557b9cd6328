"""The operator schemas of the installed onnx package: lookup, defaults, and the checks that follow from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol, cast

import onnx
import onnx.defs
from onnx import AttributeProto
from onnx.defs import OpSchema

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.base import AbstractTensor
from lamina.frontends.onnx.node import decode
from lamina.frontends.onnx.tensors import BY_ATTRIBUTE

Option = OpSchema.FormalParameterOption


class Numbered(Protocol):
    """An enumerator."""

    name: str
    value: int


class AttributeDefinition(Protocol):
    """An attribute in a schema."""

    name: str
    type: Numbered
    required: bool
    default_value: onnx.AttributeProto


STILL_READ = frozenset({("GroupNormalization", 18)})
"""Operators that ONNX has withdrawn from the operator sets that have them, where files and other runtimes know them."""


NORM = ("axis", "epsilon", "stash_type")

CONTRIBUTED: Mapping[str, tuple[int, int, Sequence[str]]] = {
    "BiasGelu": (2, 2, ()),
    "FastGelu": (1, 2, ()),
    "Gelu": (1, 2, ()),
    "LayerNormalization": (2, 3, NORM),
    "MultiHeadAttention": (1, 10, ("mask_filter_value", "num_heads", "scale", "unidirectional")),
    "QuickGelu": (1, 1, ("alpha",)),
    "RotaryEmbedding": (4, 4, ("interleaved", "is_packed_batching", "num_heads", "rotary_embedding_dim", "scale")),
    "SimplifiedLayerNormalization": (2, 2, NORM),
    "SkipLayerNormalization": (3, 5, ("epsilon",)),
    "SkipSimplifiedLayerNormalization": (3, 4, ("epsilon",)),
}
"""ONNX Runtime's operators, which onnx has no schema of: least and most inputs, and the attributes."""


class Schema(Protocol):
    """What we use of `OpSchema`: the stubs of onnx lack half of it."""

    name: str
    domain: str
    since_version: int
    deprecated: bool
    min_input: int
    max_input: int
    min_output: int
    max_output: int
    attributes: Mapping[str, AttributeDefinition]
    inputs: Sequence[OpSchema.FormalParameter]
    type_constraints: Sequence[OpSchema.TypeConstraintParam]
    has_function: bool
    has_context_dependent_function: bool
    function_opset_versions: Sequence[int]
    context_dependent_function_opset_versions: Sequence[int]

    def get_function_with_opset_version(self, version: int) -> bytes | None:
        """The definition as a serialized function."""
        ...

    def get_context_dependent_function_with_opset_version(
        self, version: int, node: bytes, input_types: Sequence[bytes]
    ) -> bytes | None:
        """The definition of one node as a serialized function."""
        ...


def _get(op_type: str, version: int, domain: str) -> Schema:
    return cast(Schema, onnx.defs.get_schema(op_type, version, domain))


def find(op_type: str, domain: str, opsets: Mapping[str, int]) -> Schema | None:
    """The schema that a node follows, None for an unknown operator; raises LaminaError for a domain not imported."""
    version = opsets.get(domain)
    if version is None:
        raise LaminaError(f"{op_type} is of the domain '{domain or 'ai.onnx'}', which the model does not import")
    return _schema(op_type, version, domain)


@lru_cache(maxsize=1024)
def _schema(op_type: str, version: int, domain: str) -> Schema | None:
    try:
        schema = _get(op_type, version, domain)
    except onnx.defs.SchemaError:
        return None
    if schema.deprecated and (op_type, schema.since_version) not in STILL_READ:
        raise LaminaError(f"{op_type} was removed from ONNX in operator set {schema.since_version}")
    return schema


def default_attributes(schema: Schema) -> Mapping[str, Any]:
    """The attributes that have a default, decoded."""
    return _defaults(schema.name, schema.since_version, schema.domain)


@lru_cache(maxsize=1024)
def _defaults(op_type: str, version: int, domain: str) -> Mapping[str, Any]:
    return {
        name: decode(definition.default_value)
        for name, definition in _get(op_type, version, domain).attributes.items()
        if definition.default_value.type != AttributeProto.UNDEFINED
    }


def has_body(schema: Schema) -> bool:
    """Whether the standard defines the operator by others."""
    return schema.has_function or schema.has_context_dependent_function


def check(schema: Schema, node: onnx.NodeProto, inputs: Sequence[AbstractTensor | None]) -> None:
    """Raise LaminaError unless the node has inputs, outputs, attributes and element types as its schema says."""
    _check_counts(schema, node)
    _check_attributes(schema, node)
    _check_types(schema, inputs)


def check_contributed(node: onnx.NodeProto) -> None:
    """Raise LaminaError unless an operator of ONNX Runtime has inputs and attributes as it takes them."""
    least, most, attributes = CONTRIBUTED[node.op_type]
    _check_count(node.op_type, "inputs", len(node.input), least, most)
    for attribute in node.attribute:
        if attribute.name not in attributes:
            raise _unknown_attribute(node.op_type, attribute.name, attributes)


def _check_counts(schema: Schema, node: onnx.NodeProto) -> None:
    for what, count, least, most in (
        ("inputs", len(node.input), schema.min_input, schema.max_input),
        ("outputs", len(node.output), schema.min_output, schema.max_output),
    ):
        _check_count(schema.name, what, count, least, most)


def _check_count(op_type: str, what: str, count: int, least: int, most: int) -> None:
    if not least <= count <= most:
        expected = str(least) if least == most else f"{least} to {most}" if most < 2**31 - 1 else f"at least {least}"
        raise LaminaError(f"{op_type} takes {expected} {what}, found {count}")


def _unknown_attribute(op_type: str, name: str, known: Iterable[str]) -> LaminaError:
    hint = f"its attributes: {', '.join(sorted(known)) or 'none'}"
    return LaminaError(f"{op_type} has no attribute '{name}'", hints=(hint,))


def _check_attributes(schema: Schema, node: onnx.NodeProto) -> None:
    given = {attribute.name: attribute for attribute in node.attribute}
    definitions = schema.attributes
    for name, attribute in given.items():
        definition = definitions.get(name)
        if definition is None:
            raise _unknown_attribute(schema.name, name, definitions)
        if attribute.type != definition.type.value:
            raise LaminaError(f"the attribute '{name}' of {schema.name} is not of type {definition.type.name}")
    for name, definition in definitions.items():
        if definition.required and name not in given:
            raise LaminaError(f"{schema.name} needs the attribute '{name}'")


def _check_types(schema: Schema, inputs: Sequence[AbstractTensor | None]) -> None:
    parameters, allowed = _signature(schema.name, schema.since_version, schema.domain)
    bound: dict[str, str] = {}
    for index, value in enumerate(inputs):
        parameter, option, homogeneous = parameters[min(index, len(parameters) - 1)]
        if value is None:
            if option is Option.Single:
                raise LaminaError(f"{schema.name} needs its input {index}")
            continue
        type_ = f"tensor({BY_ATTRIBUTE[value.element_type].name})"
        if parameter not in allowed:
            accepted = type_ == parameter
        else:
            accepted = type_ in allowed[parameter]
            if homogeneous:
                accepted = accepted and bound.setdefault(parameter, type_) == type_
        if not accepted:
            expected = bound.get(parameter) or parameter
            raise LaminaError(f"{schema.name}: input {index} has the type {type_}, which {expected} does not allow")


@lru_cache(maxsize=1024)
def _signature(
    op_type: str, version: int, domain: str
) -> tuple[Sequence[tuple[str, Option, bool]], Mapping[str, frozenset[str]]]:
    schema = _get(op_type, version, domain)
    parameters = [(parameter.type_str, parameter.option, parameter.is_homogeneous) for parameter in schema.inputs]
    allowed = {
        constraint.type_param_str: frozenset(constraint.allowed_type_strs) for constraint in schema.type_constraints
    }
    return parameters, allowed
