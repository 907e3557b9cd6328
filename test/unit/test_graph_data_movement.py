"""Data movement: references against NumPy and ONNX Runtime, symbolic sizes against concrete ones, every hook called."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import FileLineColLoc, TensorType, f32, i64
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.test_value import create_ssa_value

from graph_testing import (
    ALL,
    FLOATS,
    INTEGERS,
    arrays,
    assert_same_bits,
    canonicalized,
    check_hooks,
    constants,
    context,
    evaluate,
    function,
    graph_op,
    onnx_runtime,
    shapes,
    text,
)
from lamina.dialects.graph import data_movement as dm
from lamina.dialects.graph import elementwise as ew
from lamina.dialects.graph.base import AbstractTensor, abstract_of, with_constant_elements
from lamina.dialects.graph.constant import ConstantOp
from lamina.dialects.graph.dims import MAX_SIZE, Dim, symbol
from lamina.dialects.graph.dims import evaluate as evaluate_dim
from lamina.dialects.graph.indexing import padded_size, slice_size
from lamina.dialects.graph.scatter import KINDS
from lamina.dialects.graph.types import ELEMENT_TYPES
from lamina.parser import parse_text

FEW = settings(max_examples=20, deadline=None)
SOME = settings(max_examples=60, deadline=None)
F32 = np.dtype(np.float32)
LIT = Path(__file__).parents[1] / "lit" / "dialects" / "graph"
END = np.iinfo(np.int64).max


def counting(shape, dtype=np.float32):
    return np.arange(int(np.prod(shape)), dtype=dtype).reshape(shape)


def indices(values):
    return np.array(values, np.int64)


# Against ONNX Runtime


@given(data=st.data())
@FEW
def test_slice_agrees_with_onnx_runtime(data):
    array = counting(data.draw(shapes(3, min_dims=1)))
    bounds = st.integers(-6, 6) | st.sampled_from([END, -END])
    starts, limits = (data.draw(st.lists(bounds, min_size=array.ndim, max_size=array.ndim)) for _ in range(2))
    strides = data.draw(st.lists(st.integers(1, 3), min_size=array.ndim, max_size=array.ndim))
    expected = onnx_runtime("Slice", [array, *map(indices, (starts, limits, range(array.ndim), strides))])
    assert_same_bits(evaluate(function(lambda x: dm.SliceOp(x, starts, limits, strides), array), array), expected)
    inputs = [array, indices(starts), indices(limits), indices(strides)]
    assert_same_bits(evaluate(function(lambda *values: dm.DynamicSliceOp(*values), *inputs), *inputs), expected)


@given(data=st.data())
@SOME
def test_pad_agrees_with_onnx_runtime(data):
    array = counting(data.draw(shapes(3, min_dims=1)))
    mode = data.draw(st.sampled_from(["constant", "edge", "reflect"]))
    # ONNX Runtime reflects once only, and pads no empty axis but with a constant.
    amounts = [(-(max(size - 1, 0) // 2), max(size - 1, 0) if mode != "constant" else 3) for size in array.shape]
    low = [data.draw(st.integers(0 if mode == "reflect" else least, most)) for least, most in amounts]
    high = [data.draw(st.integers(0 if mode == "reflect" else least, most)) for least, most in amounts]
    value = np.asarray(np.float32(7))
    expected = onnx_runtime("Pad", [array, indices([*low, *high]), value], mode=mode)
    actual = evaluate(function(lambda x, v: dm.PadOp(x, v, low, high, mode=mode), array, value), array, value)
    assert_same_bits(actual, expected)
    inputs = [array, value, indices(low), indices(high)]
    assert_same_bits(evaluate(function(lambda *values: dm.DynamicPadOp(*values, mode), *inputs), *inputs), expected)


@given(size=st.integers(1, 5), low=st.integers(0, 12), high=st.integers(0, 12))
@FEW
def test_reflect_goes_on_as_numpy_does(size, low, high):
    array, value = counting((size,)), np.asarray(np.float32(0))
    actual = evaluate(function(lambda x, v: dm.PadOp(x, v, [low], [high], mode="reflect"), array, value), array, value)
    assert_same_bits(actual, np.pad(array, (low, high), mode="reflect"))


@given(data=st.data())
@SOME
def test_interior_padding_is_stablehlo_s(data):
    """Element by element: result[low + i * (interior + 1)] = operand[i], everything else the value."""
    array, value = counting(data.draw(shapes(2, min_dims=1))) + 1, np.asarray(np.float32(-1))
    rank = array.ndim
    low, high = (data.draw(st.lists(st.integers(-3, 3), min_size=rank, max_size=rank)) for _ in range(2))
    interior = data.draw(st.lists(st.integers(0, 2), min_size=rank, max_size=rank))
    sizes = [
        size + before + after + max(size - 1, 0) * between
        for size, before, after, between in zip(array.shape, low, high, interior, strict=True)
    ]
    assume(min(sizes) >= 0)
    expected = np.full(sizes, value[()])
    for position in itertools.product(*map(range, array.shape)):
        target = tuple(b + p * (i + 1) for p, b, i in zip(position, low, interior, strict=True))
        if all(0 <= t < size for t, size in zip(target, sizes, strict=True)):
            expected[target] = array[position]
    actual = evaluate(function(lambda x, v: dm.PadOp(x, v, low, high, interior), array, value), array, value)
    assert_same_bits(actual, expected)


@given(data=st.data())
@FEW
def test_gather_along_an_axis_agrees_with_onnx_runtime(data):
    array = counting(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    axis = data.draw(st.integers(0, array.ndim - 1))
    where = data.draw(shapes(2))
    taken = counting(where, np.int64) % array.shape[axis]
    actual = evaluate(
        function(lambda x, i: dm.GatherOp.along_axis(x, i, axis, array.ndim, taken.ndim), array, taken), array, taken
    )
    assert_same_bits(actual, onnx_runtime("Gather", [array, taken], axis=axis))


@given(data=st.data())
@FEW
def test_gather_elements_by_batching_agrees_with_onnx_runtime(data):
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    array = counting(shape)
    axis = data.draw(st.integers(0, array.ndim - 1))
    picked = [data.draw(st.integers(1, 4)) if position == axis else size for position, size in enumerate(shape)]
    taken = counting(picked, np.int64) * 7 % array.shape[axis]
    others = [position for position in range(array.ndim) if position != axis]
    actual = evaluate(
        function(
            lambda x, i: dm.GatherOp(
                x,
                i,
                offset_dims=[],
                collapsed_slice_dims=[axis],
                operand_batching_dims=others,
                start_indices_batching_dims=others,
                start_index_map=[axis],
                index_vector_dim=array.ndim,
                slice_sizes=[1] * array.ndim,
            ),
            array,
            taken,
        ),
        array,
        taken,
    )
    assert_same_bits(actual, onnx_runtime("GatherElements", [array, taken], axis=axis))


@given(data=st.data())
@FEW
def test_gather_by_vectors_agrees_with_onnx_runtime(data):
    array = counting(data.draw(st.lists(st.integers(1, 4), min_size=2, max_size=3)))
    length = data.draw(st.integers(1, array.ndim))
    count = data.draw(st.integers(1, 3))
    taken = np.stack([counting((count,), np.int64) * 5 % size for size in array.shape[:length]], -1)
    kept = array.ndim - length
    actual = evaluate(
        function(
            lambda x, i: dm.GatherOp(
                x,
                i,
                offset_dims=range(1, 1 + kept),
                collapsed_slice_dims=range(length),
                start_index_map=range(length),
                index_vector_dim=1,
                slice_sizes=[1] * length + [-1] * kept,
            ),
            array,
            taken,
        ),
        array,
        taken,
    )
    assert_same_bits(actual, onnx_runtime("GatherND", [array, taken]))


def stablehlo_gather(operand, start_indices, numbers, slice_sizes):
    """The specification's rule, position by position."""
    batch = [size for axis, size in enumerate(start_indices.shape) if axis != numbers["index_vector_dim"]]
    dropped = {*numbers["collapsed_slice_dims"], *numbers["operand_batching_dims"]}
    offsets = [size for axis, size in enumerate(slice_sizes) if axis not in dropped]
    rank = len(batch) + len(offsets)
    batch_dims = [axis for axis in range(rank) if axis not in numbers["offset_dims"]]
    result_shape = [0] * rank
    for axis, size in [*zip(batch_dims, batch, strict=True), *zip(numbers["offset_dims"], offsets, strict=True)]:
        result_shape[axis] = size
    result = np.zeros(result_shape, operand.dtype)
    for position in np.ndindex(*result_shape):
        batch_index = [position[axis] for axis in batch_dims]
        index: list = list(batch_index)
        index.insert(numbers["index_vector_dim"], slice(None))
        vector = (
            start_indices[tuple(index)]
            if numbers["index_vector_dim"] < start_indices.ndim
            else [start_indices[tuple(batch_index)]]
        )
        full_start = [0] * operand.ndim
        for entry, axis in enumerate(numbers["start_index_map"]):
            full_start[axis] = min(max(int(vector[entry]), 0), operand.shape[axis] - slice_sizes[axis])
        for axis, partner in zip(numbers["operand_batching_dims"], numbers["start_indices_batching_dims"], strict=True):
            full_start[axis] = batch_index[partner - (partner > numbers["index_vector_dim"])]
        offset = iter(position[axis] for axis in numbers["offset_dims"])
        full_offset = [0 if axis in dropped else next(offset) for axis in range(operand.ndim)]
        result[position] = operand[tuple(a + b for a, b in zip(full_start, full_offset, strict=True))]
    return result


