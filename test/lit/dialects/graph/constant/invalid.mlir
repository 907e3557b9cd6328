// RUN: lamina-opt %s --split-input-file --verify-diagnostics

func.func @f() {
  // expected-error @below {{graph.constant: result 0: expected tensor<2xi32>, found tensor<3xi32>}}
  %0 = graph.constant dense<1> : tensor<2xi32> -> tensor<3xi32>
  func.return
}

// -----

func.func @f() {
  // expected-error @below {{graph.constant: expected a static shape, found tensor<?xf32>}}
  %0 = graph.constant dense_resource<key> : tensor<?xf32>
  func.return
}

// -----

func.func @f() {
  // expected-error @below {{graph.constant: expected an element type of the dialect, found i4}}
  %0 = graph.constant dense<1> : tensor<2xi4>
  func.return
}

// -----

func.func @f() {
  // expected-error @below {{vector<2xf32> should be of base attribute tensor}}
  %0 = graph.constant dense<1.0> : vector<2xf32>
  func.return
}

// -----

func.func @f() {
  // expected-error @below {{expected dense<…> or dense_resource<…>}}
  %0 = graph.constant "text"
  func.return
}
