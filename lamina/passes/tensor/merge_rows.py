"""`merge-rows`: contractions run over all leading axes of their rows as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import ClassVar, Final, TypeAlias, cast

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    AffineMapAttr,
    ArrayAttr,
    DenseArrayBase,
    DictionaryAttr,
    FunctionType,
    IndexType,
    IntegerAttr,
    ModuleOp,
    StringAttr,
    TensorType,
    i64,
)
from xdsl.ir import Attribute, BlockArgument, Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineExpr, AffineMap
from xdsl.rewriter import Rewriter

from lamina.dialects.graph.dims import parse_dim
from lamina.dialects.loop import arith
from lamina.dialects.loop.types import AnyTensor, is_tensor
from lamina.dialects.tensor import linalg, tensor
from lamina.passes.base import LaminaPass
from lamina.passes.loop.contraction import read_factors
from lamina.passes.loop.emitter import known_index
from lamina.passes.loop.structured import iterators_of, maps_of

AXES, BLOCKS, DIMS, ALIAS = "lamina.axes", "lamina.blocks", "lamina.dims", "lamina.alias"

MAX_ROUNDS: Final = 4
"""How many axes of a kernel are merged into one, at most."""

Pair: TypeAlias = tuple[int, int]
"""Two iteration dims that become one."""

MergedSignature: TypeAlias = tuple[Mapping[int, int], Mapping[int, int]]
"""The axes that arguments and results have merged with the next one, by their numbers."""

UNUSED_WHEN_MERGED = (tensor.CollapseShapeOp, tensor.ExpandShapeOp, tensor.EmptyOp, tensor.DimOp, arith.ConstantOp)


@dataclass(frozen=True)
class MergeRowsPass(LaminaPass):
    """Merge two axes of a contraction that are neighbors in everything that has them, and so in its whole kernel.

    ```mlir
    %y = func.call @k(%x, %w, %e)                        →   %m = tensor.collapse_shape %x [[0, 1], [2]]
    func.func private @k(%x: tensor<?x?x64xf32>,             %r = func.call @k(%m, %w, %f)
                         %w: tensor<64x96xf32>,              %y = tensor.expand_shape %r [[0, 1], [2]] …
                         %e: tensor<?x?x96xf32>) {           func.func private @k(%x: tensor<?x64xf32>,
      … (b, s, k, n) -> (b, s, k), (k, n), (b, s, n)                              %w: tensor<64x96xf32>,
    }                                                                             %e: tensor<?x96xf32>) {
                                                               … (b, k, n) -> (b, k), (k, n), (b, n)
                                                             }
    ```

    Blocks of registers then take rows of several sequences: short ones, and those of unknown length, leave no remainder
    each. The views are in the caller, where those between two kernels cancel. A kernel is left alone when any of its
    ops has the two axes in another way, when it is called inside control flow, or writes an input of the model.
    """

    name = "merge-rows"
    requires: ClassVar[frozenset[str]] = frozenset({"linalg"})
    ensures: ClassVar[frozenset[str]] = frozenset({"rows-merged"})
    counters: ClassVar[Mapping[str, str]] = {"merged": "pairs of axes that became one"}

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        calls = _calls(op)
        callers: set[func.FuncOp] = set()
        for function in list(op.ops):
            if not isinstance(function, func.FuncOp) or not function.body.blocks:
                continue
            sites = calls.get(function.sym_name.data, [])
            if not sites or not all(_may_change(site) for site in sites):
                continue
            for _ in range(MAX_ROUNDS):
                merged = next(_mergeable(function), None)
                if merged is None:
                    break
                axes = merged.rewrite(function)
                for site in sites:
                    _rewrite_call(site, axes)
                callers.update(caller for site in sites if isinstance(caller := site.parent_op(), func.FuncOp))
                self.count("merged")
        for caller in callers:
            _cancel_views(caller)


def _calls(module: ModuleOp) -> dict[str, list[func.CallOp]]:
    calls: dict[str, list[func.CallOp]] = {}
    for op in module.walk():
        if isinstance(op, func.CallOp):
            calls.setdefault(op.callee.string_value(), []).append(op)
    return calls


def _may_change(call: func.CallOp) -> bool:
    """Whether views may stand around a call: not in loops, which write in place, nor where an input is written."""
    function = call.parent_op()
    if not isinstance(function, func.FuncOp):
        return False
    results = function.res_attrs.data if function.res_attrs is not None else ()
    return not any(
        isinstance(use.operation, func.ReturnOp) and use.index < len(results) and ALIAS in results[use.index].data
        for result in call.results
        for use in result.uses
    )


# ---- which axes


def _mergeable(function: func.FuncOp) -> Iterator[_Merge]:
    """What can be merged in a kernel, beginning at its contractions."""
    for op in function.body.block.ops:
        if not isinstance(op, linalg.GenericOp) or read_factors(op.body.block) is None or len(op.inputs) != 2:
            continue
        for pair in _pairs(op):
            merge = _Merge()
            if merge.op(op, pair) and merge.is_complete():
                yield merge


def _pairs(op: linalg.GenericOp) -> Iterator[Pair]:
    """Neighboring dims of a contraction that some operand does not have: rows, columns or what is summed over."""
    maps = maps_of(op)
    for operand, map_ in zip(op.operands, maps, strict=True):
        if not is_tensor(operand.type):
            continue
        for axis, (first, second) in enumerate(zip(map_.results, map_.results[1:], strict=False)):
            if not isinstance(first, AffineDimExpr) or not isinstance(second, AffineDimExpr):
                continue
            pair = (first.position, second.position)
            without = any(not _mentions(other, pair) for other in maps)
            if without and 1 not in operand.type.get_shape()[axis : axis + 2]:
                yield pair


def _mentions(map_: AffineMap, pair: Pair) -> bool:
    return any(dim in pair for result in map_.results for dim in result.used_dims())


def _axis_of(map_: AffineMap, pair: Pair) -> int | None:
    """The axis that runs over the first of the dims, where the next axis runs over the second and no other over any."""
    wanted: tuple[AffineExpr, AffineExpr] = (AffineDimExpr(pair[0]), AffineDimExpr(pair[1]))
    at = [axis for axis, result in enumerate(map_.results) if any(dim in pair for dim in result.used_dims())]
    if len(at) != 2 or at[1] != at[0] + 1 or tuple(map_.results[at[0] : at[1] + 1]) != wanted:
        return None
    return at[0]


@dataclass
class _Merge:
    """Axes of values and dims of ops that can only be merged together."""

    axes: dict[SSAValue, int] = field(default_factory=dict[SSAValue, int])
    """The first of two axes, by tensor."""
    pairs: dict[linalg.GenericOp, Pair] = field(default_factory=dict[linalg.GenericOp, Pair])

    def op(self, op: linalg.GenericOp, pair: Pair) -> bool:
        """Merge two dims of an op, and with them the axes of its operands; False where that is impossible."""
        if op in self.pairs:
            return self.pairs[op] == pair
        kinds = iterators_of(op)
        if kinds[pair[0]] != kinds[pair[1]] or BLOCKS in op.attributes:
            return False
        if any(isinstance(inner, linalg.IndexOp) and inner.dim.value.data in pair for inner in op.body.walk()):
            return False
        self.pairs[op] = pair
        for operand, map_ in zip(op.operands, maps_of(op), strict=True):
            if not _mentions(map_, pair):
                continue
            axis = _axis_of(map_, pair)
            if axis is None or not self.value(operand, axis):
                return False
        outputs = op.operands[len(op.inputs) :]
        return all(
            self.value(result, self.axes[output])
            for result, output in zip(op.results, outputs, strict=True)
            if output in self.axes
        )

    def value(self, value: SSAValue, axis: int) -> bool:
        """Merge two axes of a tensor, and with them the dims of all ops that have it."""
        if value in self.axes:
            return self.axes[value] == axis
        self.axes[value] = axis
        owner = value.owner
        if isinstance(owner, Operation) and not self._user(owner, value, axis):
            return False
        return all(self._user(use.operation, value, axis) for use in value.uses)

    def _user(self, op: Operation, value: SSAValue, axis: int) -> bool:
        match op:
            case linalg.GenericOp():
                return self._generic(op, value, axis)
            case linalg.FillOp():
                return all(self.value(each, axis) for each in (*op.outputs, *op.results))
            case tensor.DimOp():
                position = known_index(op.index)
                if position in (axis, axis + 1):
                    return all(isinstance(use.operation, tensor.EmptyOp) for use in op.result.uses)
                return isinstance(position, int)
            case tensor.EmptyOp() | func.ReturnOp():
                return True
            case _:
                return False

    def _generic(self, op: linalg.GenericOp, value: SSAValue, axis: int) -> bool:
        places = [
            (number, map_)
            for number, (operand, map_) in enumerate(zip(op.operands, maps_of(op), strict=True))
            if operand is value or (number >= len(op.inputs) and op.results[number - len(op.inputs)] is value)
        ]
        for _, map_ in places:
            first, second = map_.results[axis : axis + 2]
            if not isinstance(first, AffineDimExpr) or not isinstance(second, AffineDimExpr):
                return False
            if not self.op(op, (first.position, second.position)):
                return False
        return bool(places)

    def is_complete(self) -> bool:
        """Whether the merged size can be read where it is needed, and nothing else needs one of the two sizes."""
        for value, axis in self.axes.items():
            for use in value.uses:
                op = use.operation
                if not isinstance(op, tensor.DimOp) or known_index(op.index) not in (axis, axis + 1):
                    continue
                if any(reader.operation.results[0] not in self.axes for reader in op.result.uses):
                    return False
        return any(isinstance(value, BlockArgument) for value in self.axes)

    # ---- rewriting

    def rewrite(self, function: func.FuncOp) -> MergedSignature:
        """Change a kernel; gives what became of its arguments and results."""
        block = function.body.block
        terminator = cast("func.ReturnOp", block.last_op)
        merged = (
            {number: self.axes[value] for number, value in enumerate(block.args) if value in self.axes},
            {number: self.axes[value] for number, value in enumerate(terminator.operands) if value in self.axes},
        )
        dims = [use.operation for value in self.axes for use in value.uses if isinstance(use.operation, tensor.DimOp)]
        axis_read = {op: self.axes[op.source] for op in dims}
        changed: dict[SSAValue, int] = {}
        for value, axis in self.axes.items():
            if not isinstance(value.owner, tensor.EmptyOp):
                changed[Rewriter.replace_value_with_new_type(value, merged_type(_tensor(value), axis))] = axis
        source = next((value, axis) for value, axis in changed.items() if isinstance(value, BlockArgument))
        for value, axis in self.axes.items():
            if isinstance(value.owner, tensor.EmptyOp):
                _merge_empty(value.owner, axis, source)
        for op, axis in axis_read.items():
            _shift_dim(op, axis)
        for op, pair in self.pairs.items():
            _merge_dims(op, pair)
        results = [operand.type for operand in terminator.operands]
        function.function_type = FunctionType.from_lists(block.arg_types, results)
        _merge_names(function, merged[0])
        return merged


def merged_type(type_: AnyTensor, axis: int) -> AnyTensor:
    """A tensor type with an axis and the next one as one axis."""
    shape = type_.get_shape()
    pair = shape[axis : axis + 2]
    size = DYNAMIC_INDEX if DYNAMIC_INDEX in pair else prod(pair)
    return TensorType(type_.get_element_type(), [*shape[:axis], size, *shape[axis + 2 :]])


def _tensor(value: SSAValue) -> AnyTensor:
    return cast("AnyTensor", value.type)


def _insert(op: Operation, before: Operation) -> SSAValue:
    block = before.parent
    assert block is not None
    op.location = before.location
    block.insert_op_before(op, before)
    return op.results[0]


def _index(value: int, before: Operation) -> SSAValue:
    return _insert(arith.ConstantOp.from_int_and_width(value, IndexType()), before)


def _size(value: SSAValue, axis: int, before: Operation) -> SSAValue:
    return _insert(tensor.DimOp(value, _index(axis, before)), before)


def _shift_dim(op: tensor.DimOp, axis: int) -> None:
    """Keep reading the same size; nothing reads the two sizes that are gone."""
    position = known_index(op.index)
    if not op.result.uses:
        Rewriter.erase_op(op)
    elif isinstance(position, int) and position > axis + 1:
        op.operands[1] = _index(position - 1, op)


def _merge_empty(op: tensor.EmptyOp, axis: int, source: tuple[SSAValue, int]) -> None:
    """One axis for two; as long as that of `source`."""
    old = _tensor(op.results[0])
    type_ = merged_type(old, axis)
    shape = old.get_shape()
    dynamic = dict(zip((at for at, size in enumerate(shape) if size == DYNAMIC_INDEX), op.operands, strict=True))
    sizes = [size for at, size in dynamic.items() if at < axis]
    if DYNAMIC_INDEX in shape[axis : axis + 2]:
        sizes.append(_size(*source, op))
    sizes += [size for at, size in dynamic.items() if at > axis + 1]
    made = _insert(tensor.EmptyOp(sizes, type_), op)
    made.name_hint = op.results[0].name_hint
    op.results[0].replace_all_uses_with(made)
    Rewriter.erase_op(op)


def _merge_dims(op: linalg.GenericOp, pair: Pair) -> None:
    """The first of two dims stands for both, the second goes."""
    first, second = pair
    kept = [dim for dim in range(len(iterators_of(op))) if dim != second]
    new: list[AffineExpr] = [AffineDimExpr(first)] * (len(kept) + 1)
    for number, dim in enumerate(kept):
        new[dim] = AffineDimExpr(number)
    maps: list[AffineMapAttr] = []
    for map_ in maps_of(op):
        results = [result for result in map_.results if result != AffineDimExpr(second)]
        renamed = [result.replace_dims_and_symbols(new, []) for result in results]
        maps.append(AffineMapAttr(AffineMap(len(kept), 0, tuple(renamed))))
    op.properties["indexing_maps"] = ArrayAttr(maps)
    kinds = list(op.iterator_types)
    op.properties["iterator_types"] = ArrayAttr([kinds[dim] for dim in kept])
    names = op.attributes.get(AXES)
    if isinstance(names, ArrayAttr):
        texts = cast("ArrayAttr[StringAttr]", names).data
        op.attributes[AXES] = ArrayAttr([texts[dim] for dim in kept])
    for inner in op.body.walk():
        if isinstance(inner, linalg.IndexOp):
            inner.properties["dim"] = IntegerAttr(kept.index(inner.dim.value.data), i64)


def _merge_names(function: func.FuncOp, axes: Mapping[int, int]) -> None:
    """Name the merged axes of arguments: the product of the two sizes."""
    if function.arg_attrs is None:
        return
    attributes = list(function.arg_attrs.data)
    for number, axis in axes.items():
        names = attributes[number].data.get(DIMS)
        if not isinstance(names, ArrayAttr):
            continue
        texts = [cast("StringAttr", name).data for name in cast("ArrayAttr[Attribute]", names)]
        both = parse_dim(texts[axis]) * parse_dim(texts[axis + 1])
        merged = [*texts[:axis], str(both), *texts[axis + 2 :]]
        entries = {**attributes[number].data, DIMS: ArrayAttr([StringAttr(text) for text in merged])}
        attributes[number] = DictionaryAttr(entries)
    function.properties["arg_attrs"] = ArrayAttr(attributes)


# ---- calls


def _rewrite_call(call: func.CallOp, merged: MergedSignature) -> None:
    """Views around a call: its arguments collapsed, its results expanded."""
    arguments, results = merged
    first_target = len(call.operands) - len(call.results)
    targets = list(call.operands[first_target:])
    for number, axis in arguments.items():
        operand = call.operands[number]
        if number >= first_target and isinstance(operand.owner, tensor.EmptyOp):
            call.operands[number] = _empty_like(operand.owner, axis, call)
        else:
            call.operands[number] = _collapsed(operand, axis, call)
    for number, axis in results.items():
        result, target = call.results[number], targets[number]
        old = _tensor(result)
        following = call.next_op
        assert following is not None
        sizes = [
            _size(target, at, call) if not isinstance(target.owner, tensor.EmptyOp) else _own_size(target.owner, at)
            for at, size in enumerate(old.get_shape())
            if size == DYNAMIC_INDEX
        ]
        result = Rewriter.replace_value_with_new_type(result, merged_type(old, axis))
        expanded = tensor.ExpandShapeOp.create(
            operands=[result, *sizes],
            result_types=[old],
            properties={
                "reassociation": _reassociation(old.get_num_dims(), axis),
                "static_output_shape": DenseArrayBase.from_list(i64, old.get_shape()),
            },
        )
        view = _insert(expanded, following)
        expanded.location = call.location
        result.replace_uses_with_if(view, lambda use, view=expanded: use.operation is not view)


def _own_size(op: tensor.EmptyOp, axis: int) -> SSAValue:
    return op.operands[list(_tensor(op.results[0]).get_shape()[:axis]).count(DYNAMIC_INDEX)]


def _empty_like(op: tensor.EmptyOp, axis: int, before: Operation) -> SSAValue:
    """An empty tensor of the size of another, with one axis for two."""
    shape = _tensor(op.results[0]).get_shape()
    sizes: list[SSAValue] = []
    for at, size in enumerate(shape):
        if at == axis and DYNAMIC_INDEX in shape[axis : axis + 2]:
            pair = [
                _own_size(op, each) if shape[each] == DYNAMIC_INDEX else _index(shape[each], before)
                for each in (axis, axis + 1)
            ]
            sizes.append(_insert(arith.MuliOp(pair[0], pair[1]), before))
        elif at not in (axis, axis + 1) and size == DYNAMIC_INDEX:
            sizes.append(_own_size(op, at))
    made = _insert(tensor.EmptyOp(sizes, merged_type(_tensor(op.results[0]), axis)), before)
    made.name_hint = op.results[0].name_hint
    return made


def _collapsed(value: SSAValue, axis: int, before: Operation) -> SSAValue:
    type_ = _tensor(value)
    op = tensor.CollapseShapeOp.create(
        operands=[value],
        result_types=[merged_type(type_, axis)],
        properties={"reassociation": _reassociation(type_.get_num_dims(), axis)},
    )
    return _insert(op, before)


def _reassociation(rank: int, axis: int) -> ArrayAttr[Attribute]:
    groups = [[at] for at in range(axis)] + [[axis, axis + 1]] + [[at] for at in range(axis + 2, rank)]
    return ArrayAttr([ArrayAttr([IntegerAttr(at, i64) for at in group]) for group in groups])


def _cancel_views(function: func.FuncOp) -> None:
    """collapse(expand(x)) -> x; then what nothing uses goes."""
    for op in list(function.body.block.ops):
        if not isinstance(op, tensor.CollapseShapeOp) or not isinstance(op.src.owner, tensor.ExpandShapeOp):
            continue
        inner = op.src.owner
        if inner.src.type == op.result.type and inner.reassociation == op.reassociation:
            op.result.replace_all_uses_with(inner.src)
    for op in reversed(list(function.body.block.ops)):
        if isinstance(op, UNUSED_WHEN_MERGED) and not any(result.uses for result in op.results):
            Rewriter.erase_op(op)
