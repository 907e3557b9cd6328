// RUN: lamina-opt %s --split-input-file --verify-diagnostics --parsing-diagnostics | filecheck %s

// CHECK: graph.constant: result 0: expected tensor<2xi32>, found tensor<3xi32>
func.func @f() {
  %0 = graph.constant dense<1> : tensor<2xi32> -> tensor<3xi32>
  func.return
}

// -----

// CHECK: graph.constant: expected a static shape, found tensor<?xf32>
func.func @f() {
  %0 = graph.constant dense_resource<key> : tensor<?xf32>
  func.return
}

// -----

// CHECK: graph.constant: expected an element type of the dialect, found i4
func.func @f() {
  %0 = graph.constant dense<1> : tensor<2xi4>
  func.return
}

// -----

// CHECK: vector<2xf32> should be of base attribute tensor
func.func @f() {
  %0 = graph.constant dense<1.0> : vector<2xf32>
  func.return
}

// -----

// CHECK: expected dense<…> or dense_resource<…>
func.func @f() {
  %0 = graph.constant "text"
  func.return
}
