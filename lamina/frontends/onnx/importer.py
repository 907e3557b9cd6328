"""ONNX model → `func.func @main` of graph ops.

Nodes are converted one by one through the tables of converters. What cannot be converted is noted, its results are
marked as missing, and conversion goes on, so that one run finds everything.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import AttributeProto
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FunctionType, ModuleOp, NameLoc, NoneAttr, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Region, SSAValue
from xdsl.utils.exceptions import VerifyException

from lamina.context import LaminaContext
from lamina.diagnostics import LaminaError
from lamina.dialects.graph.base import AbstractTensor
from lamina.dialects.graph.constant import MAX_DENSE_ELEMENTS
from lamina.dialects.graph.dims import Dim, parse_dim, static_size, substitute, symbol, symbol_name, symbols_of
from lamina.dialects.graph.types import dtype_of
from lamina.fixed_sizes import fixed_sizes
from lamina.frontends.onnx import functions, schemas
from lamina.frontends.onnx.builder import OnnxBuilder
from lamina.frontends.onnx.loader import LoadedModel, ModelSource, load
from lamina.frontends.onnx.node import Converter, Node, decode
from lamina.frontends.onnx.report import (
    AlreadyReported,
    Unsupported,
    UnsupportedNode,
    UnsupportedReport,
    format_unsupported,
)
from lamina.frontends.onnx.tables import find_converter, plugin_converters, unsupported_reason
from lamina.frontends.onnx.tensors import checked_shape, element_type, tensor_array, tensor_shape
from lamina.frontends.onnx.validation import (
    function_key,
    imported_opsets,
    normalized_domain,
    sorted_nodes,
    subgraphs,
    validate,
)
from lamina.plugins import Plugin
from lamina.resources import ResourceStore

MAX_NODES = 250_000
MAX_INLINING = 64

# What a converter may run into on values that no check foresaw: wrong ranks, axes or counts in the model.
CONVERSION_ERRORS = (VerifyException, ValueError, IndexError, KeyError, TypeError, OverflowError, ZeroDivisionError)


def import_model(model: ModelSource, context: LaminaContext, *, dims: Mapping[str, int] | None = None) -> ModuleOp:
    """Read an ONNX model (path, serialized bytes or proto) as a module with `func.func @main` of graph ops.

    The arguments are the graph's inputs without an initializer, with `lamina.name` and `lamina.dims`; constants go
    into the context's resource store. `dims` gives symbolic sizes of the inputs a value.

    Raises LaminaError when the model cannot be read, is invalid, or holds what the compiler does not support (all of
    that in one error).
    """
    loaded = load(model)
    importer = _Importer(loaded, context.resources, fixed_sizes(dims), context.plugins, weights=True)
    module = importer.run()
    findings = importer.report.findings()
    if findings:
        raise LaminaError(format_unsupported(findings), where=loaded.where)
    return module


def check_model(
    model: ModelSource, *, dims: Mapping[str, int] | None = None, plugins: Sequence[Plugin] = ()
) -> Sequence[Unsupported]:
    """Everything in the model that cannot be compiled, with these plugins; empty when nothing is in the way.

    Weights are not read (constants of a few elements are: shapes and axes depend on them). Raises LaminaError when the
    model cannot be read or is invalid.
    """
    importer = _Importer(load(model), ResourceStore(), fixed_sizes(dims), plugins, weights=False)
    importer.run()
    return importer.report.findings()


@dataclass
class Pending:
    """A constant that nothing has used yet."""

    tensor: onnx.TensorProto
    data: npt.NDArray[np.uint8] | None = None
    """Its bytes, where the proto lacks them."""


@dataclass(frozen=True)
class Missing:
    """A value that could not be made; `reason` where that is not in the report yet."""

    reason: str | None = None


Binding: TypeAlias = "SSAValue | Pending | Missing"


@dataclass
class Scope:
    """The names that nodes can see, with what else their meaning depends on."""

    opsets: Mapping[str, int]
    outer: Scope | None = None
    path: str = ""
    attributes: Mapping[str, AttributeProto] | None = None
    names: dict[str, Binding] = field(default_factory=dict[str, "Binding"])

    def find(self, name: str) -> tuple[Scope, Binding]:
        """A binding and the scope that holds it."""
        scope: Scope | None = self
        while scope is not None:
            found = scope.names.get(name)
            if found is not None:
                return scope, found
            scope = scope.outer
        raise LaminaError(f"nothing defines '{name}'")


class _Importer:
    def __init__(
        self,
        loaded: LoadedModel,
        resources: ResourceStore,
        dims: Mapping[str, int],
        plugins: Sequence[Plugin],
        *,
        weights: bool,
    ):
        self.loaded = loaded
        self.plugin_converters = plugin_converters(plugins)
        self.dims = {symbol_name(name): size for name, size in dims.items()}
        self.weights = weights
        self.report = UnsupportedReport()
        self.entry = Block()
        self.build = OnnxBuilder(self.entry, resources)
        self.functions: dict[tuple[str, str, str], onnx.FunctionProto] = {}
        self.calls: list[str] = []
        self.node_count = 0
        self.symbols: set[str] = set()

    def run(self) -> ModuleOp:
        """The module; incomplete when the report is not empty."""
        with self._errors_at(self.loaded.where):
            model = self.loaded.proto
            validate(model)
            self.functions = {function_key(function): function for function in model.functions}
            try:
                return self._main(model)
            except RecursionError as error:
                raise LaminaError("bodies and functions are nested too deep") from error

    # The function

    def _main(self, model: onnx.ModelProto) -> ModuleOp:
        for name, size in self.dims.items():
            if size < 0:
                raise LaminaError(f"the size '{name}' cannot be {size}")
        graph = model.graph
        scope = Scope(imported_opsets(model.opset_import))
        constants = {tensor.name for tensor in graph.initializer}
        arguments: list[dict[str, Attribute]] = []
        for value in graph.input:
            if value.name not in constants:
                self._argument(value, scope, arguments)
        self._check_fixed_dims()
        self._convert_nodes(graph, scope, self.loaded.weights)
        return self._module([value.name for value in graph.output], scope, arguments)

    def _argument(self, value: onnx.ValueInfoProto, scope: Scope, arguments: list[dict[str, Attribute]]) -> None:
        try:
            abstract = self._input_type(value)
        except UnsupportedNode as error:
            self.report.add("", "Input", value.name, error.reason, error.hints)
            scope.names[value.name] = Missing()
            return
        argument = self.entry.insert_arg(abstract.type, len(self.entry.args))
        self.build.declare(argument, abstract)
        scope.names[value.name] = argument
        arguments.append(_interface(value.name, abstract))

    def _input_type(self, value: onnx.ValueInfoProto) -> AbstractTensor:
        kind = value.type.WhichOneof("value")
        if kind is None:
            raise LaminaError(f"the input '{value.name}' has no type")
        if kind != "tensor_type":
            raise UnsupportedNode(f"inputs of {kind.removesuffix('_type').replace('_', ' ')} type are not built yet")
        row = element_type(value.type.tensor_type.elem_type)
        if not value.type.tensor_type.HasField("shape"):
            raise LaminaError(f"the input '{value.name}' has no shape, so its number of axes is unknown")
        shape: list[Dim] = []
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            shape.append(self._input_size(dim, f"{symbol_name(value.name)}_{axis}"))
        known = [size for size in shape if isinstance(size, int)]
        checked_shape([0 if 0 in known else size for size in known], row.dtype.itemsize, f"the input '{value.name}'")
        if any(size < 0 for size in known):
            raise LaminaError(f"the input '{value.name}' has a negative size: {known}")
        return AbstractTensor(tuple(shape), row.attribute)

    def _input_size(self, dim: onnx.TensorShapeProto.Dimension, default_name: str) -> Dim:
        if dim.HasField("dim_value"):
            return dim.dim_value
        text = dim.dim_param.strip()
        named = any(character.isalnum() for character in text) and text != "None"
        try:
            size = parse_dim(text) if named else symbol(default_name)
        except (ValueError, RecursionError, MemoryError):
            size = symbol(symbol_name(text))
        self.symbols |= symbols_of(size)
        return substitute(size, self.dims)

    def _check_fixed_dims(self) -> None:
        for name in self.dims:
            if name not in self.symbols:
                known = ", ".join(sorted(self.symbols)) or "none"
                raise LaminaError(
                    f"no input has a size called '{name}'", hints=(f"the model's symbolic sizes: {known}",)
                )

    def _module(self, outputs: Sequence[str], scope: Scope, arguments: Sequence[dict[str, Attribute]]) -> ModuleOp:
        values: list[SSAValue] = []
        for name in outputs:
            try:
                values.append(self._value(name, scope))
            except (UnsupportedNode, AlreadyReported) as error:
                if isinstance(error, UnsupportedNode):
                    self.report.add("", "Output", name, error.reason, error.hints)
        results: list[dict[str, Attribute]] = []
        for name, value in zip(outputs, values, strict=False):
            abstract = self.build.abstract(value)
            known = all(symbols_of(size) <= self.symbols for size in abstract.shape)
            results.append(_interface(name, abstract, with_dims=known))
        self.entry.add_op(ReturnOp(*values))
        function_type = FunctionType.from_lists([arg.type for arg in self.entry.args], [value.type for value in values])
        main = FuncOp(
            "main",
            function_type,
            Region(self.entry),
            arg_attrs=ArrayAttr([DictionaryAttr(attributes) for attributes in arguments]),
            res_attrs=ArrayAttr([DictionaryAttr(attributes) for attributes in results]),
        )
        return ModuleOp([main])

    # Values

    def _value(self, name: str, scope: Scope) -> SSAValue:
        home, binding = scope.find(name)
        if isinstance(binding, Missing):
            if binding.reason is not None:
                raise UnsupportedNode(binding.reason)
            raise AlreadyReported
        if isinstance(binding, Pending):
            # In the entry block: other bodies may use the constant after the one that did first.
            with self.build.inside(self.entry):
                value = home.names[name] = self._constant(binding)
            return value
        return binding

    def _constant(self, pending: Pending) -> SSAValue:
        location = self.build.location
        tensor = pending.tensor
        self.build.location = NameLoc(StringAttr(tensor.name), NoneAttr())
        try:
            shape = tensor_shape(tensor)
            if self.weights or int(np.prod(shape)) <= MAX_DENSE_ELEMENTS:
                return self.build.constant(tensor_array(tensor, self.loaded.folder, pending.data))
            abstract = AbstractTensor(shape, element_type(tensor.data_type).attribute)
            placeholder = self.entry.insert_arg(abstract.type, len(self.entry.args))
            self.build.declare(placeholder, abstract)
            return placeholder
        finally:
            self.build.location = location

    # Nodes

    def _convert_nodes(
        self, graph: onnx.GraphProto, scope: Scope, weights: Mapping[int, npt.NDArray[np.uint8]] | None = None
    ) -> None:
        for index, tensor in enumerate(graph.initializer):
            tensor_shape_or_later(tensor)
            scope.names[tensor.name] = Pending(tensor, (weights or {}).get(index))
        for tensor in graph.sparse_initializer:
            scope.names[tensor.values.name] = Missing("sparse tensors are not built yet")
        self._convert_list(graph.node, scope)

    def _convert_list(self, nodes: Sequence[onnx.NodeProto], scope: Scope) -> None:
        nodes = list(nodes)  # protobuf makes the objects anew for every pass, and here they are told apart by identity
        positions = {id(node): index for index, node in enumerate(nodes)}
        for node in sorted_nodes(nodes, "the graph"):
            name = scope.path + (node.name or f"{node.op_type}_{positions[id(node)]}")
            with self._errors_at(f"{self.loaded.where}: {name}"):
                self._convert(node, name, scope)

    def _convert(self, node: onnx.NodeProto, name: str, scope: Scope) -> None:
        self.node_count += 1
        if self.node_count > MAX_NODES:
            raise LaminaError(f"the model has more than {MAX_NODES} nodes once its functions are inlined")
        outer_location = self.build.location
        self.build.location = NameLoc(StringAttr(name), NoneAttr())
        domain = normalized_domain(node.domain)
        try:
            outputs = self._outputs(node, domain, name, scope)
        except UnsupportedNode as error:
            self.report.add(domain, node.op_type, name, error.reason, error.hints)
            outputs = None
        except AlreadyReported:
            self._survey(node, name, scope)
            outputs = None
        finally:
            self.build.location = outer_location
        for index, output in enumerate(node.output):
            if output:
                scope.names[output] = Missing() if outputs is None else self._output(node, outputs, index)

    def _output(self, node: onnx.NodeProto, outputs: Sequence[SSAValue | None], index: int) -> Binding:
        value = outputs[index] if index < len(outputs) else None
        if value is None:
            raise LaminaError(f"{node.op_type} has no output {index}")
        abstract = self.build.abstract(value)
        size = static_size(abstract.shape)
        if size is not None and size > 0:
            checked_shape([size], dtype_of(abstract.element_type).itemsize, f"the result '{node.output[index]}'")
        return value

    def _outputs(self, proto: onnx.NodeProto, domain: str, name: str, scope: Scope) -> Sequence[SSAValue | None]:
        function = self.functions.get(function_key(proto))
        if function is not None:
            return self._call(function, proto, name, scope)
        schema = schemas.find(proto.op_type, domain, scope.opsets)
        version = schema.since_version if schema else scope.opsets.get(domain, 1)
        converter = self._converter(domain, proto.op_type, version)
        body = schema is not None and schemas.has_body(schema)
        if converter is None and not body:
            raise UnsupportedNode(unsupported_reason(domain, proto.op_type, schema is not None))
        inputs = [self._value(value, scope) if value else None for value in proto.input]
        attributes = self._attributes(proto, scope)
        if schema is not None:
            schemas.check(schema, proto, [self.build.abstract(value) if value else None for value in inputs])
            attributes = {**schemas.default_attributes(schema), **attributes}
        elif find_converter(domain, proto.op_type, version) is not None:
            schemas.check_contributed(proto)
        if converter is None:
            assert schema is not None
            return self._defined(proto, schema, name, scope, inputs)
        node = Node(
            name, domain, proto.op_type, version, inputs, tuple(proto.output), attributes, _Bodies(self, scope, name)
        )
        try:
            results = converter(node, self.build)
        except CONVERSION_ERRORS as error:
            raise LaminaError(f"{proto.op_type} cannot be converted: {error}") from error
        return (results,) if isinstance(results, SSAValue) else results

    def _converter(self, domain: str, op_type: str, version: int) -> Converter | None:
        return find_converter(domain, op_type, version) or self.plugin_converters.get((domain, op_type))

    def _attributes(self, proto: onnx.NodeProto, scope: Scope) -> dict[str, object]:
        values: dict[str, object] = {}
        for attribute in proto.attribute:
            if attribute.ref_attr_name:
                given = (scope.attributes or {}).get(attribute.ref_attr_name)
                if given is None:
                    continue
                values[attribute.name] = decode(given)
            else:
                values[attribute.name] = decode(attribute)
        return values

    # Functions

    def _call(
        self, function: onnx.FunctionProto, proto: onnx.NodeProto, name: str, scope: Scope
    ) -> Sequence[SSAValue | None]:
        """Inline a function of the model."""
        if function.name in self.calls or len(self.calls) > MAX_INLINING:
            raise LaminaError(f"the function '{function.name}' calls itself, or calls are nested too deep")
        inputs: list[Binding | None] = []
        for value in proto.input:
            inputs.append(self._binding(value, scope) if value else None)
        given = functions.resolved_attributes(proto, scope.attributes)
        self.calls.append(function.name)
        try:
            return self._inline(functions.with_defaults(function, given), function, inputs, proto.output, name, scope)
        finally:
            self.calls.pop()

    def _binding(self, name: str, scope: Scope) -> Binding:
        """A binding to pass on: constants are materialized, missing values stay missing."""
        _, binding = scope.find(name)
        return self._value(name, scope) if isinstance(binding, Pending) else binding

    def _inline(
        self,
        attributes: Mapping[str, AttributeProto],
        function: onnx.FunctionProto,
        inputs: Sequence[Binding | None],
        wanted: Sequence[str],
        name: str,
        scope: Scope,
    ) -> Sequence[SSAValue | None]:
        opsets = {**scope.opsets, **imported_opsets(function.opset_import)}
        inner = Scope(opsets, path=f"{name}/", attributes=attributes)
        if len(inputs) > len(function.input):
            raise LaminaError(f"the function '{function.name}' takes {len(function.input)} inputs, found {len(inputs)}")
        given = dict(zip(function.input, inputs, strict=False))
        inner.names.update({formal: actual for formal, actual in given.items() if actual is not None})
        left_out = {formal for formal in function.input if given.get(formal) is None}
        self._convert_list([functions.without_inputs(node, left_out) for node in function.node], inner)
        if len(wanted) > len(function.output):
            raise LaminaError(f"the function '{function.name}' has {len(function.output)} outputs, not {len(wanted)}")
        # An optional output that the call leaves out need not be defined.
        outputs = zip(function.output, wanted, strict=False)
        return [self._value(output, inner) if used else None for output, used in outputs]

    def _defined(
        self,
        proto: onnx.NodeProto,
        schema: schemas.Schema,
        name: str,
        scope: Scope,
        inputs: Sequence[SSAValue | None],
    ) -> Sequence[SSAValue | None]:
        """Convert a node through the operator's definition in the ONNX standard."""
        types = [None if value is None else self.build.abstract(value) for value in inputs]
        resolved = functions.resolved_node(proto, scope.attributes)
        function = functions.definition(schema, resolved, scope.opsets.get(schema.domain, schema.since_version), types)
        if function is None:
            raise UnsupportedNode(unsupported_reason(schema.domain, proto.op_type, True))
        outer, self.report = self.report, UnsupportedReport()
        try:
            attributes = functions.with_schema_defaults(function, schema, resolved)
            return self._inline(attributes, function, list(inputs), proto.output, name, scope)
        except AlreadyReported as error:
            used = ", ".join(f"{finding.op_type} ({finding.reason})" for finding in self.report.findings())
            raise UnsupportedNode(f"it is defined by operators that cannot be compiled: {used}") from error
        finally:
            self.report = outer

    # What lies behind a missing value

    def _survey(self, proto: onnx.NodeProto, name: str, scope: Scope) -> None:
        """Report a node whose inputs are missing when no input could make it convertible."""
        domain = normalized_domain(proto.domain)
        if function_key(proto) in self.functions:
            return
        for body in subgraphs(proto):
            for index, inner in enumerate(body.node):
                self._survey(inner, f"{name}/{inner.name or f'{inner.op_type}_{index}'}", scope)
        schema = schemas.find(proto.op_type, domain, scope.opsets)
        version = schema.since_version if schema else scope.opsets.get(domain, 1)
        if self._converter(domain, proto.op_type, version) or (schema is not None and schemas.has_body(schema)):
            return
        self.report.add(domain, proto.op_type, name, unsupported_reason(domain, proto.op_type, schema is not None))

    @contextmanager
    def _errors_at(self, where: str) -> Generator[None]:
        """Give errors that have no place yet this one."""
        try:
            yield
        except LaminaError as error:
            if error.where is not None:
                raise
            raise LaminaError(error.message, where=where, hints=error.hints) from error.__cause__


