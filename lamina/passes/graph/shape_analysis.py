"""Symbolic sizes of every value of a function: one forward walk over the ops' own `infer` rules.

Sizes are expressions (`lamina.dialects.graph.dims`) over the names that the arguments declare in `lamina.dims`, plus
*opaque* symbols for what only the run can tell. Small integer tensors are tracked element by element, which is how a
`shape_of -> slice -> concatenate -> dynamic_reshape` chain gets a symbolic result shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, cast

from xdsl.dialects import func
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ArrayAttr,
    DenseArrayBase,
    DictionaryAttr,
    IntegerType,
    StringAttr,
    TensorType,
    i1,
)
from xdsl.ir import Attribute, Block, BlockArgument, Operation, OpResult, Region, SSAValue
from xdsl.traits import SymbolTable
from xdsl.utils.exceptions import VerifyException

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.graph.base import MAX_TRACKED_ELEMENTS, AbstractTensor, GraphOp, with_constant_elements
from lamina.dialects.graph.dims import (
    SIGNED_PREFIX,
    Dim,
    DimExpr,
    Symbol,
    maximum,
    parse_dim,
    substitute,
    symbol,
    symbols_of,
)
from lamina.dialects.graph.types import ui64
from lamina.profiling import span

DIMS = "lamina.dims"
ELEMENTS = "lamina.elements"

OriginKind: TypeAlias = Literal["size", "element"]


@dataclass(frozen=True)
class Origin:
    """Where the value of a symbol is read at run time: the size of axis `index`, or element `index`, of `value`."""

    value: SSAValue
    kind: OriginKind
    index: int


@dataclass(frozen=True)
class Equality:
    """Two sizes that `op` took to be equal; a run has to check it."""

    op: Operation
    left: Dim
    right: Dim


@dataclass(frozen=True)
class Signature:
    """A function seen from its calls: what its arguments are called, and its results in terms of those names."""

    arguments: tuple[AbstractTensor, ...]
    results: tuple[AbstractTensor, ...]
    constraints: tuple[tuple[Dim, Dim], ...] = ()


@dataclass
class ShapeAnalysis:
    """Symbolic shapes of all values of `function`, nested regions included.

    The walk happens at construction; ops made later are inferred when they are first asked for. Values of a function
    called with `func.call` get their sizes through the callee's signature. Raises LaminaError naming the op and its
    location where an op's operands do not fit.
    """

    function: func.FuncOp
    constraints: list[Equality] = field(default_factory=list[Equality])
    _known: dict[SSAValue, AbstractTensor] = field(default_factory=dict[SSAValue, AbstractTensor])
    _origins: dict[str, Origin] = field(default_factory=dict[str, Origin])
    _opaque: dict[Origin, Dim] = field(default_factory=dict[Origin, Dim])
    _reserved: set[str] = field(default_factory=set[str])
    _signatures: dict[str, Signature] = field(default_factory=dict[str, Signature])

    def __post_init__(self) -> None:
        with span("(A) shape analysis", "analysis"):
            self._bind_arguments()
            for block in self.function.body.blocks:
                self._run_block(block)

    # ---- questions

    def of(self, value: SSAValue) -> AbstractTensor:
        """What is known of `value`; raises VerifyException when it is not a tensor."""
        known = self._known.get(value)
        if known is not None:
            return known
        owner = value.owner
        if isinstance(owner, Operation):
            self._run_op(owner)
        else:
            self._known[value] = self._from_type(value)
        return self._known[value]

    def shape(self, value: SSAValue) -> tuple[Dim, ...]:
        """The symbolic shape of `value`."""
        return self.of(value).shape

    def elements(self, value: SSAValue) -> tuple[Dim, ...] | None:
        """The symbolic elements of a small integer tensor, None for other tensors."""
        return self.of(value).elements

    def origin(self, name: str) -> Origin | None:
        """Where symbol `name` is read at run time; None for a name that this function does not know."""
        return self._origins.get(name)

    def call_symbols(self, call: func.CallOp) -> Mapping[str, Dim]:
        """The callee's symbols (of argument sizes and elements) in terms of this function's sizes."""
        return self._match(call, self._signature(call))[0]

    def derived_from(self, dim: Dim, value: SSAValue) -> bool:
        """Whether `dim` needs the size or an element of `value` itself, so that nothing earlier gives it."""
        return any((origin := self._origins.get(name)) and origin.value is value for name in symbols_of(dim))

    def adopt(self, value: SSAValue, known: SSAValue) -> None:
        """Take over for `value` what is known of the value that it replaces."""
        self._known[value] = self.of(known)

    # ---- arguments

    def _bind_arguments(self) -> None:
        arguments = self.function.body.blocks[0].args if self.function.body.blocks else ()
        declared = [
            (
                self._declared(index, DIMS, len(shape_of_type(argument.type))),
                self._declared(index, ELEMENTS, tracked_count(argument.type)),
            )
            for index, argument in enumerate(arguments)
        ]
        for dims, elements in declared:
            for dim in (*(dims or ()), *(elements or ())):
                self._reserved |= symbols_of(dim)
        # Sizes first: an axis is cheaper to read than an element.
        for argument, (dims, _) in zip(arguments, declared, strict=True):
            for axis, size in enumerate(shape_of_type(argument.type)):
                if dims is not None and size == DYNAMIC_INDEX:
                    self._bind_name(dims[axis], Origin(argument, "size", axis))
        for argument, (_, elements) in zip(arguments, declared, strict=True):
            for index, element in enumerate(elements or ()):
                self._bind_name(element, Origin(argument, "element", index))
        for argument, (dims, elements) in zip(arguments, declared, strict=True):
            self._known[argument] = self._argument(argument, dims, elements)

    def _argument(
        self, argument: BlockArgument, dims: Sequence[Dim] | None, elements: Sequence[Dim] | None
    ) -> AbstractTensor:
        plain = self._from_type(argument)
        if dims is not None:
            shape = tuple(
                self._named_or(dim, size) if isinstance(size, DimExpr) else size
                for dim, size in zip(dims, plain.shape, strict=True)
            )
            plain = replace(plain, shape=shape)
        if elements is not None and plain.elements is not None:
            named = tuple(self._named_or(dim, known) for dim, known in zip(elements, plain.elements, strict=True))
            plain = replace(plain, elements=named)
        return plain

    def _declared(self, index: int, attribute: str, count: int) -> tuple[Dim, ...] | None:
        attributes = argument_attributes(self.function, index)
        names = attributes.get(attribute)
        if not isinstance(names, ArrayAttr):
            return None
        texts = [item.data for item in cast(ArrayAttr[Attribute], names) if isinstance(item, StringAttr)]
        if len(texts) != count:
            raise LaminaError(
                f"argument {index} of @{self.function.sym_name.data}: {attribute} has {len(texts)} entries, "
                f"expected {count}",
                where=location_text(self.function.location),
            )
        try:
            return tuple(parse_dim(text) for text in texts)
        except ValueError as error:
            raise LaminaError(
                f"argument {index} of @{self.function.sym_name.data}: {attribute}: {error}",
                where=location_text(self.function.location),
            ) from None

    def _bind_name(self, dim: Dim, origin: Origin) -> None:
        name = sole_symbol(dim)
        if name is not None:
            self._origins.setdefault(name, origin)

    def _named_or(self, dim: Dim, fallback: Dim) -> Dim:
        """`dim` when a run can compute it, else the opaque size: an expression may name symbols that no axis gives."""
        return dim if all(name in self._origins for name in symbols_of(dim)) else fallback

    # ---- opaque symbols

    def _opaque_symbol(self, value: SSAValue, kind: OriginKind, index: int) -> Dim:
        origin = Origin(value, kind, index)
        found = self._opaque.get(origin)
        if found is not None:
            return found
        prefix = "size_" if kind == "size" else SIGNED_PREFIX
        if isinstance(value, BlockArgument) and value.block is self.function.body.blocks[0]:
            name = f"{prefix}arg{value.index}_{index}"
        else:
            name = f"{prefix}{len(self._opaque)}"
        while name in self._reserved:
            name += "_"
        self._reserved.add(name)
        self._origins[name] = origin
        self._opaque[origin] = symbol(name)
        return self._opaque[origin]

    def _opaque_elements(self, value: SSAValue) -> tuple[Dim, ...] | None:
        if not is_tracked(value.type):
            return None
        return tuple(self._opaque_symbol(value, "element", index) for index in range(tracked_count(value.type)))

    def _from_type(self, value: SSAValue) -> AbstractTensor:
        type_ = tensor_type(value.type)
        shape = tuple(
            self._opaque_symbol(value, "size", axis) if size == DYNAMIC_INDEX else size
            for axis, size in enumerate(type_.get_shape())
        )
        return AbstractTensor(shape, type_.get_element_type(), self._opaque_elements(value))

    # ---- ops

    def _run_block(self, block: Block) -> None:
        for op in block.ops:
            self._run_op(op)

    def _run_op(self, op: Operation) -> None:
        if not op.results:
            return
        if op.name == "graph.if":
            self._run_if(op)
        elif op.name == "graph.while":
            self._run_while(op)
        elif op.name == "graph.scan":
            self._run_scan(op)
        elif isinstance(op, func.CallOp):
            self._run_call(op)
        elif isinstance(op, GraphOp):
            self._run_graph_op(op)
        else:
            for result in op.results:
                if isinstance(result.type, TensorType):
                    self._known[result] = self._from_type(result)

    def _run_graph_op(self, op: GraphOp) -> None:
        operands = [with_constant_elements(operand, self.of(operand)) for operand in op.operands]
        try:
            inferred = op.infer(operands)
            pairs = op.constraints(operands)
        except VerifyException as error:
            raise inference_failure(op, error) from error
        self.constraints += [Equality(op, left, right) for left, right in pairs if left != right]
        scope = {name for known in operands for dim in _dims_of(known) for name in symbols_of(dim)}
        # Elements given by data may be negative (the -1 of a reshape); as sizes they are known only at run time.
        signed = {name for name in scope if self._origins[name].kind == "element"} if is_reshape(op) else set[str]()
        for result, known in zip(op.results, inferred, strict=True):
            self._known[result] = self._settle(result, known, scope - signed, scope)

    def _settle(
        self, result: OpResult, inferred: AbstractTensor, size_scope: Set[str], scope: Set[str]
    ) -> AbstractTensor:
        """Make symbols that the rule invented opaque symbols of `result`, and add what its declared type knows."""
        declared = sizes_of(result.type)
        shape: list[Dim] = []
        for axis, dim in enumerate(inferred.shape):
            size: Dim = dim if symbols_of(dim) <= size_scope else self._opaque_symbol(result, "size", axis)
            if axis < len(declared) and declared[axis] != DYNAMIC_INDEX and size != declared[axis]:
                self.constraints.append(Equality(result.op, size, declared[axis]))
                size = declared[axis]
            shape.append(size)
        known = AbstractTensor(tuple(shape), inferred.element_type)
        if is_decided(inferred):
            return replace(known, elements=inferred.elements)
        if not is_tracked(tensor_type(known.type)):
            return known
        if inferred.elements is None:
            return replace(known, elements=self._tracked_opaque(result, known))
        elements = tuple(
            dim if symbols_of(dim) <= scope else self._opaque_symbol(result, "element", index)
            for index, dim in enumerate(inferred.elements)
        )
        return replace(known, elements=elements)

    def _tracked_opaque(self, result: SSAValue, known: AbstractTensor) -> tuple[Dim, ...]:
        return tuple(self._opaque_symbol(result, "element", index) for index in range(tracked_count(known.type)))

    # ---- control flow

    def _run_if(self, op: Operation) -> None:
        for region in op.regions:
            self._run_region(region)
        branches = [[self.of(value) for value in terminator_operands(region)] for region in op.regions]
        for index, result in enumerate(op.results):
            known = branches[0][index]
            for branch in branches[1:]:
                known = self._join(result, known, branch[index])
            self._known[result] = known

    def _run_while(self, op: Operation) -> None:
        """Start from the initial values; what the body changes becomes opaque, until nothing more changes."""
        body = op.regions[1].block
        initial = [self.of(value) for value in op.operands]
        state = list(initial)
        checked = len(self.constraints)
        while True:
            del self.constraints[checked:]
            for region in op.regions:
                for argument, start, now in zip(region.block.args, initial, state, strict=True):
                    self._known[argument] = self._generalized(argument, start, now)
                self._run_region(region)
            known = [self._known[argument] for argument in body.args]
            after = [
                self._join(argument, before, self.of(value))
                for argument, before, value in zip(body.args, known, terminator_operands(op.regions[1]), strict=True)
            ]
            if after == known:
                break
            state = after
        for result, start, now in zip(op.results, initial, state, strict=True):
            self._known[result] = self._generalized(result, start, now)

    def _run_scan(self, op: Operation) -> None:
        """Carried values keep the initial sizes; their elements are opaque where a step changes them."""
        counts = segment_sizes(op)
        inits, scanned = op.operands[: counts[0]], op.operands[counts[0] : counts[0] + counts[1]]
        body = op.regions[0]
        position, *arguments = body.block.args
        carried, slices = arguments[: counts[0]], arguments[counts[0] :]
        rows = [self.of(value) for value in scanned]
        lengths = [with_constant_elements(value, self.of(value)) for value in op.operands[sum(counts[:2]) :]]
        length = self._scan_length(op, rows, lengths)
        self._known[position] = self._from_type(position)
        for argument, row in zip(slices, rows, strict=True):
            known = AbstractTensor(row.shape[1:], row.element_type)
            self._known[argument] = replace(known, elements=self._opaque_elements(argument))
        initial = [self.of(value) for value in inits]
        state = list(initial)
        checked = len(self.constraints)
        while True:
            del self.constraints[checked:]
            for argument, start, now in zip(carried, initial, state, strict=True):
                self._known[argument] = self._generalized(argument, start, replace(now, shape=start.shape))
            self._run_region(body)
            known = [self._known[argument] for argument in carried]
            yielded = [self.of(value) for value in terminator_operands(body)]
            after = [
                self._join(argument, before, replace(value, shape=before.shape))
                for argument, before, value in zip(carried, known, yielded, strict=False)
            ]
            if after == known:
                break
            state = after
        for before, value in zip(known, yielded, strict=False):
            self._require_unchanged(op, before, value)
        for result, start, now in zip(op.results, initial, state, strict=False):
            self._known[result] = self._generalized(result, start, replace(now, shape=start.shape))
        for result, value in zip(op.results[counts[0] :], yielded[counts[0] :], strict=True):
            self._known[result] = self._stacked(op, result, length, value)

    def _require_unchanged(self, op: Operation, before: AbstractTensor, after: AbstractTensor) -> None:
        """A carried value keeps its sizes, which is checked ahead of the loop."""
        for left, right in zip(before.shape, after.shape, strict=True):
            if left == right:
                continue
            if self._known_inside(op, right):
                raise LaminaError(
                    f"{op.name}: the size of a carried value may change from {left} to {right} in a step",
                    where=location_text(op.location),
                )
            self.constraints.append(Equality(op, left, right))

    def _scan_length(self, op: Operation, rows: Sequence[AbstractTensor], lengths: Sequence[AbstractTensor]) -> Dim:
        """The number of steps; lengths that differ in name are to be checked."""
        if not rows:
            elements = lengths[0].elements
            assert elements is not None  # an i64 scalar is tracked
            return maximum(elements[0], 0)
        sizes = [row.shape[0] for row in rows]
        self.constraints += [Equality(op, sizes[0], size) for size in sizes[1:] if size != sizes[0]]
        return next((size for size in sizes if isinstance(size, int)), sizes[0])

    def _stacked(self, op: Operation, result: OpResult, length: Dim, step: AbstractTensor) -> AbstractTensor:
        """The step's shape behind the length; a size that is only known inside is opaque."""
        shape = [
            self._opaque_symbol(result, "size", axis + 1) if self._known_inside(op, size) else size
            for axis, size in enumerate(step.shape)
        ]
        known = AbstractTensor((length, *shape), step.element_type)
        return replace(known, elements=self._tracked_opaque(result, known)) if is_tracked(known.type) else known

    def _known_inside(self, op: Operation, size: Dim) -> bool:
        """Whether a size is read from a value in a region of `op`."""
        values = [self._origins[name].value for name in symbols_of(size)]
        blocks = [value.owner if isinstance(value.owner, Block) else value.owner.parent for value in values]
        return any(block is not None and op.is_ancestor(block) for block in blocks)

    def _run_region(self, region: Region) -> None:
        for block in region.blocks:
            self._run_block(block)

    def _generalized(self, value: SSAValue, start: AbstractTensor, now: AbstractTensor) -> AbstractTensor:
        """`start`, opaque symbols of `value` wherever `now` differs from it."""
        shape = tuple(
            before if before == after else self._opaque_symbol(value, "size", axis)
            for axis, (before, after) in enumerate(zip(start.shape, now.shape, strict=True))
        )
        if start.elements is None or now.elements is None:
            return replace(start, shape=shape, elements=None)
        elements = tuple(
            before if before == after else self._opaque_symbol(value, "element", index)
            for index, (before, after) in enumerate(zip(start.elements, now.elements, strict=True))
        )
        return replace(start, shape=shape, elements=elements)

    def _join(self, value: SSAValue, left: AbstractTensor, right: AbstractTensor) -> AbstractTensor:
        if len(left.shape) != len(right.shape) or left.element_type != right.element_type:
            raise LaminaError(
                f"expected {left.type}, found {right.type} on another path",
                where=location_text(value.owner.location) if isinstance(value.owner, Operation) else None,
            )
        return self._generalized(value, left, right)

    # ---- calls

    def _signature(self, call: func.CallOp) -> Signature:
        name = call.callee.string_value()
        found = self._signatures.get(name)
        if found is not None:
            return found
        callee = SymbolTable.lookup_symbol(call, call.callee)
        if not isinstance(callee, func.FuncOp):
            raise LaminaError(f"call of @{name}, which is no function", where=location_text(call.location))
        self._signatures[name] = signature_of(callee, self._signatures)
        return self._signatures[name]

    def _run_call(self, call: func.CallOp) -> None:
        signature = self._signature(call)
        values, mismatches = self._match(call, signature)
        self.constraints += [Equality(call, left, right) for left, right in mismatches]
        for left, right in signature.constraints:
            here = substitute(left, values), substitute(right, values)
            if here[0] != here[1]:
                self.constraints.append(Equality(call, *here))
        scope = {name for dim in values.values() for name in symbols_of(dim)}
        for result, known in zip(call.results, signature.results, strict=True):
            inside = AbstractTensor(
                tuple(self._inside(dim, values) for dim in known.shape),
                known.element_type,
                None if known.elements is None else tuple(self._inside(dim, values) for dim in known.elements),
            )
            self._known[result] = self._settle(result, inside, scope, scope)

    @staticmethod
    def _inside(dim: Dim, values: Mapping[str, Dim]) -> Dim:
        """A callee's size in the caller's terms; one that the arguments do not give stays unknown here."""
        return substitute(dim, values) if symbols_of(dim) <= values.keys() else symbol("<callee>")

    def _match(self, call: func.CallOp, signature: Signature) -> tuple[dict[str, Dim], list[tuple[Dim, Dim]]]:
        """Bind the callee's argument symbols to this function's sizes; pairs are what both sides fix differently."""
        pairs: list[tuple[Dim, Dim]] = []
        for operand, known in zip(call.operands, signature.arguments, strict=True):
            here = with_constant_elements(operand, self.of(operand))
            pairs += zip(known.shape, here.shape, strict=True)
            if known.elements is not None and here.elements is not None:
                pairs += zip(known.elements, here.elements, strict=True)
        values: dict[str, Dim] = {}
        for there, here in pairs:
            name = sole_symbol(there)
            if name is not None:
                values.setdefault(name, here)
        return values, [
            (value, here)
            for there, here in pairs
            if symbols_of(there) <= values.keys() and (value := substitute(there, values)) != here
        ]


