// RUN: lamina-opt %s -p canonicalize | filecheck %s

// A convolution has no simpler form of its own, and dead ones go.

// CHECK-LABEL: func.func @stays
func.func @stays(%x: tensor<1x4x9xf32>, %k: tensor<8x4x1xf32>) -> tensor<1x8x9xf32> {
  // CHECK-NEXT: %y = graph.convolution %x, %k
  // CHECK-NEXT: func.return %y
  %y = graph.convolution %x, %k, [b, f, 0] x [o, i, 0] -> [b, f, 0], strides = [1], padding = [0, 0], lhs_dilation = [1], rhs_dilation = [1], groups = 1 : tensor<1x4x9xf32>, tensor<8x4x1xf32> -> tensor<1x8x9xf32>
  %dead = graph.convolution %x, %k, [b, f, 0] x [o, i, 0] -> [b, f, 0], strides = [2], padding = [0, 0], lhs_dilation = [1], rhs_dilation = [1], groups = 1 : tensor<1x4x9xf32>, tensor<8x4x1xf32> -> tensor<1x8x5xf32>
  func.return %y : tensor<1x8x9xf32>
}
