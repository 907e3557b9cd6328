// RUN: lamina-opt %s -p canonicalize | filecheck %s

// CHECK-LABEL: func.func @relu_of_relu
func.func @relu_of_relu(%x: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK-NEXT: %y = graph.relu %x
  // CHECK-NEXT: func.return %y
  %y = graph.relu %x : tensor<4xf32> -> tensor<4xf32>
  %z = graph.relu %y : tensor<4xf32> -> tensor<4xf32>
  func.return %z : tensor<4xf32>
}

// CHECK-LABEL: func.func @mean_of_one
func.func @mean_of_one(%x: tensor<4x1x?xf16>) -> tensor<4x?xf16> {
  // CHECK-NEXT: %y = graph.reshape %x, [4, -1] : tensor<4x1x?xf16> -> tensor<4x?xf16>
  %y = graph.mean %x, [1] : tensor<4x1x?xf16> -> tensor<4x?xf16>
  func.return %y : tensor<4x?xf16>
}

// CHECK-LABEL: func.func @mean_of_many
func.func @mean_of_many(%x: tensor<4x1xf16>) -> tensor<f16> {
  // CHECK-NEXT: graph.mean %x, [0, 1]
  %y = graph.mean %x, [0, 1] : tensor<4x1xf16> -> tensor<f16>
  func.return %y : tensor<f16>
}
