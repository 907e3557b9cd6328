// RUN: lamina-opt %s -p vectorize | filecheck %s

// CHECK-LABEL: func.func private @bias
func.func private @bias(%a: memref<16x8xf32>, %b: memref<8x20xf32>, %v: memref<20xf32>, %d: memref<16x20xf32>) attributes {lamina.kernel} {
  %zero = arith.constant 0.0 : f32
  // The accumulator is in registers: its buffer is gone.
  // CHECK-NOT: memref.alloc
  %c = memref.alloc() {alignment = 64 : i64} : memref<16x20xf32>
  // CHECK: [[ZEROS:%.*]] = arith.constant dense<0.000000e+00> : vector<4x16xf32>
  linalg.fill ins(%zero : f32) outs(%c : memref<16x20xf32>)
  // CHECK: scf.for [[I:%.*]] = {{.*}} {
  // CHECK: [[TILE:%.*]] = scf.for [[K:%.*]] = {{.*}} iter_args([[ACC:%.*]] = [[ZEROS]]) -> (vector<4x16xf32>) {
  // CHECK-NEXT: [[COLUMN:%.*]] = vector.transfer_read %a[[[I]], [[K]]], %zero {{.*}}permutation_map = affine_map<(d0, d1) -> (d0)>{{.*}}, vector<4xf32>
  // CHECK-NEXT: [[ROW:%.*]] = vector.transfer_read %b[[[K]], {{%.*}}], %zero {{.*}}, vector<16xf32>
  // CHECK-NEXT: [[NEXT:%.*]] = vector.outerproduct [[COLUMN]], [[ROW]], [[ACC]]
  // CHECK-NEXT: scf.yield [[NEXT]]
  // CHECK: [[BIAS:%.*]] = vector.transfer_read %v
  // CHECK-NEXT: [[WIDE:%.*]] = vector.broadcast [[BIAS]] : vector<16xf32> to vector<4x16xf32>
  // CHECK-NEXT: [[SUM:%.*]] = arith.addf [[TILE]], [[WIDE]] : vector<4x16xf32>
  // CHECK-NEXT: vector.transfer_write [[SUM]], %d[[[I]], {{%.*}}]
  linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
    iterator_types = ["parallel", "parallel", "reduction"]} ins(%a, %b : memref<16x8xf32>, memref<8x20xf32>) outs(%c : memref<16x20xf32>)
    attrs = {lamina.axes = ["m", "n", "k"], lamina.schedule = {kind = "contraction", row = "m", column = "n", tile = {m = 4, n = 16}}} {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %p = arith.mulf %x, %y : f32
    %s = arith.addf %z, %p : f32
    linalg.yield %s : f32
  }
  // The four columns that remain are a tile of their own.
  // CHECK: vector.outerproduct {{.*}} : vector<4xf32>, vector<4xf32>
  linalg.generic {indexing_maps = [affine_map<(m, n) -> (m, n)>, affine_map<(m, n) -> (n)>, affine_map<(m, n) -> (m, n)>],
    iterator_types = ["parallel", "parallel"]} ins(%c, %v : memref<16x20xf32>, memref<20xf32>) outs(%d : memref<16x20xf32>) {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %s = arith.addf %x, %y : f32
    linalg.yield %s : f32
  }
  memref.dealloc %c : memref<16x20xf32>
  func.return
}

// Sizes that are not known: what remains is masked.
// CHECK-LABEL: func.func private @dynamic
func.func private @dynamic(%a: memref<?x8xf32>, %b: memref<8x16xf32>, %c: memref<?x16xf32>) attributes {lamina.kernel} {
  // CHECK: [[REST:%.*]] = arith.subi
  // CHECK: scf.if
  // CHECK-NEXT: [[MASK:%.*]] = vector.create_mask [[REST]] : vector<4xi1>
  // CHECK: vector.transfer_read %a[{{.*}}], {{%.*}}, [[MASK]]
  linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
    iterator_types = ["parallel", "parallel", "reduction"]} ins(%a, %b : memref<?x8xf32>, memref<8x16xf32>) outs(%c : memref<?x16xf32>)
    attrs = {lamina.axes = ["m", "n", "k"], lamina.schedule = {kind = "contraction", row = "m", column = "n", tile = {m = 4, n = 16}}} {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %p = arith.mulf %x, %y : f32
    %s = arith.addf %z, %p : f32
    linalg.yield %s : f32
  }
  func.return
}
