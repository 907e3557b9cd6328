// RUN: lamina-opt %s | lamina-opt | filecheck %s
// RUN: lamina-opt %s --print-op-generic | lamina-opt | filecheck %s

// Convolutions: every tensor's axes in any order.

func.func @ops(%x: tensor<1x4x9x9xf32>, %k: tensor<8x4x3x3xf32>, %y: tensor<?x?x4xf16>, %w: tensor<5x2x6xf16>) {
  // CHECK: = graph.convolution %x, %k, [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<1x4x9x9xf32>, tensor<8x4x3x3xf32> -> tensor<1x8x7x7xf32>
  %0 = graph.convolution %x, %k, [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<1x4x9x9xf32>, tensor<8x4x3x3xf32> -> tensor<1x8x7x7xf32>
  // CHECK: = graph.convolution %x, %k, [b, f, 1, 0] x [o, i, 0, 1] -> [1, f, b, 0], strides = [2, 1], padding = [1, 1, 0, 2], lhs_dilation = [1, 2], rhs_dilation = [2, 1], groups = 1 : tensor<1x4x9x9xf32>, tensor<8x4x3x3xf32> -> tensor<17x8x1x4xf32>
  %1 = graph.convolution %x, %k, [b, f, 1, 0] x [o, i, 0, 1] -> [1, f, b, 0], strides = [2, 1], padding = [1, 1, 0, 2], lhs_dilation = [1, 2], rhs_dilation = [2, 1], groups = 1 : tensor<1x4x9x9xf32>, tensor<8x4x3x3xf32> -> tensor<17x8x1x4xf32>
  // CHECK: = graph.convolution %y, %w, [b, 0, f] x [0, i, o] -> [b, 0, f], strides = [1], padding = [2, 2], lhs_dilation = [1], rhs_dilation = [1], groups = 2 {note} : tensor<?x?x4xf16>, tensor<5x2x6xf16> -> tensor<?x?x6xf16>
  %2 = graph.convolution %y, %w, [b, 0, f] x [0, i, o] -> [b, 0, f], strides = [1], padding = [2, 2], lhs_dilation = [1], rhs_dilation = [1], groups = 2 {note} : tensor<?x?x4xf16>, tensor<5x2x6xf16> -> tensor<?x?x6xf16>
  func.return
}
