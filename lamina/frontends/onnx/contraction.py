"""Matrix products and Einstein sums: `graph.dot_general`, with the transposes that the notation implies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.ir import SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.dims import Dim
from lamina.dialects.graph.types import is_float
from lamina.frontends.onnx.builder import OnnxBuilder, Size
from lamina.frontends.onnx.node import Node, Versions
from lamina.frontends.onnx.report import UnsupportedNode


def matmul(node: Node, build: OnnxBuilder) -> SSAValue:
    return matrix_product(build, node.operand(0), node.operand(1))


def matrix_product(build: OnnxBuilder, lhs: SSAValue, rhs: SSAValue) -> SSAValue:
    """NumPy's matmul. A vector or matrix on the right contracts directly; differing batch axes are broadcast."""
    lhs_rank, rhs_rank = build.rank(lhs), build.rank(rhs)
    if not lhs_rank or not rhs_rank:
        raise LaminaError("MatMul takes operands with at least one axis")
    if rhs_rank <= 2:
        return build.dot_general(lhs, rhs, (lhs_rank - 1,), (0,))
    if lhs_rank == 1:
        matrix = build.reshape_to(lhs, (1, build.size(lhs, 0)))
        product = matrix_product(build, matrix, rhs)
        sizes = build.sizes_of(product)
        return build.reshape_to(product, [*sizes[:-2], sizes[-1]])
    batch_rank = max(lhs_rank, rhs_rank) - 2
    lhs, rhs = _batches_broadcast(build, lhs, rhs, batch_rank)
    batch = range(batch_rank)
    return build.dot_general(lhs, rhs, (batch_rank + 1,), (batch_rank,), batch, batch)


def _batches_broadcast(build: OnnxBuilder, lhs: SSAValue, rhs: SSAValue, batch_rank: int) -> tuple[SSAValue, SSAValue]:
    """Both operands with the same batch axes."""
    shapes = [_aligned(build.shape(value)[:-2], batch_rank) for value in (lhs, rhs)]
    broadcast: list[SSAValue] = []
    for value, own, other in ((lhs, shapes[0], shapes[1]), (rhs, shapes[1], shapes[0])):
        rank = build.rank(value)
        stretched = [mine == 1 and theirs != 1 for mine, theirs in zip(own, other, strict=True)]
        if not any(stretched) and rank == batch_rank + 2:
            broadcast.append(value)
            continue
        partner = rhs if value is lhs else lhs
        offset = batch_rank + 2 - build.rank(partner)
        sizes: list[Size] = [
            build.size(partner, axis - offset) if stretch else -1 if axis >= batch_rank + 2 - rank else 1
            for axis, stretch in enumerate(stretched)
        ]
        broadcast.append(build.broadcast_to(value, [*sizes, -1, -1]))
    return broadcast[0], broadcast[1]


def _aligned(shape: Sequence[Dim], rank: int) -> list[Dim]:
    return [1] * (rank - len(shape)) + list(shape)


def gemm(node: Node, build: OnnxBuilder) -> SSAValue:
    """alpha · A' · B' + beta · C, A' and B' transposed where asked for."""
    lhs, rhs, addend = node.operand(0), node.operand(1), node.optional(2)
    for value in (lhs, rhs):
        if build.rank(value) != 2:
            raise LaminaError(f"Gemm takes matrices, found {build.rank(value)} axes")
    if node.flag("transA"):
        lhs = build.transpose(lhs, (1, 0))
    if node.flag("transB"):
        rhs = build.transpose(rhs, (1, 0))
    product = _scaled(build, build.dot_general(lhs, rhs, (1,), (0,)), node.floating("alpha"))
    beta = node.floating("beta")
    if addend is None or beta == 0:
        return product
    return build.add(product, _scaled(build, addend, beta))


def _scaled(build: OnnxBuilder, value: SSAValue, factor: float) -> SSAValue:
    if factor == 1:
        return value
    if not is_float(build.element_type(value)) and factor != int(factor):
        raise UnsupportedNode(f"scaling integers by {factor} is not built yet")
    return build.multiply(value, factor)


@dataclass(frozen=True)
class Labelled:
    """A tensor with one letter per axis."""

    value: SSAValue
    labels: str


