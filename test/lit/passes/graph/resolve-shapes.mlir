// RUN: lamina-opt %s -p resolve-shapes | filecheck %s

// CHECK-LABEL: func.func @reshape
func.func @reshape(%x: tensor<?x8xf32> {lamina.dims = ["n", "8"]}) -> tensor<?x2x4xf32> {
  %n = graph.dimension %x, 0 : tensor<?x8xf32> -> tensor<i64>
  %n1 = graph.reshape %n, [1] : tensor<i64> -> tensor<1xi64>
  %rest = graph.constant dense<[2, 4]> : tensor<2xi64>
  %shape = graph.concatenate %n1, %rest dimension 0 : tensor<1xi64>, tensor<2xi64> -> tensor<3xi64>
  // CHECK-NEXT: graph.reshape %x, [-1, 2, 4] : tensor<?x8xf32> -> tensor<?x2x4xf32>
  // CHECK-NEXT: func.return
  %y = graph.dynamic_reshape %x, %shape : tensor<?x8xf32>, tensor<3xi64> -> tensor<?x2x4xf32>
  func.return %y : tensor<?x2x4xf32>
}

// An elementwise op broadcasts by itself.
// CHECK-LABEL: func.func @broadcast
func.func @broadcast(%x: tensor<4xf32>, %y: tensor<?x4xf32> {lamina.dims = ["n", "4"]}) -> tensor<?x4xf32> {
  %shape = graph.shape_of %y : tensor<?x4xf32> -> tensor<2xi64>
  %b = graph.dynamic_broadcast %x, %shape : tensor<4xf32>, tensor<2xi64> -> tensor<?x4xf32>
  // CHECK-NEXT: graph.add %x, %y
  %z = graph.add %b, %y : tensor<?x4xf32>
  func.return %z : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @slice
func.func @slice(%x: tensor<?x8xf32> {lamina.dims = ["n", "8"]}) -> tensor<?x3xf32> {
  %starts = graph.constant dense<[1, 2]> : tensor<2xi64>
  %limits = graph.constant dense<[9223372036854775807, 5]> : tensor<2xi64>
  %strides = graph.constant dense<[1, 1]> : tensor<2xi64>
  // CHECK-NEXT: graph.slice %x, [1, 2] to [9223372036854775807, 5] step [1, 1]
  %y = graph.dynamic_slice %x, %starts to %limits step %strides
      : tensor<?x8xf32>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64> -> tensor<?x3xf32>
  func.return %y : tensor<?x3xf32>
}

// Two unknown sizes cannot be attributes.
// CHECK-LABEL: func.func @two_unknowns
func.func @two_unknowns(%x: tensor<?xf32>, %shape: tensor<2xi64>) -> tensor<?x?xf32> {
  // CHECK-NEXT: graph.dynamic_reshape
  %y = graph.dynamic_reshape %x, %shape : tensor<?xf32>, tensor<2xi64> -> tensor<?x?xf32>
  func.return %y : tensor<?x?xf32>
}