def signature_of(function: func.FuncOp, known: dict[str, Signature] | None = None) -> Signature:
    """The signature of a function: from its body where that consists of graph ops, else from its attributes."""
    if function.body.blocks and all(
        isinstance(op, GraphOp | func.ReturnOp | func.CallOp) for op in function.body.block.ops
    ):
        analysis = ShapeAnalysis(function, _signatures=known if known is not None else {})
        arguments = tuple(analysis.of(argument) for argument in function.body.block.args)
        results = tuple(analysis.of(value) for value in terminator_operands(function.body))
        constraints = tuple((item.left, item.right) for item in analysis.constraints)
        return Signature(arguments, results, constraints)
    inputs = tuple(
        declared_abstract(type_, argument_attributes(function, index), f"arg{index}")
        for index, type_ in enumerate(function.function_type.inputs)
    )
    outputs = tuple(
        declared_abstract(type_, result_attributes(function, index), f"result{index}")
        for index, type_ in enumerate(function.function_type.outputs)
    )
    return Signature(inputs, outputs)


def declared_abstract(type_: Attribute, attributes: Mapping[str, Attribute], prefix: str) -> AbstractTensor:
    """A tensor as its type and `lamina.dims`, `lamina.elements` describe it."""
    tensor = tensor_type(type_)
    dims = names_in(attributes, DIMS)
    elements = names_in(attributes, ELEMENTS)
    shape = tuple(
        size if size != DYNAMIC_INDEX else parse_dim(dims[axis]) if dims else symbol(f"{prefix}_{axis}")
        for axis, size in enumerate(tensor.get_shape())
    )
    return AbstractTensor(
        shape, tensor.get_element_type(), tuple(parse_dim(text) for text in elements) if elements else None
    )


