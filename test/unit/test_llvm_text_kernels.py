"""Whole functions at the loop level, against MLIR's own lowering of the same text."""

import numpy as np
import pytest

from support.native import MLIR_OPT, Upstream, random_array, run

upstream = pytest.mark.skipif(MLIR_OPT is None, reason="mlir-opt is not installed")

KERNELS = {}


def kernel(*shapes, index_arguments=(), types=None):
    """Register a kernel text under the function's name, with the shapes of its buffers."""

    def register(function):
        KERNELS[function.__name__] = (function.__doc__, shapes, index_arguments, types)
        return function

    return register


@kernel((13, 9), (9, 20), (20,), (13, 20))
def contraction():
    """
    func.func @main(%a: memref<?x?xf32>, %b: memref<?x20xf32>, %bias: memref<20xf32>, %c: memref<?x20xf32>)
        attributes {llvm.emit_c_interface} {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c6 = arith.constant 6 : index
      %z = arith.constant 0.0 : f32
      %zero = arith.constant dense<0.0> : vector<6x20xf32>
      %m = memref.dim %a, %c0 : memref<?x?xf32>
      %k = memref.dim %a, %c1 : memref<?x?xf32>
      scf.for %i = %c0 to %m step %c6 {
        %left = arith.subi %m, %i : index
        %mask = vector.create_mask %left : vector<6xi1>
        %sum = scf.for %kk = %c0 to %k step %c1 iter_args(%acc = %zero) -> (vector<6x20xf32>) {
          %column = vector.transfer_read %a[%i, %kk], %z, %mask
            {in_bounds = [true], permutation_map = affine_map<(m, k) -> (m)>} : memref<?x?xf32>, vector<6xf32>
          %row = vector.load %b[%kk, %c0] : memref<?x20xf32>, vector<20xf32>
          %next = vector.outerproduct %column, %row, %acc : vector<6xf32>, vector<20xf32>
          scf.yield %next : vector<6x20xf32>
        }
        %bb = vector.transfer_read %bias[%c0], %z
          {in_bounds = [true, true], permutation_map = affine_map<(n) -> (0, n)>} : memref<20xf32>, vector<6x20xf32>
        %s = arith.addf %sum, %bb : vector<6x20xf32>
        %flag = arith.cmpf ogt, %s, %zero : vector<6x20xf32>
        %r = arith.select %flag, %s, %zero : vector<6x20xi1>, vector<6x20xf32>
        vector.transfer_write %r, %c[%i, %c0] {in_bounds = [false, true]} : vector<6x20xf32>, memref<?x20xf32>
      }
      return
    }"""


@kernel((4, 3, 19), (3, 19), (4, 19), (4, 3), (1,))
def reductions():
    """
    func.func @main(%x: memref<4x3x19xf32>, %a: memref<3x19xf32>, %b: memref<4x19xf32>, %c: memref<4x3xf32>,
                    %d: memref<1xf32>) attributes {llvm.emit_c_interface} {
      %c0 = arith.constant 0 : index
      %z = arith.constant 0.0 : f32
      %v = vector.transfer_read %x[%c0, %c0, %c0], %z {in_bounds = [true, true, true]}
        : memref<4x3x19xf32>, vector<4x3x19xf32>
      %za = arith.constant dense<1.0> : vector<3x19xf32>
      %ra = vector.multi_reduction <maximumf>, %v, %za [0] : vector<4x3x19xf32> to vector<3x19xf32>
      vector.transfer_write %ra, %a[%c0, %c0] {in_bounds = [true, true]} : vector<3x19xf32>, memref<3x19xf32>
      %zb = arith.constant dense<2.0> : vector<4x19xf32>
      %rb = vector.multi_reduction <minimumf>, %v, %zb [1] : vector<4x3x19xf32> to vector<4x19xf32>
      vector.transfer_write %rb, %b[%c0, %c0] {in_bounds = [true, true]} : vector<4x19xf32>, memref<4x19xf32>
      %zc = arith.constant dense<3.0> : vector<4x3xf32>
      %rc = vector.multi_reduction <add>, %v, %zc [2] : vector<4x3x19xf32> to vector<4x3xf32>
      vector.transfer_write %rc, %c[%c0, %c0] {in_bounds = [true, true]} : vector<4x3xf32>, memref<4x3xf32>
      %rd = vector.multi_reduction <add>, %v, %z [0, 1, 2] : vector<4x3x19xf32> to f32
      memref.store %rd, %d[%c0] : memref<1xf32>
      return
    }"""


