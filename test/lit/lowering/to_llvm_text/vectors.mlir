// RUN: lamina-opt %s -t llvm-text | filecheck %s

// n-D vectors become runs of registers; a strided column stays scalars, which the outer product spreads.
// CHECK-LABEL: define internal void @function.contraction
// CHECK:         phi <16 x float> [ splat (float 0x0000000000000000), %entry ]
// CHECK-COUNT-2: load float, ptr
// CHECK-COUNT-2: load <16 x float>, ptr
// CHECK-COUNT-4: call <16 x float> @llvm.fmuladd.v16f32
// CHECK-NOT:     insertvalue
// CHECK:         ret void

// A left factor is read number by number, each to be broadcast, wherever they lie.
// CHECK-LABEL: define internal void @function.rows
// CHECK-NOT:     load <
// CHECK-COUNT-6: load float, ptr
// CHECK:         load <16 x float>
// CHECK:         ret void

// Chains of elementwise ops go part by part.
// CHECK-LABEL: define internal void @function.chain
// CHECK:         load <16 x float>
// CHECK-NEXT:    fmul <16 x float>
// CHECK-NEXT:    fadd <16 x float>
// CHECK-NEXT:    getelementptr
// CHECK-NEXT:    load <16 x float>
// CHECK-NEXT:    fmul <16 x float>
// CHECK-NEXT:    fadd <16 x float>
// CHECK-NEXT:    store <16 x float>

// Rests: a constant mask where the size is known, a comparison with lane numbers where not, a narrow last part.
// CHECK-LABEL: define internal void @function.rests
// CHECK:         icmp ult <16 x i32> <i32 0, i32 1, i32 2,
// CHECK:         call <16 x float> @llvm.masked.load.v16f32.p0(ptr align 4 %{{.*}}, <16 x i1> <i1 true, i1 true, i1 false,
// CHECK:         call void @llvm.masked.store.v16f32.p0
// CHECK:         load <4 x i8>
// CHECK:         icmp ne <4 x i8>

// Lanes that are left out may lie before the buffer: their address is not said to be within.
// CHECK-LABEL: define internal void @function.before
// CHECK:         getelementptr float, ptr
// CHECK:         call <16 x float> @llvm.masked.load.v16f32.p0

module attributes {lamina.target = {vector_bits = 512 : i64}} {
  func.func private @contraction(%a: memref<2x8xf32>, %b: memref<8x32xf32>, %c: memref<2x32xf32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c8 = arith.constant 8 : index
    %z = arith.constant 0.0 : f32
    %zero = arith.constant dense<0.0> : vector<2x32xf32>
    %sum = scf.for %k = %c0 to %c8 step %c1 iter_args(%acc = %zero) -> (vector<2x32xf32>) {
      %column = vector.transfer_read %a[%c0, %k], %z
        {in_bounds = [true], permutation_map = affine_map<(m, k) -> (m)>} : memref<2x8xf32>, vector<2xf32>
      %row = vector.transfer_read %b[%k, %c0], %z {in_bounds = [true]} : memref<8x32xf32>, vector<32xf32>
      %next = vector.outerproduct %column, %row, %acc : vector<2xf32>, vector<32xf32>
      scf.yield %next : vector<2x32xf32>
    }
    vector.transfer_write %sum, %c[%c0, %c0] {in_bounds = [true, true]} : vector<2x32xf32>, memref<2x32xf32>
    func.return
  }
  func.func private @rows(%a: memref<6xf32>, %b: memref<16xf32>, %c: memref<6x16xf32>) {
    %c0 = arith.constant 0 : index
    %z = arith.constant 0.0 : f32
    %column = vector.transfer_read %a[%c0], %z {in_bounds = [true]} : memref<6xf32>, vector<6xf32>
    %row = vector.transfer_read %b[%c0], %z {in_bounds = [true]} : memref<16xf32>, vector<16xf32>
    %product = vector.outerproduct %column, %row : vector<6xf32>, vector<16xf32>
    vector.transfer_write %product, %c[%c0, %c0] {in_bounds = [true, true]} : vector<6x16xf32>, memref<6x16xf32>
    func.return
  }
  func.func private @chain(%x: memref<32xf32>) {
    %c0 = arith.constant 0 : index
    %z = arith.constant 0.0 : f32
    %two = arith.constant dense<2.0> : vector<32xf32>
    %v = vector.transfer_read %x[%c0], %z {in_bounds = [true]} : memref<32xf32>, vector<32xf32>
    %w = arith.mulf %v, %two : vector<32xf32>
    %u = arith.addf %w, %v : vector<32xf32>
    vector.transfer_write %u, %x[%c0] {in_bounds = [true]} : vector<32xf32>, memref<32xf32>
    func.return
  }
  func.func private @rests(%n: index, %x: memref<?xf32>, %f: memref<20xi1>) {
    %c0 = arith.constant 0 : index
    %c2 = arith.constant 2 : index
    %z = arith.constant 0.0 : f32
    %false = arith.constant false
    %known = vector.create_mask %c2 : vector<16xi1>
    %v = vector.transfer_read %x[%c0], %z, %known {in_bounds = [true]} : memref<?xf32>, vector<16xf32>
    %some = vector.create_mask %n : vector<16xi1>
    vector.transfer_write %v, %x[%c0], %some {in_bounds = [true]} : vector<16xf32>, memref<?xf32>
    %g = vector.transfer_read %f[%c0], %false {in_bounds = [true]} : memref<20xi1>, vector<20xi1>
    vector.transfer_write %g, %f[%c0] {in_bounds = [true]} : vector<20xi1>, memref<20xi1>
    func.return
  }
  func.func private @before(%n: index, %x: memref<?xf32>) {
    %c2 = arith.constant 2 : index
    %z = arith.constant 0.0 : f32
    %some = vector.create_mask %c2 : vector<16xi1>
    %v = vector.transfer_read %x[%n], %z, %some {in_bounds = [true]} : memref<?xf32>, vector<16xf32>
    vector.transfer_write %v, %x[%n] {in_bounds = [true]} : vector<16xf32>, memref<?xf32>
    func.return
  }
}
