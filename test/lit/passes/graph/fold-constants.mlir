// RUN: lamina-opt %s -p fold-constants | filecheck %s

// CHECK-LABEL: func.func @computes
func.func @computes(%x: tensor<2x2xf32>) -> tensor<2x2xf32> {
  // CHECK-NEXT: %[[C:.*]] = graph.constant dense<{{\[\[}}2.000000e+00, 6.000000e+00], [4.000000e+00, 8.000000e+00]]>
  %c = graph.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %t = graph.transpose %c, [1, 0] : tensor<2x2xf32> -> tensor<2x2xf32>
  %d = graph.add %t, %t : tensor<2x2xf32>
  // CHECK-NEXT: graph.multiply %x, %[[C]]
  %y = graph.multiply %x, %d : tensor<2x2xf32>
  func.return %y : tensor<2x2xf32>
}

// Sizes that are known count as constants.
// CHECK-LABEL: func.func @knows_sizes
func.func @knows_sizes(%x: tensor<?x4xf32>) -> (tensor<i64>, tensor<i64>) {
  // CHECK-NEXT: graph.constant dense<8> : tensor<i64>
  // CHECK-NEXT: graph.dimension %x, 0
  // CHECK-NEXT: func.return
  %four = graph.dimension %x, 1 : tensor<?x4xf32> -> tensor<i64>
  %eight = graph.add %four, %four : tensor<i64>
  %n = graph.dimension %x, 0 : tensor<?x4xf32> -> tensor<i64>
  func.return %eight, %n : tensor<i64>, tensor<i64>
}

// A broadcast to something much larger is cheaper to do than to load.
// CHECK-LABEL: func.func @leaves_growth
func.func @leaves_growth() -> tensor<1000x2xf32> {
  %c = graph.constant dense<[1.0, 2.0]> : tensor<2xf32>
  // CHECK: graph.broadcast
  %y = graph.broadcast %c, [1000, -1] : tensor<2xf32> -> tensor<1000x2xf32>
  func.return %y : tensor<1000x2xf32>
}

// The text has no store beside it: the constant is left alone.
// CHECK-LABEL: func.func @leaves_what_is_not_there
func.func @leaves_what_is_not_there() -> tensor<100xf32> {
  %c = graph.constant dense_resource<c0> : tensor<100xf32>
  // CHECK: graph.negate
  %y = graph.negate %c : tensor<100xf32>
  func.return %y : tensor<100xf32>
}
