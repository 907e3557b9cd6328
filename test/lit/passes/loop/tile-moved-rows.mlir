// RUN: lamina-opt %s -p tile | filecheck %s

// Rows that change places, with a result larger than half of the last cache: a piece of neighbors goes past the caches.
module attributes {lamina.target = {l3 = 4096 : i64}} {
// CHECK-LABEL: func.func private @heads
// CHECK:         scf.forall ([[B:%.*]], [[H:%.*]]) = (0, 0) to (128, 16) step (32, 1) {
// CHECK-NEXT:      [[PIECE:%.*]] = memref.alloca() {alignment = 64 : i64} : memref<32x64xf32>
// CHECK:           linalg.generic {{.*}} outs([[PIECE]] : memref<32x64xf32>)
// CHECK:           [[PLACE:%.*]] = memref.subview %y[[[H]], [[B]], 0] [1, 32, 64] [1, 1, 1]
// CHECK-NEXT:      memref.copy [[PIECE]], [[PLACE]] {lamina.streamed}
func.func private @heads(%x: memref<128x16x64xf32>, %y: memref<16x128x64xf32>) attributes {lamina.kernel} {
  linalg.generic {indexing_maps = [affine_map<(h, t, f) -> (t, h, f)>, affine_map<(h, t, f) -> (h, t, f)>], iterator_types = ["parallel", "parallel", "parallel"]} ins(%x : memref<128x16x64xf32>) outs(%y : memref<16x128x64xf32>) attrs = {lamina.axes = ["h", "t", "f"], lamina.schedule = {kind = "rows", block = {t = 32 : i64}, parallel = ["t", "h"], grain = 8 : i64}} {
  ^bb0(%v: f32, %old: f32):
    linalg.yield %v : f32
  }
  func.return
}
}
