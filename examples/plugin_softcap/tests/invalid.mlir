// RUN: %opt %s --split-input-file --verify-diagnostics

func.func @integers(%x: tensor<4xi32>) -> tensor<4xi32> {
  // expected-error@+1 {{softcap.softcap: operand 0: expected a float, found i32}}
  %y = softcap.softcap %x {cap = 30.0 : f64} : tensor<4xi32>
  func.return %y : tensor<4xi32>
}

// -----

func.func @shape(%x: tensor<4xf32>) -> tensor<5xf32> {
  // expected-error@+1 {{softcap.softcap: result 0: expected tensor<4xf32>, found tensor<5xf32>}}
  %y = softcap.softcap %x {cap = 30.0 : f64} : tensor<4xf32> -> tensor<5xf32>
  func.return %y : tensor<5xf32>
}
