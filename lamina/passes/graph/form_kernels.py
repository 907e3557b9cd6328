"""`form-kernels`: the work of a function moves into kernel functions that it calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ArrayAttr,
    DictionaryAttr,
    FunctionType,
    ModuleOp,
    StringAttr,
    UnitAttr,
)
from xdsl.ir import Attribute, Block, Operation, OpResult, Region, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.transforms.dead_code_elimination import region_dce

from lamina.context import resources_of
from lamina.dialects.graph.composite import CompositeOp
from lamina.dialects.graph.constant import ConstantOp, is_splat
from lamina.dialects.graph.data_movement import BroadcastOp
from lamina.dialects.graph.dims import SIGNED_PREFIX, Dim, bounds, evaluate, product, substitute, symbol, symbols_of
from lamina.dialects.graph.scan import ScanOp
from lamina.dialects.graph.types import dtype_of
from lamina.passes.base import LaminaPass
from lamina.passes.graph.decompose import decompose_ops
from lamina.passes.graph.fusion import Group, form_groups, has_independent_rows
from lamina.passes.graph.infer_types import dims_attribute, graph_functions
from lamina.passes.graph.multiple_results import merge_groups, sort_block
from lamina.passes.graph.roles import ROLES
from lamina.passes.graph.shape_analysis import DIMS, ELEMENTS, ShapeAnalysis, is_tracked, shape_of_type, sole_symbol
from lamina.passes.graph.share_kernels import KERNEL, fused_location, is_kernel, kernel_text, kernels_of
from lamina.resources import ResourceStore

SIZE_SYMBOLS = "lamina.size_symbols"

MAX_NAMED_OPS = 6
"""How many ops a kernel's name lists."""

SHAPE_OPERANDS: Mapping[str, int] = {
    "graph.dynamic_broadcast": 1,
    "graph.dynamic_iota": 0,
    "graph.dynamic_pad": 2,
    "graph.dynamic_reshape": 1,
    "graph.dynamic_slice": 1,
}
"""Ops whose operands, from an index on, are integer vectors that decide the result's shape."""


@dataclass(frozen=True)
class FormKernelsPass(LaminaPass):
    """Outline the graph ops of each function, and of its `if`, `while` and `scan` regions, into kernels.

    ```mlir
    %0 = graph.dot_general %x, %w, …      →      %1 = func.call @dot_general_add(%x, %w, %b) : …
    %1 = graph.add %0, %b : …
                                                 func.func private @dot_general_add(…) attributes {lamina.kernel} {…}
    ```

    What forms one kernel is `lamina.passes.graph.fusion`'s to say. Left in the function are calls, constants, reshapes
    (views), arithmetic on sizes and control flow. A result that would be an argument, a constant, a view of these, or
    the same as another result, is copied by a kernel, so that each result has storage of its own. Arguments of
    kernels are described by `lamina.dims`, and where integer operands decide shapes by `lamina.elements`, in names
    local to the kernel; `lamina.size_symbols` lists those that no argument's axis gives.

    Composites whose rows are not independent along leading axes are decomposed first, since their stages
    share no parallel loop; so are a plugin's, of which fusion knows nothing.
    """

    name = "form-kernels"
    requires: ClassVar[frozenset[str]] = frozenset({"types-inferred"})
    ensures: ClassVar[frozenset[str]] = frozenset({"kernels-formed"})
    counters: ClassVar[Mapping[str, str]] = {
        "kernels": "kernels outlined",
        "ops": "graph ops in them, terminators aside",
        "calls": "calls of kernels in the module",
    }

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        resources = resources_of(ctx)
        for function in list(graph_functions(op)):
            if not is_kernel(function):
                form_kernels(function, op, resources)
        if self.is_counting:
            formed = statistics(op)
            self.count("kernels", formed.kernels)
            self.count("ops", formed.ops)
            self.count("calls", formed.calls)


