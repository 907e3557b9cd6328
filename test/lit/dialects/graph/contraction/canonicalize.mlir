// RUN: lamina-opt %s -p canonicalize | filecheck %s

// CHECK-LABEL: func.func @absorbs_transposes
func.func @absorbs_transposes(%a: tensor<2x8x4xf32>, %b: tensor<5x8x2xf32>) -> tensor<2x4x5xf32> {
  // CHECK-NEXT: graph.dot_general %a, %b, batch = [0] x [2], contract = [1] x [1] : tensor<2x8x4xf32>, tensor<5x8x2xf32> -> tensor<2x4x5xf32>
  // CHECK-NEXT: func.return
  %at = graph.transpose %a, [0, 2, 1] : tensor<2x8x4xf32> -> tensor<2x4x8xf32>
  %bt = graph.transpose %b, [2, 1, 0] : tensor<5x8x2xf32> -> tensor<2x8x5xf32>
  %c = graph.dot_general %at, %bt, batch = [0] x [0], contract = [2] x [1] : tensor<2x4x8xf32>, tensor<2x8x5xf32> -> tensor<2x4x5xf32>
  func.return %c : tensor<2x4x5xf32>
}

// CHECK-LABEL: func.func @keeps_the_element_type
func.func @keeps_the_element_type(%a: tensor<8x4xf16>, %b: tensor<8xf16>) -> tensor<4xf32> {
  // CHECK-NEXT: graph.dot_general %a, %b, contract = [0] x [0] into f32 : tensor<8x4xf16>, tensor<8xf16> -> tensor<4xf32>
  %at = graph.transpose %a, [1, 0] : tensor<8x4xf16> -> tensor<4x8xf16>
  %c = graph.dot_general %at, %b, contract = [1] x [0] into f32 : tensor<4x8xf16>, tensor<8xf16> -> tensor<4xf32>
  func.return %c : tensor<4xf32>
}

// CHECK-LABEL: func.func @free_axes_keep_their_order
func.func @free_axes_keep_their_order(%a: tensor<4x3x2xf32>, %b: tensor<4xf32>) -> tensor<2x3xf32> {
  // CHECK-NEXT: graph.transpose
  // CHECK-NEXT: graph.dot_general %at, %b, contract = [2] x [0]
  %at = graph.transpose %a, [2, 1, 0] : tensor<4x3x2xf32> -> tensor<2x3x4xf32>
  %c = graph.dot_general %at, %b, contract = [2] x [0] : tensor<2x3x4xf32>, tensor<4xf32> -> tensor<2x3xf32>
  func.return %c : tensor<2x3xf32>
}
