// RUN: lamina-opt %s -p graph-to-linalg | filecheck %s
// RUN: %if mlir-opt %{ lamina-opt %s -p graph-to-linalg | %mlir_opt %}

// The padded input is stored; windows are maps, taps come before the contiguous output features.
// CHECK-LABEL: func.func private @padded
// CHECK:       %[[PADDED:.*]] = linalg.generic
// CHECK-SAME:    outs(%{{.*}} : tensor<1x10x3xf32>)
// CHECK:       affine_map<(d0, d1, d2, d3, d4) -> (d0, ((d1 * 2) + d2), d3)>, affine_map<(d0, d1, d2, d3, d4) -> (d2, d3, d4)>
// CHECK-SAME:    ins(%[[PADDED]], %w : tensor<1x10x3xf32>, tensor<3x3x4xf32>)
// CHECK-SAME:    lamina.axes = ["n", "w", "kw", "c", "o"]
func.func private @padded(%x: tensor<1x8x3xf32>, %w: tensor<3x3x4xf32>) -> tensor<1x4x4xf32> attributes {lamina.kernel} {
  %0 = graph.convolution %x, %w, [b, 0, f] x [0, i, o] -> [b, 0, f], strides = [2], padding = [1, 1], lhs_dilation = [1], rhs_dilation = [1], groups = 1 : tensor<1x8x3xf32>, tensor<3x3x4xf32> -> tensor<1x4x4xf32>
  func.return %0 : tensor<1x4x4xf32>
}

// Depthwise: a group is an output feature.
// CHECK-LABEL: func.func private @depthwise
// CHECK:       affine_map<(d0, d1, d2, d3) -> (d0, d1, (d2 + d3))>
// CHECK-SAME:  lamina.axes = ["n", "g", "kw", "w"]
func.func private @depthwise(%x: tensor<1x4x8xf32>, %w: tensor<4x1x3xf32>) -> tensor<1x4x6xf32> attributes {lamina.kernel} {
  %0 = graph.convolution %x, %w, [b, f, 0] x [o, i, 0] -> [b, f, 0], strides = [1], padding = [0, 0], lhs_dilation = [1], rhs_dilation = [1], groups = 4 : tensor<1x4x8xf32>, tensor<4x1x3xf32> -> tensor<1x4x6xf32>
  func.return %0 : tensor<1x4x6xf32>
}