@given(data=st.data())
@SOME
def test_gather_is_stablehlo_s(data):
    rank = data.draw(st.integers(1, 3))
    operand = counting(data.draw(st.lists(st.integers(1, 4), min_size=rank, max_size=rank)))
    axes = list(range(rank))
    roles = [data.draw(st.sampled_from(["kept", "collapsed", "batching"])) for _ in axes]
    batching = [axis for axis in axes if roles[axis] == "batching"]
    collapsed = [axis for axis in axes if roles[axis] == "collapsed"]
    mapped = data.draw(st.permutations([axis for axis in axes if axis not in batching]))
    mapped = mapped[: data.draw(st.integers(0, len(mapped)))]
    extra = data.draw(st.lists(st.integers(0, 3), max_size=1))
    batch_sizes = [operand.shape[axis] for axis in batching] + extra
    vector_dim = data.draw(st.integers(0, len(batch_sizes)))
    shape = [*batch_sizes[:vector_dim], len(mapped), *batch_sizes[vector_dim:]]
    if len(mapped) == 1 and data.draw(st.booleans()):
        vector_dim, shape = len(batch_sizes), batch_sizes
    dtype = data.draw(st.sampled_from(INTEGERS))
    start_indices = data.draw(arrays(dtype, tuple(shape)))
    sizes = [1 if axis in (*batching, *collapsed) else data.draw(st.integers(0, operand.shape[axis])) for axis in axes]
    kept = rank - len(batching) - len(collapsed)
    result_axes = range(len(batch_sizes) + kept)
    numbers = {
        "offset_dims": sorted(data.draw(st.permutations(result_axes))[:kept]),
        "collapsed_slice_dims": collapsed,
        "operand_batching_dims": batching,
        "start_indices_batching_dims": [axis + (axis >= vector_dim) for axis in range(len(batching))]
        if vector_dim < len(shape) and len(shape) > len(batch_sizes)
        else list(range(len(batching))),
        "start_index_map": mapped,
        "index_vector_dim": vector_dim,
    }
    module = function(lambda x, i: dm.GatherOp(x, i, slice_sizes=sizes, **numbers), operand, start_indices)
    actual = evaluate(module, operand, start_indices)
    assert_same_bits(actual, stablehlo_gather(operand, start_indices, numbers, sizes))
    check_hooks(module, [operand, start_indices])


