// RUN: lamina-opt %s -p canonicalize | filecheck %s

// CHECK-LABEL: func.func @unit_axes_become_a_reshape
func.func @unit_axes_become_a_reshape(%x: tensor<4x1x?xf32>) -> tensor<4x?xf32> {
  // CHECK-NEXT: %y = graph.reshape %x, [4, -1] : tensor<4x1x?xf32> -> tensor<4x?xf32>
  // CHECK-NEXT: func.return %y
  %y = graph.reduce add %x, [1] : tensor<4x1x?xf32> -> tensor<4x?xf32>
  func.return %y : tensor<4x?xf32>
}

// CHECK-LABEL: func.func @kept_unit_axes_are_nothing
func.func @kept_unit_axes_are_nothing(%x: tensor<4x1xf32>) -> tensor<4x1xf32> {
  // CHECK-NEXT: func.return %x
  %y = graph.reduce maximum %x, [1] keep_dimensions : tensor<4x1xf32> -> tensor<4x1xf32>
  func.return %y : tensor<4x1xf32>
}

// CHECK-LABEL: func.func @no_axes_are_nothing
func.func @no_axes_are_nothing(%x: tensor<4x?xf32>) -> tensor<4x?xf32> {
  // CHECK-NEXT: func.return %x
  %y = graph.reduce add %x, [] : tensor<4x?xf32> -> tensor<4x?xf32>
  func.return %y : tensor<4x?xf32>
}

// CHECK-LABEL: func.func @kept_unit_axes_leave_the_list
func.func @kept_unit_axes_leave_the_list(%x: tensor<4x1x8xf32>) -> tensor<4x1x1xf32> {
  // CHECK-NEXT: graph.reduce add %x, [2] keep_dimensions : tensor<4x1x8xf32> -> tensor<4x1x1xf32>
  %y = graph.reduce add %x, [1, 2] keep_dimensions : tensor<4x1x8xf32> -> tensor<4x1x1xf32>
  func.return %y : tensor<4x1x1xf32>
}

// CHECK-LABEL: func.func @two_dynamic_sizes_have_no_reshape
func.func @two_dynamic_sizes_have_no_reshape(%x: tensor<?x1x?xf32>) -> tensor<?x?xf32> {
  // CHECK-NEXT: graph.reduce add %x, [1]
  %y = graph.reduce add %x, [1] : tensor<?x1x?xf32> -> tensor<?x?xf32>
  func.return %y : tensor<?x?xf32>
}

// CHECK-LABEL: func.func @merges
func.func @merges(%x: tensor<2x3x4x5xf32>) -> tensor<3xf32> {
  // CHECK-NEXT: graph.reduce add %x, [0, 2, 3] : tensor<2x3x4x5xf32> -> tensor<3xf32>
  %y = graph.reduce add %x, [0, 2] : tensor<2x3x4x5xf32> -> tensor<3x5xf32>
  %z = graph.reduce add %y, [1] : tensor<3x5xf32> -> tensor<3xf32>
  func.return %z : tensor<3xf32>
}

// CHECK-LABEL: func.func @merges_kept_axes
func.func @merges_kept_axes(%x: tensor<2x3x4xf32>) -> tensor<1x3x1xf32> {
  // CHECK-NEXT: graph.reduce maximum %x, [0, 2] keep_dimensions : tensor<2x3x4xf32> -> tensor<1x3x1xf32>
  %y = graph.reduce maximum %x, [2] keep_dimensions : tensor<2x3x4xf32> -> tensor<2x3x1xf32>
  %z = graph.reduce maximum %y, [0] keep_dimensions : tensor<2x3x1xf32> -> tensor<1x3x1xf32>
  func.return %z : tensor<1x3x1xf32>
}

// CHECK-LABEL: func.func @other_kinds_stay
func.func @other_kinds_stay(%x: tensor<2x3xf32>) -> tensor<f32> {
  // CHECK-NEXT: graph.reduce add %x, [1]
  // CHECK-NEXT: graph.reduce maximum
  %y = graph.reduce add %x, [1] : tensor<2x3xf32> -> tensor<2xf32>
  %z = graph.reduce maximum %y, [0] : tensor<2xf32> -> tensor<f32>
  func.return %z : tensor<f32>
}

// CHECK-LABEL: func.func @a_result_with_other_users_stays
func.func @a_result_with_other_users_stays(%x: tensor<2x3xf32>) -> (tensor<2xf32>, tensor<f32>) {
  // CHECK-NEXT: %y = graph.reduce add %x, [1]
  // CHECK-NEXT: graph.reduce add %y, [0]
  %y = graph.reduce add %x, [1] : tensor<2x3xf32> -> tensor<2xf32>
  %z = graph.reduce add %y, [0] : tensor<2xf32> -> tensor<f32>
  func.return %y, %z : tensor<2xf32>, tensor<f32>
}
