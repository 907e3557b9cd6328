"""`arith` and `math`: one table of functions from operands to a result, for scalars and for every part of a vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias, cast

from xdsl.dialects.arith import FastMathFlagsAttr, IntegerOverflowAttr
from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IndexType,
    IntegerAttr,
)
from xdsl.ir import Attribute, Operation

from lamina.diagnostics import LaminaError
from lamina.dialects.loop.types import is_integer
from lamina.dialects.loop.types import is_vector as is_vector_type
from lamina.lowering.to_llvm_text.conversions import constant, convert_float
from lamina.lowering.to_llvm_text.function import Case, FunctionPrinter, PartProducer, Typed
from lamina.lowering.to_llvm_text.types import (
    BITS,
    SMALL_FLOATS,
    VectorLayout,
    element_of,
    element_text,
    is_vector,
    lanes_of,
    literal,
    with_element,
)

Compute: TypeAlias = Callable[[Sequence[str], str, str], str]
"""(operands, LLVM type of the last operand, LLVM type of the result) -> result."""
Maker: TypeAlias = Callable[[FunctionPrinter, Operation], Compute]
"""Reads the op's attributes once; what it returns is called for every part."""

AnyDense: TypeAlias = DenseIntOrFPElementsAttr[Any]
INTEGER_PREDICATES = ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge")
FLOAT_PREDICATES = (
    *("false", "oeq", "ogt", "oge", "olt", "ole", "one", "ord"),
    *("ueq", "ugt", "uge", "ult", "ule", "une", "uno", "true"),
)
CURRENT_ROUNDING = "4"
"""The rounding that an x86 instruction takes from its control register."""

