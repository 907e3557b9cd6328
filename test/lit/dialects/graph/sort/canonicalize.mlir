// RUN: lamina-opt %s -p decompose | filecheck %s

// Sorted elements are gathered in their order.
// CHECK-LABEL: func.func @sort
func.func @sort(%x: tensor<4x3xf32>) -> tensor<4x3xf32> {
  // CHECK-NEXT: %[[O:.*]] = graph.arg_sort %x, 1 descending : tensor<4x3xf32> -> tensor<4x3xi64>
  // CHECK-NEXT: %[[Y:.*]] = graph.gather %x, %[[O]],
  // CHECK-NEXT: func.return %[[Y]]
  %y = graph.sort %x, 1 descending : tensor<4x3xf32> -> tensor<4x3xf32>
  func.return %y : tensor<4x3xf32>
}