@kernel((37,), (8,))
def ordered_and_unordered_reductions():
    """
    func.func @main(%x: memref<37xf32>, %o: memref<8xf32>) attributes {llvm.emit_c_interface} {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c2 = arith.constant 2 : index
      %c3 = arith.constant 3 : index
      %c4 = arith.constant 4 : index
      %start = arith.constant 0.5 : f32
      %v = vector.load %x[%c0] : memref<37xf32>, vector<37xf32>
      %a = vector.reduction <add>, %v : vector<37xf32> into f32
      %b = vector.reduction <add>, %v, %start : vector<37xf32> into f32
      %c = vector.reduction <maximumf>, %v : vector<37xf32> into f32
      %d = vector.reduction <minnumf>, %v, %start : vector<37xf32> into f32
      %e = vector.reduction <mul>, %v : vector<37xf32> into f32
      memref.store %a, %o[%c0] : memref<8xf32>
      memref.store %b, %o[%c1] : memref<8xf32>
      memref.store %c, %o[%c2] : memref<8xf32>
      memref.store %d, %o[%c3] : memref<8xf32>
      memref.store %e, %o[%c4] : memref<8xf32>
      return
    }"""


@kernel((3, 22), (22,), (6, 11), (22, 3), (3, 5), (2, 3, 22), (22,))
def reshapes():
    """
    func.func @main(%x: memref<3x22xf32>, %row: memref<22xf32>, %cast: memref<6x11xf32>, %t: memref<22x3xf32>,
                    %slice: memref<3x5xf32>, %b: memref<2x3x22xf32>, %inserted: memref<22xf32>)
        attributes {llvm.emit_c_interface} {
      %c0 = arith.constant 0 : index
      %z = arith.constant 0.0 : f32
      %v = vector.transfer_read %x[%c0, %c0], %z {in_bounds = [true, true]} : memref<3x22xf32>, vector<3x22xf32>
      %r = vector.extract %v[1] : vector<22xf32> from vector<3x22xf32>
      vector.store %r, %row[%c0] : memref<22xf32>, vector<22xf32>
      %s = vector.shape_cast %v : vector<3x22xf32> to vector<6x11xf32>
      vector.transfer_write %s, %cast[%c0, %c0] {in_bounds = [true, true]} : vector<6x11xf32>, memref<6x11xf32>
      %tt = vector.transpose %v, [1, 0] : vector<3x22xf32> to vector<22x3xf32>
      vector.transfer_write %tt, %t[%c0, %c0] {in_bounds = [true, true]} : vector<22x3xf32>, memref<22x3xf32>
      %part = vector.extract_strided_slice %v {offsets = [0, 15], sizes = [3, 5], strides = [1, 1]}
        : vector<3x22xf32> to vector<3x5xf32>
      vector.transfer_write %part, %slice[%c0, %c0] {in_bounds = [true, true]} : vector<3x5xf32>, memref<3x5xf32>
      %bb = vector.broadcast %v : vector<3x22xf32> to vector<2x3x22xf32>
      %e = vector.extract %v[2, 20] : f32 from vector<3x22xf32>
      %bi = vector.insert %e, %bb[1, 0, 18] : f32 into vector<2x3x22xf32>
      %bj = vector.insert %r, %bi[0, 2] : vector<22xf32> into vector<2x3x22xf32>
      vector.transfer_write %bj, %b[%c0, %c0, %c0] {in_bounds = [true, true, true]}
        : vector<2x3x22xf32>, memref<2x3x22xf32>
      %all = vector.broadcast %e : f32 to vector<22xf32>
      %i = vector.insert %z, %all[21] : f32 into vector<22xf32>
      vector.store %i, %inserted[%c0] : memref<22xf32>, vector<22xf32>
      return
    }"""


