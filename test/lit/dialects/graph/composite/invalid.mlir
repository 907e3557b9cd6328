// RUN: lamina-opt %s --split-input-file --verify-diagnostics --parsing-diagnostics | filecheck %s

// CHECK: graph.relu: operand: expected a float or an integer, found i1
func.func @f(%x: tensor<2x3x8xf32>, %s: tensor<8xf32>, %i: tensor<4xi8>, %p: tensor<4xi1>, %d: tensor<8xf64>, %y: tensor<8x8xf32>) {
  %0 = graph.relu %p : tensor<4xi1> -> tensor<4xi1>
  func.return
}

// -----

// CHECK: graph.silu: operand: expected a float, found i8
func.func @f(%x: tensor<2x3x8xf32>, %s: tensor<8xf32>, %i: tensor<4xi8>, %p: tensor<4xi1>, %d: tensor<8xf64>, %y: tensor<8x8xf32>) {
  %0 = graph.silu %i : tensor<4xi8> -> tensor<4xi8>
  func.return
}

// -----

// CHECK: graph.gelu: approximate: expected one of none, tanh, found sigmoid
func.func @f(%x: tensor<2x3x8xf32>, %s: tensor<8xf32>, %i: tensor<4xi8>, %p: tensor<4xi1>, %d: tensor<8xf64>, %y: tensor<8x8xf32>) {
  %0 = graph.gelu %x approximate = sigmoid : tensor<2x3x8xf32> -> tensor<2x3x8xf32>
  func.return
}

// -----

// CHECK: graph.softmax: dimension: expected axes within [0, 3), found [3]
func.func @f(%x: tensor<2x3x8xf32>, %s: tensor<8xf32>, %i: tensor<4xi8>, %p: tensor<4xi1>, %d: tensor<8xf64>, %y: tensor<8x8xf32>) {
  %0 = graph.softmax %x, 3 : tensor<2x3x8xf32> -> tensor<2x3x8xf32>
  func.return
}

// -----

// CHECK: graph.log_softmax: result 0: expected tensor<2x3x8xf32>, found tensor<2x3xf32>
func.func @f(%x: tensor<2x3x8xf32>, %s: tensor<8xf32>, %i: tensor<4xi8>, %p: tensor<4xi1>, %d: tensor<8xf64>, %y: tensor<8x8xf32>) {
  %0 = graph.log_softmax %x, 2 : tensor<2x3x8xf32> -> tensor<2x3xf32>
  func.return
}

// -----

// CHECK: graph.mean: dimensions: expected distinct axes, found [0, 0]
func.func @f(%x: tensor<2x3x8xf32>, %s: tensor<8xf32>, %i: tensor<4xi8>, %p: tensor<4xi1>, %d: tensor<8xf64>, %y: tensor<8x8xf32>) {
  %0 = graph.mean %x, [0, 0] : tensor<2x3x8xf32> -> tensor<3x8xf32>
  func.return
}

// -----

// CHECK: graph.layer_norm: parameter: expected equal sizes, found 3 and 8
func.func @f(%x: tensor<2x3x8xf32>, %s: tensor<8xf32>, %i: tensor<4xi8>, %p: tensor<4xi1>, %d: tensor<8xf64>, %y: tensor<8x8xf32>) {
  %0 = graph.layer_norm %x, %y, %y, axis = 1, epsilon = 1.0 : tensor<2x3x8xf32>, tensor<8x8xf32>, tensor<8x8xf32> -> tensor<2x3x8xf32>
  func.return
}

// -----

// CHECK: graph.rms_norm: parameter: expected f32 with at most 1 axes, found tensor<8xf64>
func.func @f(%x: tensor<2x3x8xf32>, %s: tensor<8xf32>, %i: tensor<4xi8>, %p: tensor<4xi1>, %d: tensor<8xf64>, %y: tensor<8x8xf32>) {
  %0 = graph.rms_norm %x, %d, axis = 2, epsilon = 1.0 : tensor<2x3x8xf32>, tensor<8xf64> -> tensor<2x3x8xf32>
  func.return
}

// -----

// CHECK: graph.batch_norm: parameter: expected equal sizes, found 3 and 8
func.func @f(%x: tensor<2x3x8xf32>, %s: tensor<8xf32>, %i: tensor<4xi8>, %p: tensor<4xi1>, %d: tensor<8xf64>, %y: tensor<8x8xf32>) {
  %0 = graph.batch_norm %x, %s, %s, %s, %s, dimension = 1, epsilon = 1.0 : tensor<2x3x8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32> -> tensor<2x3x8xf32>
  func.return
}
