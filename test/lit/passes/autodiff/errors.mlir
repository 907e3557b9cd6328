// RUN: lamina-opt %s -p "differentiate{function=f}" --split-input-file --verify-diagnostics

// What cannot be differentiated: the op, where it is, and what to do.

func.func @f(%x: tensor<3x2xf32>, %i: tensor<1xi64>, %u: tensor<1x2xf32>) -> tensor<3x2xf32> {
  // expected-error @below {{graph.scatter multiply has no derivative}}
  %y = graph.scatter multiply %x, %i, %u, update_window_dims [1] inserted_window_dims [0]
       scatter_dims_to_operand_dims [0] index_vector_dim 1
       : tensor<3x2xf32>, tensor<1xi64>, tensor<1x2xf32> -> tensor<3x2xf32>
  func.return %y : tensor<3x2xf32>
}

// -----

func.func @f(%x: tensor<4xf32>, %n: tensor<i64>) -> tensor<4xf32> {
  %zero = graph.constant dense<0> : tensor<i64>
  %one = graph.constant dense<1> : tensor<i64>
  // expected-error @below {{graph.while cannot be differentiated backward: the number of its iterations is unknown}}
  %i, %y = graph.while (%i = %zero, %y = %x) : (tensor<i64>, tensor<4xf32>) -> (tensor<i64>, tensor<4xf32>) {
    %more = graph.compare LT, %i, %n : tensor<i64>, tensor<i64> -> tensor<i1>
    graph.yield %more : tensor<i1>
  } do {
    %j = graph.add %i, %one : tensor<i64>
    %b = graph.sin %y : tensor<4xf32>
    graph.yield %j, %b : tensor<i64>, tensor<4xf32>
  }
  func.return %y : tensor<4xf32>
}

// -----

// A rule's tangent has the type of what it belongs to.
// expected-error @below {{@rule, lamina.vjp of @square: expected (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>, found (tensor<4xf32>, tensor<4xf64>) -> tensor<4xf32>}}
func.func private @rule(%x: tensor<4xf32>, %t: tensor<4xf64>) -> tensor<4xf32> {
  func.return %x : tensor<4xf32>
}
func.func private @square(%x: tensor<4xf32>) -> tensor<4xf32> attributes {lamina.vjp = @rule} {
  %y = graph.multiply %x, %x : tensor<4xf32>
  func.return %y : tensor<4xf32>
}
func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = func.call @square(%x) : (tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// -----

// expected-error @below {{@outside has no body to differentiate}}
func.func private @outside(tensor<4xf32>) -> tensor<4xf32>
func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = func.call @outside(%x) : (tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}