@kernel((3, 20), (3, 20), index_arguments=(2, 17))
def masks():
    """
    func.func @main(%n: index, %k: index, %x: memref<3x20xf32>, %o: memref<3x20xf32>)
        attributes {llvm.emit_c_interface} {
      %c0 = arith.constant 0 : index
      %z = arith.constant -1.0 : f32
      %m = vector.create_mask %n, %k : vector<3x20xi1>
      %c = vector.constant_mask [3, 5] : vector<3x20xi1>
      %both = arith.xori %m, %c : vector<3x20xi1>
      %v = vector.transfer_read %x[%c0, %c0], %z, %both {in_bounds = [true, true]}
        : memref<3x20xf32>, vector<3x20xf32>
      vector.transfer_write %v, %o[%c0, %c0], %m {in_bounds = [true, true]} : vector<3x20xf32>, memref<3x20xf32>
      return
    }"""


@kernel((6, 30), (30,), (6, 30))
def views():
    """
    func.func @main(%x: memref<6x30xf32>, %r: memref<30xf32>, %o: memref<6x30xf32>) attributes {llvm.emit_c_interface} {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c2 = arith.constant 2 : index
      %c3 = arith.constant 3 : index
      %c5 = arith.constant 5 : index
      %t = memref.subview %x[%c2, 4] [3, 10] [1, 2]
        : memref<6x30xf32> to memref<3x10xf32, strided<[30, 2], offset: ?>>
      %row = memref.subview %t[1, 0] [1, 10] [1, 1]
        : memref<3x10xf32, strided<[30, 2], offset: ?>> to memref<10xf32, strided<[2], offset: ?>>
      scf.for %j = %c0 to %c5 step %c1 {
        %v = memref.load %row[%j] : memref<10xf32, strided<[2], offset: ?>>
        memref.store %v, %r[%j] : memref<30xf32>
      }
      %flat = memref.collapse_shape %x [[0, 1]] : memref<6x30xf32> into memref<180xf32>
      %e = memref.expand_shape %flat [[0, 1, 2]] output_shape [6, 5, 6] : memref<180xf32> into memref<6x5x6xf32>
      %w = memref.load %e[%c3, %c2, %c5] : memref<6x5x6xf32>
      memref.store %w, %r[%c5] : memref<30xf32>
      %flat_out = memref.collapse_shape %o [[0, 1]] : memref<6x30xf32> into memref<180xf32>
      memref.copy %flat, %flat_out : memref<180xf32> to memref<180xf32>
      %again = memref.reinterpret_cast %x to offset: [7], sizes: [4], strides: [30]
        : memref<6x30xf32> to memref<4xf32, strided<[30], offset: 7>>
      %u = memref.load %again[%c2] : memref<4xf32, strided<[30], offset: 7>>
      memref.store %u, %r[%c0] : memref<30xf32>
      return
    }"""


@kernel((5, 12), (8,), index_arguments=(3, 29), types=("f32", "i64"))
def affine():
    """
    func.func @main(%n: index, %k: index, %x: memref<5x12xf32>, %o: memref<8xi64>) attributes {llvm.emit_c_interface} {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c2 = arith.constant 2 : index
      %c3 = arith.constant 3 : index
      %c4 = arith.constant 4 : index
      %m = arith.subi %n, %k : index
      %a = affine.apply affine_map<(d0)[s0] -> (d0 floordiv 5 + s0 * 3 - 7)> (%m)[%k]
      %b = affine.apply affine_map<(d0) -> (d0 ceildiv 4 + d0 mod 7)> (%m)
      %c = affine.min affine_map<(d0, d1) -> (d0 + 4, d1 - 20, 11)> (%n, %k)
      %d = affine.min affine_map<(d0)[s0] -> (s0 - d0)> (%n)[%k]
      %e = affine.apply affine_map<(d0) -> (d0 mod 8 + d0 floordiv 16)> (%m)
      %ai = arith.index_cast %a : index to i64
      %bi = arith.index_cast %b : index to i64
      %ci = arith.index_cast %c : index to i64
      %di = arith.index_cast %d : index to i64
      %ei = arith.index_cast %e : index to i64
      memref.store %ai, %o[%c0] : memref<8xi64>
      memref.store %bi, %o[%c1] : memref<8xi64>
      memref.store %ci, %o[%c2] : memref<8xi64>
      memref.store %di, %o[%c3] : memref<8xi64>
      memref.store %ei, %o[%c4] : memref<8xi64>
      return
    }"""


