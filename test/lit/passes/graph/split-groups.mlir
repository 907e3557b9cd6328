// RUN: lamina-opt %s -p infer-types,split-groups | filecheck %s

// CHECK-LABEL: func.func @two_groups
func.func @two_groups(%x: tensor<?x4x8xf32>, %w: tensor<6x2x3xf32>) -> tensor<?x6x6xf32> {
  // CHECK-NEXT: %[[X0:.*]] = graph.slice %x, [0, 0, 0] to [9223372036854775807, 2, 8]
  // CHECK-NEXT: %[[W0:.*]] = graph.slice %w, [0, 0, 0] to [3, 2, 3]
  // CHECK-NEXT: %[[X1:.*]] = graph.slice %x, [0, 2, 0] to [9223372036854775807, 4, 8]
  // CHECK-NEXT: %[[W1:.*]] = graph.slice %w, [3, 0, 0] to [6, 2, 3]
  // CHECK-NEXT: %[[Y0:.*]] = graph.convolution %[[X0]], %[[W0]], {{.*}} groups = 1 : {{.*}} -> tensor<?x3x6xf32>
  // CHECK-NEXT: %[[Y1:.*]] = graph.convolution %[[X1]], %[[W1]], {{.*}} groups = 1 : {{.*}} -> tensor<?x3x6xf32>
  // CHECK-NEXT: graph.concatenate %[[Y0]], %[[Y1]] dimension 1
  %y = graph.convolution %x, %w, [b, f, 0] x [o, i, 0] -> [b, f, 0], strides = [1], padding = [0, 0], lhs_dilation = [1], rhs_dilation = [1], groups = 2
      : tensor<?x4x8xf32>, tensor<6x2x3xf32> -> tensor<?x6x6xf32>
  func.return %y : tensor<?x6x6xf32>
}

// CHECK-LABEL: func.func @depthwise
func.func @depthwise(%x: tensor<?x4x8xf32>, %w: tensor<4x1x3xf32>) -> tensor<?x4x6xf32> {
  // CHECK-NEXT: graph.convolution {{.*}} groups = 4
  %y = graph.convolution %x, %w, [b, f, 0] x [o, i, 0] -> [b, f, 0], strides = [1], padding = [0, 0], lhs_dilation = [1], rhs_dilation = [1], groups = 4
      : tensor<?x4x8xf32>, tensor<4x1x3xf32> -> tensor<?x4x6xf32>
  func.return %y : tensor<?x4x6xf32>
}

// Many groups stay, narrow or wide.
// CHECK-LABEL: func.func @narrow_groups
func.func @narrow_groups(%x: tensor<1x64x8xf32>, %w: tensor<32x4x3xf32>) -> tensor<1x32x6xf32> {
  // CHECK-NEXT: graph.convolution {{.*}} groups = 16
  %y = graph.convolution %x, %w, [b, f, 0] x [o, i, 0] -> [b, f, 0], strides = [1], padding = [0, 0], lhs_dilation = [1], rhs_dilation = [1], groups = 16
      : tensor<1x64x8xf32>, tensor<32x4x3xf32> -> tensor<1x32x6xf32>
  func.return %y : tensor<1x32x6xf32>
}

// CHECK-LABEL: func.func @wide_groups
func.func @wide_groups(%x: tensor<1x256x8xf32>, %w: tensor<256x16x3xf32>) -> tensor<1x256x6xf32> {
  // CHECK-NEXT: graph.convolution {{.*}} groups = 16
  %y = graph.convolution %x, %w, [b, f, 0] x [o, i, 0] -> [b, f, 0], strides = [1], padding = [0, 0], lhs_dilation = [1], rhs_dilation = [1], groups = 16
      : tensor<1x256x8xf32>, tensor<256x16x3xf32> -> tensor<1x256x6xf32>
  func.return %y : tensor<1x256x6xf32>
}
