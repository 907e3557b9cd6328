// RUN: lamina-opt %s -p prepare-contractions | filecheck %s

// CHECK-LABEL: func.func @transposed_weights
func.func @transposed_weights(%x: tensor<?x8xf32>, %w: tensor<4x8xf32>) -> tensor<?x4xf32> {
  // CHECK-NEXT: %[[T:.*]] = graph.transpose %w, [1, 0] : tensor<4x8xf32> -> tensor<8x4xf32>
  // CHECK-NEXT: graph.dot_general %x, %[[T]], contract = [1] x [0]
  %y = graph.dot_general %x, %w, contract = [1] x [1] : tensor<?x8xf32>, tensor<4x8xf32> -> tensor<?x4xf32>
  func.return %y : tensor<?x4xf32>
}

// Batch axes anywhere are fine as long as the last axis is free.
// CHECK-LABEL: func.func @ready
func.func @ready(%x: tensor<2x3x?x8xf32>, %y: tensor<2x?x3x8xf32>) -> tensor<2x3x?x8xf32> {
  // CHECK-NEXT: graph.dot_general %x, %y, batch = [0, 1] x [0, 2], contract = [3] x [1]
  %z = graph.dot_general %x, %y, batch = [0, 1] x [0, 2], contract = [3] x [1]
      : tensor<2x3x?x8xf32>, tensor<2x?x3x8xf32> -> tensor<2x3x?x8xf32>
  func.return %z : tensor<2x3x?x8xf32>
}

// A vector meets the rows of a matrix: turning that would take longer than the product.
// CHECK-LABEL: func.func @matrix_times_vector
func.func @matrix_times_vector(%m: tensor<?x8xf32>, %v: tensor<8xf32>) -> tensor<?xf32> {
  // CHECK-NEXT: graph.dot_general %v, %m, contract = [0] x [1] : tensor<8xf32>, tensor<?x8xf32> -> tensor<?xf32>
  %y = graph.dot_general %m, %v, contract = [1] x [0] : tensor<?x8xf32>, tensor<8xf32> -> tensor<?xf32>
  func.return %y : tensor<?xf32>
}

// A constant is turned at compile time.
// CHECK-LABEL: func.func @constant_matrix_times_vector
func.func @constant_matrix_times_vector(%v: tensor<2xf32>) -> tensor<3xf32> {
  // CHECK: %[[T:.*]] = graph.transpose %{{.*}}, [1, 0]
  // CHECK-NEXT: graph.dot_general %v, %[[T]], contract = [0] x [0] : tensor<2xf32>, tensor<2x3xf32> -> tensor<3xf32>
  %m = graph.constant dense<[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]> : tensor<3x2xf32>
  %y = graph.dot_general %m, %v, contract = [1] x [0] : tensor<3x2xf32>, tensor<2xf32> -> tensor<3xf32>
  func.return %y : tensor<3xf32>
}
