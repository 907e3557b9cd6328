// RUN: lamina-opt %s --split-input-file --verify-diagnostics

func.func @f(%x: tensor<2x3x8xf32>, %s: tensor<8xf32>, %i: tensor<4xi8>, %p: tensor<4xi1>, %d: tensor<8xf64>, %y: tensor<8x8xf32>) {
  // expected-error @below {{graph.relu: operand: expected a float or an integer, found i1}}
  %0 = graph.relu %p : tensor<4xi1> -> tensor<4xi1>
  func.return
}

// -----

func.func @f(%x: tensor<2x3x8xf32>, %s: tensor<8xf32>, %i: tensor<4xi8>, %p: tensor<4xi1>, %d: tensor<8xf64>, %y: tensor<8x8xf32>) {
  // expected-error @below {{graph.silu: operand: expected a float, found i8}}
  %0 = graph.silu %i : tensor<4xi8> -> tensor<4xi8>
  func.return
}

// -----

func.func @f(%x: tensor<2x3x8xf32>, %s: tensor<8xf32>, %i: tensor<4xi8>, %p: tensor<4xi1>, %d: tensor<8xf64>, %y: tensor<8x8xf32>) {
  // expected-error @below {{graph.gelu: approximate: expected one of none, tanh, found sigmoid}}
  %0 = graph.gelu %x approximate = sigmoid : tensor<2x3x8xf32> -> tensor<2x3x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x3x8xf32>, %s: tensor<8xf32>, %i: tensor<4xi8>, %p: tensor<4xi1>, %d: tensor<8xf64>, %y: tensor<8x8xf32>) {
  // expected-error @below {{graph.softmax: dimension: expected axes within [0, 3), found [3]}}
  %0 = graph.softmax %x, 3 : tensor<2x3x8xf32> -> tensor<2x3x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x3x8xf32>, %s: tensor<8xf32>, %i: tensor<4xi8>, %p: tensor<4xi1>, %d: tensor<8xf64>, %y: tensor<8x8xf32>) {
  // expected-error @below {{graph.log_softmax: result 0: expected tensor<2x3x8xf32>, found tensor<2x3xf32>}}
  %0 = graph.log_softmax %x, 2 : tensor<2x3x8xf32> -> tensor<2x3xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x3x8xf32>, %s: tensor<8xf32>, %i: tensor<4xi8>, %p: tensor<4xi1>, %d: tensor<8xf64>, %y: tensor<8x8xf32>) {
  // expected-error @below {{graph.mean: dimensions: expected distinct axes, found [0, 0]}}
  %0 = graph.mean %x, [0, 0] : tensor<2x3x8xf32> -> tensor<3x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x3x8xf32>, %s: tensor<8xf32>, %i: tensor<4xi8>, %p: tensor<4xi1>, %d: tensor<8xf64>, %y: tensor<8x8xf32>) {
  // expected-error @below {{graph.layer_norm: parameter: expected equal sizes, found 3 and 8}}
  %0 = graph.layer_norm %x, %y, %y, axis = 1, epsilon = 1.0 : tensor<2x3x8xf32>, tensor<8x8xf32>, tensor<8x8xf32> -> tensor<2x3x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x3x8xf32>, %s: tensor<8xf32>, %i: tensor<4xi8>, %p: tensor<4xi1>, %d: tensor<8xf64>, %y: tensor<8x8xf32>) {
  // expected-error @below {{graph.rms_norm: parameter: expected f32 with at most 1 axes, found tensor<8xf64>}}
  %0 = graph.rms_norm %x, %d, axis = 2, epsilon = 1.0 : tensor<2x3x8xf32>, tensor<8xf64> -> tensor<2x3x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x3x8xf32>, %s: tensor<8xf32>, %i: tensor<4xi8>, %p: tensor<4xi1>, %d: tensor<8xf64>, %y: tensor<8x8xf32>) {
  // expected-error @below {{graph.batch_norm: parameter: expected equal sizes, found 3 and 8}}
  %0 = graph.batch_norm %x, %s, %s, %s, %s, dimension = 1, epsilon = 1.0 : tensor<2x3x8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32> -> tensor<2x3x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x6x8xf32>, %s: tensor<8xf32>) {
  // expected-error @below {{graph.group_norm: groups: expected a number that divides 8, found 3}}
  %0 = graph.group_norm %x, %s, %s, dimension = 2, groups = 3, epsilon = 1.0 : tensor<2x6x8xf32>, tensor<8xf32>, tensor<8xf32> -> tensor<2x6x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<8x6xf32>, %s: tensor<8xf32>) {
  // expected-error @below {{graph.group_norm: dimension: expected an axis after the batch, found 0}}
  %0 = graph.group_norm %x, %s, %s, dimension = 0, groups = 2, epsilon = 1.0 : tensor<8x6xf32>, tensor<8xf32>, tensor<8xf32> -> tensor<8x6xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x6x8xf32>, %s: tensor<8xf32>) {
  // expected-error @below {{graph.group_norm: parameter: expected equal sizes, found 6 and 8}}
  %0 = graph.group_norm %x, %s, %s, dimension = 1, groups = 2, epsilon = 1.0 : tensor<2x6x8xf32>, tensor<8xf32>, tensor<8xf32> -> tensor<2x6x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x6x8xf32>, %s: tensor<8x1xf32>, %t: tensor<f32>) {
  // expected-error @below {{graph.group_norm: parameter: expected one axis, found tensor<f32>}}
  %0 = graph.group_norm %x, %t, %t, dimension = 2, groups = 2, epsilon = 1.0 : tensor<2x6x8xf32>, tensor<f32>, tensor<f32> -> tensor<2x6x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x?xf32>, %i: tensor<4xi8>) {
  // expected-error @below {{graph.resize: mode: expected one of nearest, linear, cubic, found area}}
  %0 = graph.resize area %x, [0], sizes = [4], scales = [2.0], half_pixel, floor, cubic_coefficient = -0.75 : tensor<2x?xf32> -> tensor<4x?xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x?xf32>, %i: tensor<4xi8>) {
  // expected-error @below {{graph.resize: sizes: expected 1 entries, found 2}}
  %0 = graph.resize linear %x, [0], sizes = [4, 4], scales = [2.0], half_pixel, floor, cubic_coefficient = -0.75 : tensor<2x?xf32> -> tensor<4x?xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x?xf32>, %i: tensor<4xi8>) {
  // expected-error @below {{graph.resize: sizes, scales: expected a size of at least 0 or a positive scale, found -1 and 0.0}}
  %0 = graph.resize linear %x, [0], sizes = [-1], scales = [0.0], half_pixel, floor, cubic_coefficient = -0.75 : tensor<2x?xf32> -> tensor<4x?xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x?xf32>, %i: tensor<4xi8>) {
  // expected-error @below {{graph.resize: scales: a symbolic size needs a simple fraction, found 0.7}}
  %0 = graph.resize linear %x, [1], sizes = [-1], scales = [0.7], half_pixel, floor, cubic_coefficient = -0.75 : tensor<2x?xf32> -> tensor<4x?xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x?xf32>, %i: tensor<4xi8>) {
  // expected-error @below {{graph.resize: this form of resampling needs a known size, found operand0_1}}
  %0 = graph.resize linear %x, [1], sizes = [4], scales = [0.0], half_pixel_symmetric, floor, cubic_coefficient = -0.75 : tensor<2x?xf32> -> tensor<4x?xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x?xf32>, %i: tensor<4xi8>) {
  // expected-error @below {{graph.resize: cannot resample 2 elements as 0}}
  %0 = graph.resize linear %x, [0], sizes = [0], scales = [0.0], half_pixel, floor, cubic_coefficient = -0.75 : tensor<2x?xf32> -> tensor<4x?xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x?xf32>, %i: tensor<4xi8>) {
  // expected-error @below {{graph.resize: operand: expected a float, found i8}}
  %0 = graph.resize linear %i, [0], sizes = [4], scales = [0.0], half_pixel, floor, cubic_coefficient = -0.75 : tensor<4xi8> -> tensor<4xi8>
  func.return
}
