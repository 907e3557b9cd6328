// RUN: lamina-opt %s -p tile | filecheck %s

// Stages that share their rows are one loop; the temporary shrinks to one row.
// CHECK-LABEL: func.func private @rows
func.func private @rows(%x: memref<128x64xf32>, %y: memref<128x64xf32>) attributes {lamina.kernel} {
  %zero = arith.constant 0.0 : f32
  // CHECK-NOT: memref.alloc(
  %t = memref.alloc() {alignment = 64 : i64} : memref<128xf32>
  // CHECK: scf.forall ([[I:%.*]]) in (128) {
  // CHECK-NEXT: [[SUM:%.*]] = memref.alloca() {alignment = 64 : i64} : memref<f32>
  // CHECK-NEXT: linalg.fill ins(%zero : f32) outs([[SUM]] : memref<f32>)
  linalg.fill ins(%zero : f32) outs(%t : memref<128xf32>)
  // CHECK-NEXT: [[ROW:%.*]] = memref.subview %x[[[I]], 0] [1, 64] [1, 1] : memref<128x64xf32> to memref<64xf32, strided<[1], offset: ?>>
  // CHECK-NEXT: iterator_types = ["reduction"]} ins([[ROW]] : {{.*}}) outs([[SUM]] : memref<f32>)
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
    iterator_types = ["parallel", "reduction"]} ins(%x : memref<128x64xf32>) outs(%t : memref<128xf32>)
    attrs = {lamina.axes = ["i", "j"], lamina.schedule = {kind = "rows", parallel = ["i"], grain = 8}} {
  ^bb0(%a: f32, %b: f32):
    %s = arith.addf %b, %a fastmath<reassoc> : f32
    linalg.yield %s : f32
  }
  // CHECK: [[OUT:%.*]] = memref.subview %y[[[I]], 0] [1, 64] [1, 1]
  // CHECK: iterator_types = ["parallel"]} ins([[ROW]], [[SUM]] : {{.*}}) outs([[OUT]] : {{.*}})
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>],
    iterator_types = ["parallel", "parallel"]} ins(%x, %t : memref<128x64xf32>, memref<128xf32>) outs(%y : memref<128x64xf32>)
    attrs = {lamina.axes = ["i", "j"], lamina.schedule = {kind = "rows", parallel = ["i"], grain = 8}} {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %q = arith.divf %a, %b : f32
    linalg.yield %q : f32
  }
  memref.dealloc %t : memref<128xf32>
  // CHECK: } {lamina.grain = 8 : i64}
  // CHECK-NEXT: func.return
  func.return
}

// Elementwise stages run over one long axis.
// CHECK-LABEL: func.func private @long
func.func private @long(%x: memref<?x3xf32>, %y: memref<?x3xf32>) attributes {lamina.kernel} {
  // CHECK: [[TOTAL:%.*]] = arith.muli
  // CHECK: [[X:%.*]] = memref.reinterpret_cast %x to offset: [0], sizes: [[[TOTAL]]], strides: [1] : memref<?x3xf32> to memref<?xf32>
  // CHECK: scf.forall ([[I:%.*]]) = (0) to ([[TOTAL]]) step (4096) {
  // CHECK: [[SIZE:%.*]] = arith.minsi
  // CHECK: memref.subview [[X]][[[I]]] [[[SIZE]]] [1]
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
    iterator_types = ["parallel", "parallel"]} ins(%x : memref<?x3xf32>) outs(%y : memref<?x3xf32>)
    attrs = {lamina.axes = ["i", "j"], lamina.schedule = {kind = "rows", parallel = ["i"]}} {
  ^bb0(%a: f32, %b: f32):
    %e = math.exp %a : f32
    linalg.yield %e : f32
  }
  func.return
}

// A contraction: panels of columns and blocks of rows; what is left goes to vectorize.
// CHECK-LABEL: func.func private @contraction
func.func private @contraction(%a: memref<100x7xf32>, %b: memref<7x96xf32>, %c: memref<100x96xf32>) attributes {lamina.kernel} {
  // CHECK: scf.forall ([[N:%.*]], [[M:%.*]]) = (0, 0) to (96, 100) step (48, 64) {
  // CHECK: [[ROWS:%.*]] = arith.minsi
  // CHECK: memref.subview %a[[[M]], 0] [[[ROWS]], 7] [1, 1]
  // CHECK: memref.subview %b[0, [[N]]] [7, 48] [1, 1]
  // CHECK: lamina.schedule = {kind = "contraction", row = "m", column = "n", tile = {m = 8 : i64, n = 48 : i64}, block = {m = 64 : i64}, whole = {n = 96 : i64, m = 100 : i64}}
  linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
    iterator_types = ["parallel", "parallel", "reduction"]} ins(%a, %b : memref<100x7xf32>, memref<7x96xf32>) outs(%c : memref<100x96xf32>)
    attrs = {lamina.axes = ["m", "n", "k"], lamina.schedule = {kind = "contraction", row = "m", column = "n",
      tile = {m = 8, n = 48}, block = {m = 64}, parallel = ["n", "m"]}} {
  ^bb0(%x: f32, %y: f32, %z: f32):
    %p = arith.mulf %x, %y : f32
    %s = arith.addf %z, %p : f32
    linalg.yield %s : f32
  }
  func.return
}

// A packed right operand: each panel is a view of its own, read from front to back.
// CHECK-LABEL: func.func private @panels
func.func private @panels(%a: memref<8x64xf32>, %b: memref<3x64x48xf32>, %c: memref<8x100xf32>) attributes {lamina.kernel} {
  // CHECK: scf.forall ([[J:%.*]]) = (0) to (100) step (48)
  // CHECK: [[P:%.*]] = arith.divui [[J]], {{%.*}} : index
  // CHECK-NEXT: memref.subview %b{{\[}}[[P]], 0, 0] [1, 64, {{%.*}}] [1, 1, 1] : memref<3x64x48xf32> to memref<64x?xf32, strided<[48, 1], offset: ?>>
  // CHECK: linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1)>, affine_map<(d0, d1, d2) -> (d1, d2)>
  linalg.generic {indexing_maps = [affine_map<(m, k, n) -> (m, k)>, affine_map<(m, k, n) -> (n floordiv 48, k, n mod 48)>, affine_map<(m, k, n) -> (m, n)>], iterator_types = ["parallel", "reduction", "parallel"]} ins(%a, %b : memref<8x64xf32>, memref<3x64x48xf32>) outs(%c : memref<8x100xf32>)
    attrs = {lamina.axes = ["m", "k", "n"], lamina.schedule = {kind = "contraction", row = "m", column = "n", tile = {m = 8 : i64, n = 48 : i64}, block = {m = 8 : i64}, parallel = ["n", "m"]}} {
  ^bb0(%x: f32, %y: f32, %s: f32):
    %p = arith.mulf %x, %y : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  }
  func.return
}
