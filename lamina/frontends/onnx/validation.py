"""Structural checks of a parsed model: everything that conversion may then rely on.

ONNX's own checker serializes the whole model for every call and asks for sorted nodes; these checks read each
node once, never touch weights, and let the importer sort.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import onnx
import onnx.defs
from onnx import AttributeProto

from lamina.diagnostics import LaminaError

OLDEST_OPSET = 7
NEWEST_OPSET = 28
MAX_NESTING = 64

DEFAULT_DOMAINS = ("", "ai.onnx")

MAX_SHOWN_NODES = 4
"""So many nodes of a cycle are named."""


def normalized_domain(domain: str) -> str:
    """ONNX's default domain has two spellings; '' is ours."""
    return "" if domain in DEFAULT_DOMAINS else domain


def imported_opsets(imports: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    """Domain → version; raises LaminaError for versions out of range or given twice."""
    versions: dict[str, int] = {}
    for entry in imports:
        _check_text((entry.domain,))
        domain = normalized_domain(entry.domain)
        if versions.setdefault(domain, entry.version) != entry.version:
            raise LaminaError(f"the model imports two versions of the operator set '{domain or 'ai.onnx'}'")
    version = versions.get("")
    if version is None:
        return versions
    newest = min(NEWEST_OPSET, onnx.defs.onnx_opset_version())
    if version < OLDEST_OPSET:
        raise LaminaError(
            f"operator set {version} is older than {OLDEST_OPSET}, the oldest that is read",
            hints=("convert the model with onnx.version_converter.convert_version",),
        )
    if version > newest:
        raise LaminaError(f"operator set {version} is newer than {newest}, the newest that is known")
    return versions


def validate(model: onnx.ModelProto) -> None:
    """Raise LaminaError unless the model has a graph whose names are defined once and before use, without cycles."""
    if not model.HasField("graph") or not model.ir_version:
        raise LaminaError("not an ONNX model: it has no graph")
    if model.ir_version > onnx.IR_VERSION:
        raise LaminaError(
            f"the format version {model.ir_version} is newer than {onnx.IR_VERSION}, the newest that is known",
            hints=("install a newer onnx package",),
        )
    imported_opsets(model.opset_import)
    if not model.opset_import:
        raise LaminaError("the model imports no operator set")
    if not model.graph.output:
        raise LaminaError("the graph has no outputs")
    _check_graph(model.graph, frozenset(), "the graph", 0)
    seen: set[tuple[str, str, str]] = set()
    for function in model.functions:
        _check_function(function)
        key = function_key(function)
        if key in seen:
            raise LaminaError(f"the function '{function.name}' is defined twice")
        seen.add(key)


def _check_text(texts: Iterable[object]) -> None:
    """Protobuf hands out strings that are not UTF-8 as bytes."""
    if not all(isinstance(text, str) for text in texts):
        raise LaminaError("not an ONNX model: a name is not UTF-8 text")


def function_key(function: onnx.FunctionProto | onnx.NodeProto) -> tuple[str, str, str]:
    """What a node calls a function by: domain, name, overload."""
    name = function.name if isinstance(function, onnx.FunctionProto) else function.op_type
    return normalized_domain(function.domain), name, function.overload


def _check_graph(graph: onnx.GraphProto, outer: frozenset[str], where: str, depth: int) -> None:
    for value in graph.input:
        _check_text(dim.dim_param for dim in value.type.tensor_type.shape.dim)
    for tensor in graph.initializer:
        _check_text(text for entry in tensor.external_data for text in (entry.key, entry.value))
    inputs = [value.name for value in graph.input]
    constants = [tensor.name for tensor in graph.initializer]
    constants += [tensor.values.name for tensor in graph.sparse_initializer]
    _check_text((*inputs, *constants, *(value.name for value in graph.output)))
    for kind, names in (("inputs", inputs), ("initializers", constants)):
        _check_distinct(names, f"{where}: two {kind}")
        if "" in names:
            raise LaminaError(f"{where}: one of its {kind} has no name")
    outputs = [value.name for value in graph.output]
    _check_nodes(graph.node, outer | set(inputs) | set(constants), outputs, where, depth)


def _check_function(function: onnx.FunctionProto) -> None:
    _check_text((function.name, function.domain, function.overload, *function.input, *function.output))
    _check_text((*function.attribute, *(attribute.name for attribute in function.attribute_proto)))
    where = f"the function '{function.name}'"
    _check_distinct(function.input, f"{where}: two inputs")
    imported_opsets(function.opset_import)
    _check_nodes(function.node, frozenset(function.input), function.output, where, 0)


def _check_distinct(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise LaminaError(f"{what} are called '{name}'")
        seen.add(name)


def _check_nodes(
    nodes: Sequence[onnx.NodeProto], known: frozenset[str], outputs: Iterable[str], where: str, depth: int
) -> None:
    if depth > MAX_NESTING:
        raise LaminaError(f"{where}: graphs are nested more than {MAX_NESTING} deep")
    defined = set(known)
    for node in nodes:
        _check_text((node.name, node.op_type, node.domain, node.overload, *node.input, *node.output))
        _check_text(text for attribute in node.attribute for text in (attribute.name, attribute.ref_attr_name))
        for name in filter(None, node.output):
            if name in defined:
                raise LaminaError(f"{where}: the name '{name}' is defined twice")
            defined.add(name)
    everything = frozenset(defined)
    for node in nodes:
        what = f"the node {display_name(node)}"
        for name in filter(None, node.input):
            if name not in everything:
                raise LaminaError(f"{where}: {what} reads '{name}', which nothing defines")
        _check_distinct((attribute.name for attribute in node.attribute), f"{what}: two attributes")
        for body in subgraphs(node):
            _check_graph(body, everything, f"a body of {what}", depth + 1)
    for name in outputs:
        if name and name not in everything:
            raise LaminaError(f"{where}: nothing defines the output '{name}'")
    sorted_nodes(nodes, where)


def display_name(node: onnx.NodeProto) -> str:
    """A node's name in quotes, or what it is and what it defines."""
    if node.name:
        return f"'{node.name}'"
    return f"{node.op_type} that defines {', '.join(repr(name) for name in node.output if name) or 'nothing'}"


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The bodies of a control-flow node."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            yield from attribute.graphs


def names_read(node: onnx.NodeProto) -> Iterator[str]:
    """The inputs of a node and what its bodies capture from around them."""
    yield from filter(None, node.input)
    for body in subgraphs(node):
        own = {value.name for value in (*body.input, *body.initializer)}
        own.update(name for inner in body.node for name in inner.output)
        read = {value.name for value in body.output}.union(*(names_read(inner) for inner in body.node))
        yield from sorted(read - own)


def sorted_nodes(nodes: Sequence[onnx.NodeProto], where: str) -> Sequence[onnx.NodeProto]:
    """The nodes with producers before consumers (unchanged when they are so already); raises LaminaError on a cycle."""
    producer = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    needs = [sorted({producer[name] for name in names_read(node) if name in producer}) for node in nodes]
    if all(not before or before[-1] < index for index, before in enumerate(needs)):
        return nodes
    order, cycle = _depth_first(needs)
    if cycle:
        shown = [f"'{nodes[index].name or nodes[index].op_type}'" for index in cycle[:MAX_SHOWN_NODES]]
        more = ", …" if len(cycle) > MAX_SHOWN_NODES else ""
        raise LaminaError(f"{where} has a cycle: {' needs '.join([*shown, shown[0]] if not more else shown)}{more}")
    return [nodes[index] for index in order]


def _depth_first(needs: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """Indices in dependency order, without recursion, and those of a cycle if there is one."""
    order: list[int] = []
    state: dict[int, bool] = {}  # False: on the path, True: done
    for root in range(len(needs)):
        stack = [(root, iter(needs[root]))] if root not in state else []
        state.setdefault(root, False)
        while stack:
            index, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                state[index] = True
                order.append(index)
                stack.pop()
            elif following not in state:
                state[following] = False
                stack.append((following, iter(needs[following])))
            elif not state[following]:
                path = [one for one, _ in stack]
                return order, path[path.index(following) :]
    return order, []