LIBRARY_FUNCTIONS = (
    *("acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "cos", "cosh", "erf", "erfc", "exp", "exp2"),
    *("expm1", "log", "log10", "log1p", "log2", "sin", "sinh", "tan", "tanh"),
)
"""`math` ops that have the name of the C function that computes them."""


def fast_math(op: Operation) -> str:
    """The op's fast-math flags as LLVM writes them, with a leading space."""
    flags = op.properties.get("fastmath")
    if not isinstance(flags, FastMathFlagsAttr) or not flags.data:
        return ""
    return "".join(f" {flag.value}" for flag in flags.data)


def in_single(printer: FunctionPrinter, compute: Compute) -> Compute:
    """f16 and bf16 are computed in f32 and rounded once: few CPUs have their arithmetic."""

    def computed(operands: Sequence[str], source: str, result: str) -> str:
        if element_of(source) not in SMALL_FLOATS:
            return compute(operands, source, result)
        single = with_element(source, "float")
        wide = [convert_float(printer, operand, source, single) for operand in operands]
        narrow = element_of(result) in SMALL_FLOATS
        value = compute(wide, single, with_element(result, "float") if narrow else result)
        return convert_float(printer, value, single, result) if narrow else value

    return computed


def float_instruction(opcode: str) -> Maker:
    """`opcode flags type a, b`"""

    def maker(printer: FunctionPrinter, op: Operation) -> Compute:
        head = opcode + fast_math(op)
        return in_single(printer, lambda x, source, _: printer.value(f"{head} {source} {', '.join(x)}"))

    return maker


def float_intrinsic(name: str) -> Maker:
    """`llvm.NAME` of operands that all have the result's type."""

    def maker(printer: FunctionPrinter, op: Operation) -> Compute:
        flags = fast_math(op)

        def compute(x: Sequence[str], source: str, result: str) -> str:
            arguments = [(source, operand) for operand in x]
            return printer.value(printer.intrinsic(name, result, arguments, [source], flags))

        return in_single(printer, compute)

    return maker


def fused_multiply_add(printer: FunctionPrinter, op: Operation) -> Compute:
    """`llvm.fma`; for f32 without such an instruction in f64, where the product is exact.

    The sum is rounded twice then: to 0.5 + 2⁻²⁹ units in the last place.
    """
    fused = float_intrinsic("fma")(printer, op)

    def compute(x: Sequence[str], source: str, result: str) -> str:
        if printer.module.target.fuses or element_of(source) == "double":
            return fused(x, source, result)
        double = with_element(source, "double")
        a, b, c = (printer.value(f"fpext {source} {operand} to {double}") for operand in x)
        product = printer.value(f"fmul {double} {a}, {b}")
        total = printer.value(f"fadd {double} {product}, {c}")
        return printer.value(f"fptrunc {double} {total} to {result}")

    return in_single(printer, compute)


def scale_by_power(printer: FunctionPrinter, op: Operation) -> Compute:
    """`llvm.ldexp` of a float and an i32."""

    def compute(x: Sequence[str], source: str, result: str) -> str:
        exponent = with_element(source, "i32")
        arguments = [(source, x[0]), (exponent, x[1])]
        return printer.value(printer.intrinsic("ldexp", result, arguments, [source, exponent]))

    return compute


def scale_by_whole_power(printer: FunctionPrinter, op: Operation) -> Compute:
    """`vscalefps` on a register of 16 lanes."""

    def compute(x: Sequence[str], source: str, result: str) -> str:
        arguments = [(source, x[0]), (source, x[1]), (source, x[0]), ("i16", "-1"), ("i32", CURRENT_ROUNDING)]
        return printer.value(printer.call_text("@llvm.x86.avx512.mask.scalef.ps.512", result, arguments))

    return compute


def look_up(printer: FunctionPrinter, op: Operation) -> Compute:
    """`vpermps` on a register of 16 lanes, `vpermi2ps` for a table of two."""
    table = cast("AnyDense", op.properties["table"])
    numbers = [literal("float", value) for value in table.get_values()]

    def compute(x: Sequence[str], source: str, result: str) -> str:
        halves = ["<" + ", ".join(f"float {number}" for number in half) + ">" for half in (numbers[:16], numbers[16:])]
        if len(numbers) == 16:
            arguments = [(result, halves[0]), (source, x[0])]
            return printer.value(printer.call_text("@llvm.x86.avx512.permvar.sf.512", result, arguments))
        arguments = [(result, halves[0]), (source, x[0]), (result, halves[1])]
        return printer.value(printer.call_text("@llvm.x86.avx512.vpermi2var.ps.512", result, arguments))

    return compute


def integer_instruction(opcode: str) -> Maker:
    """`opcode flags type a, b`"""

    def maker(printer: FunctionPrinter, op: Operation) -> Compute:
        overflow = op.properties.get("overflowFlags")
        flags = "".join(f" {flag.value}" for flag in overflow.data) if isinstance(overflow, IntegerOverflowAttr) else ""
        head = opcode + flags
        return lambda x, source, _: printer.value(f"{head} {source} {x[0]}, {x[1]}")

    return maker


def integer_intrinsic(name: str, *immediates: Typed) -> Maker:
    """`llvm.NAME` of integers, with constant arguments after them."""

    def maker(printer: FunctionPrinter, op: Operation) -> Compute:
        def compute(x: Sequence[str], source: str, result: str) -> str:
            arguments = [*((source, operand) for operand in x), *immediates]
            return printer.value(printer.intrinsic(name, result, arguments, [source]))

        return compute

    return maker


def remainder(printer: FunctionPrinter, op: Operation) -> Compute:
    """`frem`, which LLVM turns into calls of C's `fmod`."""
    instruction = f"frem{fast_math(op)}"

    def compute(x: Sequence[str], source: str, result: str) -> str:
        printer.module.externals.add("fmodf" if element_of(source) == "float" else "fmod")
        return printer.value(f"{instruction} {source} {x[0]}, {x[1]}")

    return in_single(printer, compute)


def compare(opcode: str, predicates: Sequence[str]) -> Maker:
    """`icmp` or `fcmp`"""

    def maker(printer: FunctionPrinter, op: Operation) -> Compute:
        predicate = op.properties.get("predicate")
        if not isinstance(predicate, IntegerAttr):
            raise LaminaError(f"'{op.name}' has no predicate")
        head = f"{opcode}{fast_math(op)} {predicates[predicate.value.data]}"
        return in_single(printer, lambda x, source, _: printer.value(f"{head} {source} {x[0]}, {x[1]}"))

    return maker


def select(printer: FunctionPrinter, op: Operation) -> Compute:
    """One i1 for all lanes, or one per lane."""
    per_lane = is_vector(op.operands[0])

    def compute(x: Sequence[str], source: str, result: str) -> str:
        condition = with_element(result, "i1") if per_lane else "i1"
        return printer.value(f"select {condition} {x[0]}, {result} {x[1]}, {result} {x[2]}")

    return compute


def integer_cast(signed: bool) -> Maker:
    """Between integers and index of any widths, by truncation or extension."""

    def maker(printer: FunctionPrinter, op: Operation) -> Compute:
        def compute(x: Sequence[str], source: str, result: str) -> str:
            before, after = BITS[element_of(source)], BITS[element_of(result)]
            if before == after:
                return x[0]
            opcode = "trunc" if after < before else "sext" if signed else "zext"
            return printer.value(f"{opcode} {source} {x[0]} to {result}")

        return compute

    return maker


def integer_to_float(opcode: str) -> Maker:
    """`sitofp` or `uitofp`; to f16 and bf16 through a type that holds the integer, so that it is rounded once."""

    def maker(printer: FunctionPrinter, op: Operation) -> Compute:
        def compute(x: Sequence[str], source: str, result: str) -> str:
            small = element_of(result) in SMALL_FLOATS
            wide = "float" if BITS[element_of(source)] <= 16 else "double"
            through = with_element(result, wide) if small else result
            value = printer.value(f"{opcode} {source} {x[0]} to {through}")
            return convert_float(printer, value, through, result)

        return compute

    return maker


def float_to_integer(name: str) -> Maker:
    """Truncation; out of range, where MLIR defines nothing, the nearest integer, and 0 for NaN."""

    def maker(printer: FunctionPrinter, op: Operation) -> Compute:
        def compute(x: Sequence[str], source: str, result: str) -> str:
            return printer.value(printer.intrinsic(name, result, [(source, x[0])], [result, source]))

        return in_single(printer, compute)

    return maker


def float_cast(printer: FunctionPrinter, op: Operation) -> Compute:
    """`arith.extf`, `arith.truncf`"""
    return lambda x, source, result: convert_float(printer, x[0], source, result)


def bitcast(printer: FunctionPrinter, op: Operation) -> Compute:
    """The same bits under another type of the same width."""

    def compute(x: Sequence[str], source: str, result: str) -> str:
        return x[0] if source == result else printer.value(f"bitcast {source} {x[0]} to {result}")

    return compute


def rounding_division(up: bool, signed: bool) -> Maker:
    """`floordivsi`, `ceildivsi`, `ceildivui`: the truncating quotient, corrected when there is a rest."""

    def maker(printer: FunctionPrinter, op: Operation) -> Compute:
        def compute(x: Sequence[str], source: str, result: str) -> str:
            value = printer.value
            prefix = "s" if signed else "u"
            flags, zero = with_element(source, "i1"), constant(source, 0)
            quotient = value(f"{prefix}div {source} {x[0]}, {x[1]}")
            rest = value(f"{prefix}rem {source} {x[0]}, {x[1]}")
            inexact = value(f"icmp ne {source} {rest}, {zero}")
            if signed:
                # The truncated quotient of a negative true quotient is already the ceiling, and vice versa.
                signs = value(f"xor {source} {x[0]}, {x[1]}")
                same = value(f"icmp {'sge' if up else 'slt'} {source} {signs}, {zero}")
                inexact = value(f"and {flags} {inexact}, {same}")
            one = value(f"zext {flags} {inexact} to {source}")
            return value(f"{'add' if up else 'sub'} {source} {quotient}, {one}")

        return compute

    return maker


def integer_power(printer: FunctionPrinter, op: Operation) -> Compute:
    """`math.ipowi` by a helper function, lane by lane."""

    def compute(x: Sequence[str], source: str, result: str) -> str:
        element = element_of(source)
        name = f"@lamina.ipow.{element}"
        printer.module.define(name, INTEGER_POWER.format(name=name, type=element))
        return lanewise(printer, name, x, source, result)

    return compute


INTEGER_POWER = """\
define internal {type} {name}({type} %base, {type} %exponent) #0 {{
entry:
  %negative = icmp slt {type} %exponent, 0
  br i1 %negative, label %inverse, label %head
inverse:
  %is_one = icmp eq {type} %base, 1
  %is_minus_one = icmp eq {type} %base, -1
  %odd = and {type} %exponent, 1
  %sign = select i1 %is_minus_one, {type} -1, {type} 0
  %even_power = select i1 %is_minus_one, {type} 1, {type} 0
  %is_odd = icmp ne {type} %odd, 0
  %power = select i1 %is_odd, {type} %sign, {type} %even_power
  %small = select i1 %is_one, {type} 1, {type} %power
  ret {type} %small
head:
  %b = phi {type} [ %base, %entry ], [ %square, %body ]
  %e = phi {type} [ %exponent, %entry ], [ %half, %body ]
  %r = phi {type} [ 1, %entry ], [ %next, %body ]
  %more = icmp ne {type} %e, 0
  br i1 %more, label %body, label %done
body:
  %bit = and {type} %e, 1
  %take = icmp ne {type} %bit, 0
  %product = mul {type} %r, %b
  %next = select i1 %take, {type} %product, {type} %r
  %square = mul {type} %b, %b
  %half = lshr {type} %e, 1
  br label %head
done:
  ret {type} %r
}}"""


def lanewise(printer: FunctionPrinter, symbol: str, x: Sequence[str], source: str, result: str) -> str:
    """Call a scalar function for every lane."""
    element, result_element = element_of(source), element_of(result)

    def call(operands: Sequence[str]) -> str:
        arguments = ", ".join(f"{element} {operand}" for operand in operands)
        return printer.value(f"call {result_element} {symbol}({arguments})")

    if not source.startswith("<"):
        return call(x)
    combined = "poison"
    for lane in range(lanes_of(source)):
        operands = [printer.value(f"extractelement {source} {operand}, i64 {lane}") for operand in x]
        combined = printer.value(f"insertelement {result} {combined}, {result_element} {call(operands)}, i64 {lane}")
    return combined


def c_function(name: str) -> Maker:
    """A function of the C library, lane by lane: for what `expand-math` leaves (f64, rare functions)."""

    def maker(printer: FunctionPrinter, op: Operation) -> Compute:
        def compute(x: Sequence[str], source: str, result: str) -> str:
            element = element_of(source)
            function = name + "f" if element == "float" else name
            symbol = f"@{function}"
            printer.module.declare(symbol, element, [element] * len(x))
            printer.module.externals.add(function)
            return lanewise(printer, symbol, x, source, result)

        return in_single(printer, compute)

    return maker


def float_integer_power(printer: FunctionPrinter, op: Operation) -> Compute:
    """`math.fpowi` as `pow` of the integer's value."""
    power = c_function("pow")(printer, op)
    exponent = element_text(element_type(op.operands[1].type))

    def compute(x: Sequence[str], source: str, result: str) -> str:
        integer = with_element(result, exponent)
        converted = integer_to_float("sitofp")(printer, op)([x[1]], integer, result)
        return power([x[0], converted], result, result)

    return compute


def element_type(type_: Attribute) -> Attribute:
    """The element type of a vector, a scalar type itself."""
    return type_.get_element_type() if is_vector_type(type_) else type_


NO_POISON: Typed = ("i1", "false")

ELEMENTWISE: dict[str, Maker] = {
    **{
        f"arith.{name}": float_instruction(opcode)
        for name, opcode in {
            "addf": "fadd", "subf": "fsub", "mulf": "fmul", "divf": "fdiv", "negf": "fneg",
        }.items()
    },
    **{
        f"arith.{name}": float_intrinsic(intrinsic)
        for name, intrinsic in {
            "maximumf": "maximum", "minimumf": "minimum", "maxnumf": "maxnum", "minnumf": "minnum",
        }.items()
    },
    **{
        f"arith.{name}": integer_instruction(opcode)
        for name, opcode in {
            "addi": "add", "subi": "sub", "muli": "mul", "divsi": "sdiv", "divui": "udiv", "remsi": "srem",
            "remui": "urem", "andi": "and", "ori": "or", "xori": "xor", "shli": "shl", "shrsi": "ashr",
            "shrui": "lshr",
        }.items()
    },
    **{
        f"arith.{name}": integer_intrinsic(intrinsic)
        for name, intrinsic in {"maxsi": "smax", "minsi": "smin", "maxui": "umax", "minui": "umin"}.items()
    },
    "arith.remf": remainder,
    "arith.floordivsi": rounding_division(up=False, signed=True),
    "arith.ceildivsi": rounding_division(up=True, signed=True),
    "arith.ceildivui": rounding_division(up=True, signed=False),
    "arith.cmpi": compare("icmp", INTEGER_PREDICATES),
    "arith.cmpf": compare("fcmp", FLOAT_PREDICATES),
    "arith.select": select,
    "arith.extf": float_cast,
    "arith.truncf": float_cast,
    "arith.extsi": integer_cast(signed=True),
    "arith.extui": integer_cast(signed=False),
    "arith.trunci": integer_cast(signed=False),
    "arith.index_cast": integer_cast(signed=True),
    "arith.index_castui": integer_cast(signed=False),
    "arith.sitofp": integer_to_float("sitofp"),
    "arith.uitofp": integer_to_float("uitofp"),
    "arith.fptosi": float_to_integer("fptosi.sat"),
    "arith.fptoui": float_to_integer("fptoui.sat"),
    "arith.bitcast": bitcast,
    **{
        f"math.{name}": float_intrinsic(intrinsic)
        for name, intrinsic in {
            "absf": "fabs", "ceil": "ceil", "copysign": "copysign", "floor": "floor", "round": "round",
            "roundeven": "roundeven", "sqrt": "sqrt", "trunc": "trunc",
        }.items()
    },
    "math.fma": fused_multiply_add,
    "vector.fma": fused_multiply_add,
    "cpu.ldexp": scale_by_power,
    "cpu.scale": scale_by_whole_power,
    "cpu.lookup": look_up,
    "math.absi": integer_intrinsic("abs", NO_POISON),
    "math.ctlz": integer_intrinsic("ctlz", NO_POISON),
    "math.cttz": integer_intrinsic("cttz", NO_POISON),
    "math.ctpop": integer_intrinsic("ctpop"),
    "math.ipowi": integer_power,
    "math.fpowi": float_integer_power,
    **{f"math.{name}": c_function(name) for name in LIBRARY_FUNCTIONS},
    "math.powf": c_function("pow"),
}  # fmt: skip
"""By op name: the loop level's ops are upstream's, whichever class defines them."""

SOURCE_OPERAND = {"cpu.ldexp": 0, "math.fpowi": 0}
"""The operand whose type is the `source` type where it is not the last one."""


def computation(printer: FunctionPrinter, op: Operation) -> Compute:
    """The function that computes an elementwise op."""
    return ELEMENTWISE[op.name](printer, op)


def scalar_operation(printer: FunctionPrinter, op: Operation) -> None:
    """An elementwise op on scalars; index arithmetic on known integers is folded."""
    operands = [printer.scalar(operand) for operand in op.operands]
    result = op.results[0]
    fold = FOLDS.get(op.name)
    if fold is not None and isinstance(element_type(op.operands[0].type), IndexType):
        folded = fold(operands, op)
        if folded is not None:
            printer.set(result, folded)
            return
    source = op.operands[SOURCE_OPERAND.get(op.name, -1)].type
    compute = computation(printer, op)
    printer.set(result, compute([str(item) for item in operands], element_text(source), element_text(result.type)))


def _folded(combine: Callable[[int, int], int], operands: Sequence[str | int], op: Operation) -> int | None:
    left, right = operands
    if not isinstance(left, int) or not isinstance(right, int):
        return None
    value = combine(left, right)
    return value if -(2**63) <= value < 2**63 else None


def _folded_cast(operands: Sequence[str | int], op: Operation) -> str | int | None:
    result = op.results[0].type
    wide = isinstance(result, IndexType) or (is_integer(result) and result.width.data == 64)
    return operands[0] if wide else None


FOLDS: dict[str, Callable[[Sequence[str | int], Operation], str | int | None]] = {
    "arith.addi": partial(_folded, lambda x, y: x + y),
    "arith.subi": partial(_folded, lambda x, y: x - y),
    "arith.muli": partial(_folded, lambda x, y: x * y),
    "arith.minsi": partial(_folded, min),
    "arith.maxsi": partial(_folded, max),
    "arith.index_cast": _folded_cast,
}


def elementwise_producer(printer: FunctionPrinter, op: Operation) -> PartProducer:
    """How to print one part of an elementwise op on vectors."""
    compute = computation(printer, op)
    operands = [printer.parts(operand) if is_vector(operand) else printer.text(operand) for operand in op.operands]
    sources = printer.layout(op.operands[SOURCE_OPERAND.get(op.name, -1)].type).types
    results = printer.layout(op.results[0].type).types

    def produce(part: int) -> str:
        taken = [operand if isinstance(operand, str) else operand[part] for operand in operands]
        return compute(taken, sources[part], results[part])

    return produce


def constant_operation(printer: FunctionPrinter, op: Operation) -> None:
    """`arith.constant`"""
    attribute, result = op.properties["value"], op.results[0]
    if isinstance(attribute, IntegerAttr):
        number = attribute.value.data
        is_flag = element_text(result.type) == "i1"
        printer.set(result, literal("i1", number) if is_flag else number)
    elif isinstance(attribute, FloatAttr):
        printer.set(result, literal(element_text(result.type), attribute.value.data))
    elif isinstance(attribute, DenseIntOrFPElementsAttr):
        layout = printer.layout(result.type)
        printer.set_parts(result, dense_parts(layout, dense_values(cast(AnyDense, attribute))))
    else:
        raise LaminaError(f"a constant {attribute} has no LLVM form here")


def dense_values(attribute: AnyDense) -> list[int | float]:
    """The numbers of a dense attribute; one stands for all when it is a splat."""
    numbers: list[int | float] = []
    for value in attribute.get_values():
        if isinstance(value, tuple):
            raise LaminaError("complex constants are not supported")
        numbers.append(value)
    return numbers


def dense_parts(layout: VectorLayout, values: Sequence[int | float]) -> list[str]:
    """Constants as vector parts; one value stands for all."""
    if len(values) == 1 or len(set(map(repr, values))) == 1:
        return [constant(type_, values[0]) for type_ in layout.types]
    parts: list[str] = []
    start = 0
    for type_ in layout.types:
        taken = values[start : start + lanes_of(type_)]
        start += lanes_of(type_)
        parts.append("<" + ", ".join(f"{layout.element} {literal(layout.element, item)}" for item in taken) + ">")
    return parts


def extended_operation(name: str | None) -> Case:
    """`addui_extended` by the overflow intrinsic `name`; `mulsi_extended`, `mului_extended` in twice the width."""

    def case(printer: FunctionPrinter, op: Operation) -> None:
        low, high = op.results
        typed = [printer.flat(operand) for operand in op.operands]
        pairs = [_extended(printer, op.name, name, a[0], a[1], b[1]) for a, b in zip(*typed, strict=True)]
        for result, operands in zip((low, high), zip(*pairs, strict=True), strict=True):
            printer.bind_flat([result], list(operands))

    return case


def _extended(
    printer: FunctionPrinter, op_name: str, intrinsic: str | None, type_: str, left: str, right: str
) -> tuple[str, str]:
    value = printer.value
    if intrinsic is not None:
        pair = f"{{ {type_}, {with_element(type_, 'i1')} }}"
        both = value(printer.intrinsic(intrinsic, pair, [(type_, left), (type_, right)], [type_]))
        return value(f"extractvalue {pair} {both}, 0"), value(f"extractvalue {pair} {both}, 1")
    bits = BITS[element_of(type_)]
    wide = with_element(type_, f"i{2 * bits}")
    extend = "sext" if op_name == "arith.mulsi_extended" else "zext"
    a, b = (value(f"{extend} {type_} {operand} to {wide}") for operand in (left, right))
    product = value(f"mul {wide} {a}, {b}")
    shift = f"splat (i{2 * bits} {bits})" if type_.startswith("<") else str(bits)
    upper = value(f"lshr {wide} {product}, {shift}")
    return value(f"trunc {wide} {product} to {type_}"), value(f"trunc {wide} {upper} to {type_}")


def poison(printer: FunctionPrinter, op: Operation) -> None:
    """`ub.poison`"""
    result = op.results[0]
    printer.bind_flat([result], ["poison"] * len(printer.flat_types(result.type)))


ELEMENTWISE_CASES: dict[str, Case] = {
    "ub.poison": poison,
    **dict.fromkeys(ELEMENTWISE, scalar_operation),
    "arith.constant": constant_operation,
    "arith.addui_extended": extended_operation("uadd.with.overflow"),
    "arith.mulsi_extended": extended_operation(None),
    "arith.mului_extended": extended_operation(None),
}
