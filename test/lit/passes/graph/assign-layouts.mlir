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

// The upsampled image is large, what the convolution gives is small: everything behind it stays as it was written.
// CHECK-LABEL: func.func @stays_as_written
func.func @stays_as_written(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x2x2xf32>, %large: tensor<1x4x64x64xf32>) -> tensor<1x4x64x64xf32> {
  // CHECK: %[[C:.*]] = graph.convolution {{.*}} -> tensor<1x4x4x4xf32>
  // CHECK-NEXT: %[[T:.*]] = graph.transpose %[[C]], [0, 3, 1, 2]
  %c = graph.convolution %x, %w, [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [2, 2],
      padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1
      : tensor<1x3x8x8xf32>, tensor<4x3x2x2xf32> -> tensor<1x4x4x4xf32>
  %zero = graph.constant dense<0.0> : tensor<f32>
  // CHECK: %[[P:.*]] = graph.pad constant %[[T]], %{{.*}}, low [0, 0, 30, 30] high [0, 0, 30, 30]
  %p = graph.pad constant %c, %zero, low [0, 0, 30, 30] high [0, 0, 30, 30] interior [0, 0, 0, 0] : tensor<1x4x4x4xf32>, tensor<f32> -> tensor<1x4x64x64xf32>
  // CHECK-NEXT: %[[Y:.*]] = graph.add %[[P]], %large
  %y = graph.add %p, %large : tensor<1x4x64x64xf32>, tensor<1x4x64x64xf32> -> tensor<1x4x64x64xf32>
  // CHECK-NEXT: func.return %[[Y]]
  func.return %y : tensor<1x4x64x64xf32>
}

// A transpose moves up as well: the small input is transposed, not the padded one.
// CHECK-LABEL: func.func @moves_up
func.func @moves_up(%x: tensor<1x4x4x4xf32>, %w: tensor<2x4x1x1xf32>) -> tensor<1x2xf32> {
  // CHECK-NEXT: %[[T:.*]] = graph.transpose %x, [0, 2, 3, 1]
  %zero = graph.constant dense<0.0> : tensor<f32>
  // CHECK: %[[P:.*]] = graph.pad constant %[[T]], %{{.*}}, low [0, 30, 30, 0]
  %p = graph.pad constant %x, %zero, low [0, 0, 30, 30] high [0, 0, 30, 30] interior [0, 0, 0, 0] : tensor<1x4x4x4xf32>, tensor<f32> -> tensor<1x4x64x64xf32>
  // CHECK: graph.convolution %[[P]]
  %c = graph.convolution %p, %w, [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1],
      padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1
      : tensor<1x4x64x64xf32>, tensor<2x4x1x1xf32> -> tensor<1x2x64x64xf32>
  // CHECK-NEXT: graph.reduce maximum %{{.*}}, [1, 2]
  %y = graph.reduce maximum %c, [2, 3] : tensor<1x2x64x64xf32> -> tensor<1x2xf32>
  func.return %y : tensor<1x2xf32>
}

// The model's own transposes fall away.
// CHECK-LABEL: func.func @own_transposes
func.func @own_transposes(%x: tensor<1x9x9x4xf32>, %w: tensor<2x4x1x1xf32>) -> tensor<1x9x9x2xf32> {
  %t = graph.transpose %x, [0, 3, 1, 2] : tensor<1x9x9x4xf32> -> tensor<1x4x9x9xf32>
  // CHECK: %[[C:.*]] = graph.convolution %x,
  %c = graph.convolution %t, %w, [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1],
      padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1
      : tensor<1x4x9x9xf32>, tensor<2x4x1x1xf32> -> tensor<1x2x9x9xf32>
  // CHECK-NEXT: %[[Y:.*]] = graph.relu %[[C]]
  %r = graph.relu %c : tensor<1x2x9x9xf32> -> tensor<1x2x9x9xf32>
  %y = graph.transpose %r, [0, 2, 3, 1] : tensor<1x2x9x9xf32> -> tensor<1x9x9x2xf32>
  // CHECK-NEXT: func.return %[[Y]]
  func.return %y : tensor<1x9x9x2xf32>
}

// A shuffle of features between two convolutions works on the last axis.
// CHECK-LABEL: func.func @shuffle
func.func @shuffle(%x: tensor<?x5x5x3xf32>, %w: tensor<3x3x1x1xf32>, %v: tensor<1x1x6x2xf32>) -> tensor<?x5x5x2xf32> {
  %k = graph.constant dense<1.0> : tensor<1x1x3x6xf32>
  %a = graph.convolution %x, %k, [b, 0, 1, f] x [0, 1, i, o] -> [b, f, 0, 1], strides = [1, 1],
      padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1
      : tensor<?x5x5x3xf32>, tensor<1x1x3x6xf32> -> tensor<?x6x5x5xf32>
  // CHECK: %[[S:.*]] = graph.reshape %{{.*}}, [-1, 5, 5, 2, 3]
  // CHECK-NEXT: %[[T:.*]] = graph.transpose %[[S]], [0, 1, 2, 4, 3]
  // CHECK-NEXT: %[[M:.*]] = graph.reshape %[[T]], [-1, 5, 5, 6]
  %s = graph.reshape %a, [-1, 2, 3, 5, 5] : tensor<?x6x5x5xf32> -> tensor<?x2x3x5x5xf32>
  %t = graph.transpose %s, [0, 2, 1, 3, 4] : tensor<?x2x3x5x5xf32> -> tensor<?x3x2x5x5xf32>
  %m = graph.reshape %t, [-1, 6, 5, 5] : tensor<?x3x2x5x5xf32> -> tensor<?x6x5x5xf32>
  // CHECK-NEXT: graph.convolution %[[M]], %v, [b, 0, 1, f]
  %y = graph.convolution %m, %v, [b, f, 0, 1] x [0, 1, i, o] -> [b, 0, 1, f], strides = [1, 1],
      padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1
      : tensor<?x6x5x5xf32>, tensor<1x1x6x2xf32> -> tensor<?x5x5x2xf32>
  // CHECK-NEXT: func.return
  func.return %y : tensor<?x5x5x2xf32>
}
