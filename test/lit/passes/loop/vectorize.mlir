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

// Rows whose number is not known: what remains of them is half a tile, then a tile of what is left; half a tile takes a single row with it.
// CHECK-LABEL: func.func private @dynamic
func.func private @dynamic(%a: memref<?x8xf32>, %b: memref<8x16xf32>, %c: memref<?x16xf32>) attributes {lamina.kernel} {
  // CHECK: [[REST:%.*]] = arith.subi
  // CHECK: vector.outerproduct {{.*}} : vector<8xf32>, vector<16xf32>
  // CHECK: [[FIVE:%.*]] = arith.cmpi eq, [[REST]]
  // CHECK: scf.if [[FIVE]]
  // CHECK: vector.outerproduct {{.*}} : vector<5xf32>, vector<16xf32>
  // CHECK: [[HALF:%.*]] = arith.cmpi sge, [[REST]]
  // CHECK: scf.if [[HALF]]
  // CHECK: vector.outerproduct {{.*}} : vector<4xf32>, vector<16xf32>
  // CHECK: [[FROM:%.*]] = arith.addi
  // CHECK: [[LEFT:%.*]] = arith.subi [[REST]]
  // CHECK: [[ONE:%.*]] = arith.cmpi eq, [[LEFT]]
  // CHECK: scf.if [[ONE]]
  // CHECK: vector.outerproduct {{.*}} : vector<1xf32>, vector<16xf32>
  // CHECK: vector.transfer_write {{.*}}, %c[[[FROM]],
  // CHECK: [[TWO:%.*]] = arith.cmpi eq, [[LEFT]]
  // CHECK: scf.if [[TWO]]
  // CHECK: vector.outerproduct {{.*}} : vector<2xf32>, vector<16xf32>
  // CHECK: [[THREE:%.*]] = arith.cmpi eq, [[LEFT]]
  // CHECK: scf.if [[THREE]]
  // CHECK: vector.outerproduct {{.*}} : vector<3xf32>, vector<16xf32>
  linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
    iterator_types = ["parallel", "parallel", "reduction"]} ins(%a, %b : memref<?x8xf32>, memref<8x16xf32>) outs(%c : memref<?x16xf32>)
    attrs = {lamina.axes = ["m", "n", "k"], lamina.schedule = {kind = "contraction", row = "m", column = "n", tile = {m = 8, n = 16}, prefetch = 1}} {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %p = arith.mulf %x, %y : f32
    %s = arith.addf %z, %p : f32
    linalg.yield %s : f32
  }
  func.return
}

// A sum in blocks: partial sums are kept on the stack, the last block finishes the tile.
// CHECK-LABEL: func.func private @blocks
func.func private @blocks(%a: memref<8x600xf32>, %b: memref<600x48xf32>, %c: memref<8x48xf32>) attributes {lamina.kernel} {
  // CHECK: [[SUMS:%.*]] = memref.alloca() {alignment = 64 : i64} : memref<8x48xf32>
  // CHECK: scf.for [[FROM:%.*]] = {{.*}} {
  // CHECK: [[TO:%.*]] = arith.minsi
  // CHECK: [[SUM:%.*]] = scf.for {{%.*}} = [[FROM]] to [[TO]] {{.*}} -> (vector<8x48xf32>)
  // CHECK: scf.if
  // CHECK: vector.transfer_write {{%.*}}, [[SUMS]]
  // CHECK: [[BEFORE:%.*]] = vector.transfer_read [[SUMS]]
  // CHECK: [[TOTAL:%.*]] = arith.addf [[BEFORE]], [[SUM]]
  // CHECK: scf.if
  // CHECK-NEXT: vector.transfer_write [[TOTAL]], %c
  // CHECK: vector.transfer_write [[TOTAL]], [[SUMS]]
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%c : memref<8x48xf32>)
  linalg.generic {indexing_maps = [affine_map<(m, k, n) -> (m, k)>, affine_map<(m, k, n) -> (k, n)>, affine_map<(m, k, n) -> (m, n)>], iterator_types = ["parallel", "reduction", "parallel"]} ins(%a, %b : memref<8x600xf32>, memref<600x48xf32>) outs(%c : memref<8x48xf32>)
    attrs = {lamina.axes = ["m", "k", "n"], lamina.schedule = {kind = "contraction", row = "m", column = "n", tile = {m = 8 : i64, n = 48 : i64}, block = {m = 8 : i64, k = 400 : i64}, unroll = 2 : i64}} {
  ^bb0(%x: f32, %y: f32, %s: f32):
    %p = arith.mulf %x, %y : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  }
  func.return
}

