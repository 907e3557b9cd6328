"""Appending upstream ops: scopes that remember what they computed, constants and sizes, and bodies of generics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    AnyFloat,
    DenseIntOrFPElementsAttr,
    DenseResourceAttr,
    FloatAttr,
    IndexType,
    IntegerAttr,
    IntegerType,
    LocationAttr,
    TensorType,
    UnknownLoc,
    i1,
)
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.graph.dims import Atom, Dim, Shape, Symbol, bounds, symbols_of
from lamina.dialects.graph.types import bit_width, is_float, is_unsigned
from lamina.dialects.loop import arith, scf
from lamina.dialects.loop.types import is_tensor
from lamina.dialects.tensor import tensor
from lamina.passes.graph.shape_analysis import ShapeAnalysis

if TYPE_CHECKING:
    from lamina.lowering.graph_to_linalg.body import Rules

INDEX = IndexType()

Tensor: TypeAlias = TensorType[Attribute]


def signless(element_type: Attribute) -> Attribute:
    """The element type from the tensor level down: `uiN` becomes `iN`."""
    return IntegerType(bit_width(element_type)) if is_unsigned(element_type) else element_type


def signless_type(type_: Attribute) -> Attribute:
    """A type with signless elements; types that are no tensors stay."""
    if not is_tensor(type_) or not is_unsigned(type_.get_element_type()):
        return type_
    return TensorType(signless(type_.get_element_type()), type_.get_shape())


def element_type_of(value: SSAValue) -> Attribute:
    """The element type of a tensor value, as the graph level has it."""
    return cast(Tensor, value.type).get_element_type()


def tensor_type(shape: Shape, element_type: Attribute) -> Tensor:
    """A tensor type with `?` for sizes that are symbolic."""
    return TensorType(element_type, [size if isinstance(size, int) else DYNAMIC_INDEX for size in shape])


class Scope:
    """A block under construction. Equal pure ops are emitted once: they are looked up, outer scopes included."""

    def __init__(self, parent: Scope | None = None, location: LocationAttr | None = None):
        self.parent = parent
        self.location: LocationAttr = location or (parent.location if parent else UnknownLoc())
        self.ops: list[Operation] = []
        self._known: dict[tuple[Any, ...], SSAValue] = {}

    def append(self, op: Operation) -> Operation:
        """Append an op as it is, with the current location."""
        op.location = self.location
        self.ops.append(op)
        return op

    def lookup(self, key: tuple[Any, ...]) -> SSAValue | None:
        """What was remembered under `key`, here or further out."""
        scope: Scope | None = self
        while scope is not None:
            found = scope._known.get(key)
            if found is not None:
                return found
            scope = scope.parent
        return None

    def remember(self, key: tuple[Any, ...], value: SSAValue) -> SSAValue:
        """Keep a value for `lookup`, while this scope is under construction."""
        self._known[key] = value
        return value

    def emit(
        self,
        op_type: type[Operation],
        operands: Sequence[SSAValue],
        result_type: Attribute,
        properties: Mapping[str, Attribute] | None = None,
    ) -> SSAValue:
        """The result of a pure op with one result: an equal one that is there already, or a new one."""
        key = (op_type, tuple(operands), result_type, tuple(properties.items()) if properties else ())
        found = self.lookup(key)
        if found is not None:
            return found
        op = op_type.create(operands=operands, result_types=[result_type], properties=dict(properties or {}))
        return self.remember(key, self.append(op).results[0])

    def block(self, argument_types: Sequence[Attribute] = ()) -> Block:
        """The finished block."""
        return Block(self.ops, arg_types=argument_types)

    # ---- constants: in the outermost scope, so that one op serves all

    @property
    def outermost(self) -> Scope:
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope

    def constant(self, value: float | int | bool, type_: Attribute) -> SSAValue:
        """A scalar constant of an index, integer (wrapping around) or float type."""
        if is_float(type_):
            return self.constant_attribute(FloatAttr(float(value), cast(AnyFloat, type_)), type_)
        if type_ == INDEX:
            return self.constant_attribute(IntegerAttr(int(value), INDEX), INDEX)
        return self.constant_attribute(IntegerAttr(int(value), cast(IntegerType, type_), truncate_bits=True), type_)

    def constant_attribute(self, value: Attribute, type_: Attribute) -> SSAValue:
        """A constant given as an attribute, scalar or `dense`."""
        outermost = self.outermost
        outermost.location = self.location
        return outermost.emit(arith.ConstantOp, (), type_, {"value": value})

    def tensor_constant(self, value: DenseIntOrFPElementsAttr | DenseResourceAttr) -> SSAValue:
        """A `dense<…>` or `dense_resource<…>` constant, signless."""
        type_ = cast(Tensor, value.type)
        plain = cast(Tensor, signless_type(type_))
        if plain == type_:
            return self.constant_attribute(value, type_)
        if isinstance(value, DenseResourceAttr):
            return self.constant_attribute(DenseResourceAttr(value.resource_handle, plain), plain)
        return self.constant_attribute(DenseIntOrFPElementsAttr(cast("TensorType[Any]", plain), value.data), plain)

    # ---- index arithmetic

    def index_op(self, op_type: type[Operation], left: SSAValue, right: SSAValue) -> SSAValue:
        """A binary op on `index`."""
        return self.emit(op_type, (left, right), INDEX)

    def compare(self, predicate: str, left: SSAValue, right: SSAValue) -> SSAValue:
        """`arith.cmpi` or `arith.cmpf`, by the operands' type."""
        op_type = arith.CmpfOp if isinstance(left.type, AnyFloat) else arith.CmpiOp
        return self.emit(op_type, (left, right), i1, {"predicate": op_type.predicate_attribute(predicate)})

    def select(self, condition: SSAValue, on_true: SSAValue, on_false: SSAValue) -> SSAValue:
        """`arith.select`."""
        return self.emit(arith.SelectOp, (condition, on_true, on_false), on_true.type)


