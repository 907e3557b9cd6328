// RUN: lamina-opt %s -p infer-types,assign-layouts --statistics 2>&1 >/dev/null | filecheck %s

// Ahead of and behind both convolutions 2 · 4 · (192 + 144 + 144 + 18) bytes; those between them cancel.
// CHECK: assign-layouts
// CHECK-DAG: {{ }}3984{{ .*}}bytes-before
// CHECK-DAG: {{ }}1680{{ .*}}bytes-after
func.func @cancels(%x: tensor<1x3x8x8xf32>) -> tensor<1x2x3x3xf32> {
  %w = graph.constant dense<1.0> : tensor<4x3x3x3xf32>
  %v = graph.constant dense<1.0> : tensor<2x4x1x1xf32>
  %c = graph.convolution %x, %w, [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1],
      padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1
      : tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32> -> tensor<1x4x6x6xf32>
  %d = graph.relu %c : tensor<1x4x6x6xf32> -> tensor<1x4x6x6xf32>
  %y = graph.convolution %d, %v, [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [2, 2],
      padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1
      : tensor<1x4x6x6xf32>, tensor<2x4x1x1xf32> -> tensor<1x2x3x3xf32>
  func.return %y : tensor<1x2x3x3xf32>
}
