// RUN: lamina-opt %s --split-input-file --verify-diagnostics

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @below {{graph.reduce: kind: expected one of add, multiply, maximum, minimum, and, or, found mean}}
  %0 = graph.reduce mean %x, [1] : tensor<4x8xf32> -> tensor<4xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @below {{graph.reduce: and: expected an integer or i1, found f32}}
  %0 = graph.reduce and %x, [1] : tensor<4x8xf32> -> tensor<4xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @below {{graph.reduce: dimensions: expected axes within [0, 2), found [-1]}}
  %0 = graph.reduce add %x, [-1] : tensor<4x8xf32> -> tensor<4xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @below {{graph.reduce: dimensions: expected distinct axes, found [1, 1]}}
  %0 = graph.reduce add %x, [1, 1] : tensor<4x8xf32> -> tensor<4xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @below {{graph.reduce: result 0: expected tensor<4x1xf32>, found tensor<4xf32>}}
  %0 = graph.reduce add %x, [1] keep_dimensions : tensor<4x8xf32> -> tensor<4xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @below {{graph.arg_reduce: kind: expected one of maximum, minimum, found add}}
  %0 = graph.arg_reduce add %x, 1 : tensor<4x8xf32> -> tensor<4xi64>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @below {{graph.arg_reduce: result 0: expected tensor<4xi64>, found tensor<4xf32>}}
  %0 = graph.arg_reduce maximum %x, 1 : tensor<4x8xf32> -> tensor<4xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @below {{graph.cumulative: dimension: expected axes within [0, 2), found [2]}}
  %0 = graph.cumulative add %x, 2 : tensor<4x8xf32> -> tensor<4x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @below {{graph.reduce_window: window_dimensions: expected 2 entries, found 1}}
  %0 = graph.reduce_window add %x, window = [1], strides = [1, 1], dilations = [1, 1], padding = [0, 0, 0, 0] : tensor<4x8xf32> -> tensor<4x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @below {{graph.reduce_window: window_strides: expected values of at least 1, found [1, 0]}}
  %0 = graph.reduce_window add %x, window = [1, 1], strides = [1, 0], dilations = [1, 1], padding = [0, 0, 0, 0] : tensor<4x8xf32> -> tensor<4x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @below {{graph.reduce_window: padding: expected 4 entries, found 2}}
  %0 = graph.reduce_window add %x, window = [1, 1], strides = [1, 1], dilations = [1, 1], padding = [0, 0] : tensor<4x8xf32> -> tensor<4x8xf32>
  func.return
}
