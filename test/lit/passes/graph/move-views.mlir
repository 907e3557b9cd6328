// RUN: lamina-opt %s -p move-views | filecheck %s
// RUN: lamina-opt %s -p move-views,fold-constants | filecheck %s --check-prefix FOLDED

// Rows that an exporter merges for a product, and splits again.
// CHECK-LABEL: func.func @merged_rows
func.func @merged_rows(%x: tensor<2x3x8xf32>, %w: tensor<8x4xf32>, %b: tensor<4xf32>, %y: tensor<2x3x4xf32>)
    -> tensor<2x3x4xf32> {
  // CHECK-NEXT: %[[P:.*]] = graph.dot_general %x, %w, contract = [2] x [0]
  // CHECK-NEXT: %[[B:.*]] = graph.add %[[P]], %b
  // CHECK-NEXT: graph.add %[[B]], %y
  // CHECK-NEXT: func.return
  %m = graph.reshape %x, [-1, 8] : tensor<2x3x8xf32> -> tensor<6x8xf32>
  %p = graph.dot_general %m, %w, contract = [1] x [0] : tensor<6x8xf32>, tensor<8x4xf32> -> tensor<6x4xf32>
  %c = graph.add %p, %b : tensor<6x4xf32>, tensor<4xf32> -> tensor<6x4xf32>
  %r = graph.reshape %c, [2, 3, 4] : tensor<6x4xf32> -> tensor<2x3x4xf32>
  %z = graph.add %r, %y : tensor<2x3x4xf32>
  func.return %z : tensor<2x3x4xf32>
}

// Nothing follows that would cancel the reshape: it stays.
// CHECK-LABEL: func.func @merged_rows_are_wanted
func.func @merged_rows_are_wanted(%x: tensor<2x3x8xf32>, %w: tensor<8x4xf32>) -> tensor<6x4xf32> {
  // CHECK-NEXT: graph.reshape
  // CHECK-NEXT: graph.dot_general
  // CHECK-NEXT: func.return
  %m = graph.reshape %x, [-1, 8] : tensor<2x3x8xf32> -> tensor<6x8xf32>
  %p = graph.dot_general %m, %w, contract = [1] x [0] : tensor<6x8xf32>, tensor<8x4xf32> -> tensor<6x4xf32>
  func.return %p : tensor<6x4xf32>
}

// The scale joins the product; the split into heads stays where it is.
// CHECK-LABEL: func.func @scale_before_heads
func.func @scale_before_heads(%x: tensor<3x8xf32>, %w: tensor<8x8xf32>, %s: tensor<f32>) -> tensor<2x3x4xf32> {
  // CHECK-NEXT: %[[P:.*]] = graph.dot_general
  // CHECK-NEXT: %[[M:.*]] = graph.multiply %[[P]], %s
  // CHECK-NEXT: %[[R:.*]] = graph.reshape %[[M]], [3, 2, 4]
  // CHECK-NEXT: graph.transpose %[[R]], [1, 0, 2]
  %p = graph.dot_general %x, %w, contract = [1] x [0] : tensor<3x8xf32>, tensor<8x8xf32> -> tensor<3x8xf32>
  %h = graph.reshape %p, [3, 2, 4] : tensor<3x8xf32> -> tensor<3x2x4xf32>
  %m = graph.multiply %h, %s : tensor<3x2x4xf32>, tensor<f32> -> tensor<3x2x4xf32>
  %t = graph.transpose %m, [1, 0, 2] : tensor<3x2x4xf32> -> tensor<2x3x4xf32>
  func.return %t : tensor<2x3x4xf32>
}

// A transpose between two reshapes; the batch is merged with the heads and split again.
// CHECK-LABEL: func.func @transpose_between
func.func @transpose_between(%x: tensor<2x3x5x6xf32>) -> tensor<2x3x6x5xf32> {
  // CHECK-NEXT: graph.transpose %x, [0, 1, 3, 2]
  // CHECK-NEXT: func.return
  %m = graph.reshape %x, [6, 5, 6] : tensor<2x3x5x6xf32> -> tensor<6x5x6xf32>
  %t = graph.transpose %m, [0, 2, 1] : tensor<6x5x6xf32> -> tensor<6x6x5xf32>
  %r = graph.reshape %t, [2, 3, 6, 5] : tensor<6x6x5xf32> -> tensor<2x3x6x5xf32>
  func.return %r : tensor<2x3x6x5xf32>
}

// A reshape between two transposes.
// CHECK-LABEL: func.func @reshape_between
func.func @reshape_between(%x: tensor<2x5x6x3xf32>) -> tensor<2x30x3xf32> {
  // CHECK-NEXT: graph.reshape %x, [2, 30, 3]
  // CHECK-NEXT: func.return
  %t = graph.transpose %x, [0, 3, 1, 2] : tensor<2x5x6x3xf32> -> tensor<2x3x5x6xf32>
  %m = graph.reshape %t, [2, 3, 30] : tensor<2x3x5x6xf32> -> tensor<2x3x30xf32>
  %u = graph.transpose %m, [0, 2, 1] : tensor<2x3x30xf32> -> tensor<2x30x3xf32>
  func.return %u : tensor<2x30x3xf32>
}

// A joined projection: each part is a product with its part of the weights.
// CHECK-LABEL: func.func @joined_projection
// FOLDED-LABEL: func.func @joined_projection
func.func @joined_projection(%x: tensor<?x2xf32>) -> (tensor<?x2xf32>, tensor<?x1xf32>) {
  %w = graph.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]> : tensor<2x3xf32>
  %b = graph.constant dense<[0.5, 1.5, 2.5]> : tensor<3xf32>
  // CHECK: %[[U:.*]] = graph.slice %w, [0, 0] to [281474976710656, 2]
  // CHECK: graph.dot_general %x, %[[U]], {{.*}} -> tensor<?x2xf32>
  // CHECK: graph.add
  // CHECK: %[[V:.*]] = graph.slice %w, [0, 2] to [281474976710656, 3]
  // CHECK: graph.dot_general %x, %[[V]], {{.*}} -> tensor<?x1xf32>
  // CHECK: graph.add
  // FOLDED-NOT: graph.slice
  %p = graph.dot_general %x, %w, contract = [1] x [0] : tensor<?x2xf32>, tensor<2x3xf32> -> tensor<?x3xf32>
  %c = graph.add %p, %b : tensor<?x3xf32>, tensor<3xf32> -> tensor<?x3xf32>
  %q = graph.slice %c, [0, 0] to [281474976710656, 2] step [1, 1] : tensor<?x3xf32> -> tensor<?x2xf32>
  %k = graph.slice %c, [0, 2] to [281474976710656, 3] step [1, 1] : tensor<?x3xf32> -> tensor<?x1xf32>
  func.return %q, %k : tensor<?x2xf32>, tensor<?x1xf32>
}