// Few accumulators: two tiles take turns, and are summed at the end.
// CHECK-LABEL: func.func private @turns
func.func private @turns(%a: memref<1x64xf32>, %b: memref<64x48xf32>, %c: memref<1x48xf32>) attributes {lamina.kernel} {
  // CHECK: [[FIRST:%.*]], [[SECOND:%.*]] = scf.for {{.*}} iter_args([[A:%.*]] = {{%.*}}, [[B:%.*]] = {{%.*}}) ->
  // CHECK: [[NEXT_A:%.*]] = vector.outerproduct {{%.*}}, {{%.*}}, [[A]]
  // CHECK: [[NEXT_B:%.*]] = vector.outerproduct {{%.*}}, {{%.*}}, [[B]]
  // CHECK: scf.yield [[NEXT_A]], [[NEXT_B]]
  // CHECK: arith.addf [[FIRST]], [[SECOND]]
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%c : memref<1x48xf32>)
  linalg.generic {indexing_maps = [affine_map<(m, k, n) -> (m, k)>, affine_map<(m, k, n) -> (k, n)>, affine_map<(m, k, n) -> (m, n)>], iterator_types = ["parallel", "reduction", "parallel"]} ins(%a, %b : memref<1x64xf32>, memref<64x48xf32>) outs(%c : memref<1x48xf32>)
    attrs = {lamina.axes = ["m", "k", "n"], lamina.schedule = {kind = "contraction", row = "m", column = "n", tile = {m = 1 : i64, n = 48 : i64}, block = {m = 1 : i64}, unroll = 2 : i64, accumulators = 2 : i64}} {
  ^bb0(%x: f32, %y: f32, %s: f32):
    %p = arith.mulf %x, %y : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  }
  func.return
}

// Lines of an image in blocks of the sum; every tile asks for its third of a row of the panel's next block, which after
// the last one is the next panel's first.
// CHECK-LABEL: func.func private @lines
func.func private @lines(%a: memref<4x8x600xf32>, %b: memref<600x48xf32>, %c: memref<4x8x48xf32>) attributes {lamina.kernel} {
  // CHECK: [[SUMS:%.*]] = memref.alloca() {alignment = 64 : i64} : memref<4x8x48xf32>
  // CHECK: scf.for [[FROM:%.*]] = {{.*}} {
  // CHECK: [[TO:%.*]] = arith.minsi
  // CHECK: scf.for [[LINE:%.*]] = {{.*}} {
  // CHECK: [[LEFT:%.*]] = arith.subi {{%.*}}, [[FROM]]
  // CHECK: [[AHEAD:%.*]] = arith.select {{%.*}}, [[LEFT]], {{%.*}}
  // CHECK: [[TURN:%.*]] = arith.remui [[LINE]], {{%.*}}
  // CHECK: [[VECTOR:%.*]] = arith.muli [[TURN]], {{%.*}}
  // CHECK: scf.for [[K:%.*]] = [[FROM]] to
  // CHECK: [[NEXT:%.*]] = arith.addi [[K]], [[AHEAD]]
  // CHECK: memref.prefetch %b{{\[}}[[NEXT]], [[VECTOR]]{{\]}}, read, locality<2>, data
  // CHECK: vector.transfer_write {{%.*}}, [[SUMS]]{{\[}}[[LINE]],
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%c : memref<4x8x48xf32>)
  linalg.generic {indexing_maps = [affine_map<(h, m, k, n) -> (h, m, k)>, affine_map<(h, m, k, n) -> (k, n)>, affine_map<(h, m, k, n) -> (h, m, n)>], iterator_types = ["parallel", "parallel", "reduction", "parallel"]} ins(%a, %b : memref<4x8x600xf32>, memref<600x48xf32>) outs(%c : memref<4x8x48xf32>)
    attrs = {lamina.axes = ["h", "m", "k", "n"], lamina.schedule = {kind = "contraction", row = "m", column = "n", tile = {m = 8 : i64, n = 48 : i64}, block = {h = 4 : i64, m = 8 : i64, k = 400 : i64}, unroll = 2 : i64, prefetch = 1 : i64}} {
  ^bb0(%x: f32, %y: f32, %s: f32):
    %p = arith.mulf %x, %y : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  }
  func.return
}
