// RUN: lamina-opt %s -p remove-gradient-stops | filecheck %s

// CHECK-LABEL: func.func @f(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[Y:.*]] = graph.multiply %[[X]], %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[Y]] : tensor<4xf32>
// CHECK-NEXT:  }
func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %c = graph.stop_gradient %x : tensor<4xf32> -> tensor<4xf32>
  %y = graph.multiply %x, %c : tensor<4xf32>
  func.return %y : tensor<4xf32>
}
