// RUN: lamina-opt %s -p infer-types | filecheck %s

// Types are refined from the arguments; results get their symbolic sizes.
// CHECK-LABEL: func.func @refines
// CHECK-SAME: -> (tensor<?x4xf32> {lamina.name = "y", lamina.dims = ["2*n", "4"]})
func.func @refines(%x: tensor<?x4xf32> {lamina.dims = ["n", "4"]}) -> (tensor<?x?xf32> {lamina.name = "y"}) {
  // CHECK-NEXT: %y = graph.exp %x : tensor<?x4xf32>
  %y = graph.exp %x : tensor<?x4xf32> -> tensor<?x?xf32>
  // CHECK-NEXT: graph.concatenate %y, %y dimension 0 : tensor<?x4xf32>, tensor<?x4xf32> -> tensor<?x4xf32>
  %z = graph.concatenate %y, %y dimension 0 : tensor<?x?xf32>, tensor<?x?xf32> -> tensor<?x?xf32>
  func.return %z : tensor<?x?xf32>
}

// A chain of shape arithmetic gives the sizes of a reshape.
// CHECK-LABEL: func.func @follows_shapes
// CHECK-SAME: lamina.dims = ["n", "12", "4"]
func.func @follows_shapes(%x: tensor<?x48xf32> {lamina.dims = ["n", "48"]}) -> tensor<?x?x?xf32> {
  %n = graph.dimension %x, 0 : tensor<?x48xf32> -> tensor<i64>
  %n1 = graph.reshape %n, [1] : tensor<i64> -> tensor<1xi64>
  %rest = graph.constant dense<[12, 4]> : tensor<2xi64>
  %shape = graph.concatenate %n1, %rest dimension 0 : tensor<1xi64>, tensor<2xi64> -> tensor<3xi64>
  // CHECK: graph.dynamic_reshape {{.*}} -> tensor<?x12x4xf32>
  %y = graph.dynamic_reshape %x, %shape : tensor<?x48xf32>, tensor<3xi64> -> tensor<?x?x?xf32>
  func.return %y : tensor<?x?x?xf32>
}

// What is declared and cannot be inferred stays.
// CHECK-LABEL: func.func @keeps_what_it_cannot_infer
func.func @keeps_what_it_cannot_infer(%x: tensor<?xf32>, %shape: tensor<2xi64>) -> tensor<?x3xf32> {
  // CHECK: graph.dynamic_reshape {{.*}} -> tensor<?x3xf32>
  %y = graph.dynamic_reshape %x, %shape : tensor<?xf32>, tensor<2xi64> -> tensor<?x3xf32>
  func.return %y : tensor<?x3xf32>
}
