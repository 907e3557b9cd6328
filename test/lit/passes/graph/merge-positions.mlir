// RUN: lamina-opt %s -p merge-positions --assume types-inferred,layouts-assigned | filecheck %s

// The residual is viewed in merged positions; the bias keeps its one position.
// CHECK-LABEL: func.func @epilogue
func.func @epilogue(%x: tensor<1x5x6x8xf32>, %w: tensor<1x1x8x4xf32>, %b: tensor<1x1x1x4xf32>, %r: tensor<1x5x6x4xf32>) -> tensor<1x5x6x4xf32> {
  // CHECK-DAG: %[[X:.*]] = graph.reshape %x, [30, 8] : tensor<1x5x6x8xf32> -> tensor<30x8xf32>
  // CHECK-DAG: %[[W:.*]] = graph.reshape %w, [8, 4] : tensor<1x1x8x4xf32> -> tensor<8x4xf32>
  // CHECK: %[[C:.*]] = graph.dot_general %[[X]], %[[W]], contract = [1] x [0]
  // CHECK: %[[B:.*]] = graph.reshape %b, [1, 4]
  // CHECK: %[[D:.*]] = graph.add %[[C]], %[[B]] : tensor<30x4xf32>, tensor<1x4xf32> -> tensor<30x4xf32>
  // CHECK: %[[R:.*]] = graph.reshape %r, [30, 4]
  // CHECK: %[[E:.*]] = graph.add %[[D]], %[[R]]
  // CHECK: %[[F:.*]] = graph.relu %[[E]] : tensor<30x4xf32> -> tensor<30x4xf32>
  // CHECK: %[[Y:.*]] = graph.reshape %[[F]], [1, 5, 6, 4]
  // CHECK-NEXT: func.return %[[Y]]
  %c = graph.convolution %x, %w, [b, 0, 1, f] x [0, 1, i, o] -> [b, 0, 1, f], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1
      : tensor<1x5x6x8xf32>, tensor<1x1x8x4xf32> -> tensor<1x5x6x4xf32>
  %d = graph.add %c, %b : tensor<1x5x6x4xf32>, tensor<1x1x1x4xf32> -> tensor<1x5x6x4xf32>
  %e = graph.add %d, %r : tensor<1x5x6x4xf32>, tensor<1x5x6x4xf32> -> tensor<1x5x6x4xf32>
  %y = graph.relu %e : tensor<1x5x6x4xf32> -> tensor<1x5x6x4xf32>
  func.return %y : tensor<1x5x6x4xf32>
}

// A batch stays apart: a factor for each image and feature has no positions to merge.
// CHECK-LABEL: func.func @symbolic_batch
func.func @symbolic_batch(%x: tensor<?x5x6x8xf32>, %w: tensor<1x1x8x4xf32>, %s: tensor<?x1x1x4xf32>) -> tensor<?x5x6x4xf32> {
  // CHECK: graph.dot_general {{.*}} contract = [2] x [0] : tensor<?x30x8xf32>, tensor<8x4xf32> -> tensor<?x30x4xf32>
  // CHECK: %[[S:.*]] = graph.reshape %s, [-1, 1, 4] : tensor<?x1x1x4xf32> -> tensor<?x1x4xf32>
  // CHECK: graph.multiply {{.*}}, %[[S]] : tensor<?x30x4xf32>, tensor<?x1x4xf32> -> tensor<?x30x4xf32>
  %c = graph.convolution %x, %w, [b, 0, 1, f] x [0, 1, i, o] -> [b, 0, 1, f], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1
      : tensor<?x5x6x8xf32>, tensor<1x1x8x4xf32> -> tensor<?x5x6x4xf32>
  %y = graph.multiply %c, %s : tensor<?x5x6x4xf32>, tensor<?x1x1x4xf32> -> tensor<?x5x6x4xf32>
  func.return %y : tensor<?x5x6x4xf32>
}

// CHECK-LABEL: func.func @strided
func.func @strided(%x: tensor<1x5x6x8xf32>, %w: tensor<1x1x8x4xf32>) -> tensor<1x3x3x4xf32> {
  // CHECK-NEXT: graph.convolution
  %c = graph.convolution %x, %w, [b, 0, 1, f] x [0, 1, i, o] -> [b, 0, 1, f], strides = [2, 2], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1
      : tensor<1x5x6x8xf32>, tensor<1x1x8x4xf32> -> tensor<1x3x3x4xf32>
  func.return %c : tensor<1x3x3x4xf32>
}