class FunctionScope(Scope):
    """The body of a function, or of a region inside one, with the sizes that a shape analysis knows.

    `rules` are the lowerings that are looked up by op name.

    `values` maps graph-level tensors to the tensors that stand for them, `sizes` symbols that are given as `index`.
    """

    def __init__(
        self,
        analysis: ShapeAnalysis,
        rules: Rules,
        parent: FunctionScope | None = None,
        location: LocationAttr | None = None,
    ):
        super().__init__(parent or Scope(location=location), location)
        self.analysis = analysis
        self.rules = rules
        self.values: dict[SSAValue, SSAValue] = parent.values if parent else {}
        self.sizes: dict[str, SSAValue] = parent.sizes if parent else {}
        self.canonical = parent.canonical if parent else EqualSizes(analysis)

    def nested(self) -> FunctionScope:
        """A scope for a region."""
        return FunctionScope(self.analysis, self.rules, self, self.location)

    def finished_ops(self) -> list[Operation]:
        """All ops of the function: constants first."""
        prologue = self.parent.ops if self.parent is not None and self.parent.parent is None else []
        return [*prologue, *self.ops]

    def shape(self, value: SSAValue) -> Shape:
        """The symbolic shape of a graph-level tensor."""
        return self.analysis.shape(value)

    def canonical_shape(self, value: SSAValue) -> Shape:
        """The symbolic shape with one expression for all sizes that are taken to be equal: for comparisons."""
        return tuple(self.canonical.of(size) for size in self.analysis.shape(value))

    def size(self, dim: Dim) -> SSAValue:
        """A size as an `index` value."""
        if isinstance(dim, int):
            return self.constant(dim, INDEX)
        found = self.lookup(("size", dim))
        return found if found is not None else self.remember(("size", dim), self._polynomial(dim.terms))

    def _polynomial(self, terms: Sequence[tuple[tuple[Atom, ...], int]]) -> SSAValue:
        total: SSAValue | None = None
        constant = 0
        for atoms, coefficient in terms:
            if not atoms:
                constant = coefficient
                continue
            product = self._atom(atoms[0])
            for atom in atoms[1:]:
                product = self.index_op(arith.MuliOp, product, self._atom(atom))
            if coefficient != 1:
                product = self.index_op(arith.MuliOp, product, self.constant(coefficient, INDEX))
            total = product if total is None else self.index_op(arith.AddiOp, total, product)
        if total is None:
            return self.constant(constant, INDEX)
        return self.index_op(arith.AddiOp, total, self.constant(constant, INDEX)) if constant else total

    def _atom(self, atom: Atom) -> SSAValue:
        if isinstance(atom, Symbol):
            return self._symbol(atom.name)
        left, right = (self.size(operand) for operand in atom.operands)
        match atom.function:
            case "max":
                return self.index_op(arith.MaxSIOp, left, right)
            case "min":
                return self.index_op(arith.MinSIOp, left, right)
            case "mod":
                return self._floor(atom.operands[0], left, self._divisor(atom.operands[1], right))[1]
            case _:
                return self._floor(atom.operands[0], left, self._divisor(atom.operands[1], right))[0]

    def _divisor(self, divisor: Dim, value: SSAValue) -> SSAValue:
        """1 in place of 0: an axis without elements must not stop the program, whatever the quotient is."""
        low, _ = bounds(divisor)
        if low >= 0:
            return value if low else self.index_op(arith.MaxSIOp, value, self.constant(1, INDEX))
        return self.select(self.compare("eq", value, self.constant(0, INDEX)), self.constant(1, INDEX), value)

    def _floor(self, dividend: Dim, left: SSAValue, right: SSAValue) -> tuple[SSAValue, SSAValue]:
        """Quotient, rounded down, and remainder of a division by a positive size."""
        if bounds(dividend)[0] >= 0:
            return self.index_op(arith.DivUIOp, left, right), self.index_op(arith.RemUIOp, left, right)
        quotient = self.index_op(arith.DivSIOp, left, right)
        remainder = self.index_op(arith.RemSIOp, left, right)
        below = self.compare("slt", remainder, self.constant(0, INDEX))
        lower = self.index_op(arith.SubiOp, quotient, self.constant(1, INDEX))
        positive = self.index_op(arith.AddiOp, remainder, right)
        return self.select(below, lower, quotient), self.select(below, positive, remainder)

    def _symbol(self, name: str) -> SSAValue:
        given = self.sizes.get(name)
        if given is not None:
            return given
        origin = self.analysis.origin(name)
        source = self.values.get(origin.value) if origin is not None else None
        if origin is None or source is None:
            raise LaminaError(
                f"the size '{name}' of a result depends on data that is not there yet",
                where=location_text(self.location),
                hints=(
                    "shapes may be constants or follow from sizes of inputs; those that data gives are not built yet",
                ),
            )
        if origin.kind == "size":
            return self.emit(tensor.DimOp, (source, self.constant(origin.index, INDEX)), INDEX)
        rank = cast(Tensor, source.type).get_num_dims()
        position = (self.constant(origin.index, INDEX),) * rank
        element = self.emit(tensor.ExtractOp, (source, *position), element_type_of(source))
        unsigned = element_type_of(origin.value) != element_type_of(source)
        return self.emit(arith.IndexCastUIOp if unsigned else arith.IndexCastOp, (element,), INDEX)

    def empty(self, shape: Shape, type_: Tensor) -> SSAValue:
        """A `tensor.empty` of a type, whose `?` are given by `shape`; never shared."""
        sizes = [
            self.size(size)
            for size, declared in zip(shape, type_.get_shape(), strict=True)
            if declared == DYNAMIC_INDEX
        ]
        return self.append(tensor.EmptyOp(sizes, type_)).results[0]

    def empty_like(self, value: SSAValue) -> SSAValue:
        """A `tensor.empty` for a graph-level tensor."""
        return self.empty(self.shape(value), cast(Tensor, signless_type(value.type)))


class EqualSizes:
    """One representative for sizes that some op takes to be equal (the pairs that a run checks)."""

    def __init__(self, analysis: ShapeAnalysis):
        self._representative: dict[Dim, Dim] = {}
        for pair in analysis.constraints:
            left, right = self.of(pair.left), self.of(pair.right)
            if left == right:
                continue
            # A number represents best, then the simpler expression.
            kept, other = sorted((left, right), key=lambda dim: (len(symbols_of(dim)), len(str(dim)), str(dim)))
            if not isinstance(other, int):
                self._representative[other] = kept

    def of(self, dim: Dim) -> Dim:
        """The representative of a size."""
        while dim in self._representative:
            dim = self._representative[dim]
        return dim


def conditional(
    scope: Scope, condition: SSAValue, on_true: Scope, true_value: SSAValue, on_false: Scope, false_value: SSAValue
) -> SSAValue:
    """`scf.if` with one result; the branches' scopes are finished."""
    for branch, value in ((on_true, true_value), (on_false, false_value)):
        branch.append(scf.YieldOp(value))
    chosen = scf.IfOp(condition, [true_value.type], Region(on_true.block()), Region(on_false.block()))
    return scope.append(chosen).results[0]