def names_in(attributes: Mapping[str, Attribute], name: str) -> tuple[str, ...]:
    """The strings of an array attribute; empty where there is none."""
    found = attributes.get(name)
    if not isinstance(found, ArrayAttr):
        return ()
    return tuple(item.data for item in cast(ArrayAttr[Attribute], found) if isinstance(item, StringAttr))


def argument_attributes(function: func.FuncOp, index: int) -> Mapping[str, Attribute]:
    """The attributes of argument `index`."""
    return _attributes_at(function.arg_attrs, index)


def result_attributes(function: func.FuncOp, index: int) -> Mapping[str, Attribute]:
    """The attributes of result `index`."""
    return _attributes_at(function.res_attrs, index)


def _attributes_at(attributes: ArrayAttr[DictionaryAttr] | None, index: int) -> Mapping[str, Attribute]:
    return attributes.data[index].data if attributes is not None and index < len(attributes) else {}


def tensor_type(type_: Attribute) -> TensorType[Attribute]:
    """`type_` as a tensor; raises VerifyException for other types."""
    if not isinstance(type_, TensorType):
        raise VerifyException(f"expected a tensor, found {type_}")
    return cast(TensorType[Attribute], type_)


def shape_of_type(type_: Attribute) -> tuple[int, ...]:
    """The static shape of a tensor type, DYNAMIC_INDEX for `?`."""
    return tensor_type(type_).get_shape()


