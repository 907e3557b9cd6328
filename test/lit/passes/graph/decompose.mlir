// RUN: lamina-opt %s -p decompose | filecheck %s
// RUN: lamina-opt %s -p "decompose{only=softmax}" | filecheck %s --check-prefix ONLY
// RUN: lamina-opt %s -p "decompose{keep=softmax}" | filecheck %s --check-prefix KEEP
// RUN: not lamina-opt %s -p "decompose{only=convolution}" 2>&1 | filecheck %s --check-prefix ERROR

// CHECK-LABEL: func.func @softmax_of_relu
// ONLY-LABEL: func.func @softmax_of_relu
// KEEP-LABEL: func.func @softmax_of_relu
// ERROR: error: 'convolution' is no composite
func.func @softmax_of_relu(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // CHECK: %[[R:.*]] = graph.maximum %x,
  // ONLY: %r = graph.relu %x
  // KEEP: %[[R:.*]] = graph.maximum %x,
  %r = graph.relu %x : tensor<?x4xf32> -> tensor<?x4xf32>
  // CHECK-NEXT: %[[M:.*]] = graph.reduce maximum %[[R]], [1] keep_dimensions
  // CHECK-NEXT: %[[S:.*]] = graph.subtract %[[R]], %[[M]]
  // CHECK-NEXT: %[[E:.*]] = graph.exp %[[S]]
  // CHECK-NEXT: %[[T:.*]] = graph.reduce add %[[E]], [1] keep_dimensions
  // CHECK-NEXT: %[[ONE:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
  // CHECK-NEXT: %[[W:.*]] = graph.divide %[[ONE]], %[[T]]
  // CHECK-NEXT: %[[Y:.*]] = graph.multiply %[[E]], %[[W]]
  // CHECK-NEXT: func.return %[[Y]]
  // ONLY-NEXT: graph.reduce maximum %r
  // KEEP-NEXT: graph.softmax %[[R]]
  %y = graph.softmax %r, 1 : tensor<?x4xf32> -> tensor<?x4xf32>
  func.return %y : tensor<?x4xf32>
}
