// RUN: lamina-opt %s -p graph-to-linalg | filecheck %s
// RUN: %if mlir-opt %{ lamina-opt %s -p graph-to-linalg | %mlir_opt %}

// The product is formed in the destination, the epilogue runs over it in place.
// CHECK-LABEL: func.func private @epilogue(
// CHECK-SAME:  %[[D:[0-9]+]]: tensor<?x16xf32>) -> tensor<?x16xf32>
// CHECK:       %[[FILL:.*]] = linalg.fill ins(%{{.*}} : f32) outs(%[[D]] : tensor<?x16xf32>)
// CHECK-NEXT:  %[[DOT:.*]] = linalg.generic
// CHECK-SAME:    ins(%x, %w : tensor<?x8xf32>, tensor<8x16xf32>) outs(%[[FILL]] : tensor<?x16xf32>) attrs = {lamina.axes = ["m0", "k0", "n0"]}
// CHECK:         arith.mulf
// CHECK-NEXT:    arith.addf
// CHECK-NEXT:    linalg.yield
// CHECK:       linalg.generic
// CHECK-SAME:    ins(%[[DOT]], %b : tensor<?x16xf32>, tensor<16xf32>) outs(%[[DOT]] : tensor<?x16xf32>) attrs = {lamina.axes = ["m0", "n0"]}
func.func private @epilogue(%x: tensor<?x8xf32>, %w: tensor<8x16xf32>, %b: tensor<16xf32>) -> tensor<?x16xf32> attributes {lamina.kernel} {
  %0 = graph.dot_general %x, %w, contract = [1] x [0] : tensor<?x8xf32>, tensor<8x16xf32> -> tensor<?x16xf32>
  %1 = graph.add %0, %b : tensor<?x16xf32>, tensor<16xf32> -> tensor<?x16xf32>
  func.return %1 : tensor<?x16xf32>
}

// Splitting into heads before the product, and merging them after it, are maps.
// CHECK-LABEL: func.func private @heads
// CHECK-NOT:   ["parallel", "parallel", "parallel", "parallel"]
// CHECK:       affine_map<(d0, d1, d2, d3) -> (d1, ((d0 * 4) + d2))>, affine_map<(d0, d1, d2, d3) -> (d0, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d1, d0, d3)>]
// CHECK-NOT:   linalg.generic
func.func private @heads(%x: tensor<?x8xf32>, %w: tensor<2x4x5xf32>) -> tensor<?x2x5xf32> attributes {lamina.kernel} {
  %0 = graph.reshape %x, [-1, 2, 4] : tensor<?x8xf32> -> tensor<?x2x4xf32>
  %1 = graph.transpose %0, [1, 0, 2] : tensor<?x2x4xf32> -> tensor<2x?x4xf32>
  %2 = graph.dot_general %1, %w, batch = [0] x [0], contract = [2] x [1] : tensor<2x?x4xf32>, tensor<2x4x5xf32> -> tensor<2x?x5xf32>
  %3 = graph.transpose %2, [1, 0, 2] : tensor<2x?x5xf32> -> tensor<?x2x5xf32>
  func.return %3 : tensor<?x2x5xf32>
}

// Columns that are not next to each other are put there first.
// CHECK-LABEL: func.func private @columns
// CHECK:       affine_map<(d0, d1) -> (d1, d0)>
// CHECK:       lamina.axes = ["m0", "k0", "n0"]
func.func private @columns(%x: tensor<?x8xf32>, %w: tensor<16x8xf32>) -> tensor<?x16xf32> attributes {lamina.kernel} {
  %0 = graph.dot_general %x, %w, contract = [1] x [1] : tensor<?x8xf32>, tensor<16x8xf32> -> tensor<?x16xf32>
  func.return %0 : tensor<?x16xf32>
}

// f16 is accumulated in f32.
// CHECK-LABEL: func.func private @narrow
// CHECK:       %[[A:.*]] = arith.extf
// CHECK-NEXT:  %[[B:.*]] = arith.extf
// CHECK-NEXT:  arith.mulf %[[A]], %[[B]]
// CHECK:       arith.truncf
func.func private @narrow(%x: tensor<4x8xf16>, %w: tensor<8x16xf16>) -> tensor<4x16xf16> attributes {lamina.kernel} {
  %0 = graph.dot_general %x, %w, contract = [1] x [0] : tensor<4x8xf16>, tensor<8x16xf16> -> tensor<4x16xf16>
  func.return %0 : tensor<4x16xf16>
}