def sizes_of(type_: Attribute) -> tuple[int, ...]:
    """As `shape_of_type`, nothing for a type that is no tensor (not inferred yet)."""
    return cast(TensorType[Attribute], type_).get_shape() if isinstance(type_, TensorType) else ()


def is_tracked(type_: Attribute) -> bool:
    """Whether the elements of such a tensor are tracked: integers, rank 0 or 1, few, their number known.

    Not unsigned ones of 64 bits: symbols are signed.
    """
    if not isinstance(type_, TensorType):
        return False
    tensor = cast(TensorType[Attribute], type_)
    element, shape = tensor.get_element_type(), tensor.get_shape()
    if not isinstance(element, IntegerType) or element in (i1, ui64) or len(shape) > 1:
        return False
    return not shape or 0 <= shape[0] <= MAX_TRACKED_ELEMENTS


def is_decided(known: AbstractTensor) -> bool:
    """Whether these are booleans whose values follow from the sizes alone, such as `size == -1`."""
    if known.element_type != i1 or known.elements is None:
        return False
    return all(isinstance(element, int) for element in known.elements)


def tracked_count(type_: Attribute) -> int:
    """The number of elements of a tracked tensor type, 0 for other types."""
    if not is_tracked(type_):
        return 0
    shape = shape_of_type(type_)
    return shape[0] if shape else 1