def einsum(node: Node, build: OnnxBuilder) -> SSAValue:
    """Contract the operands from the left, two at a time; letters that nothing after needs are summed."""
    equation = node.string("equation").replace(" ", "")
    inputs, arrow, output = equation.partition("->")
    operands = inputs.split(",")
    if len(operands) != len(node.inputs):
        raise LaminaError(f"Einsum: '{equation}' is for {len(operands)} operands, found {len(node.inputs)}")
    extra = _ellipsis_labels(build, node.operands, operands)
    terms = [
        Labelled(value, _expanded(labels, extra, build.rank(value)))
        for value, labels in zip(node.operands, operands, strict=True)
    ]
    letters = "".join(term.labels for term in terms)
    if arrow:
        wanted = output.replace("...", extra)
    else:
        wanted = extra + "".join(sorted({letter for letter in letters if letters.count(letter) == 1} - set(extra)))
    if len(set(wanted)) != len(wanted) or not set(wanted) <= set(letters):
        raise LaminaError(f"Einsum: '{equation}' has an output letter twice, or one that no operand has")
    return _arranged(build, _contracted(build, terms, wanted), wanted)


def _ellipsis_labels(build: OnnxBuilder, values: Sequence[SSAValue], operands: Sequence[str]) -> str:
    """Upper-case Greek letters for the axes behind `...`."""
    counts = [
        build.rank(value) - len(labels.replace("...", ""))
        for value, labels in zip(values, operands, strict=True)
        if "..." in labels
    ]
    return "".join(chr(0x391 + index) for index in range(max(counts, default=0)))


def _expanded(labels: str, extra: str, rank: int) -> str:
    count = rank - len(labels.replace("...", ""))
    if "..." in labels:
        labels = labels.replace("...", extra[len(extra) - count :] if count > 0 else "")
    if len(labels) != rank:
        raise LaminaError(f"Einsum: '{labels}' does not fit {rank} axes")
    if len(set(labels)) != len(labels):
        raise UnsupportedNode("an operand with the same letter twice (a diagonal) is not built yet")
    return labels


def _contracted(build: OnnxBuilder, terms: Sequence[Labelled], wanted: str) -> Labelled:
    result = terms[0]
    for index, term in enumerate(terms[1:], 1):
        later = set(wanted).union(*(other.labels for other in terms[index + 1 :]))
        left = _summed(build, result, later | set(term.labels))
        right = _summed(build, term, later | set(left.labels))
        result = _pair(build, left, right, later)
    return _summed(build, result, set(wanted))


def _summed(build: OnnxBuilder, term: Labelled, needed: set[str]) -> Labelled:
    """A term without the letters that nothing needs."""
    dropped = [axis for axis, letter in enumerate(term.labels) if letter not in needed]
    labels = "".join(letter for letter in term.labels if letter in needed)
    return Labelled(build.reduce_axes("add", term.value, dropped, keep=False), labels)


def _pair(build: OnnxBuilder, left: Labelled, right: Labelled, later: set[str]) -> Labelled:
    left, right = _same_sizes(build, left, right)
    shared = [letter for letter in left.labels if letter in right.labels]
    batch = [letter for letter in shared if letter in later]
    summed = [letter for letter in shared if letter not in later]
    free = [letter for letter in left.labels + right.labels if letter not in shared]
    value = build.dot_general(
        left.value,
        right.value,
        [left.labels.index(letter) for letter in summed],
        [right.labels.index(letter) for letter in summed],
        [left.labels.index(letter) for letter in batch],
        [right.labels.index(letter) for letter in batch],
    )
    return Labelled(value, "".join(batch + free))


def _same_sizes(build: OnnxBuilder, left: Labelled, right: Labelled) -> tuple[Labelled, Labelled]:
    """Letters that one operand has with size 1 and the other with more are broadcast: an axis of size 1 is dropped."""
    for letter in set(left.labels) & set(right.labels):
        sizes = [build.shape(term.value)[term.labels.index(letter)] for term in (left, right)]
        if sizes[0] == 1 and sizes[1] != 1:
            left = _without(build, left, letter)
        elif sizes[1] == 1 and sizes[0] != 1:
            right = _without(build, right, letter)
    return left, right


def _without(build: OnnxBuilder, term: Labelled, letter: str) -> Labelled:
    axis = term.labels.index(letter)
    sizes = [size for other, size in enumerate(build.sizes_of(term.value)) if other != axis]
    return Labelled(build.reshape_to(term.value, sizes), term.labels.replace(letter, ""))


def _arranged(build: OnnxBuilder, term: Labelled, wanted: str) -> SSAValue:
    return build.transposed(term.value, [term.labels.index(letter) for letter in wanted])


CONTRACTION: Mapping[str, Versions] = {
    "Einsum": {12: einsum},
    "Gemm": {1: gemm},
    "MatMul": {1: matmul},
}