@dataclass(frozen=True)
class KernelStatistics:
    """Ops that became kernels: how many calls there are, of how many kernels, and what passes between them.

    `bytes_between`: the sizes of all results of kernels in the functions that call them, an expression where a size is
    symbolic.
    """

    calls: int
    kernels: int
    distinct: int
    ops: int
    bytes_between: Dim

    def figures(self, sizes: Mapping[str, int]) -> dict[str, int | None]:
        """Everything as numbers for given sizes; bytes are None where they depend on data."""
        try:
            between = evaluate(self.bytes_between, sizes)
        except KeyError:
            between = None
        return {
            "calls": self.calls,
            "kernels": self.kernels,
            "distinct": self.distinct,
            "ops": self.ops,
            "bytes_between": between,
        }

    def __str__(self) -> str:
        known = isinstance(self.bytes_between, int)
        between = f"; {self.bytes_between} bytes between them" if known else ""
        return f"{self.ops} ops in {self.calls} calls of {self.kernels} kernels, {self.distinct} distinct{between}"


def statistics(module: ModuleOp) -> KernelStatistics:
    """Count the kernels of a module, the calls of them, the ops in them (terminators aside), and the distinct ones."""
    kernels = kernels_of(module)
    if not kernels:
        return KernelStatistics(0, 0, 0, 0, 0)
    names = {kernel.sym_name.data for kernel in kernels}
    ops = {kernel.sym_name.data: sum(1 for _ in kernel.body.block.ops) - 1 for kernel in kernels}
    calls: list[str] = []
    between: Dim = 0
    for function in graph_functions(module):
        if is_kernel(function):
            continue
        analysis = ShapeAnalysis(function)
        for op in function.walk():
            if isinstance(op, func.CallOp) and op.callee.string_value() in names:
                calls.append(op.callee.string_value())
                between += sum((_bytes_of(result, analysis) for result in op.results), start=0)
    distinct = len({kernel_text(kernel) for kernel in kernels})
    return KernelStatistics(len(calls), len(kernels), distinct, sum(ops[name] for name in calls), between)


def _bytes_of(value: SSAValue, analysis: ShapeAnalysis) -> Dim:
    known = analysis.of(value)
    return product(known.shape) * dtype_of(known.element_type).itemsize


def form_kernels(function: func.FuncOp, module: ModuleOp, resources: ResourceStore) -> None:
    """Outline the kernels of one function; new functions are appended to the module."""
    region_dce(function.body)
    analysis = ShapeAnalysis(function)
    composites = [op for op in function.walk() if isinstance(op, CompositeOp)]
    decompose_ops(
        composites, analysis, resources, lambda op: op.name not in ROLES or not has_independent_rows(op, analysis)
    )
    own_storage(function)
    outliner = Outliner(analysis, module)
    for block in list(_blocks(function.body)):
        for group in merge_groups(block, form_groups(block, analysis), analysis):
            outliner.outline(group)
    outliner.finish(function)
    region_dce(function.body)


def _blocks(region: Region) -> Iterator[Block]:
    """The blocks of a region and of the regions nested in it."""
    for block in region.blocks:
        yield block
        for op in block.ops:
            for nested in op.regions:
                yield from _blocks(nested)


# ---- storage of results


def own_storage(function: func.FuncOp) -> None:
    """Copy what a function or region would give out without having computed it, or twice."""
    for block in _blocks(function.body):
        terminator = block.last_op
        if terminator is None or isinstance(terminator.parent_op(), ScanOp):
            continue  # a step of a scan copies what it gives into its place, at no more cost
        seen: set[SSAValue] = set()
        for index, operand in enumerate(terminator.operands):
            source = _viewed(operand)
            computed = isinstance(source.owner, Operation) and source.owner.parent is block
            if computed and not isinstance(source.owner, ConstantOp) and source not in seen:
                seen.add(source)
                continue
            if _stays_in_place(terminator, index, operand):
                continue
            rank = len(shape_of_type(operand.type))
            copy = BroadcastOp(operand, (-1,) * rank)
            copy.location = terminator.location
            Rewriter.insert_op(copy, InsertPoint.before(terminator))
            terminator.operands[index] = copy.results[0]


