// RUN: lamina-opt %s -p infer-types,split-transposed-convolutions | filecheck %s

// The kernel is as long as the dilation: one convolution, its features moved to their positions.
// CHECK-LABEL: func.func @tiles
func.func @tiles(%x: tensor<1x4x5x8xf32>, %w: tensor<2x2x8x3xf32>) -> tensor<1x8x10x3xf32> {
  // CHECK-NEXT: %[[A:.*]] = graph.slice %w, [1, 1, 0, 0] to {{.*}} step [2, 2, 1, 1] : {{.*}} -> tensor<1x1x8x3xf32>
  // CHECK-NEXT: %[[B:.*]] = graph.slice %w, [1, 0, 0, 0] to {{.*}} step [2, 2, 1, 1] : {{.*}} -> tensor<1x1x8x3xf32>
  // CHECK-NEXT: %[[C:.*]] = graph.slice %w, [0, 1, 0, 0] to {{.*}} step [2, 2, 1, 1] : {{.*}} -> tensor<1x1x8x3xf32>
  // CHECK-NEXT: %[[D:.*]] = graph.slice %w, [0, 0, 0, 0] to {{.*}} step [2, 2, 1, 1] : {{.*}} -> tensor<1x1x8x3xf32>
  // CHECK-NEXT: %[[W:.*]] = graph.concatenate %[[A]], %[[B]], %[[C]], %[[D]] dimension 3
  // CHECK-NEXT: %[[Y:.*]] = graph.convolution %x, %[[W]], {{.*}} padding = [0, 0, 0, 0], lhs_dilation = [1, 1]
  // CHECK-NEXT: %[[S:.*]] = graph.reshape %[[Y]], [1, 4, 5, 2, 2, 3]
  // CHECK-NEXT: %[[T:.*]] = graph.transpose %[[S]], [0, 1, 3, 2, 4, 5]
  // CHECK-NEXT: graph.reshape %[[T]], [1, 8, 10, 3]
  %y = graph.convolution %x, %w, [b, 0, 1, f] x [0, 1, i, o] -> [b, 0, 1, f], strides = [1, 1], padding = [1, 1, 1, 1], lhs_dilation = [2, 2], rhs_dilation = [1, 1], groups = 1
      : tensor<1x4x5x8xf32>, tensor<2x2x8x3xf32> -> tensor<1x8x10x3xf32>
  func.return %y : tensor<1x8x10x3xf32>
}

// The kernel is longer: each phase has its own elements of the kernel and its own padding.
// CHECK-LABEL: func.func @overlaps
func.func @overlaps(%x: tensor<?x4x8xf32>, %w: tensor<4x8x3xf32>) -> tensor<?x8x3xf32> {
  // CHECK-NEXT: %[[EVEN:.*]] = graph.slice %w, [0, 0, 0] to {{.*}} step [2, 1, 1]
  // CHECK-NEXT: %[[Y0:.*]] = graph.convolution %x, %[[EVEN]], {{.*}} padding = [1, 0], lhs_dilation = [1]
  // CHECK-NEXT: %[[ODD:.*]] = graph.slice %w, [1, 0, 0] to {{.*}} step [2, 1, 1]
  // CHECK-NEXT: %[[Y1:.*]] = graph.convolution %x, %[[ODD]], {{.*}} padding = [0, 1], lhs_dilation = [1]
  // CHECK-NEXT: %[[R0:.*]] = graph.reshape %[[Y0]], [-1, 4, 1, 3]
  // CHECK-NEXT: %[[R1:.*]] = graph.reshape %[[Y1]], [-1, 4, 1, 3]
  // CHECK-NEXT: %[[Y:.*]] = graph.concatenate %[[R0]], %[[R1]] dimension 2
  // CHECK-NEXT: graph.reshape %[[Y]], [-1, 8, 3]
  %y = graph.convolution %x, %w, [b, 0, f] x [0, i, o] -> [b, 0, f], strides = [1], padding = [2, 2], lhs_dilation = [2], rhs_dilation = [1], groups = 1
      : tensor<?x4x8xf32>, tensor<4x8x3xf32> -> tensor<?x8x3xf32>
  func.return %y : tensor<?x8x3xf32>
}

