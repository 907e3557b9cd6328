// RUN: lamina-opt %s -p graph-to-linalg | filecheck %s
// RUN: %if mlir-opt %{ lamina-opt %s -p graph-to-linalg | %mlir_opt %}

// CHECK-LABEL: func.func private @add
// CHECK-SAME:  %[[D:[0-9]+]]: tensor<?x3xf32>) -> tensor<?x3xf32>
// CHECK:       outs(%[[D]] : tensor<?x3xf32>)
func.func private @add(%x: tensor<?x3xf32> {lamina.dims = ["d0", "3"]}, %y: tensor<?x3xf32> {lamina.dims = ["d0", "3"]}) -> tensor<?x3xf32> attributes {lamina.kernel} {
  %0 = graph.add %x, %y : tensor<?x3xf32>
  func.return %0 : tensor<?x3xf32>
}

// Calls get destinations, reshapes are views of what sizes say, shape arithmetic is gone, and what is taken to be equal
// is checked.
// CHECK-LABEL: func.func @views
// CHECK-SAME:  lamina.name = "x"
// CHECK:       %[[N:.*]] = tensor.dim %x
// CHECK:       cf.assert %{{.*}}, "{{.*}}: expected equal sizes, found
// CHECK:       %[[FLAT:.*]] = tensor.collapse_shape %x
// CHECK:       tensor.expand_shape %[[FLAT]]
// CHECK-SAME:    tensor<?xf32> into tensor<?x3xf32>
// CHECK:       %[[M:.*]] = tensor.dim %y
// CHECK:       arith.cmpi eq
// CHECK:       %[[D:.*]] = tensor.empty(%{{.*}}) : tensor<?x3xf32>
// CHECK:       func.call @add(%{{.*}}, %y, %[[D]])
// CHECK-NOT:   graph.
func.func @views(%x: tensor<?x2xf32> {lamina.name = "x", lamina.dims = ["n", "2"]}, %y: tensor<?x3xf32> {lamina.dims = ["m", "3"]}) -> tensor<?x3xf32> {
  %shape = graph.constant dense<[-1, 3]> : tensor<2xi64>
  %0 = graph.dynamic_reshape %x, %shape : tensor<?x2xf32>, tensor<2xi64> -> tensor<?x3xf32>
  %1 = func.call @add(%0, %y) : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  func.return %1 : tensor<?x3xf32>
}

// CHECK-LABEL: func.func @shape
// CHECK:       %[[N:.*]] = tensor.dim %x
// CHECK:       %[[I:.*]] = arith.index_cast %[[N]] : index to i64
// CHECK:       tensor.from_elements %{{.*}}, %{{.*}} : tensor<2xi64>
func.func @shape(%x: tensor<?x2xui8> {lamina.dims = ["n", "2"]}) -> tensor<2xi64> {
  %0 = graph.shape_of %x : tensor<?x2xui8> -> tensor<2xi64>
  func.return %0 : tensor<2xi64>
}

// CHECK-LABEL: func.func @unsigned(%x: tensor<2xi8> {lamina.element_type = "ui8"}) -> (tensor<2xi8> {lamina.element_type = "ui8"})
func.func @unsigned(%x: tensor<2xui8>) -> tensor<2xui8> {
  func.return %x : tensor<2xui8>
}

// CHECK-LABEL: func.func @constant
// CHECK:       arith.constant dense<[1, 2]> : tensor<2xi8>
func.func @constant() -> tensor<2xui8> {
  %0 = graph.constant dense<[1, 2]> : tensor<2xui8>
  func.return %0 : tensor<2xui8>
}