@dataclass(frozen=True)
class _Bodies:
    """Converts the bodies of one control-flow node."""

    importer: _Importer
    scope: Scope
    name: str

    def convert(self, graph: onnx.GraphProto, arguments: Sequence[SSAValue]) -> list[SSAValue]:
        """Append a body's nodes to the current block; the values of its outputs."""
        importer = self.importer
        scope = Scope(self.scope.opsets, self.scope, f"{self.name}/", self.scope.attributes)
        if len(arguments) != len(graph.input):
            raise LaminaError(f"a body takes {len(arguments)} inputs, found {len(graph.input)}")
        scope.names.update(zip((value.name for value in graph.input), arguments, strict=True))
        importer._convert_nodes(graph, scope)  # pyright: ignore[reportPrivateUsage]
        return [importer._value(value.name, scope) for value in graph.output]  # pyright: ignore[reportPrivateUsage]


def tensor_shape_or_later(tensor: onnx.TensorProto) -> None:
    """Refuse impossible sizes of a constant at once; other element types are the concern of what uses it."""
    try:
        tensor_shape(tensor)
    except UnsupportedNode:
        return


def _interface(name: str, abstract: AbstractTensor, *, with_dims: bool = True) -> dict[str, Attribute]:
    attributes: dict[str, Attribute] = {"lamina.name": StringAttr(name)}
    if with_dims:
        attributes["lamina.dims"] = ArrayAttr([StringAttr(str(size)) for size in abstract.shape])
    return attributes
