// RUN: lamina-opt %s -p skip-padding | filecheck %s
// RUN: %if mlir-opt %{ lamina-opt %s -p skip-padding | %mlir_opt %}

// A convolution that leaves out taps reads the image where it is: no copy, and the view begins in front of it.
// CHECK-LABEL: func.func private @skipped
func.func private @skipped(%x: memref<1x5x6x8xf32>, %w: memref<3x3x8x16xf32>, %y: memref<1x5x6x16xf32>) attributes {lamina.kernel} {
  %z = arith.constant 0.0 : f32
  // CHECK: [[OFFSET:%.*]] = arith.constant -56 : index
  // CHECK-NOT: memref.alloc
  // CHECK: [[PADDED:%.*]] = memref.reinterpret_cast %x to offset: {{\[}}[[OFFSET]]{{\]}}, sizes: [1, 7, 8, 8], strides: [240, 48, 8, 1] {lamina.border = array<i64: 0, 1, 1, 0, 0, 1, 1, 0>}
  // CHECK-NEXT: linalg.fill
  // CHECK-NEXT: linalg.generic {{.*}} ins([[PADDED]], %w
  // CHECK-NOT: memref.dealloc
  %p = memref.alloc() : memref<1x7x8x8xf32>
  linalg.generic {indexing_maps = [affine_map<(n, h, w, c) -> (n, h, w, c)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} outs(%p : memref<1x7x8x8xf32>) attrs = {lamina.axes = ["i0", "i1", "i2", "i3"], lamina.border = array<i64: 0, 1, 1, 0, 0, 1, 1, 0>} {
  ^bb0(%o: f32):
    %zero = arith.constant 0.0 : f32
    %one = arith.constant 1 : index
    %none = arith.constant 0 : index
    %four = arith.constant 4 : index
    %five = arith.constant 5 : index
    %n = linalg.index 0 : index
    %ph = linalg.index 1 : index
    %pw = linalg.index 2 : index
    %c = linalg.index 3 : index
    %h = arith.subi %ph, %one : index
    %v = arith.subi %pw, %one : index
    %h0 = arith.cmpi sge, %h, %none : index
    %h1 = arith.cmpi sle, %h, %four : index
    %w0 = arith.cmpi sge, %v, %none : index
    %w1 = arith.cmpi sle, %v, %five : index
    %hs = arith.andi %h0, %h1 : i1
    %ws = arith.andi %w0, %w1 : i1
    %inside = arith.andi %hs, %ws : i1
    %e = scf.if %inside -> (f32) {
      %l = memref.load %x[%n, %h, %v, %c] : memref<1x5x6x8xf32>
      scf.yield %l : f32
    } else {
      scf.yield %zero : f32
    }
    linalg.yield %e : f32
  }
  linalg.fill ins(%z : f32) outs(%y : memref<1x5x6x16xf32>)
  linalg.generic {indexing_maps = [affine_map<(n, h, w, i, j, c, o) -> (n, h + i, w + j, c)>, affine_map<(n, h, w, i, j, c, o) -> (i, j, c, o)>, affine_map<(n, h, w, i, j, c, o) -> (n, h, w, o)>], iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction", "reduction", "parallel"]} ins(%p, %w : memref<1x7x8x8xf32>, memref<3x3x8x16xf32>) outs(%y : memref<1x5x6x16xf32>)
    attrs = {lamina.axes = ["n", "h", "w", "kh", "kw", "c", "o"], lamina.schedule = {kind = "contraction", row = "w", column = "o", tile = {w = 6 : i64, o = 16 : i64}, block = {h = 5 : i64, w = 6 : i64}, padding = "skipped", parallel = ["n", "h"]}} {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %p1 = arith.mulf %a, %b : f32
    %t = arith.addf %s, %p1 : f32
    linalg.yield %t : f32
  }
  memref.dealloc %p : memref<1x7x8x8xf32>
  func.return
}

// Without that in its schedule the copy stays.
// CHECK-LABEL: func.func private @copied
func.func private @copied(%x: memref<1x5x6x8xf32>, %w: memref<3x3x8x16xf32>, %y: memref<1x5x6x16xf32>) attributes {lamina.kernel} {
  // CHECK: memref.alloc
  // CHECK-NOT: memref.reinterpret_cast
  // CHECK: memref.dealloc
  %p = memref.alloc() : memref<1x7x8x8xf32>
  linalg.generic {indexing_maps = [affine_map<(n, h, w, c) -> (n, h, w, c)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} outs(%p : memref<1x7x8x8xf32>) attrs = {lamina.axes = ["i0", "i1", "i2", "i3"], lamina.border = array<i64: 0, 1, 1, 0, 0, 1, 1, 0>} {
  ^bb0(%o: f32):
    %n = linalg.index 0 : index
    %c = linalg.index 3 : index
    %l = memref.load %x[%n, %n, %n, %c] : memref<1x5x6x8xf32>
    linalg.yield %l : f32
  }
  linalg.generic {indexing_maps = [affine_map<(n, h, w, i, j, c, o) -> (n, h + i, w + j, c)>, affine_map<(n, h, w, i, j, c, o) -> (i, j, c, o)>, affine_map<(n, h, w, i, j, c, o) -> (n, h, w, o)>], iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction", "reduction", "parallel"]} ins(%p, %w : memref<1x7x8x8xf32>, memref<3x3x8x16xf32>) outs(%y : memref<1x5x6x16xf32>)
    attrs = {lamina.axes = ["n", "h", "w", "kh", "kw", "c", "o"], lamina.schedule = {kind = "contraction", row = "w", column = "o", tile = {w = 6 : i64, o = 16 : i64}, parallel = ["n", "h"]}} {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %p1 = arith.mulf %a, %b : f32
    %t = arith.addf %s, %p1 : f32
    linalg.yield %t : f32
  }
  memref.dealloc %p : memref<1x7x8x8xf32>
  func.return
}