def _viewed(value: SSAValue) -> SSAValue:
    """The value whose storage `value` is a view of."""
    views = ("graph.reshape", "graph.dynamic_reshape", "graph.optimization_barrier")
    while isinstance(value, OpResult) and value.op.name in views:
        value = value.op.operands[value.index]
    return value


def _stays_in_place(terminator: Operation, index: int, operand: SSAValue) -> bool:
    """A loop value that the body does not change."""
    parent = terminator.parent_op()
    if parent is None or parent.name != "graph.while":
        return False
    block = terminator.parent
    return block is not None and index < len(block.args) and operand is block.args[index]


# ---- outlining


@dataclass
class Outliner:
    """Turns groups into kernel functions and calls."""

    analysis: ShapeAnalysis
    module: ModuleOp
    _outlined: set[Operation] = field(default_factory=set[Operation])
    _replaced: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])
    _names: set[str] = field(default_factory=set[str])
    _positions: dict[Operation, int] = field(default_factory=dict[Operation, int])

    def __post_init__(self) -> None:
        self._names = {op.sym_name.data for op in self.module.ops if isinstance(op, func.FuncOp)}

    def outline(self, group: Group) -> None:
        """Make the kernel of a group and call it in place of the group's roots."""
        members = sorted({op for op in group.members if op.parent is group.root.parent}, key=self._position)
        inputs = _inputs(members)
        names = LocalNames(self.analysis, members, inputs)
        kernel = self._kernel(group, members, inputs, names)
        self.module.body.block.add_op(kernel)
        results = [result for root in group.roots for result in root.results]
        call = func.CallOp(kernel.sym_name.data, inputs, [result.type for result in results])
        call.location = group.main_op.location
        Rewriter.insert_op(call, InsertPoint.before(group.root))
        for result, replacement in zip(results, call.results, strict=True):
            replacement.name_hint = result.name_hint
            self._replaced[result] = replacement
        self._outlined.update(members)

    def _position(self, op: Operation) -> int:
        """Where an op stands in its block: members stay where they are until `finish`."""
        if op not in self._positions and op.parent is not None:
            self._positions |= {other: index for index, other in enumerate(op.parent.ops)}
        return self._positions[op]

    def finish(self, function: func.FuncOp) -> None:
        """Let the rest of the function use the calls' results, and remove what the kernels took over."""
        # Not earlier: a group may hold its own copy of an op that is the root of another group.
        for result, replacement in self._replaced.items():
            result.replace_all_uses_with(replacement)
        for block in list(_blocks(function.body)):
            for op in reversed(list(block.ops)):
                if op in self._outlined:
                    Rewriter.erase_op(op)
            # A call stands where the last of its results was computed: who reads another one comes after it now.
            sort_block(block)

    def _kernel(
        self, group: Group, members: Sequence[Operation], inputs: Sequence[SSAValue], names: LocalNames
    ) -> func.FuncOp:
        block = Block(arg_types=[value.type for value in inputs])
        mapping: dict[SSAValue, SSAValue] = dict(zip(inputs, block.args, strict=True))
        for op in members:
            for operand in op.operands:
                if operand not in mapping and isinstance(operand.owner, ConstantOp):
                    block.add_op(operand.owner.clone(mapping))
            block.add_op(op.clone(mapping))
        results = [mapping[result] for root in group.roots for result in root.results]
        block.add_op(func.ReturnOp(*results))
        function = func.FuncOp(
            self._unique_name(members),
            FunctionType.from_lists([value.type for value in inputs], [value.type for value in results]),
            Region(block),
            visibility="private",
            arg_attrs=ArrayAttr(names.attributes(value) for value in inputs),
        )
        function.attributes[KERNEL] = UnitAttr()
        function.location = fused_location([op.location for op in members])
        describe_sizes(function)
        return function

    def _unique_name(self, members: Sequence[Operation]) -> str:
        words = [op.name.removeprefix("graph.") for op in members]
        shown = words if len(words) <= MAX_NAMED_OPS else [*words[: MAX_NAMED_OPS - 1], "more"]
        stem = name = "_".join(shown)
        count = 0
        while name in self._names:
            count += 1
            name = f"{stem}_{count}"
        self._names.add(name)
        return name


