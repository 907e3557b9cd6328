"""Every upstream op that we replace or rely on: read, verify, print, read by mlir-opt, and read back from there."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from xdsl.context import Context
from xdsl.dialects import get_all_dialects
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser
from xdsl.utils.exceptions import ParseError, VerifyException

from lamina.dialects.loop import loop_dialects
from lamina.dialects.tensor import tensor_dialects

MLIR_OPT = shutil.which("mlir-opt-22") or shutil.which("mlir-opt")

SNIPPETS = r"""
arith.cmpf vector|%v: vector<4xf32>|%0 = arith.cmpf olt, %v, %v : vector<4xf32>
arith.cmpf flags|%v: f32|%0 = arith.cmpf uno, %v, %v fastmath<nnan> : f32
arith.cmpi vector|%v: vector<2x4xi32>|%0 = arith.cmpi ult, %v, %v : vector<2x4xi32>
arith.cmpi index|%i: index|%0 = arith.cmpi slt, %i, %i {note} : index
arith.select scalar|%c: i1, %v: vector<4xf32>|%0 = arith.select %c, %v, %v : vector<4xf32>
arith.select vector|%c: vector<4xi1>, %v: vector<4xf32>|%0 = arith.select %c, %v, %v : vector<4xi1>, vector<4xf32>
arith.fptosi|%v: vector<4xf32>|%0 = arith.fptosi %v : vector<4xf32> to vector<4xi32>
arith.fptoui|%v: vector<4xf16>|%0 = arith.fptoui %v : vector<4xf16> to vector<4xi8>
arith.sitofp|%v: vector<4xi8>|%0 = arith.sitofp %v : vector<4xi8> to vector<4xbf16>
arith.uitofp|%v: i1|%0 = arith.uitofp %v : i1 to f64
arith.extsi|%v: vector<4xi8>|%0 = arith.extsi %v : vector<4xi8> to vector<4xi32>
arith.extui|%v: vector<4xi1>|%0 = arith.extui %v : vector<4xi1> to vector<4xi32>
arith.trunci|%v: vector<4xi32>|%0 = arith.trunci %v : vector<4xi32> to vector<4xi8>
arith.index_cast|%v: vector<4xindex>|%0 = arith.index_cast %v : vector<4xindex> to vector<4xi32>
arith.index_castui|%v: i32|%0 = arith.index_castui %v : i32 to index
arith.remf|%v: f32|%0 = arith.remf %v, %v : f32
scf.forall in|%m: index|scf.forall (%i, %j) in (%m, 8) { %1 = arith.addi %i, %j : index }
scf.forall bounds|%m: index|scf.forall (%i) = (%m) to (128) step (%m) { %1 = arith.addi %i, %i : index }
scf.forall attributes|%m: index|scf.forall (%i) in (%m) { } {lamina.grain = 8 : i64}
scf.forall explicit|%m: index|scf.forall (%i) in (%m) { scf.forall.in_parallel { } }
scf.while|%x: i32, %c: i1|%0 = scf.while (%a = %x) : (i32) -> i32 { scf.condition(%c) %a : i32 } do { ^bb0(%b: i32): scf.yield %b : i32 }
memref.copy|%A: memref<?x8xf32>, %B: memref<4x8xf32>|memref.copy %A, %B : memref<?x8xf32> to memref<4x8xf32>
memref.cast|%A: memref<4x8xf32>|%0 = memref.cast %A : memref<4x8xf32> to memref<?x?xf32>
memref.get_global|%x: i32|%0 = memref.get_global @w : memref<4xf32>
memref.view|%A: memref<?xi8>, %i: index|%0 = memref.view %A[%i][%i] : memref<?xi8> to memref<?x16xf32>
memref.reinterpret_cast|%A: memref<?xf32>, %i: index|%0 = memref.reinterpret_cast %A to offset: [0], sizes: [%i, 48], strides: [48, 1] : memref<?xf32> to memref<?x48xf32>
memref.subview|%A: memref<8x48xf32>, %i: index|%0 = memref.subview %A[%i, 0] [4, 16] [1, 1] : memref<8x48xf32> to memref<4x16xf32, strided<[48, 1], offset: ?>>
memref.collapse_shape|%A: memref<8x48xf32>|%0 = memref.collapse_shape %A [[0, 1]] : memref<8x48xf32> into memref<384xf32>
memref.expand_shape|%A: memref<384xf32>|%0 = memref.expand_shape %A [[0, 1]] output_shape [8, 48] : memref<384xf32> into memref<8x48xf32>
memref.alloc|%i: index|%0 = memref.alloc(%i) {alignment = 64 : i64} : memref<?x48xf32>
memref.alloca|%i: index|%0 = memref.alloca(%i) {alignment = 64 : i64} : memref<?x48xf32>
memref.dealloc|%A: memref<8xf32>|memref.dealloc %A : memref<8xf32>
memref.dim|%A: memref<?xf32>, %i: index|%0 = memref.dim %A, %i : memref<?xf32>
memref.load|%A: memref<f32>|%0 = memref.load %A[] : memref<f32>
vector.transfer_read|%A: memref<8x48xf32>, %i: index, %z: f32|%0 = vector.transfer_read %A[%i, %i], %z {in_bounds = [true], permutation_map = affine_map<(d0, d1) -> (d0)>} : memref<8x48xf32>, vector<8xf32>
vector.transfer_read broadcast|%A: memref<8x48xf32>, %i: index, %z: f32|%0 = vector.transfer_read %A[%i, %i], %z {in_bounds = [true, true], permutation_map = affine_map<(d0, d1) -> (d0, 0)>} : memref<8x48xf32>, vector<8x16xf32>
vector.transfer_read masked|%A: memref<8x48xf32>, %i: index, %z: f32, %m: vector<8x16xi1>|%0 = vector.transfer_read %A[%i, %i], %z, %m {in_bounds = [true, true]} : memref<8x48xf32>, vector<8x16xf32>
vector.transfer_write masked|%A: memref<8x48xf32>, %i: index, %v: vector<8x16xf32>, %m: vector<8x16xi1>|vector.transfer_write %v, %A[%i, %i], %m {in_bounds = [true, true]} : vector<8x16xf32>, memref<8x48xf32>
vector.outerproduct|%a: vector<8xf32>, %b: vector<16xf32>, %c: vector<8x16xf32>|%0 = vector.outerproduct %a, %b, %c : vector<8xf32>, vector<16xf32>
vector.outerproduct scalar|%a: vector<8xf32>, %b: f32, %c: vector<8xf32>|%0 = vector.outerproduct %a, %b, %c : vector<8xf32>, f32
vector.create_mask|%i: index|%0 = vector.create_mask %i, %i : vector<8x16xi1>
vector.constant_mask|%i: index|%0 = vector.constant_mask [8, 12] : vector<8x16xi1>
vector.broadcast|%b: vector<16xf32>|%0 = vector.broadcast %b : vector<16xf32> to vector<8x16xf32>
vector.shape_cast|%v: vector<8x16xf32>|%0 = vector.shape_cast %v : vector<8x16xf32> to vector<128xf32>
vector.transpose|%v: vector<8x16xf32>|%0 = vector.transpose %v, [1, 0] : vector<8x16xf32> to vector<16x8xf32>
vector.multi_reduction|%v: vector<8x16xf32>, %c: vector<8xf32>|%0 = vector.multi_reduction <add>, %v, %c [1] : vector<8x16xf32> to vector<8xf32>
vector.multi_reduction scalar|%v: vector<8x16xf32>, %c: f32|%0 = vector.multi_reduction <maximumf>, %v, %c [0, 1] : vector<8x16xf32> to f32
vector.reduction|%v: vector<16xf32>, %x: f32|%0 = vector.reduction <add>, %v, %x fastmath<reassoc> : vector<16xf32> into f32
vector.from_elements|%x: f32|%0 = vector.from_elements %x, %x : vector<2xf32>
vector.step|%i: index|%0 = vector.step : vector<16xindex>
vector.extract|%v: vector<8x16xf32>, %i: index|%0 = vector.extract %v[3, %i] : f32 from vector<8x16xf32>
vector.insert|%v: vector<8x16xf32>, %w: vector<16xf32>|%0 = vector.insert %w, %v[3] : vector<16xf32> into vector<8x16xf32>
vector.extract_strided_slice|%v: vector<8x16xf32>|%0 = vector.extract_strided_slice %v {offsets = [0], sizes = [4], strides = [1]} : vector<8x16xf32> to vector<4x16xf32>
linalg.fill buffer|%A: memref<?xf32>, %x: f32|linalg.fill ins(%x : f32) outs(%A : memref<?xf32>)
linalg.generic two results|%A: tensor<4xf32>, %B: tensor<4xf32>, %C: tensor<4xf32>|%0, %1 = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%A : tensor<4xf32>) outs(%B, %C : tensor<4xf32>, tensor<4xf32>) attrs = {lamina.axes = ["m"]} { ^bb0(%a: f32, %b: f32, %c: f32): linalg.yield %a, %a : f32, f32 } -> (tensor<4xf32>, tensor<4xf32>)
linalg.generic buffer|%A: memref<4xf32>, %B: memref<4xi64>|linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%A : memref<4xf32>) outs(%B : memref<4xi64>) { ^bb0(%a: f32, %b: i64): %i = linalg.index 0 : index %j = arith.index_cast %i : index to i64 linalg.yield %j : i64 }
linalg.generic scalar input|%x: f32, %B: memref<4xf32>|linalg.generic {indexing_maps = [affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%x : f32) outs(%B : memref<4xf32>) { ^bb0(%a: f32, %b: f32): linalg.yield %a : f32 }
tensor.reshape|%A: tensor<?x4xf32>, %s: tensor<1xindex>|%0 = tensor.reshape %A(%s) : (tensor<?x4xf32>, tensor<1xindex>) -> tensor<?xf32>
tensor.from_elements|%i: index|%0 = tensor.from_elements %i, %i : tensor<2xindex>
tensor.extract|%A: tensor<?x4xf32>, %i: index|%0 = tensor.extract %A[%i, %i] : tensor<?x4xf32>
tensor.cast|%A: tensor<?x4xf32>|%0 = tensor.cast %A : tensor<?x4xf32> to tensor<2x4xf32>
tensor.expand_shape|%A: tensor<?xf32>, %i: index|%0 = tensor.expand_shape %A [[0, 1]] output_shape [%i, 8] : tensor<?xf32> into tensor<?x8xf32>
tensor.empty|%i: index|%0 = tensor.empty(%i) : tensor<?x8xf32>
"""
CASES = [tuple(line.split("|", 2)) for line in SNIPPETS.strip().splitlines()]

GLOBALS = r"""
dense|memref.global "private" constant @w : memref<4xf32> = dense<1.0>
values|memref.global "private" constant @w : memref<2x2xi64> = dense<[[1, 2], [3, -4]]> {alignment = 64 : i64}
resource|memref.global "private" constant @w : memref<4xf32> = dense_resource<key>
uninitialized|memref.global "private" @w : memref<4xf32> = uninitialized
external|memref.global "private" @w : memref<4xf32>
public|memref.global constant @w : memref<1xi1> = dense<true>
"""
GLOBAL_CASES = [tuple(line.split("|", 1)) for line in GLOBALS.strip().splitlines()]


def new_context() -> Context:
    context = Context()
    for name, factory in {**get_all_dialects(), **tensor_dialects(), **loop_dialects()}.items():
        context.register_dialect(name, factory)
    return context


def parse(text: str) -> ModuleOp:
    module = Parser(new_context(), text).parse_module()
    module.verify()
    return module


def mlir_opt(text: str) -> str:
    if MLIR_OPT is None:
        pytest.skip("mlir-opt 22 is not installed (Debian: mlir-22-tools)")
    done = subprocess.run([MLIR_OPT, "-"], input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr + text
    return done.stdout


def check_round_trip(text: str) -> None:
    printed = str(parse(text))
    assert str(parse(printed)) == printed, "what we print reads back as the same text"
    upstream = mlir_opt(printed)
    assert mlir_opt(str(parse(upstream))) == upstream, "mlir-opt reads the same module from us as it printed"


@pytest.mark.parametrize(("arguments", "body"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_op_round_trips_through_mlir_opt(arguments: str, body: str) -> None:
    declaration = 'memref.global "private" constant @w : memref<4xf32> = dense<1.0>\n' if "@w" in body else ""
    check_round_trip(f"{declaration}func.func @f({arguments}) {{\n {body}\n return\n}}\n")


@pytest.mark.parametrize("text", [case[1] for case in GLOBAL_CASES], ids=[case[0] for case in GLOBAL_CASES])
def test_global_round_trips_through_mlir_opt(text: str) -> None:
    check_round_trip(text)


INVALID = [
    (
        "%v: vector<4xf32>",
        '%0 = "arith.cmpf"(%v, %v) {predicate = 1} : (vector<4xf32>, vector<4xf32>) -> i1',
        "vector<4xi1>",
    ),
    ("%v: f32", "%0 = arith.cmpi eq, %v, %v : f32", "cannot compare"),
    ("%v: i32", "%0 = arith.cmpi olt, %v, %v : i32", "expected one of eq"),
    ("%c: vector<3xi1>, %v: vector<4xf32>", "%0 = arith.select %c, %v, %v : vector<3xi1>, vector<4xf32>", "condition"),
    ("%v: vector<4xf32>", "%0 = arith.fptosi %v : vector<4xf32> to vector<3xi32>", "equal shapes"),
    ("%v: i32", "%0 = arith.trunci %v : i32 to i64", "narrower"),
    ("%v: i32", "%0 = arith.extsi %v : i32 to i16", "wider"),
    ("%v: i32", "%0 = arith.index_cast %v : i32 to i64", "index"),
    ("%A: memref<4xf32>, %B: memref<5xf32>", "memref.copy %A, %B : memref<4xf32> to memref<5xf32>", "cannot copy"),
    ("%A: memref<4xf32>", "%0 = memref.cast %A : memref<4xf32> to memref<5xf32>", "incompatible"),
    ("%v: vector<8x16xf32>", "%0 = vector.shape_cast %v : vector<8x16xf32> to vector<127xf32>", "cannot be cast"),
    ("%v: vector<8x16xf32>", "%0 = vector.transpose %v, [1, 1] : vector<8x16xf32> to vector<16x8xf32>", "permutation"),
    ("%i: index", "%0 = vector.constant_mask [9, 12] : vector<8x16xi1>", "within"),
    ("%x: f32", "%0 = vector.from_elements %x, %x : vector<3xf32>", "3 elements"),
    ("%m: index", "scf.forall (%i, %j) in (%m) { }", "2 upper bounds"),
    (
        "%A: tensor<4xf32>, %s: tensor<1xindex>",
        "%0 = tensor.reshape %A(%s) : (tensor<4xf32>, tensor<1xindex>) -> tensor<5xf32>",
        "as many",
    ),
]


@pytest.mark.parametrize(
    ("arguments", "body", "message"), INVALID, ids=[case[1].split("(")[0][:40] for case in INVALID]
)
def test_invalid_ops_are_refused(arguments: str, body: str, message: str) -> None:
    with pytest.raises((ParseError, VerifyException), match=message):
        parse(f"func.func @f({arguments}) {{\n {body}\n return\n}}\n")


def test_forall_bounds_are_readable_as_values_or_integers() -> None:
    module = parse("func.func @f(%m: index) {\n scf.forall (%i, %j) = (0, %m) to (%m, 8) step (1, 2) { }\n return\n}\n")
    forall = next(op for op in module.walk() if op.name == "scf.forall")
    (argument,) = next(op for op in module.walk() if op.name == "func.func").body.block.args
    assert forall.lower_bounds == [0, argument]
    assert forall.upper_bounds == [argument, 8]
    assert forall.steps == [1, 2]
    assert not forall.is_normalized()
