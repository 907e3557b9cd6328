// RUN: lamina-opt %s -p infer-types,materialize-padding | filecheck %s

// The gaps of a transposed convolution are padded in as well.
// CHECK-LABEL: func.func @convolution
func.func @convolution(%x: tensor<?x4x2xf32>, %w: tensor<3x2x5xf32>) -> tensor<?x8x5xf32> {
  // CHECK-NEXT: %[[ZERO:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
  // CHECK-NEXT: %[[P:.*]] = graph.pad constant %x, %[[ZERO]], low [0, 1, 0] high [0, 2, 0] interior [0, 1, 0]
  // CHECK-NEXT: graph.convolution %[[P]], %w, {{.*}} padding = [0, 0], lhs_dilation = [1]
  %y = graph.convolution %x, %w, [b, 0, f] x [0, i, o] -> [b, 0, f], strides = [1], padding = [1, 2], lhs_dilation = [2], rhs_dilation = [1], groups = 1
      : tensor<?x4x2xf32>, tensor<3x2x5xf32> -> tensor<?x8x5xf32>
  func.return %y : tensor<?x8x5xf32>
}

// A window is padded with what leaves its result unchanged.
// CHECK-LABEL: func.func @window
func.func @window(%x: tensor<?x4x2xf32>) -> tensor<?x4x2xf32> {
  // CHECK-NEXT: %[[LEAST:.*]] = graph.constant dense<0xff800000> : tensor<f32>
  // CHECK-NEXT: %[[P:.*]] = graph.pad constant %x, %[[LEAST]], low [0, 1, 0] high [0, 1, 0] interior [0, 0, 0]
  // CHECK-NEXT: graph.reduce_window maximum %[[P]], {{.*}} padding = [0, 0, 0, 0, 0, 0]
  %y = graph.reduce_window maximum %x, window = [1, 3, 1], strides = [1, 1, 1], dilations = [1, 1, 1], padding = [0, 0, 1, 1, 0, 0] : tensor<?x4x2xf32> -> tensor<?x4x2xf32>
  func.return %y : tensor<?x4x2xf32>
}

// CHECK-LABEL: func.func @unpadded
func.func @unpadded(%x: tensor<?x4x2xf32>) -> tensor<?x2x2xf32> {
  // CHECK-NEXT: graph.reduce_window maximum %x
  %y = graph.reduce_window maximum %x, window = [1, 3, 1], strides = [1, 1, 1], dilations = [1, 1, 1], padding = [0, 0, 0, 0, 0, 0] : tensor<?x4x2xf32> -> tensor<?x2x2xf32>
  func.return %y : tensor<?x2x2xf32>
}