def _inputs(members: Sequence[Operation]) -> list[SSAValue]:
    """What the members read from outside, in order of first use; small constants are copied into the kernel."""
    inside = {result for op in members for result in op.results}
    found: dict[SSAValue, None] = {}
    for op in members:
        for operand in op.operands:
            if operand not in inside and not _copied(operand):
                found[operand] = None
    return list(found)


def _copied(value: SSAValue) -> bool:
    """Whether a value is a scalar or splat constant."""
    owner = value.owner
    return isinstance(owner, ConstantOp) and is_splat(owner.value)


class LocalNames:
    """Names local to a kernel for the sizes of its inputs: equal sizes get equal names, in order of the inputs."""

    def __init__(self, analysis: ShapeAnalysis, members: Sequence[Operation], inputs: Sequence[SSAValue]):
        self._names: dict[Dim, Dim] = {}
        self._shapes = {value: analysis.shape(value) for value in inputs}
        self._elements = {value: analysis.elements(value) or () for value in _shape_operands(members, inputs)}
        sizes = [dim for shape in self._shapes.values() for dim in shape]
        elements = [dim for known in self._elements.values() for dim in known]
        # Single symbols first, so that expressions over them can be written with their names.
        for dim in (*(dim for dim in sizes if sole_symbol(dim)), *sizes, *elements):
            self._name(dim)

    def _name(self, dim: Dim) -> None:
        if isinstance(dim, int) or dim in self._names:
            return
        known = {name: self._names[single] for name in symbols_of(dim) if (single := symbol(name)) in self._names}
        if sole_symbol(dim) is None and len(known) == len(symbols_of(dim)):
            self._names[dim] = substitute(dim, known)
            return
        prefix = "d" if bounds(dim)[0] >= 0 else SIGNED_PREFIX
        self._names[dim] = symbol(f"{prefix}{len(self._names)}")

    def attributes(self, value: SSAValue) -> DictionaryAttr:
        """The attributes of the argument for `value`; none where its type says all."""
        attributes: dict[str, Attribute] = {}
        if DYNAMIC_INDEX in shape_of_type(value.type):
            attributes[DIMS] = dims_attribute([self._names.get(dim, dim) for dim in self._shapes[value]])
        if value in self._elements:
            attributes[ELEMENTS] = dims_attribute([self._names.get(dim, dim) for dim in self._elements[value]])
        return DictionaryAttr(attributes)


def _shape_operands(members: Sequence[Operation], inputs: Sequence[SSAValue]) -> list[SSAValue]:
    """The inputs whose elements decide shapes inside the kernel."""
    deciding = {operand for op in members for operand in op.operands[SHAPE_OPERANDS.get(op.name, len(op.operands)) :]}
    return [value for value in inputs if value in deciding and is_tracked(value.type)]


def describe_sizes(kernel: func.FuncOp) -> None:
    """Write the results' `lamina.dims`, and the symbols that only elements give, on a kernel."""
    analysis = ShapeAnalysis(kernel)
    values = [*kernel.body.block.args, *(result for op in kernel.body.block.ops for result in op.results)]
    names = {name for value in values for dim in analysis.shape(value) for name in symbols_of(dim)}
    extra = sorted(name for name in names if (origin := analysis.origin(name)) and origin.kind == "element")
    if extra:
        kernel.attributes[SIZE_SYMBOLS] = ArrayAttr([StringAttr(name) for name in extra])
    returned = kernel.body.block.last_op
    results = returned.operands if returned is not None else ()
    kernel.res_attrs = ArrayAttr(
        DictionaryAttr(
            {DIMS: dims_attribute(analysis.shape(value))} if DYNAMIC_INDEX in shape_of_type(value.type) else {}
        )
        for value in results
    )