@kernel((10,), (10,), (4,), types=("f32", "f32", "i64"))
def control_flow():
    """
    func.func private @helper(%x: f32, %n: index) -> (f32, index) {
      %two = arith.constant 2.0 : f32
      %y = arith.mulf %x, %two : f32
      return %y, %n : f32, index
    }
    func.func @main(%x: memref<10xf32>, %y: memref<10xf32>, %o: memref<4xi64>) attributes {llvm.emit_c_interface} {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c2 = arith.constant 2 : index
      %c10 = arith.constant 10 : index
      %one = arith.constant 1 : i64
      %zero = arith.constant 0 : i64
      %half = arith.constant 0.5 : f32
      %count, %last = scf.for %i = %c0 to %c10 step %c1 iter_args(%n = %zero, %l = %half) -> (i64, f32) {
        %v = memref.load %x[%i] : memref<10xf32>
        %positive = arith.cmpf ogt, %v, %half : f32
        %m, %w = scf.if %positive -> (i64, f32) {
          %more = arith.addi %n, %one : i64
          %t, %same = func.call @helper(%v, %i) : (f32, index) -> (f32, index)
          memref.store %t, %y[%same] : memref<10xf32>
          scf.yield %more, %v : i64, f32
        } else {
          scf.yield %n, %l : i64, f32
        }
        scf.yield %m, %w : i64, f32
      }
      memref.store %count, %o[%c0] : memref<4xi64>
      memref.store %last, %y[%c0] : memref<10xf32>
      %log = scf.while (%n = %count) : (i64) -> i64 {
        %go = arith.cmpi sgt, %n, %one : i64
        scf.condition(%go) %n : i64
      } do {
      ^bb0(%n: i64):
        %next = arith.shrsi %n, %one : i64
        scf.yield %next : i64
      }
      memref.store %log, %o[%c1] : memref<4xi64>
      scf.forall (%i, %j) = (0, 1) to (6, 10) step (3, 4) {
        %s = arith.addi %i, %j : index
        %w = arith.index_cast %s : index to i64
        memref.store %w, %o[%c2] : memref<4xi64>
      }
      return
    }"""


@kernel((9, 17), (9, 17))
def temporaries():
    """
    func.func @main(%x: memref<?x17xf32>, %o: memref<?x17xf32>) attributes {llvm.emit_c_interface} {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c17 = arith.constant 17 : index
      %n = memref.dim %x, %c0 : memref<?x17xf32>
      %buffer = memref.alloc(%n) : memref<?x17xf32>
      memref.copy %x, %buffer : memref<?x17xf32> to memref<?x17xf32>
      scf.for %i = %c0 to %n step %c1 {
        %row = memref.alloca() : memref<17xf32>
        %dynamic = memref.alloca(%i) : memref<?xf32>
        scf.for %j = %c0 to %c17 step %c1 {
          %v = memref.load %buffer[%i, %j] : memref<?x17xf32>
          %w = arith.addf %v, %v : f32
          memref.store %w, %row[%j] : memref<17xf32>
        }
        scf.for %j = %c0 to %i step %c1 {
          %v = memref.load %row[%j] : memref<17xf32>
          memref.store %v, %dynamic[%j] : memref<?xf32>
        }
        scf.for %j = %c0 to %i step %c1 {
          %v = memref.load %dynamic[%j] : memref<?xf32>
          memref.store %v, %o[%i, %j] : memref<?x17xf32>
        }
      }
      memref.dealloc %buffer : memref<?x17xf32>
      return
    }"""