def test_gather_clamps_wild_indices():
    array = counting((4, 3))
    for dtype, wild in ((np.int64, END), (np.int64, -END), (np.uint64, 2**64 - 1), (np.int8, -128)):
        taken = np.array([wild], dtype)
        module = function(lambda x, i: dm.GatherOp.along_axis(x, i, 0, 2, 1), array, taken)
        assert_same_bits(evaluate(module, array, taken), array[-1:] if wild > 0 else array[:1])


@given(data=st.data())
@FEW
def test_expand_agrees_with_onnx_runtime(data):
    from hypothesis.extra import numpy as hnp

    pair = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=1, max_side=4))
    array, shape = counting(pair.input_shapes[0]), pair.input_shapes[1]
    expected = onnx_runtime("Expand", [array, indices(shape)])
    assert_same_bits(evaluate(function(lambda x: dm.BroadcastOp(x, shape), array), array), expected)
    inputs = [array, indices(shape)]
    assert_same_bits(evaluate(function(lambda x, s: dm.DynamicBroadcastOp(x, s), *inputs), *inputs), expected)


@given(data=st.data())
@FEW
def test_update_is_clamped(data):
    array = counting(data.draw(shapes(3)))
    update = -counting([data.draw(st.integers(0, size)) for size in array.shape])
    starts = indices([data.draw(st.integers(-3, 6)) for _ in array.shape])
    inputs = [array, update, starts]
    actual = evaluate(function(lambda *values: dm.DynamicUpdateSliceOp(*values), *inputs), *inputs)
    expected = array.copy()
    begin = np.clip(starts, 0, np.array(array.shape, np.int64) - np.array(update.shape, np.int64))
    for position in np.ndindex(*update.shape):
        expected[tuple(begin + np.array(position, np.int64))] = update[position]
    assert_same_bits(actual, expected)


