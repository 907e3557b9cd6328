// RUN: lamina-opt %s -p tile | filecheck %s
// RUN: lamina-opt %s -p tile,vectorize | filecheck %s --check-prefix=VECTORS
// RUN: lamina-opt %s -p tile,vectorize | mlir-opt-22 >/dev/null

// Blocks begin where lines of memory do: the first part of an axis is longer, the last one shorter; a block that may be cut
// asks. A large result is stored past the caches.
// CHECK-LABEL: func.func private @lines
// CHECK:       "memref.extract_aligned_pointer_as_index"(%y)
// CHECK:       [[H:%.*]] = arith.divui
// CHECK:       "memref.extract_aligned_pointer_as_index"(%x)
// CHECK:       [[G:%.*]] = arith.divui
// CHECK:       scf.forall ([[I:%.*]], [[J:%.*]]) = (0, 0) to (4096, 4096) step (64, 256) {
// CHECK:         [[F:%.*]] = arith.cmpi eq, [[I]],
// CHECK:         [[A:%.*]] = arith.addi [[I]], [[G]] : index
// CHECK:         arith.select [[F]], {{%.*}}, [[A]] : index
// CHECK:         arith.addi [[J]], [[H]] : index
// CHECK:         linalg.generic {{.*}}lamina.streamed
// VECTORS-LABEL: func.func private @lines
// VECTORS:       scf.forall
// VECTORS:         scf.for
// VECTORS:           scf.for
// VECTORS:             [[W:%.*]] = arith.cmpi eq, {{%.*}}, {{%.*}} : index
// VECTORS:             scf.if [[W]] {
// VECTORS:               [[T:%.*]] = vector.transpose {{%.*}}, [1, 0] : vector<16x16xf32> to vector<16x16xf32>
// VECTORS:               [[L:%.*]] = vector.extract [[T]][0]
// VECTORS:               vector.store [[L]], {{.*}}nontemporal = true
// VECTORS:             } else {
// VECTORS:               vector.create_mask
// VECTORS:               vector.transfer_write
builtin.module attributes {lamina.target = {l3 = 33554432 : i64}} {
  func.func private @lines(%x: memref<4096x4096xf32>, %y: memref<4096x4096xf32>) attributes {lamina.kernel} {
    linalg.generic {indexing_maps = [affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<4096x4096xf32>) outs(%y : memref<4096x4096xf32>)
      attrs = {lamina.axes = ["i", "j"], lamina.schedule = {kind = "transpose", row = "i", column = "j", tile = {i = 16, j = 16},
        block = {i = 64, j = 256}, lines = ["i", "j"], parallel = ["i", "j"], grain = 1}} {
    ^bb0(%a: f32, %o: f32):
      linalg.yield %a : f32
    }
    func.return
  }
}
