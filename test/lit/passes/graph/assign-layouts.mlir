// RUN: lamina-opt %s -p infer-types,assign-layouts | filecheck %s

// The transposes between the two convolutions cancel; the kernel's are left to fold-constants.
// CHECK-LABEL: func.func @cancels
func.func @cancels(%x: tensor<?x3x8x8xf32>, %w: tensor<4x3x3x3xf32>, %v: tensor<2x4x1x1xf32>, %b: tensor<4x1x1xf32>)
    -> tensor<?x2x3x3xf32> {
  // CHECK-NEXT: %[[X:.*]] = graph.transpose %x, [0, 2, 3, 1]
  // CHECK-NEXT: %[[W:.*]] = graph.transpose %w, [2, 3, 1, 0] : tensor<4x3x3x3xf32> -> tensor<3x3x3x4xf32>
  // CHECK-NEXT: %[[C:.*]] = graph.convolution %[[X]], %[[W]], [b, 0, 1, f] x [0, 1, i, o] -> [b, 0, 1, f]
  %c = graph.convolution %x, %w, [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1],
      padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1
      : tensor<?x3x8x8xf32>, tensor<4x3x3x3xf32> -> tensor<?x4x6x6xf32>
  // The bias is a vector: its transpose is a view.
  // CHECK-NEXT: %[[B1:.*]] = graph.reshape %b, [1, 4, 1, 1]
  // CHECK-NEXT: %[[B:.*]] = graph.reshape %[[B1]], [1, 1, 1, 4]
  // CHECK-NEXT: %[[A:.*]] = graph.add %[[C]], %[[B]]
  %a = graph.add %c, %b : tensor<?x4x6x6xf32>, tensor<4x1x1xf32> -> tensor<?x4x6x6xf32>
  // CHECK-NEXT: %[[P:.*]] = graph.reduce_window maximum %[[A]], window = [1, 2, 2, 1], strides = [1, 2, 2, 1]
  %p = graph.reduce_window maximum %a, window = [1, 1, 2, 2], strides = [1, 1, 2, 2], dilations = [1, 1, 1, 1],
      padding = [0, 0, 0, 0, 0, 0, 0, 0] : tensor<?x4x6x6xf32> -> tensor<?x4x3x3xf32>
  // CHECK-NEXT: %[[V:.*]] = graph.transpose %v
  // CHECK-NEXT: %[[D:.*]] = graph.convolution %[[P]], %[[V]]
  %d = graph.convolution %p, %v, [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1],
      padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1
      : tensor<?x4x3x3xf32>, tensor<2x4x1x1xf32> -> tensor<?x2x3x3xf32>
  // CHECK-NEXT: %[[Y:.*]] = graph.transpose %[[D]], [0, 3, 1, 2]
  // CHECK-NEXT: func.return %[[Y]]
  func.return %d : tensor<?x2x3x3xf32>
}

// A mean over the spatial axes takes the transpose away.
// CHECK-LABEL: func.func @global_pooling
func.func @global_pooling(%x: tensor<2x5x1xf32>, %w: tensor<2x5x1xf32>) -> tensor<2x2xf32> {
  // CHECK: graph.reshape %x, [2, 1, 5]
  // CHECK: %[[C:.*]] = graph.convolution
  %c = graph.convolution %x, %w, [b, f, 0] x [o, i, 0] -> [b, f, 0], strides = [1],
      padding = [0, 0], lhs_dilation = [1], rhs_dilation = [1], groups = 1
      : tensor<2x5x1xf32>, tensor<2x5x1xf32> -> tensor<2x2x1xf32>
  // CHECK-NEXT: %[[M:.*]] = graph.mean %[[C]], [1]
  // CHECK-NEXT: func.return %[[M]]
  %y = graph.mean %c, [2] : tensor<2x2x1xf32> -> tensor<2x2xf32>
  func.return %y : tensor<2x2xf32>
}