def sole_symbol(dim: Dim) -> str | None:
    """The name when `dim` is exactly one symbol."""
    if isinstance(dim, int) or len(dim.terms) != 1:
        return None
    ((atoms, factor),) = dim.terms
    if factor != 1 or len(atoms) != 1 or not isinstance(atoms[0], Symbol):
        return None
    return atoms[0].name


def terminator_operands(region: Region) -> Sequence[SSAValue]:
    """What a region of one block yields or returns."""
    last = region.block.last_op
    return last.operands if last is not None else ()


def segment_sizes(op: Operation) -> tuple[int, ...]:
    """How many operands each group of an op with groups of operands has."""
    sizes = op.properties["operandSegmentSizes"]
    return tuple(int(size) for size in sizes.get_values()) if isinstance(sizes, DenseArrayBase) else ()


def is_reshape(op: Operation) -> bool:
    """Whether the sizes of the result are elements of an operand, -1 among them."""
    return op.name == "graph.dynamic_reshape"


def inference_failure(op: Operation, error: Exception) -> LaminaError:
    """An op whose operands do not fit, as an error that names the op and where it is from."""
    message = str(error)
    return LaminaError(message if op.name in message else f"{op.name}: {message}", where=location_text(op.location))


def _dims_of(known: AbstractTensor) -> Iterable[Dim]:
    yield from known.shape
    yield from known.elements or ()