@kernel((6,), (2, 3), (3,), types=("f32", "f32", "i64"))
def constants():
    """
    memref.global "private" constant @table : memref<2x3xf32> = dense<[[1.0, -2.5, 0x7FC00000], [4.0, 5.0, 6.0]]>
    memref.global "private" constant @zeros : memref<3xi64> = dense<0>
    memref.global "private" constant @sevens : memref<3xi64> = dense<7>
    memref.global "private" constant @flags : memref<3xi1> = dense<[true, false, true]>
    func.func @main(%x: memref<6xf32>, %o: memref<2x3xf32>, %p: memref<3xi64>) attributes {llvm.emit_c_interface} {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c3 = arith.constant 3 : index
      %t = memref.get_global @table : memref<2x3xf32>
      memref.copy %t, %o : memref<2x3xf32> to memref<2x3xf32>
      %z = memref.get_global @zeros : memref<3xi64>
      %s = memref.get_global @sevens : memref<3xi64>
      %f = memref.get_global @flags : memref<3xi1>
      scf.for %i = %c0 to %c3 step %c1 {
        %a = memref.load %z[%i] : memref<3xi64>
        %b = memref.load %s[%i] : memref<3xi64>
        %c = memref.load %f[%i] : memref<3xi1>
        %d = arith.select %c, %a, %b : i64
        memref.store %d, %p[%i] : memref<3xi64>
      }
      return
    }"""


@kernel((3, 4), (12,), types=("i32", "i32"))
def integer_vectors():
    """
    func.func @main(%x: memref<3x4xi32>, %o: memref<12xi32>) attributes {llvm.emit_c_interface} {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c2 = arith.constant 2 : index
      %c3 = arith.constant 3 : index
      %c4 = arith.constant 4 : index
      %z = arith.constant 0 : i32
      %v = vector.transfer_read %x[%c0, %c0], %z {in_bounds = [true, true]} : memref<3x4xi32>, vector<3x4xi32>
      %s = vector.shape_cast %v : vector<3x4xi32> to vector<12xi32>
      %add = vector.reduction <add>, %s : vector<12xi32> into i32
      %and = vector.reduction <and>, %s : vector<12xi32> into i32
      %or = vector.reduction <or>, %s, %add : vector<12xi32> into i32
      %max = vector.reduction <maxsi>, %s : vector<12xi32> into i32
      %min = vector.reduction <minui>, %s : vector<12xi32> into i32
      memref.store %add, %o[%c0] : memref<12xi32>
      memref.store %and, %o[%c1] : memref<12xi32>
      memref.store %or, %o[%c2] : memref<12xi32>
      memref.store %max, %o[%c3] : memref<12xi32>
      memref.store %min, %o[%c4] : memref<12xi32>
      %row = vector.extract %v[1] : vector<4xi32> from vector<3x4xi32>
      %outer = vector.outerproduct %row, %row : vector<4xi32>, vector<4xi32>
      %diagonal = vector.extract %outer[2, 2] : i32 from vector<4x4xi32>
      %c5 = arith.constant 5 : index
      memref.store %diagonal, %o[%c5] : memref<12xi32>
      %steps = vector.step : vector<5xindex>
      %cast = arith.index_cast %steps : vector<5xindex> to vector<5xi32>
      %c6 = arith.constant 6 : index
      vector.store %cast, %o[%c6] : memref<12xi32>, vector<5xi32>
      return
    }"""


def kernel_arguments(name, seed=0):
    _, shapes, integers, types = KERNELS[name]
    arrays = [
        random_array(shape, (types or ["f32"] * len(shapes))[index], seed + index) for index, shape in enumerate(shapes)
    ]
    # Some variety in the fractions, and powers of two so that sums in any order are exact.
    return [*integers, *((array / array.dtype.type(8) if array.dtype.kind == "f" else array) for array in arrays)]


@upstream
@pytest.mark.parametrize("name", KERNELS)
def test_kernel_as_upstream(name):
    text = KERNELS[name][0]
    reference = Upstream(text)
    expected = kernel_arguments(name)
    reference.call(*expected)
    for bits, optimize in ((128, False), (256, True), (512, False)):
        arguments = kernel_arguments(name)
        run(text, *arguments, vector_bits=bits, optimize=optimize)
        for ours, theirs in zip(arguments, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        changed = [not np.array_equal(a, b) for a, b in zip(arguments, kernel_arguments(name), strict=True)]
        assert any(changed), "the kernel must write something for the comparison to mean anything"
