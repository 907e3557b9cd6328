"""Derivatives of whole functions: what is asked for, and the functions that are added to the module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from xdsl.dialects import func
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    FunctionType,
    ModuleOp,
    StringAttr,
    SymbolRefAttr,
    TensorType,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.traits import SymbolTable
from xdsl.transforms.dead_code_elimination import region_dce

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.graph.base import AbstractTensor
from lamina.dialects.graph.composite import CompositeOp
from lamina.passes.autodiff.builder import Derivative, DerivativeBuilder, is_real
from lamina.passes.autodiff.engine import WITHOUT, Engine
from lamina.passes.autodiff.rematerialization import REMAT, cut, mark_contractions, policy_of, return_contractions
from lamina.passes.autodiff.rules import REGION_RULES, RULES
from lamina.passes.autodiff.rules.barrier import barrier
from lamina.passes.graph.decompose import decompose_ops
from lamina.passes.graph.infer_types import dims_attribute
from lamina.passes.graph.shape_analysis import DIMS, ShapeAnalysis, argument_attributes, result_attributes
from lamina.resources import ResourceStore

NAME = "lamina.name"
DERIVATIVE = "lamina.derivative"
"""On a derivative: what it is the derivative of, and how. Asked for again, it is found by it."""
VJP, JVP = "lamina.vjp", "lamina.jvp"
"""On a function: the function that is its rule."""


@dataclass(frozen=True)
class Kind:
    """A derivative function: `mode`, the suffix of its name, and what it takes and gives besides the primals."""

    mode: str
    suffix: str
    takes_cotangents: bool
    gives_results: bool
    summary: str


KINDS: Mapping[str, Kind] = {
    "jvp": Kind("forward", "jvp", False, True, "(primals…, tangents of wrt…) → (results…, tangents of outputs…)"),
    "vjp": Kind("reverse", "vjp", True, True, "(primals…, cotangents of outputs…) → (results…, cotangents of wrt…)"),
    "pullback": Kind("reverse", "pullback", True, False, "(primals…, cotangents of outputs…) → (cotangents of wrt…)"),
    "gradient": Kind("reverse", "grad", False, False, "(primals…) → (gradients of one scalar result…)"),
    "value-and-gradient": Kind(
        "reverse", "value_and_grad", False, True, "(primals…) → (results…, gradients of one scalar result…)"
    ),
}
"""What can be asked for."""

GRADIENTS = ("gradient", "value-and-gradient")


@dataclass(frozen=True)
class Request:
    """One derivative of one function: of the results `outputs` with respect to the arguments `wrt`."""

    function: str
    kind: str
    wrt: tuple[int, ...]
    outputs: tuple[int, ...]
    max_iterations: int | None = None
    keeps_contractions: bool = False
    """Whether the function takes, last, what the policy `dots` keeps of the function."""

    @property
    def key(self) -> str:
        """The request as text."""
        bound = "" if self.max_iterations is None else f" max-iterations={self.max_iterations}"
        wrt, outputs = (",".join(map(str, indices)) for indices in (self.wrt, self.outputs))
        kept = " keep=dots" if self.keeps_contractions else ""
        return f"{self.kind} of {self.function} wrt={wrt} outputs={outputs}{bound}{kept}"


def differentiate(
    module: ModuleOp,
    function: str = "main",
    *,
    kind: str = "vjp",
    wrt: Sequence[int] | None = None,
    outputs: Sequence[int] | None = None,
    name: str | None = None,
    max_iterations: int | None = None,
    resources: ResourceStore | None = None,
) -> str:
    """Add a derivative of a function to the module; gives the name of the new function.

    `kind` is a key of `KINDS`. `wrt` are indices of arguments, all floats when None; `outputs` indices of results, all
    floats when None, for gradients the first result. `name` is the new function's, `FUNCTION.SUFFIX` when None.
    `max_iterations` bounds while loops that are differentiated backward. Large constants go into `resources`. Raises
    LaminaError, and leaves the module as it was, where something has no derivative.
    """
    differentiator = Differentiator(module, ResourceStore() if resources is None else resources, max_iterations)
    request = differentiator.request(function, kind, wrt, outputs)
    try:
        return differentiator.derive(request, name)
    except Exception:
        differentiator.undo()
        raise


@dataclass
class Differentiator:
    """Adds derivatives to one module; those of callees are made once each."""

    module: ModuleOp
    resources: ResourceStore
    max_iterations: int | None = None
    _added: list[func.FuncOp] = field(default_factory=list[func.FuncOp])
    _under_way: list[str] = field(default_factory=list[str])

    # ---- requests

    def function(self, name: str) -> func.FuncOp:
        """The function called `name`; raises LaminaError."""
        found = SymbolTable.lookup_symbol(self.module, name)
        if isinstance(found, func.FuncOp):
            return found
        known = ", ".join(f"@{op.sym_name.data}" for op in self.module.ops if isinstance(op, func.FuncOp))
        raise LaminaError(f"the module has no function @{name}", hints=(f"its functions are {known}",))

    def request(self, name: str, kind: str, wrt: Sequence[int] | None, outputs: Sequence[int] | None) -> Request:
        """A request that makes sense; raises LaminaError naming what does not."""
        function = self.function(name)
        if kind not in KINDS:
            raise LaminaError(f"differentiate: unknown kind '{kind}'", hints=(f"the kinds are {', '.join(KINDS)}",))
        inputs, results = function.function_type.inputs.data, function.function_type.outputs.data
        where = location_text(function.location)
        chosen = _chosen(f"@{name}: argument", wrt, inputs, where)
        if kind in GRADIENTS:
            outputs = (0,) if outputs is None else outputs
            if len(outputs) != 1:
                raise LaminaError(
                    f"@{name}: a gradient is of one result, found {len(outputs)}",
                    where=where,
                    hints=("give the index of one result as outputs, or use kind=vjp",),
                )
        of = _chosen(f"@{name}: result", outputs, results, where)
        if kind in GRADIENTS and _rank(results[of[0]]) != 0:
            raise LaminaError(
                f"@{name}: result {of[0]}: a gradient is of a scalar, found {results[of[0]]}",
                where=where,
                hints=("reduce it to a scalar (graph.reduce add, graph.mean), or use kind=vjp with a cotangent",),
            )
        return Request(name, kind, chosen, of, self.max_iterations)

    # ---- construction

    def derive(self, request: Request, name: str | None = None) -> str:
        """The name of the function for a request, which is made unless the module has it."""
        made = self._made(request.key, name)
        if made is not None:
            return made.sym_name.data
        original = self.function(request.function)
        if not original.body.blocks:
            raise LaminaError(
                f"@{request.function} has no body to differentiate",
                where=location_text(original.location),
                hints=(f"give it a rule: attributes {{{VJP} = @rule}}",),
            )
        if request.key in self._under_way:
            raise LaminaError(f"@{request.function} calls itself", where=location_text(original.location))
        self._under_way.append(request.key)
        try:
            return self._build(original, request, name)
        finally:
            self._under_way.pop()

    def undo(self) -> None:
        """Remove all functions that were added."""
        for function in self._added:
            function.detach()
        self._added.clear()

    def _made(self, key: str, name: str | None = None) -> func.FuncOp | None:
        """What has been made for a request before."""
        for op in self.module.ops:
            made = op.attributes.get(DERIVATIVE)
            if isinstance(op, func.FuncOp) and made == StringAttr(key) and name in (None, op.sym_name.data):
                return op
        return None

    def _build(self, original: func.FuncOp, request: Request, name: str | None) -> str:
        kind = KINDS[request.kind]
        function = self._copy(original, self._free_name(name, f"{request.function}.{kind.suffix}"), request.key)
        construction = Construction(self, function, original, request, kind)
        construction.run()
        return function.sym_name.data

    def _copy(self, original: func.FuncOp, name: str, key: str) -> func.FuncOp:
        """A copy behind the function and its derivatives, for a request."""
        function = original.clone()
        for old, new in zip(original.walk(), function.walk(), strict=True):
            new.location = old.location
        function.sym_name = StringAttr(name)
        place = original
        while isinstance(place.next_op, func.FuncOp) and DERIVATIVE in place.next_op.attributes:
            place = place.next_op
        Rewriter.insert_op(function, InsertPoint.after(place))
        self._added.append(function)
        for attribute in (VJP, JVP):
            function.attributes.pop(attribute, None)
        function.attributes[DERIVATIVE] = StringAttr(key)
        return function

    def _free_name(self, wanted: str | None, default: str) -> str:
        taken = {op.sym_name.data for op in self.module.ops if isinstance(op, func.FuncOp)}
        if wanted is not None:
            if wanted in taken:
                raise LaminaError(f"the module has a function @{wanted} already", hints=("give another name",))
            return wanted
        name, number = default, 0
        while name in taken:
            number += 1
            name = f"{default}_{number}"
        return name

    # ---- calls

    def tangents(self, engine: Engine, call: func.CallOp, tangents: Sequence[Derivative]) -> Sequence[Derivative]:
        """Call the forward derivative of a callee."""
        name = call.callee.string_value()
        function = self.function(name)
        outputs = [index for index, result in enumerate(call.results) if is_real(result)]
        b = engine.builder
        rule = self._rule(function, JVP)
        if rule is not None:
            wrt = [index for index, operand in enumerate(call.operands) if is_real(operand)]
            given = [b.materialized(tangents[index], call.operands[index]) for index in wrt]
            self._check_rule(function, rule, JVP)
            results = emit_call(b, rule, (*call.operands, *given))[len(call.results) :]
        elif self._rule(function, VJP) is not None:
            results = self._transposed_twice(engine, call, function, tangents, outputs)
        else:
            wrt = [index for index, tangent in enumerate(tangents) if tangent is not None]
            given = [tangent for tangent in tangents if tangent is not None]
            derived = self.derive(Request(name, "jvp", tuple(wrt), tuple(outputs), self.max_iterations))
            results = emit_call(b, self.function(derived), (*call.operands, *given))[len(call.results) :]
        result: list[Derivative] = [None] * len(call.results)
        for index, tangent in zip(outputs, results, strict=True):
            result[index] = tangent
            b.declare(tangent, b.abstract(call.results[index]))
        return result

    def cotangents(
        self, engine: Engine, call: func.CallOp, results: Sequence[Derivative], needed: Sequence[bool]
    ) -> Sequence[Derivative]:
        """Call the pullback of a callee."""
        name = call.callee.string_value()
        function = self.function(name)
        b = engine.builder
        reals = [index for index, operand in enumerate(call.operands) if is_real(operand)]
        outputs = [index for index, result in enumerate(call.results) if is_real(result)]
        rule = self._rule(function, VJP)
        if rule is not None:
            self._check_rule(function, rule, VJP)
            given = [b.materialized(results[index], call.results[index]) for index in outputs]
            parts = emit_call(b, rule, (*call.operands, *given))
            wrt = reals
        elif (forward := self._rule(function, JVP)) is not None:
            # The rule is linear in the tangents: its own pullback with respect to them is the transpose.
            self._check_rule(function, forward, JVP)
            places = tuple(range(len(call.operands), len(call.operands) + len(reals)))
            of = tuple(range(len(call.results), len(call.results) + len(outputs)))
            request = Request(forward.sym_name.data, "pullback", places, of, self.max_iterations)
            zeros = [b.zeros_like(call.operands[index]) for index in reals]
            given = [b.materialized(results[index], call.results[index]) for index in outputs]
            parts = emit_call(b, self.function(self.derive(request)), (*call.operands, *zeros, *given))
            wrt = reals
        else:
            wrt = [index for index, need in enumerate(needed) if need]
            of = tuple(index for index, cotangent in enumerate(results) if cotangent is not None)
            policy = policy_of(function)
            request = Request(name, "pullback", tuple(wrt), of, self.max_iterations, policy == "dots")
            kept = self._kept(engine, call, function) if policy == "dots" else ()
            given = [*call.operands, *(cotangent for cotangent in results if cotangent is not None), *kept]
            # What the callee computes again depends on the cotangents, and so comes after all that is before them.
            inputs = given if policy == "everything" else barrier(b, given)
            parts = emit_call(b, self.function(self.derive(request)), inputs)
        found: list[Derivative] = [None] * len(call.operands)
        for index, part in zip(wrt, parts, strict=True):
            b.declare(part, b.abstract(call.operands[index]))
            if needed[index]:
                found[index] = part
        return found

    def _kept(self, engine: Engine, call: func.CallOp, function: func.FuncOp) -> Sequence[SSAValue]:
        """What the policy `dots` keeps of a callee, computed beside the call (and merged with it once inlined)."""
        b = engine.builder
        key = f"contractions of {function.sym_name.data}"
        found = self._made(key)
        if found is None:
            found = self._copy(function, f"{function.sym_name.data}.contractions", key)
            found.attributes.pop(REMAT, None)
            return_contractions(found)
        outer, b.insertion_point = b.insertion_point, InsertPoint.after(call)
        try:
            return emit_call(b, found, call.operands)
        finally:
            b.insertion_point = outer

    def _transposed_twice(
        self,
        engine: Engine,
        call: func.CallOp,
        function: func.FuncOp,
        tangents: Sequence[Derivative],
        outputs: Sequence[int],
    ) -> Sequence[SSAValue]:
        """Tangents from a VJP rule, linear in the cotangents: its pullback with respect to these is the JVP."""
        b = engine.builder
        rule = self._rule(function, VJP)
        assert rule is not None
        self._check_rule(function, rule, VJP)
        reals = [index for index, operand in enumerate(call.operands) if is_real(operand)]
        places = tuple(range(len(call.operands), len(call.operands) + len(outputs)))
        request = Request(rule.sym_name.data, "pullback", places, tuple(range(len(reals))), self.max_iterations)
        zeros = [b.zeros_like(call.results[index]) for index in outputs]
        given = [b.materialized(tangents[index], call.operands[index]) for index in reals]
        return emit_call(b, self.function(self.derive(request)), (*call.operands, *zeros, *given))

    def _rule(self, function: func.FuncOp, attribute: str) -> func.FuncOp | None:
        symbol = function.attributes.get(attribute)
        return self.function(symbol.string_value()) if isinstance(symbol, SymbolRefAttr) else None

    def _check_rule(self, function: func.FuncOp, rule: func.FuncOp, attribute: str) -> None:
        """Raise LaminaError for a rule whose type is not the one that it must have."""
        inputs, results = function.function_type.inputs.data, function.function_type.outputs.data
        floats, real_results = (tuple(t for t in types if _is_real_type(t)) for types in (inputs, results))
        if attribute == VJP:
            expected = FunctionType.from_lists([*inputs, *real_results], floats)
        else:
            expected = FunctionType.from_lists([*inputs, *floats], [*results, *real_results])
        if rule.function_type != expected:
            raise LaminaError(
                f"@{rule.sym_name.data}, {attribute} of @{function.sym_name.data}: expected {expected}, "
                f"found {rule.function_type}",
                where=location_text(rule.location),
                hints=("a rule takes the arguments, then cotangents (tangents), one for each float",),
            )


@dataclass
class Construction:
    """One derivative under construction: `function` starts as a copy of `original`."""

    differentiator: Differentiator
    function: func.FuncOp
    original: func.FuncOp
    request: Request
    kind: Kind

    def run(self) -> None:
        """Turn the copy into the derivative."""
        markers = mark_contractions(self.function) if self.request.keeps_contractions else []
        self._decompose()
        block = self.function.body.block
        terminator = block.last_op
        assert isinstance(terminator, func.ReturnOp)
        builder = DerivativeBuilder(InsertPoint.before(terminator), self.differentiator.resources)
        analysis = ShapeAnalysis(self.function)
        declare_all(builder, self.function, analysis)
        engine = Engine(builder, RULES, REGION_RULES, self.differentiator, self.differentiator.max_iterations)
        arguments = list(block.args)
        if self.kind.mode == "forward":
            derivatives = self._forward(engine, arguments)
        else:
            derivatives = self._backward(engine, arguments, terminator)
        results = list(terminator.operands) if self.kind.gives_results else []
        attributes = self._result_attributes()
        kept = [{DIMS: dims_attribute(builder.shape(marker.result))} for marker in markers]
        cut(self.function, markers)
        returned = func.ReturnOp(*results, *derivatives)
        returned.location = terminator.location
        Rewriter.replace_op(terminator, returned, [])
        region_dce(self.function.body)
        self.function.function_type = FunctionType.from_lists(
            [argument.type for argument in block.args], [value.type for value in returned.operands]
        )
        self.function.arg_attrs = ArrayAttr([DictionaryAttr(item) for item in (*self._argument_attributes(), *kept)])
        self.function.res_attrs = ArrayAttr([DictionaryAttr(item) for item in attributes])

    def _forward(self, engine: Engine, arguments: Sequence[SSAValue]) -> list[SSAValue]:
        block = self.function.body.block
        tangents: dict[SSAValue, SSAValue] = {}
        for index in self.request.wrt:
            tangents[arguments[index]] = self._argument_like(engine, arguments[index], "tangent")
        engine.forward(block, tangents)
        returned = block.last_op
        assert returned is not None
        engine.builder.insertion_point = InsertPoint.before(returned)
        engine.builder.location = returned.location
        values = [returned.operands[index] for index in self.request.outputs]
        return [engine.builder.materialized(tangents.get(value), value) for value in values]

    def _backward(self, engine: Engine, arguments: Sequence[SSAValue], terminator: func.ReturnOp) -> list[SSAValue]:
        b = engine.builder
        block = self.function.body.block
        varied = {arguments[index] for index in self.request.wrt}
        engine.varied(block, varied)
        ops = list(block.ops)[:-1]
        cotangents: dict[SSAValue, SSAValue] = {}
        for index in self.request.outputs:
            value = terminator.operands[index]
            if self.kind.takes_cotangents:
                cotangent = self._argument_like(engine, value, "cotangent")
            else:
                cotangent = b.constant(1.0, b.element_type(value))
            if value in varied:
                engine.accumulate(cotangents, value, cotangent)
        engine.backward(ops, cotangents, varied)
        b.location = terminator.location
        wanted = [arguments[index] for index in self.request.wrt]
        return [b.materialized(cotangents.get(value), value) for value in wanted]

    def _argument_like(self, engine: Engine, value: SSAValue, word: str) -> SSAValue:
        block = self.function.body.block
        argument = block.insert_arg(value.type, len(block.args))
        if value.name_hint:
            argument.name_hint = f"{value.name_hint}_{word}"
        engine.builder.declare(argument, engine.builder.abstract(value))
        return argument

    def _decompose(self) -> None:
        """Composites without a rule of their own become primitives."""
        composites = [op for op in self.function.walk() if isinstance(op, CompositeOp)]
        missing = [op for op in composites if type(op) not in RULES and op.DIFFERENTIABILITY not in WITHOUT]
        if missing:
            decompose_ops(
                missing,
                ShapeAnalysis(self.function),
                self.differentiator.resources,
                lambda op: type(op) not in RULES and op.DIFFERENTIABILITY not in WITHOUT,
            )

    # ---- attributes

    def _argument_attributes(self) -> list[dict[str, Attribute]]:
        inputs = [dict(argument_attributes(self.original, i)) for i in range(len(self.original.function_type.inputs))]
        request = self.request
        if self.kind.mode == "forward":
            return [*inputs, *(renamed(inputs[index], "tangent") for index in request.wrt)]
        if not self.kind.takes_cotangents:
            return inputs
        return [*inputs, *(renamed(self._of_result(index), "cotangent") for index in request.outputs)]

    def _result_attributes(self) -> list[dict[str, Attribute]]:
        count = len(self.original.function_type.outputs)
        results = [self._of_result(index) for index in range(count)] if self.kind.gives_results else []
        request = self.request
        if self.kind.mode == "forward":
            return [*results, *(renamed(self._of_result(index), "tangent") for index in request.outputs)]
        word = "gradient" if request.kind in GRADIENTS else "cotangent"
        inputs = [dict(argument_attributes(self.original, index)) for index in request.wrt]
        return [*results, *(renamed(item, word) for item in inputs)]

    def _of_result(self, index: int) -> dict[str, Attribute]:
        """A result's attributes; what it is written into is the caller's to say anew."""
        attributes = dict(result_attributes(self.original, index))
        attributes.pop("lamina.alias", None)
        return attributes


def emit_call(b: DerivativeBuilder, function: func.FuncOp, operands: Sequence[SSAValue]) -> Sequence[SSAValue]:
    """Call a function; the results are of its types."""
    results = list(function.function_type.outputs.data)
    call = func.CallOp(function.sym_name.data, operands, results)
    call.location = b.location
    Rewriter.insert_op(call, b.insertion_point)
    return call.results


def declare_all(builder: DerivativeBuilder, function: func.FuncOp, analysis: ShapeAnalysis) -> None:
    """State what the shape analysis knows of every value of a function."""
    for argument in function.body.block.args:
        _declare(builder, argument, analysis)
    for op in function.walk():
        for region in op.regions:
            for block in region.blocks:
                for argument in block.args:
                    _declare(builder, argument, analysis)
        for result in op.results:
            _declare(builder, result, analysis)


def _declare(builder: DerivativeBuilder, value: SSAValue, analysis: ShapeAnalysis) -> None:
    if isinstance(value.type, TensorType):
        known = analysis.of(value)
        builder.declare(value, AbstractTensor(known.shape, known.element_type, known.elements))


def renamed(attributes: Mapping[str, Attribute], word: str) -> dict[str, Attribute]:
    """The name and sizes of a derivative, from those of the value that it belongs to."""
    result = {key: value for key, value in attributes.items() if key == DIMS}
    name = attributes.get(NAME)
    if isinstance(name, StringAttr):
        result[NAME] = StringAttr(f"{name.data}.{word}")
    return result


def _chosen(what: str, indices: Sequence[int] | None, types: Sequence[Attribute], where: str | None) -> tuple[int, ...]:
    """Valid indices of float tensors; all floats when None."""
    if indices is None:
        return tuple(index for index, type_ in enumerate(types) if _is_real_type(type_))
    for index in indices:
        if not 0 <= index < len(types):
            raise LaminaError(f"{what}s: expected indices within [0, {len(types)}), found {index}", where=where)
        if not _is_real_type(types[index]):
            raise LaminaError(
                f"{what} {index}: no derivative of {types[index]}: only floats have tangents",
                where=where,
                hints=("leave it out, or cast it to a float inside the function and pass the float",),
            )
    if len(set(indices)) != len(indices):
        raise LaminaError(f"{what}s: expected distinct indices, found {list(indices)}", where=where)
    return tuple(indices)


def _is_real_type(type_: Attribute) -> bool:
    from lamina.dialects.graph.types import is_float

    return isinstance(type_, TensorType) and is_float(cast("TensorType[Attribute]", type_).get_element_type())


def _rank(type_: Attribute) -> int:
    return cast("TensorType[Any]", type_).get_num_dims()