// A phase that begins at the input's second element, and one position too many at the end.
// CHECK-LABEL: func.func @cropped
func.func @cropped(%x: tensor<1x4x8xf32>, %w: tensor<3x8x3xf32>) -> tensor<1x5x3xf32> {
  // CHECK: graph.convolution %x, %{{.*}}, {{.*}} -> tensor<1x3x3xf32>
  // CHECK: %[[FROM1:.*]] = graph.slice %x, [0, 1, 0]
  // CHECK-NEXT: graph.convolution %[[FROM1]], {{.*}} -> tensor<1x3x3xf32>
  // CHECK: %[[SIX:.*]] = graph.reshape %{{.*}}, [1, 6, 3]
  // CHECK-NEXT: graph.slice %[[SIX]], [0, 0, 0] to [9223372036854775807, -1, 9223372036854775807]
  %y = graph.convolution %x, %w, [b, 0, f] x [0, i, o] -> [b, 0, f], strides = [1], padding = [0, 0], lhs_dilation = [2], rhs_dilation = [1], groups = 1
      : tensor<1x4x8xf32>, tensor<3x8x3xf32> -> tensor<1x5x3xf32>
  func.return %y : tensor<1x5x3xf32>
}

// A kernel of one element meets one phase only: zeros go in between.
// CHECK-LABEL: func.func @one_phase
func.func @one_phase(%x: tensor<1x4x8xf32>, %w: tensor<1x8x3xf32>) -> tensor<1x8x3xf32> {
  // CHECK: %[[Y:.*]] = graph.convolution %x, {{.*}} lhs_dilation = [1]{{.*}} -> tensor<1x4x3xf32>
  // CHECK: graph.pad constant %[[Y]], %{{.*}}, low [0, 0, 0] high [0, 1, 0] interior [0, 1, 0]
  %y = graph.convolution %x, %w, [b, 0, f] x [0, i, o] -> [b, 0, f], strides = [1], padding = [0, 1], lhs_dilation = [2], rhs_dilation = [1], groups = 1
      : tensor<1x4x8xf32>, tensor<1x8x3xf32> -> tensor<1x8x3xf32>
  func.return %y : tensor<1x8x3xf32>
}

// Groups stay in every part.
// CHECK-LABEL: func.func @grouped
func.func @grouped(%x: tensor<1x4x8xf32>, %w: tensor<2x4x6xf32>) -> tensor<1x8x6xf32> {
  // CHECK-COUNT-2: graph.convolution {{.*}} lhs_dilation = [1], rhs_dilation = [1], groups = 2
  // CHECK: graph.concatenate
  %y = graph.convolution %x, %w, [b, 0, f] x [0, i, o] -> [b, 0, f], strides = [1], padding = [1, 1], lhs_dilation = [2], rhs_dilation = [1], groups = 2
      : tensor<1x4x8xf32>, tensor<2x4x6xf32> -> tensor<1x8x6xf32>
  func.return %y : tensor<1x8x6xf32>
}

// CHECK-LABEL: func.func @strided
func.func @strided(%x: tensor<1x4x8xf32>, %w: tensor<3x8x3xf32>) -> tensor<1x2x3xf32> {
  // CHECK-NEXT: graph.convolution %x, %w, {{.*}} strides = [3], padding = [0, 0], lhs_dilation = [2]
  %y = graph.convolution %x, %w, [b, 0, f] x [0, i, o] -> [b, 0, f], strides = [3], padding = [0, 0], lhs_dilation = [2], rhs_dilation = [1], groups = 1
      : tensor<1x4x8xf32>, tensor<3x8x3xf32> -> tensor<1x2x3xf32>
  func.return %y : tensor<1x2x3xf32>
}
