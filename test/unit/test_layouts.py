"""Layouts: the cut that chooses them, random graphs before and after, and the kernels that transpose."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.random import Generator
from xdsl.dialects.builtin import ModuleOp, f32

import lamina
from graph_models import context, module_of
from lamina import ops
from lamina.dialects.graph.convolution import ConvolutionOp
from lamina.passes.graph.assign_layouts import assign_layouts
from lamina.passes.graph.infer_types import InferTypesPass, graph_functions
from lamina.passes.graph.minimum_cut import SINK, SOURCE, Network
from lamina.targets.reference.evaluate import evaluate


@pytest.mark.parametrize("seed", range(20))
def test_cut_is_the_cheapest(seed: int) -> None:
    """Beside all ways to divide the nodes; of equally cheap ones, that with the fewest nodes on the sink's side."""
    random = np.random.default_rng(seed)
    nodes = int(random.integers(2, 9))
    network = Network()
    for _ in range(nodes - 2):
        network.node()
    edges = [(int(a), int(b), int(c)) for a, b, c in random.integers(0, (nodes, nodes, 7), (3 * nodes, 3)) if a != b]
    for edge in edges:
        network.edge(*edge)

    def cost(side: set[int]) -> int:
        return sum(capacity for start, end, capacity in edges if start not in side and end in side)

    inner = range(2, nodes)
    sides = [{SINK, *some} for count in range(nodes - 1) for some in itertools.combinations(inner, count)]
    least = min(map(cost, sides))
    found = network.sink_side()
    assert SOURCE not in found and cost(found) == least
    assert found == set.intersection(*(side for side in sides if cost(side) == least))


def random_module(random: Generator, ctx) -> tuple[ModuleOp, list[np.ndarray]]:
    """Convolutions in any order of axes, and between them what can and what cannot work with the features last."""
    size, features = 6, 4
    permutations = {4: [(0, 2, 3, 1), (0, 3, 1, 2), (0, 2, 1, 3)], 3: [(0, 2, 1)]}

    def convolution(b, x):
        shape = x.type.get_shape()
        if len(shape) != 4 or 0 in shape:
            return x
        kernel = random.standard_normal((int(random.integers(1, 6)), shape[1], 1, 1)).astype(np.float32)
        return b.convolution(x, kernel / 2, (1, 1), (0, 0, 0, 0))

    def step(b, x, values):
        rank = len(x.type.get_shape())
        same = [value for value in values if value.type == x.type]
        match int(random.integers(0, 11)):
            case 0 | 1 | 2:
                return convolution(b, x)
            case 3:
                return b.relu(x)
            case 4:
                return b.add(x, same[int(random.integers(len(same)))])
            case 5 if rank in permutations:
                choices = permutations[rank]
                return b.transpose(x, choices[int(random.integers(len(choices)))])
            case 6:
                return b.concatenate([x, same[int(random.integers(len(same)))]], int(random.integers(1, rank)))
            case 7:
                low = [0, *(int(n) for n in random.integers(0, 2, rank - 1))]
                return b.pad(x, 0.5, low, [0] * rank)
            case 8:
                return b.softmax(x, int(random.integers(1, rank)))
            case 9:
                return b.multiply(x, b.mean(x, (int(random.integers(1, rank)),), True))
            case _ if rank == 4 and x.type.get_shape()[1] % 2 == 0:
                n, c, h, w = x.type.get_shape()
                split = b.reshape(x, (n, 2, c // 2, h, w))
                return b.reshape(b.transpose(split, (0, 2, 1, 3, 4)), (n, c, h, w))
        return b.negate(x)

    def build(b, x):
        values = [x]
        for _ in range(9):
            source = values[-1] if random.random() < 0.7 else values[int(random.integers(len(values)))]
            values.append(step(b, source, values))
        used = {operand for value in values[1:] for operand in value.owner.operands}
        unused = [value for value in values[1:] if value not in used]
        return [*unused[-2:], b.reduce("maximum", values[-1], (1,))]

    module = module_of(ctx, [([2, features, size, size], f32)], build)
    return module, [random.standard_normal((2, features, size, size)).astype(np.float32)]


@pytest.mark.parametrize("seed", range(40))
def test_results_stay_the_same(seed: int) -> None:
    ctx = context()
    module, inputs = random_module(np.random.default_rng(seed), ctx)
    InferTypesPass().apply(ctx, module)
    expected = evaluate(module, inputs, ctx.resources)
    for function in graph_functions(module):
        moved = assign_layouts(function)
        assert moved.after <= moved.before
    module.verify()
    for op in module.walk():
        if isinstance(op, ConvolutionOp):
            assert op.input_order.second == op.output_order.second == 3
    for result, reference in zip(evaluate(module, inputs, ctx.resources), expected, strict=True):
        np.testing.assert_allclose(result, reference, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed", range(24))
def test_transposes(seed: int) -> None:
    """Random permutations, alone and with an operand in the result's order; sizes around those of vectors."""
    random = np.random.default_rng(seed)
    rank = int(random.integers(2, 5))
    lengths = [1, 2, 3, 8, 9, 16, 17, 31, 33] if rank > 3 else [1, 3, 7, 8, 9, 16, 17, 33, 70, 300]
    shape = tuple(int(size) for size in random.choice(lengths, rank))
    permutation = tuple(int(axis) for axis in random.permutation(rank))
    dtype = str(random.choice(["float32", "float32", "float64", "int32", "int64", "float16", "uint8"]))
    dims = tuple(f"s{axis}" if random.random() < 0.25 else size for axis, size in enumerate(shape))
    turned = tuple(shape[axis] for axis in permutation)
    x = (9 * random.standard_normal(shape)).astype(dtype)
    other = (9 * random.standard_normal(turned)).astype(dtype)
    adds = bool(random.random() < 0.5)

    def model(x, other):
        y = ops.transpose(x, permutation)
        return ops.subtract(ops.add(y, other), y) if adds else y

    specs = (
        lamina.spec(dims, dtype, name="x"),
        lamina.spec(tuple(dims[axis] for axis in permutation), dtype, name="other"),
    )
    target = {"vector_bits": int(random.choice([128, 256, 512]))}
    compiled = lamina.compile(
        lamina.trace(model, *specs), threads=int(random.integers(1, 3)), cache=False, target=target
    )
    (result,) = compiled(x, other)
    expected = x.transpose(permutation)
    np.testing.assert_array_equal(result, (expected + other) - expected if adds else expected)
