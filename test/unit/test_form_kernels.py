"""form-kernels and share-kernels: which kernels come out, and that they compute the same."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, NameLoc, NoneAttr, StringAttr, f32, i1, i64
from xdsl.transforms.common_subexpression_elimination import cse

from graph_models import context, encoder, encoder_inputs, lenet, linear, module_of, normal, parse, residual_net
from lamina.context import LaminaContext
from lamina.dialects.graph.base import AbstractTensor, GraphOp
from lamina.dialects.graph.dims import symbol
from lamina.passes.graph.assign_layouts import AssignLayoutsPass
from lamina.passes.graph.canonicalize import CanonicalizePass
from lamina.passes.graph.decompose import DecomposePass
from lamina.passes.graph.fold_constants import FoldConstantsPass
from lamina.passes.graph.form_kernels import FormKernelsPass, statistics
from lamina.passes.graph.fusion import MAX_MEMBERS, is_cheap
from lamina.passes.graph.infer_types import InferTypesPass
from lamina.passes.graph.prepare_contractions import PrepareContractionsPass
from lamina.passes.graph.resolve_shapes import ResolveShapesPass
from lamina.passes.graph.roles import Role, first_row_axis, role_of
from lamina.passes.graph.shape_analysis import ShapeAnalysis
from lamina.passes.graph.share_kernels import ShareKernelsPass, is_kernel, kernels_of
from lamina.passes.graph.simplify_batch_norms import SimplifyBatchNormsPass
from lamina.targets.reference.evaluate import evaluate
from random_graphs import inputs_for, programs

GRAPH_PHASE = (
    InferTypesPass(),
    CanonicalizePass(),
    SimplifyBatchNormsPass(),
    FoldConstantsPass(),
    ResolveShapesPass(),
    AssignLayoutsPass(),
    CanonicalizePass(),
    PrepareContractionsPass(),
    FoldConstantsPass(),
    InferTypesPass(),
)


def graph_phase(module: ModuleOp, ctx: LaminaContext) -> None:
    for each in GRAPH_PHASE:
        each.apply(ctx, module)
    cse(module)


def form(module: ModuleOp, ctx: LaminaContext) -> ModuleOp:
    FormKernelsPass().apply(ctx, module)
    module.verify()
    check_host_ops(module)
    for kernel in kernels_of(module):
        check_kernel(kernel)
    return module


def check_host_ops(module: ModuleOp) -> None:
    """Outside kernels: calls, views, constants, control flow, and integer tensors whose elements are known sizes."""
    for function in module.ops:
        if not isinstance(function, func.FuncOp) or is_kernel(function):
            continue
        analysis = ShapeAnalysis(function)
        for op in function.walk():
            if isinstance(op, GraphOp) and role_of(op) is not Role.HOST:
                assert all(analysis.elements(result) is not None for result in op.results), op


def check_kernel(kernel: func.FuncOp) -> None:
    """What lowerings rely on, stated independently of how groups are formed."""
    ops = [op for op in kernel.body.block.ops if isinstance(op, GraphOp) and op.name != "graph.constant"]
    inside = set(ops)
    assert len(ops) <= MAX_MEMBERS
    assert all(len(op.results) == 1 for op in ops)
    after = {op: downstream(op, inside) for op in ops}
    contractions = [op for op in ops if role_of(op) is Role.CONTRACTION]
    assert len(contractions) <= 1
    for op in contractions:
        for index, operand in enumerate(op.operands):
            producer = operand.owner
            if producer in inside:
                assert producer.name == "graph.transpose"
                permutation = producer.permutation.get_values()
                assert index == 0 or permutation[-1] == len(permutation) - 1
        for user in after[op]:
            if user.name == "graph.transpose":
                assert user.results[0].has_one_use() and isinstance(user.results[0].first_use.operation, func.ReturnOp)
            else:
                assert role_of(user) is Role.ELEMENTWISE
                assert user.results[0].type.get_shape() == op.results[0].type.get_shape()
    stages = [op for op in ops if role_of(op) in (Role.REDUCTION, Role.ROW)]
    assert not (contractions and stages)
    for op in stages:
        assert all(role_of(user) in (Role.ELEMENTWISE, Role.REDUCTION, Role.ROW) for user in after[op])
        if op.name == "graph.reduce_window":
            assert all(
                operand.owner not in inside or role_of(operand.owner) is Role.MOVEMENT or is_cheap(operand.owner)
                for operand in op.operands
            )
    if len(stages) > 1:
        assert all(first_row_axis(op) is not None for op in stages)
        assert len({str(op.operands[0].type) for op in stages}) == 1
    assert all(after[op] or op.results[0].first_use for op in ops)


def downstream(op: GraphOp, inside: set[GraphOp]) -> set[GraphOp]:
    """The ops of a kernel that use a result, directly or not."""
    found: set[GraphOp] = set()
    stack = [op]
    while stack:
        for use in stack.pop().results[0].uses:
            if use.operation in inside and use.operation not in found:
                found.add(use.operation)
                stack.append(use.operation)
    return found


def calls(module: ModuleOp) -> list[str]:
    """The callees in order, numbers at the end left out."""
    return [re.sub(r"_\d+$", "", op.callee.string_value()) for op in module.walk() if isinstance(op, func.CallOp)]


def test_encoder_layer_is_twelve_kernels() -> None:
    ctx = context()
    module = encoder(ctx, layers=2)
    inputs = encoder_inputs(2, 7)
    expected = evaluate(module, inputs, ctx.resources)[0]
    graph_phase(module, ctx)
    form(module, ctx)
    layer = [
        "dot_general_add",
        "dot_general_add",
        "dot_general_add",
        "transpose",
        "dot_general_multiply_add",
        "softmax",
        "dot_general_transpose",
        "dot_general_add_add",
        "layer_norm",
        "dot_general_add_gelu",
        "dot_general_add_add",
        "layer_norm",
    ]
    assert calls(module) == ["gather_layer_norm", "cast_subtract_multiply", *layer, *layer]
    before = statistics(module)
    assert (before.calls, before.kernels, before.distinct) == (26, 26, 11)
    ShareKernelsPass().apply(ctx, module)
    module.verify()
    after = statistics(module)
    assert (after.calls, after.kernels, after.distinct) == (26, 11, 11)
    DecomposePass().apply(ctx, module)
    CanonicalizePass().apply(ctx, module)
    module.verify()
    for sizes in ((2, 7), (1, 1), (3, 16)):
        inputs = encoder_inputs(*sizes)
        fresh = context()
        expected = evaluate(encoder(fresh, layers=2), inputs, fresh.resources)[0]
        np.testing.assert_allclose(evaluate(module, inputs, ctx.resources)[0], expected, rtol=2e-5, atol=2e-5)


def test_kernel_sizes_have_local_names() -> None:
    ctx = context()
    module = encoder(ctx, layers=1)
    graph_phase(module, ctx)
    form(module, ctx)
    text = str(module)
    assert 'tensor<?x?x4x16xf32> {lamina.dims = ["d0", "d1", "4", "16"]}' in text
    assert 'tensor<?x1x1x?xf32> {lamina.dims = ["d0", "1", "1", "d1"]}' in text
    assert '-> (tensor<?x4x?x?xf32> {lamina.dims = ["d0", "4", "d1", "d1"]})' in text
    for kernel in kernels_of(module):
        assert '"batch"' not in str(kernel) and '"seq"' not in str(kernel)


def test_lenet_layouts_cancel() -> None:
    ctx = context()
    module = lenet(ctx)
    inputs = [normal(np.random.default_rng(5), 3, 1, 28, 28)]
    expected = evaluate(module, inputs, ctx.resources)[0]
    graph_phase(module, ctx)
    form(module, ctx)
    assert calls(module) == [
        "convolution_add_relu",
        "reduce_window",
        "convolution_add_relu",
        "reduce_window",
        "transpose",
        "dot_general_add_relu",
        "dot_general_add_relu",
        "dot_general_add",
    ]
    np.testing.assert_allclose(evaluate(module, inputs, ctx.resources)[0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("spatial", [1, 2, 3])
def test_residual_net_has_one_transpose(spatial: int) -> None:
    ctx = context()
    module = residual_net(ctx, spatial)
    inputs = [normal(np.random.default_rng(5), 2, 3, *(8, 8, 6)[:spatial])]
    expected = evaluate(module, inputs, ctx.resources)[0]
    graph_phase(module, ctx)
    assert sum(op.name == "graph.transpose" for op in module.walk()) == 1
    form(module, ctx)
    names = calls(module)
    assert names[0] == "transpose"
    assert names[1:3] == ["convolution_multiply_add_relu", "convolution_multiply_add_add_relu"]
    np.testing.assert_allclose(evaluate(module, inputs, ctx.resources)[0], expected, rtol=1e-4, atol=1e-5)


def test_decomposed_layer_norm_is_one_kernel() -> None:
    ctx = context()
    rng = np.random.default_rng(0)

    def build(b, x):
        mean = b.mean(x, (2,), True)
        centered = b.subtract(x, mean)
        variance = b.mean(b.multiply(centered, centered), (2,), True)
        scaled = b.multiply(b.multiply(centered, b.rsqrt(b.add(variance, 1e-5))), normal(rng, 8))
        return [b.add(scaled, normal(rng, 8))]

    module = module_of(ctx, [(["n", "s", 8], f32)], build)
    inputs = [normal(rng, 2, 3, 8)]
    expected = evaluate(module, inputs, ctx.resources)[0]
    InferTypesPass().apply(ctx, module)
    form(module, ctx)
    assert statistics(module).calls == 1
    np.testing.assert_array_equal(evaluate(module, inputs, ctx.resources)[0], expected)


def test_softmax_over_leading_axis_is_decomposed() -> None:
    ctx = context()
    module = module_of(ctx, [(["n", 8], f32)], lambda b, x: [b.softmax(x, 0)])
    InferTypesPass().apply(ctx, module)
    form(module, ctx)
    assert calls(module) == ["reduce", "subtract_exp", "reduce_divide", "multiply"]
    inputs = [normal(np.random.default_rng(0), 5, 8)]
    (result,) = evaluate(module, inputs, ctx.resources)
    np.testing.assert_allclose(result.sum(0), np.ones(8), rtol=1e-6)


def test_two_contractions_do_not_merge() -> None:
    ctx = context()
    rng = np.random.default_rng(0)

    def build(b, x):
        gate = b.silu(linear(b, x, rng, 8, 16))
        up = linear(b, x, rng, 8, 16)
        return [linear(b, b.multiply(gate, up), rng, 16, 8)]

    module = module_of(ctx, [(["n", 8], f32)], build)
    InferTypesPass().apply(ctx, module)
    form(module, ctx)
    for kernel in kernels_of(module):
        assert sum(op.name == "graph.dot_general" for op in kernel.walk()) <= 1
    assert statistics(module).calls == 3


def test_no_cycle_between_kernels() -> None:
    """The sum reads both the contraction and something computed from it by another kernel."""
    ctx = context()
    rng = np.random.default_rng(0)

    def build(b, x):
        product = b.dot_general(x, normal(rng, 8, 8), (1,), (0,))
        again = b.dot_general(product, normal(rng, 8, 8), (1,), (0,))
        return [b.add(b.tanh(product), b.softmax(again, 1))]

    module = module_of(ctx, [(["n", 8], f32)], build)
    inputs = [normal(rng, 3, 8)]
    expected = evaluate(module, inputs, ctx.resources)[0]
    InferTypesPass().apply(ctx, module)
    form(module, ctx)
    np.testing.assert_array_equal(evaluate(module, inputs, ctx.resources)[0], expected)


def test_broadcast_work_is_not_repeated() -> None:
    """exp of a vector that is added to every row is computed once, in a kernel of its own."""
    ctx = context()
    module = module_of(
        ctx,
        [(["n", 8], f32), ([8], f32)],
        lambda b, x, v: [b.add(b.dot_general(x, b.constant(np.eye(8, dtype=np.float32) * 2), (1,), (0,)), b.exp(v))],
    )
    InferTypesPass().apply(ctx, module)
    form(module, ctx)
    assert sorted(calls(module)) == ["dot_general_add", "exp"]


def test_cast_is_computed_where_it_is_used() -> None:
    ctx = context()

    def build(b, mask, x):
        weight = b.cast(mask, f32)
        rows = b.softmax(b.add(x, weight), 1)
        return [
            rows,
            b.multiply(b.dot_general(x, b.constant(normal(np.random.default_rng(0), 8, 8)), (1,), (0,)), weight),
        ]

    module = module_of(ctx, [(["n", 8], i64), (["n", 8], f32)], build)
    rng = np.random.default_rng(0)
    inputs = [rng.integers(0, 2, (3, 8)), normal(rng, 3, 8)]
    expected = evaluate(module, inputs, ctx.resources)
    InferTypesPass().apply(ctx, module)
    form(module, ctx)
    assert sorted(calls(module)) == ["cast_add_softmax", "cast_dot_general_multiply"]
    for result, reference in zip(evaluate(module, inputs, ctx.resources), expected, strict=True):
        np.testing.assert_array_equal(result, reference)


def test_results_have_their_own_storage() -> None:
    module = parse(
        """
        func.func @main(%x: tensor<2x3xf32>)
            -> (tensor<2x3xf32>, tensor<2xf32>, tensor<6xf32>, tensor<2x3xf32>, tensor<2x3xf32>) {
          %c = graph.constant dense<[1.0, 2.0]> : tensor<2xf32>
          %v = graph.reshape %x, [6] : tensor<2x3xf32> -> tensor<6xf32>
          %e = graph.exp %x : tensor<2x3xf32>
          func.return %x, %c, %v, %e, %e
              : tensor<2x3xf32>, tensor<2xf32>, tensor<6xf32>, tensor<2x3xf32>, tensor<2x3xf32>
        }
        """
    )
    ctx = context()
    x = normal(np.random.default_rng(0), 2, 3)
    expected = evaluate(module, [x])
    form(module, ctx)
    main = next(op for op in module.ops if isinstance(op, func.FuncOp))
    returned = main.body.block.last_op.operands
    assert len(set(returned)) == 5
    assert all(isinstance(value.owner, func.CallOp) for value in returned)
    for result, reference in zip(evaluate(module, [x]), expected, strict=True):
        np.testing.assert_array_equal(result, reference)


def test_sizes_given_by_data() -> None:
    """The shape operand of a broadcast names the size that only its elements give."""
    ctx = context()

    def build(b, x, shape):
        return [b.negate(b.dynamic_broadcast(x, shape))]

    module = module_of(ctx, [([4], f32), ([2], i64)], build)
    InferTypesPass().apply(ctx, module)
    form(module, ctx)
    (kernel,) = kernels_of(module)
    text = str(kernel)
    assert 'lamina.elements = ["signed_0", "signed_1"]' in text
    assert "lamina.size_symbols" in text
    main = next(op for op in module.ops if isinstance(op, func.FuncOp))
    analysis = ShapeAnalysis(main)
    (call,) = [op for op in main.walk() if isinstance(op, func.CallOp)]
    (first, _) = analysis.elements(main.body.block.args[1])
    assert analysis.call_symbols(call)["signed_0"] == first
    assert analysis.shape(call.results[0])[0] == first
    x = np.arange(4, dtype=np.float32)
    (result,) = evaluate(module, [x, np.array([3, 4])], ctx.resources)
    np.testing.assert_array_equal(result, -np.broadcast_to(x, (3, 4)))


def loop_module(ctx: LaminaContext) -> ModuleOp:
    rng = np.random.default_rng(0)
    weight = normal(rng, 4, 4)

    def build(b, x, count):
        def condition(values):
            return [b.compare("LT", values[0], count)]

        def body(values):
            index, state = values
            return [b.add(index, 1), b.relu(b.dot_general(state, weight, (1,), (0,)))]

        shape = AbstractTensor((symbol("n"), 4), f32)
        _, state = b.while_([b.constant(np.int64(0)), x], condition, body, [AbstractTensor((), i64), shape])
        (chosen,) = b.if_(b.compare("GT", count, 1), lambda: [b.add(state, x)], lambda: [b.softmax(state, 1)])
        return [chosen]

    return module_of(ctx, [(["n", 4], f32), ([], i64)], build)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_kernels_inside_control_flow(count: int) -> None:
    ctx = context()
    module = loop_module(ctx)
    inputs = [normal(np.random.default_rng(1), 3, 4), np.int64(count)]
    expected = evaluate(module, inputs, ctx.resources)
    InferTypesPass().apply(ctx, module)
    form(module, ctx)
    assert "dot_general_relu" in calls(module) and "softmax" in calls(module) and "compare" in calls(module)
    np.testing.assert_array_equal(evaluate(module, inputs, ctx.resources)[0], expected[0])


def test_branches_yield_their_own_storage() -> None:
    ctx = context()

    def build(b, flag, x):
        return b.if_(flag, lambda: [x], lambda: [b.negate(x)])

    module = module_of(ctx, [([], i1), ([4], f32)], build)
    form(module, ctx)
    assert sorted(calls(module)) == ["broadcast", "negate"]


def test_locations_survive() -> None:
    ctx = context()
    module = residual_net(ctx, 2)
    for index, op in enumerate(module.walk()):
        op.location = NameLoc(StringAttr(f"node{index}"), NoneAttr())
    graph_phase(module, ctx)
    form(module, ctx)
    ShareKernelsPass().apply(ctx, module)
    DecomposePass().apply(ctx, module)
    CanonicalizePass().apply(ctx, module)
    for op in module.walk():
        if isinstance(op, func.CallOp | GraphOp):
            assert "node" in str(op.location), op


def test_sharing_keeps_the_first_and_fuses_locations() -> None:
    ctx = context()
    module = parse(
        """
        func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
          %a = func.call @exp(%x) : (tensor<4xf32>) -> tensor<4xf32>
          %b = func.call @exp_1(%a) : (tensor<4xf32>) -> tensor<4xf32>
          %c = func.call @exp_2(%b) : (tensor<4xf32>) -> tensor<4xf32>
          func.return %c : tensor<4xf32>
        }
        func.func private @exp(%x: tensor<4xf32>) -> tensor<4xf32> attributes {lamina.kernel} {
          %y = graph.exp %x : tensor<4xf32>
          func.return %y : tensor<4xf32>
        }
        func.func private @exp_1(%arg: tensor<4xf32>) -> tensor<4xf32> attributes {lamina.kernel} {
          %other = graph.exp %arg : tensor<4xf32>
          func.return %other : tensor<4xf32>
        }
        func.func private @exp_2(%x: tensor<4xf32>) -> tensor<4xf32> attributes {lamina.kernel} {
          %y = graph.expm1 %x : tensor<4xf32>
          func.return %y : tensor<4xf32>
        }
        """,
        ctx,
    )
    for index, kernel in enumerate(kernels_of(module)):
        kernel.body.block.first_op.location = NameLoc(StringAttr(f"node{index}"), NoneAttr())
    ShareKernelsPass().apply(ctx, module)
    module.verify()
    assert [kernel.sym_name.data for kernel in kernels_of(module)] == ["exp", "exp_2"]
    location = str(kernels_of(module)[0].body.block.first_op.location)
    assert "node0" in location and "node1" in location and "fused" in location


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(), st.integers(0, 4))
def test_random_graphs(program, size: int) -> None:
    ctx = context()
    module = program(ctx)
    inputs = inputs_for(size)
    expected = evaluate(module, inputs, ctx.resources)
    InferTypesPass().apply(ctx, module)
    form(module, ctx)
    ShareKernelsPass().apply(ctx, module)
    module.verify()
    for result, reference in zip(evaluate(module, inputs, ctx.resources), expected, strict=True):
        np.testing.assert_allclose(result, reference, rtol=1e-5, atol=1e-6)


def kernels_from(arguments, build) -> list[str]:
    """The kernels of a small function, checked to compute the same."""
    ctx = context()
    module = module_of(ctx, arguments, lambda b, *values: [build(b, *values)])
    rng = np.random.default_rng(0)
    inputs = [normal(rng, *(3 if dim == "n" else dim for dim in dims)) for dims, _ in arguments]
    (expected,) = evaluate(module, inputs, ctx.resources)
    InferTypesPass().apply(ctx, module)
    form(module, ctx)
    np.testing.assert_array_equal(evaluate(module, inputs, ctx.resources)[0], expected)
    return calls(module)


X, SQUARE, CUBE = (["n", 4], f32), ([4, 4], f32), (["n", 3, 4], f32)


def test_movement_ends_an_epilogue() -> None:
    def build(b, x, w):
        return b.negate(b.broadcast(b.dot_general(x, w, (1,), (0,)), (-1, -1)))

    assert kernels_from([X, SQUARE], build) == ["dot_general", "broadcast_negate"]


def test_trailing_transpose_joins_a_contraction() -> None:
    def build(b, x, w, permutation):
        return b.transpose(b.relu(b.dot_general(x, w, (2,), (0,))), permutation)

    assert kernels_from([CUBE, SQUARE], lambda b, x, w: build(b, x, w, (1, 0, 2))) == ["dot_general_relu_transpose"]
    assert kernels_from([CUBE, SQUARE], lambda b, x, w: build(b, x, w, (1, 2, 0))) == ["dot_general_relu", "transpose"]


def test_transposes_before_a_contraction() -> None:
    """The left operand may be read in any order, the right one as long as its last axis stays."""

    def build(b, x, y, left, right):
        return b.dot_general(b.transpose(x, left), b.transpose(y, right), (2,), (1,), (0,), (0,))

    shapes = [([2, 3, 4], f32), ([4, 2, 5], f32)]
    assert kernels_from(shapes, lambda b, x, y: build(b, x, y, (0, 1, 2), (1, 0, 2))) == [
        "transpose_transpose_dot_general"
    ]
    shapes = [([4, 3, 2], f32), ([5, 4, 2], f32)]
    assert kernels_from(shapes, lambda b, x, y: build(b, x, y, (2, 1, 0), (2, 1, 0))) == [
        "transpose",
        "transpose_dot_general",
    ]


def test_elementwise_work_before_a_contraction_is_stored() -> None:
    def build(b, x, w):
        return b.dot_general(b.tanh(x), w, (1,), (0,))

    assert kernels_from([X, SQUARE], build) == ["tanh", "dot_general"]


def test_a_reduced_vector_along_the_other_axis_is_no_row_value() -> None:
    """x + sum(x, 1) of a square x adds along columns what was summed along rows."""
    assert kernels_from([SQUARE], lambda b, x: b.add(x, b.reduce("add", x, (1,)))) == ["reduce", "add"]
    assert kernels_from([SQUARE], lambda b, x: b.add(x, b.reduce("add", x, (1,), True))) == ["reduce_add"]


def test_rows_of_other_lengths_do_not_join() -> None:
    def build(b, x, y):
        return b.add(y, b.reduce("add", x, (1,), True))

    assert kernels_from([X, (["n", 8], f32)], build) == ["reduce", "add"]


def test_movement_after_a_reduction_is_another_kernel() -> None:
    def reverse(b, x):
        return b.reverse(b.exp(b.reduce("add", x, (2,))), (0,))

    def transpose(b, x):
        return b.transpose(b.exp(b.mean(x, (2,), True)), (1, 0, 2))

    assert kernels_from([CUBE], reverse) == ["reduce", "exp_reverse"]
    assert kernels_from([CUBE], transpose) == ["mean", "exp_transpose"]
    assert kernels_from([CUBE], lambda b, x: b.transpose(b.softmax(x, 2), (1, 0, 2))) == ["softmax", "transpose"]
    assert kernels_from([CUBE], lambda b, x: b.reverse(b.exp(b.sin(x)), (0,))) == ["sin_exp_reverse"]
    assert kernels_from([CUBE], lambda b, x: b.reverse(b.exp(b.softmax(x, 2)), (0,))) == ["softmax", "exp_reverse"]


def test_reductions_over_any_axis_take_neighbors() -> None:
    def build(b, x):
        return b.sqrt(b.reduce("add", b.multiply(x, x), (1,)))

    assert kernels_from([CUBE], build) == ["multiply_reduce_sqrt"]


def test_pooling_reads_padding_but_recomputes_nothing() -> None:
    def pool(b, x):
        return b.reduce_window("maximum", x, (1, 2, 1))

    def padded(low, high):
        return lambda b, x: pool(b, b.pad(x, 0.0, low, high))

    assert kernels_from([CUBE], padded((0, 1, 0), (0, 1, 0))) == ["pad_reduce_window"]
    # Rows of other lengths than in memory are made first.
    assert kernels_from([CUBE], padded((0, 1, 1), (0, 1, 0))) == ["pad", "reduce_window"]
    assert kernels_from([CUBE], lambda b, x: pool(b, b.concatenate([x, x], 1))) == ["concatenate", "reduce_window"]
    assert kernels_from([CUBE], lambda b, x: pool(b, b.tanh(x))) == ["tanh", "reduce_window"]


def test_concatenated_work_is_done_in_place() -> None:
    def rotate_half(b, x):
        first, second = b.slice(x, (0, 0), (99, 2)), b.slice(x, (0, 2), (99, 4))
        return b.multiply(b.concatenate([b.negate(second), first], 1), 2.0)

    assert kernels_from([X], rotate_half) == ["slice_slice_negate_concatenate_multiply"]


def test_long_chains_are_cut() -> None:
    def build(b, x):
        for _ in range(50):
            x = b.sin(x)
        return x

    names = kernels_from([X], build)
    assert names == ["sin_sin_sin_sin_sin_more", "sin_sin_sin_sin_sin_more"]


def test_updates_in_place_stand_alone() -> None:
    def build(b, x):
        update = b.tanh(b.slice(x, (0, 0), (1, 4)))
        return b.relu(b.dynamic_update_slice(x, update, b.constant(np.array([1, 0]))))

    assert kernels_from([X], build) == ["slice_tanh", "dynamic_update_slice", "relu"]