@given(shape=shapes(3, min_dims=1), data=st.data())
@FEW
def test_iota_counts(shape, data):
    axis = data.draw(st.integers(0, len(shape) - 1))
    dtype = data.draw(st.sampled_from(FLOATS + INTEGERS))
    actual = evaluate(function(lambda: dm.IotaOp(shape, axis, ELEMENT_TYPES[dtype])))
    assert_same_bits(actual, np.indices(shape)[axis].astype(dtype))


# Every op, drawn


NEED_AN_AXIS = (dm.ConcatenateOp, dm.GatherOp, dm.IotaOp, dm.DynamicIotaOp, dm.DimensionOp)


def draw_data_movement(op, data, dtypes=ALL, max_rank=3, index_dtypes=INTEGERS):
    """A module with one op of this class on drawn inputs, and the inputs."""
    dtype = data.draw(st.sampled_from(dtypes))
    array = data.draw(arrays(dtype, shapes(max_rank, min_dims=int(op in NEED_AN_AXIS))))
    rank = array.ndim
    value = data.draw(arrays(dtype, ()))
    amounts = st.lists(st.integers(0, 3), min_size=rank, max_size=rank)
    bounds = st.lists(st.integers(-5, 5), min_size=rank, max_size=rank)
    axis = data.draw(st.integers(0, max(rank - 1, 0)))
    if op in (dm.ReshapeOp, dm.DynamicReshapeOp):
        shape = data.draw(st.permutations(array.shape))
        if data.draw(st.booleans()) and 0 not in shape:
            shape = [-1, *shape]
    match op:
        case dm.ReshapeOp:
            return function(lambda x: op(x, shape), array), [array]
        case dm.DynamicReshapeOp:
            return with_vectors(op, [array], [shape])
        case dm.TransposeOp:
            permutation = data.draw(st.permutations(range(rank)))
            return function(lambda x: op(x, permutation), array), [array]
        case dm.BroadcastOp:
            shape = [2, *(size if size != 1 else 3 for size in array.shape)]
            return function(lambda x: op(x, shape), array), [array]
        case dm.DynamicBroadcastOp:
            return with_vectors(op, [array], [[2, *array.shape]])
        case dm.SliceOp:
            starts, limits, strides = (
                data.draw(bounds),
                data.draw(bounds),
                [1 + stride for stride in data.draw(amounts)],
            )
            return function(lambda x: op(x, starts, limits, strides), array), [array]
        case dm.DynamicSliceOp:
            return with_vectors(
                op, [array], [data.draw(bounds), data.draw(bounds), [1 + s for s in data.draw(amounts)]]
            )
        case dm.ReverseOp:
            axes = data.draw(st.lists(st.integers(0, rank - 1), unique=True)) if rank else []
            return function(lambda x: op(x, axes), array), [array]
        case dm.PadOp:
            low, high, interior = (data.draw(amounts) for _ in range(3))
            return function(lambda x, v: op(x, v, low, high, interior), array, value), [array, value]
        case dm.DynamicPadOp:
            return with_vectors(op, [array, value], [data.draw(amounts), data.draw(amounts)])
        case dm.ConcatenateOp:
            inputs = [array] * data.draw(st.integers(1, 3))
            return function(lambda *values: op(values, axis), *inputs), inputs
        case dm.GatherOp:
            assume(array.shape[axis])
            taken = data.draw(arrays(data.draw(st.sampled_from(index_dtypes)), shapes(max_rank - 1)))
            module = function(lambda x, i: op.along_axis(x, i, axis, rank, taken.ndim), array, taken)
            return module, [array, taken]
        case dm.DynamicUpdateSliceOp:
            update = array[tuple(slice(0, (size + 1) // 2) for size in array.shape)]
            return with_vectors(op, [array, update], [data.draw(bounds)])
        case dm.ScatterOp:
            kind = "assign" if array.dtype == np.bool_ else data.draw(st.sampled_from(list(KINDS)))
            array = array.reshape(array.shape or (1,))
            taken = data.draw(arrays(np.dtype(np.int64), data.draw(shapes(2))))
            kept = [place for place in range(array.ndim) if place != axis]
            update = counting((*taken.shape, *(array.shape[place] for place in kept))).astype(array.dtype)
            window = range(taken.ndim, update.ndim)

            def scatter(x, i, u):
                return op(
                    x,
                    i,
                    u,
                    kind,
                    update_window_dims=window,
                    inserted_window_dims=[axis],
                    scatter_dims_to_operand_dims=[axis],
                    index_vector_dim=taken.ndim,
                )

            return function(scatter, array, taken, update), [array, taken, update]
        case dm.IotaOp | dm.DynamicIotaOp:
            element_type = ELEMENT_TYPES[data.draw(st.sampled_from(FLOATS + INTEGERS))]
            if op is dm.IotaOp:
                return function(lambda: op(array.shape, axis, element_type)), []
            return with_vectors(lambda shape: op(shape, axis, element_type), [], [array.shape])
        case dm.ShapeOfOp:
            return function(lambda x: op(x), array), [array]
        case dm.DimensionOp:
            return function(lambda x: op(x, axis), array), [array]
    raise AssertionError(op)


def with_vectors(op, inputs, vectors):
    """The op on inputs and constant i64 vectors."""

    def build(*values):
        made = constants(*map(indices, vectors))
        return [*made, op(*values, *made)]

    return function(build, *inputs), inputs


@pytest.mark.parametrize("op", dm.DATA_MOVEMENT_OPS, ids=lambda op: op.name)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_every_hook(op, data):
    module, inputs = draw_data_movement(op, data)
    check_hooks(module, inputs)


@pytest.mark.parametrize("op", dm.DATA_MOVEMENT_OPS, ids=lambda op: op.name)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_elements_are_those_of_the_result(op, data):
    """Known elements of small integers go through every op as its reference moves them."""
    only = [np.dtype(np.int64)]
    module, inputs = draw_data_movement(op, data, only, 1, only)
    move = graph_op(module)
    known = iter(inputs)
    operands = [
        with_constant_elements(operand, abstract_of(operand.type, "x"))
        if isinstance(operand.owner, ConstantOp)
        else AbstractTensor((array := next(known)).shape, i64, tuple(array.reshape(-1).tolist()))
        for operand in move.operands
    ]
    (result,) = move.infer(operands)
    expected = evaluate(module, *inputs)
    if result.elements is not None:
        np.testing.assert_array_equal(np.asarray(result.elements, object), expected.reshape(-1).astype(object))
    elif expected.ndim <= 1 and expected.dtype == np.int64:
        assert op is dm.IotaOp or expected.size > 32 or (op is dm.ScatterOp and move.kind.data != "assign")


# Symbolic sizes


@given(
    size=st.integers(0, 12),
    start=st.integers(-15, 15),
    limit=st.integers(-15, 15) | st.sampled_from([END, MAX_SIZE]),
    stride=st.integers(1, 4),
)
@settings(max_examples=300, deadline=None)
def test_slice_size_of_a_symbol(size, start, limit, stride):
    expected = len(range(size)[start:limit:stride])
    assert slice_size(size, start, limit, stride) == expected
    assert evaluate_dim(slice_size(symbol("s"), start, limit, stride), {"s": size}) == expected


@given(size=st.integers(0, 9), low=st.integers(-9, 9), high=st.integers(-9, 9), interior=st.integers(0, 3))
def test_padded_size_of_a_symbol(size, low, high, interior):
    concrete = padded_size(size, low, high, interior)
    assert evaluate_dim(padded_size(symbol("s"), low, high, interior), {"s": size}) == concrete


def shapes_of(source: str, symbols: dict[str, tuple[Dim, ...]]) -> dict[str, AbstractTensor]:
    """Shapes inferred through a function, its arguments having these sizes; by the names of the values."""
    module = parse_text(context(), source, "test.mlir")
    module.verify()
    main = next(iter(module.ops))
    known = {arg: AbstractTensor(symbols[arg.name_hint], arg.type.get_element_type()) for arg in main.body.block.args}
    for op in main.body.block.ops:
        if op.results:
            known[op.results[0]] = op.infer([known[operand] for operand in op.operands])[0]
    return {value.name_hint: tensor for value, tensor in known.items()}


def test_shape_arithmetic_as_pytorch_exports_it():
    """Shape, Gather, Unsqueeze, Concat, Reshape: a view of heads with symbolic batch and sequence."""
    b, s = symbol("batch"), symbol("sequence")
    inferred = shapes_of(
        """
        func.func @main(%x: tensor<?x?x384xf32>) {
          %shape = graph.shape_of %x : tensor<?x?x384xf32> -> tensor<3xi64>
          %zero = graph.constant dense<0> : tensor<i64>
          %b = graph.gather %shape, %zero, offset_dims [] collapsed_slice_dims [0] start_index_map [0]
            index_vector_dim 0 slice_sizes [1] : tensor<3xi64>, tensor<i64> -> tensor<i64>
          %b1 = graph.reshape %b, [1] : tensor<i64> -> tensor<1xi64>
          %s1 = graph.slice %shape, [1] to [2] step [1] : tensor<3xi64> -> tensor<1xi64>
          %heads = graph.constant dense<[12, 32]> : tensor<2xi64>
          %to = graph.concatenate %b1, %s1, %heads dimension 0
            : tensor<1xi64>, tensor<1xi64>, tensor<2xi64> -> tensor<4xi64>
          %view = graph.dynamic_reshape %x, %to : tensor<?x?x384xf32>, tensor<4xi64> -> tensor<?x?x12x32xf32>
          %t = graph.transpose %view, [0, 2, 1, 3] : tensor<?x?x12x32xf32> -> tensor<?x12x?x32xf32>
          %flat = graph.reshape %t, [-1, 32] : tensor<?x12x?x32xf32> -> tensor<?x32xf32>
          %n = graph.dimension %x, 1 : tensor<?x?x384xf32> -> tensor<i64>
          %one = graph.constant dense<1> : tensor<i64>
          %last = graph.subtract %n, %one : tensor<i64>
          %size = graph.reshape %last, [1] : tensor<i64> -> tensor<1xi64>
          %count = graph.dynamic_iota %size dimension 0 : tensor<1xi64> -> tensor<?xi64>
          %minus = graph.constant dense<-1> : tensor<4xi64>
          %eq = graph.compare EQ, %to, %minus : tensor<4xi64>, tensor<4xi64> -> tensor<4xi1>
          %ones = graph.constant dense<1> : tensor<4xi64>
          %where = graph.select %eq, %ones, %to : tensor<4xi1>, tensor<4xi64>, tensor<4xi64> -> tensor<4xi64>
          %mask = graph.constant dense<true> : tensor<1x1x1x1xi1>
          %wide = graph.dynamic_broadcast %mask, %where : tensor<1x1x1x1xi1>, tensor<4xi64> -> tensor<?x?x?x?xi1>
          func.return
        }
        """,
        {"x": (b, s, 384)},
    )
    assert inferred["to"].elements == (b, s, 12, 32)
    assert inferred["view"].shape == (b, s, 12, 32)
    assert inferred["flat"].shape == (12 * b * s, 32)
    assert str(inferred["count"].shape[0]) == "max(0, sequence-1)"
    assert inferred["wide"].shape == (b, s, 12, 32)


def test_unknown_shapes_are_fresh_symbols():
    x, shape = create_ssa_value(TensorType(f32, [4])), create_ssa_value(TensorType(i64, [2]))
    op = dm.DynamicReshapeOp(x, shape)
    first, second = (op.infer([abstract_of(x.type, "x"), abstract_of(shape.type, "s")])[0].shape for _ in range(2))
    assert len({*first, *second}) == 4
    assert op.constraints([abstract_of(x.type, "x"), abstract_of(shape.type, "s")]) == ()


def test_constraints_name_the_sizes_taken_to_be_equal():
    a, b = symbol("a"), symbol("b")
    x = create_ssa_value(TensorType(f32, [4, 3]))
    concatenate = dm.ConcatenateOp([x, x], 0)
    operands = [AbstractTensor((a, b), f32), AbstractTensor((a, 3), f32)]
    assert concatenate.infer(operands)[0].shape == (2 * a, 3)
    assert concatenate.constraints(operands) == [(3, b)]
    reshape = dm.ReshapeOp(x, [2, 6])
    assert reshape.constraints([AbstractTensor((a, 3), f32)]) == [(3 * a, 12)]
    add = ew.AddOp(x, x)
    assert add.constraints([AbstractTensor((a,), f32), AbstractTensor((b,), f32)]) == [(a, b)]
    assert add.constraints([AbstractTensor((a,), f32), AbstractTensor((1,), f32)]) == []


# Errors


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("graph.reshape %x, [5, 8] : tensor<4x8xf32> -> tensor<5x8xf32>", "expected 32 elements as in the operand"),
        ("graph.reshape %x, [-1, -1] : tensor<4x8xf32> -> tensor<?x?xf32>", "at most one -1"),
        ("graph.reshape %x, [-1, 0] : tensor<4x8xf32> -> tensor<?x0xf32>", "expected a size in place of -1"),
        ("graph.reshape %x, [-1, 5] : tensor<4x8xf32> -> tensor<?x5xf32>", "expected a size in place of -1"),
        ("graph.transpose %x, [0, 0] : tensor<4x8xf32> -> tensor<4x4xf32>", "expected distinct axes"),
        ("graph.transpose %x, [0] : tensor<4x8xf32> -> tensor<4xf32>", "permutation: expected 2 entries"),
        ("graph.broadcast %x, [3, 8] : tensor<4x8xf32> -> tensor<3x8xf32>", "expected shapes that broadcast together"),
        ("graph.broadcast %x, [-1, 4, 8] : tensor<4x8xf32> -> tensor<?x4x8xf32>", "found -1"),
        ("graph.slice %x, [0] to [4] step [1] : tensor<4x8xf32> -> tensor<4x8xf32>", "starts: expected 2 entries"),
        ("graph.slice %x, [0, 0] to [4, 8] step [1, 0] : tensor<4x8xf32> -> tensor<4x8xf32>", "strides: expected"),
        ("graph.reverse %x, [2] : tensor<4x8xf32> -> tensor<4x8xf32>", r"expected axes within \[0, 2\)"),
        (
            "graph.pad wrap %x, %s, low [0, 0] high [0, 0] interior [0, 0] "
            ": tensor<4x8xf32>, tensor<f32> -> tensor<4x8xf32>",
            "mode: expected one of constant, edge, reflect, found wrap",
        ),
        (
            "graph.pad edge %x, %s, low [0, 0] high [0, 0] interior [0, 1] "
            ": tensor<4x8xf32>, tensor<f32> -> tensor<4x15xf32>",
            "interior: expected 0",
        ),
        (
            "graph.pad constant %x, %s, low [-5, 0] high [0, 0] interior [0, 0] "
            ": tensor<4x8xf32>, tensor<f32> -> tensor<0x8xf32>",
            "at most 4 elements to crop",
        ),
        (
            "graph.pad constant %x, %v, low [0, 0] high [0, 0] interior [0, 0] "
            ": tensor<4x8xf32>, tensor<2xi64> -> tensor<4x8xf32>",
            "value: expected tensor<f32>",
        ),
        ("graph.concatenate %x, %s dimension 0 : tensor<4x8xf32>, tensor<f32> -> tensor<5x8xf32>", "one element type"),
        ("graph.concatenate %x, %y dimension 0 : tensor<4x8xf32>, tensor<4x7xf32> -> tensor<8x8xf32>", "equal sizes"),
        ("graph.dynamic_reshape %x, %x : tensor<4x8xf32>, tensor<4x8xf32> -> tensor<?xf32>", "expected an i64 vector"),
        ("graph.iota [4] dimension 1 : tensor<4xf32>", "dimension: expected axes within"),
        ("graph.iota [4] dimension 0 : tensor<4xi1>", "element_type: expected a float or an integer, found i1"),
        ("graph.dimension %x, 2 : tensor<4x8xf32> -> tensor<i64>", "axis: expected axes within"),
        (
            "graph.dynamic_update_slice %y, %x, %v "
            ": tensor<4x7xf32>, tensor<4x8xf32>, tensor<2xi64> -> tensor<4x7xf32>",
            "update: expected at most 7 on axis 1, found 8",
        ),
        (
            "graph.gather %x, %v, offset_dims [0] collapsed_slice_dims [0] start_index_map [0] index_vector_dim 1 "
            "slice_sizes [2, 8] : tensor<4x8xf32>, tensor<2xi64> -> tensor<2x8xf32>",
            "expected 1 for the dropped axis 0, found 2",
        ),
        (
            "graph.gather %x, %v, offset_dims [1] collapsed_slice_dims [0] start_index_map [0] index_vector_dim 1 "
            "slice_sizes [1, 9] : tensor<4x8xf32>, tensor<2xi64> -> tensor<2x9xf32>",
            "expected at most 8 for axis 1, found 9",
        ),
    ],
)
def test_refuses(line, message):
    arguments = "%x: tensor<4x8xf32>, %y: tensor<4x7xf32>, %s: tensor<f32>, %v: tensor<2xi64>"
    source = f"func.func @f({arguments}) {{\n  %0 = {line}\n  func.return\n}}"
    module = parse_text(context(), source, "test.mlir")
    with pytest.raises(VerifyException, match=message):
        module.verify()


# Canonicalization


@given(data=st.data())
@SOME
def test_merged_moves_keep_every_element(data):
    """Two moves of one kind in a row."""
    array = counting(data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=3)), np.int32)
    rank = array.ndim

    def draw_slice(x):
        bounds = st.lists(st.integers(-6, 6) | st.just(END), min_size=rank, max_size=rank)
        strides = data.draw(st.lists(st.integers(1, 3), min_size=rank, max_size=rank))
        return dm.SliceOp(x, data.draw(bounds), data.draw(bounds), strides)

    makers = {
        "slice": draw_slice,
        "transpose": lambda x: dm.TransposeOp(x, data.draw(st.permutations(range(rank)))),
        "reshape": lambda x: dm.ReshapeOp(x, data.draw(st.permutations(array.shape))),
        "reverse": lambda x: dm.ReverseOp(x, data.draw(st.lists(st.integers(0, rank - 1), unique=True))),
        "broadcast": lambda x: dm.BroadcastOp(x, [data.draw(st.sampled_from([1, 2])), *[1] * len(x.type.get_shape())]),
    }
    make = makers[data.draw(st.sampled_from(sorted(makers)))]

    def build(x):
        first = make(x)
        return [first, make(first.results[0])]

    module = function(build, array)
    after = canonicalized(module)
    assert_same_bits(evaluate(after, array), evaluate(module, array))
    if "reverse" not in text(module):
        assert sum(op.name.startswith("graph.") for op in after.walk()) <= 1


@pytest.mark.parametrize("family", ["constant", "elementwise", "data_movement"])
def test_rewrites_keep_locations(family):
    """Every op that canonicalization leaves in the lit tests has a line of the file as its location."""
    source = LIT / family / "canonicalize.mlir"
    module = canonicalized(parse_text(context(), source.read_text(), str(source)))
    left = [op for op in module.walk() if op.name.startswith("graph.")]
    assert left
    assert all(isinstance(op.location, FileLineColLoc) for op in left)
