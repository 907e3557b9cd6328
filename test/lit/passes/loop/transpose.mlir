// RUN: lamina-opt %s -p tile | filecheck %s
// RUN: lamina-opt %s -p tile,vectorize | filecheck %s --check-prefix=VECTORS
// RUN: lamina-opt %s -p tile,vectorize | mlir-opt-22 >/dev/null

// The spatial axes become one; rows and columns are cut into blocks, which are turned in registers.
// CHECK-LABEL: func.func private @turned
// CHECK-DAG:   [[X:%.*]] = memref.reinterpret_cast %x to offset: [0], sizes: [1, 196, 96]
// CHECK-DAG:   [[Y:%.*]] = memref.reinterpret_cast %y to offset: [0], sizes: [1, 96, 196]
// CHECK:       scf.forall ({{.*}}, [[R:%.*]]) = (0, 0) to (1, 96) step (1, 48) {
// CHECK:         memref.subview [[X]][{{.*}}, 0, [[R]]]
// CHECK:         linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d1, d0)>, affine_map<(d0, d1) -> (d0, 0, 0)>, affine_map<(d0, d1) -> (d0, d1)>]
// VECTORS-LABEL: func.func private @turned
// VECTORS:       [[A:%.*]] = vector.transfer_read {{.*}}, vector<16x16xf32>
// VECTORS-NEXT:  [[T:%.*]] = vector.transpose [[A]], [1, 0] : vector<16x16xf32> to vector<16x16xf32>
// VECTORS:       [[S:%.*]] = arith.addf [[T]], {{%.*}} : vector<16x16xf32>
// VECTORS-NEXT:  vector.transfer_write [[S]]
// The last four positions are a block with a mask.
// VECTORS:       vector.constant_mask [16, 4] : vector<16x16xi1>
func.func private @turned(%x: memref<1x14x14x96xf32>, %bias: memref<96x1x1xf32>, %y: memref<1x96x14x14xf32>) attributes {lamina.kernel} {
  linalg.generic {indexing_maps = [affine_map<(n, c, h, w) -> (n, h, w, c)>, affine_map<(n, c, h, w) -> (c, 0, 0)>, affine_map<(n, c, h, w) -> (n, c, h, w)>],
    iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%x, %bias : memref<1x14x14x96xf32>, memref<96x1x1xf32>) outs(%y : memref<1x96x14x14xf32>)
    attrs = {lamina.axes = ["n", "c", "h", "w"], lamina.schedule = {kind = "transpose", row = "c", column = "w", merge = [["h", "w"]],
      tile = {c = 16, w = 16}, block = {c = 48, w = 256}, parallel = ["n", "c", "w"], grain = 1}} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %s = arith.addf %a, %b : f32
    linalg.yield %s : f32
  }
  func.return
}

// Sizes that are not known: whole blocks, then masked ones where any remain.
// CHECK-LABEL: func.func private @dynamic
// VECTORS-LABEL: func.func private @dynamic
// VECTORS:       vector.transpose
// VECTORS:       vector.create_mask
// VECTORS:       vector.transpose
func.func private @dynamic(%x: memref<?x?xf64>, %y: memref<?x?xf64>) attributes {lamina.kernel} {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
    ins(%x : memref<?x?xf64>) outs(%y : memref<?x?xf64>)
    attrs = {lamina.axes = ["i", "j"], lamina.schedule = {kind = "transpose", row = "i", column = "j",
      tile = {i = 8, j = 8}, block = {i = 64, j = 256}, parallel = ["i", "j"], grain = 1}} {
  ^bb0(%a: f64, %o: f64):
    linalg.yield %a : f64
  }
  func.return
}
