"""Functions, of a model and of the ONNX standard: their attributes and bodies, ready to be inlined."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import onnx
from onnx import AttributeProto, helper

from lamina.dialects.graph.base import AbstractTensor
from lamina.frontends.onnx.schemas import Schema
from lamina.frontends.onnx.tensors import DATA_TYPE_OF


def resolved_attributes(node: onnx.NodeProto, outer: Mapping[str, AttributeProto] | None) -> dict[str, AttributeProto]:
    """A node's attributes by name, references to the attributes of the enclosing function replaced."""
    resolved: dict[str, AttributeProto] = {}
    for attribute in node.attribute:
        given = (outer or {}).get(attribute.ref_attr_name) if attribute.ref_attr_name else attribute
        if given is not None:
            resolved[attribute.name] = given
    return resolved


def resolved_node(node: onnx.NodeProto, outer: Mapping[str, AttributeProto] | None) -> onnx.NodeProto:
    """The node with references to attributes of the enclosing function replaced."""
    if not any(attribute.ref_attr_name for attribute in node.attribute):
        return node
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    del copy.attribute[:]
    for name, attribute in resolved_attributes(node, outer).items():
        copy.attribute.add().CopyFrom(attribute)
        copy.attribute[-1].name = name
    return copy


def with_defaults(function: onnx.FunctionProto, given: Mapping[str, AttributeProto]) -> dict[str, AttributeProto]:
    """The attributes that a call of a function of the model passes, those left out at their defaults."""
    return {**{attribute.name: attribute for attribute in function.attribute_proto}, **given}


def with_schema_defaults(
    function: onnx.FunctionProto, schema: Schema, node: onnx.NodeProto
) -> dict[str, AttributeProto]:
    """The same for an operator that the standard defines by a function."""
    defaults = {
        name: definition.default_value
        for name, definition in schema.attributes.items()
        if definition.default_value.type != AttributeProto.UNDEFINED
    }
    return {**defaults, **with_defaults(function, {attribute.name: attribute for attribute in node.attribute})}


def without_inputs(node: onnx.NodeProto, left_out: Collection[str]) -> onnx.NodeProto:
    """The node with the inputs that the call of its function left out left out as well."""
    if not left_out or not any(name in left_out for name in node.input):
        return node
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = ["" if name in left_out else name for name in node.input]
    return copy


def definition(
    schema: Schema, node: onnx.NodeProto, opset: int, types: Sequence[AbstractTensor | None]
) -> onnx.FunctionProto | None:
    """The standard's definition of a node as a function, None where it has none for this node."""
    # A body written for a later operator set than the model's means the same: it imports that set itself.
    if schema.has_context_dependent_function:
        protos = [_type_proto(type_).SerializeToString() for type_ in types]
        version = max(opset, min(schema.context_dependent_function_opset_versions))
        data = schema.get_context_dependent_function_with_opset_version(version, node.SerializeToString(), protos)
    else:
        data = schema.get_function_with_opset_version(max(opset, min(schema.function_opset_versions)))
    if not data:
        return None
    function = onnx.FunctionProto()
    function.ParseFromString(data)
    return function


def _type_proto(type_: AbstractTensor | None) -> onnx.TypeProto:
    if type_ is None:
        return onnx.TypeProto()
    shape = [size if isinstance(size, int) else None for size in type_.shape]
    return helper.make_tensor_type_proto(DATA_TYPE_OF[type_.element_type], shape)
