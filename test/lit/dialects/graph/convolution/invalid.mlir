// RUN: lamina-opt %s --split-input-file --verify-diagnostics

func.func @f(%x: tensor<1x4x9x9xf32>, %k: tensor<8x4x3x3xf32>, %l: tensor<8x2x3x3xf32>) {
  // expected-error @below {{expected b, f and the numbers of the spatial axes}}
  %0 = graph.convolution %x, %k, [b, b, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<1x4x9x9xf32>, tensor<8x4x3x3xf32> -> tensor<1x8x7x7xf32>
  func.return
}

// -----

func.func @f(%x: tensor<1x4x9x9xf32>, %k: tensor<8x4x3x3xf32>, %l: tensor<8x2x3x3xf32>) {
  // expected-error @below {{expected o, i and the numbers of the spatial axes}}
  %0 = graph.convolution %x, %k, [b, f, 0, 1] x [b, f, 0, 1] -> [b, f, 0, 1], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<1x4x9x9xf32>, tensor<8x4x3x3xf32> -> tensor<1x8x7x7xf32>
  func.return
}

// -----

func.func @f(%x: tensor<1x4x9x9xf32>, %k: tensor<8x4x3x3xf32>, %l: tensor<8x2x3x3xf32>) {
  // expected-error @below {{graph.convolution: kernel axes: expected 4 entries, found 3}}
  %0 = graph.convolution %x, %k, [b, f, 0, 1] x [o, i, 0] -> [b, f, 0, 1], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<1x4x9x9xf32>, tensor<8x4x3x3xf32> -> tensor<1x8x7x7xf32>
  func.return
}

// -----

func.func @f(%x: tensor<1x4x9x9xf32>, %k: tensor<8x4x3x3xf32>, %l: tensor<8x2x3x3xf32>) {
  // expected-error @below {{graph.convolution: input features and kernel features of all groups: expected equal sizes, found 4 and 2}}
  %0 = graph.convolution %x, %l, [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<1x4x9x9xf32>, tensor<8x2x3x3xf32> -> tensor<1x8x7x7xf32>
  func.return
}

// -----

func.func @f(%x: tensor<1x4x9x9xf32>, %k: tensor<8x4x3x3xf32>, %l: tensor<8x2x3x3xf32>) {
  // expected-error @below {{graph.convolution: window_strides: expected values of at least 1, found [0, 1]}}
  %0 = graph.convolution %x, %k, [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [0, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<1x4x9x9xf32>, tensor<8x4x3x3xf32> -> tensor<1x8x7x7xf32>
  func.return
}

// -----

func.func @f(%x: tensor<1x4x9x9xf32>, %k: tensor<8x4x3x3xf32>, %l: tensor<8x2x3x3xf32>) {
  // expected-error @below {{graph.convolution: padding: expected values of at least 0, found [-1, 0, 0, 0]}}
  %0 = graph.convolution %x, %k, [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1], padding = [-1, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<1x4x9x9xf32>, tensor<8x4x3x3xf32> -> tensor<1x8x7x7xf32>
  func.return
}

// -----

func.func @f(%x: tensor<1x4x9x9xf32>, %k: tensor<8x4x3x3xf32>, %l: tensor<8x2x3x3xf32>) {
  // expected-error @below {{graph.convolution: feature_group_count: expected values of at least 1, found [0]}}
  %0 = graph.convolution %x, %k, [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 0 : tensor<1x4x9x9xf32>, tensor<8x4x3x3xf32> -> tensor<1x8x7x7xf32>
  func.return
}

// -----

func.func @f(%x: tensor<1x4x9x9xf32>, %k: tensor<8x4x3x3xf32>, %l: tensor<8x2x3x3xf32>) {
  // expected-error @below {{graph.convolution: result 0: expected tensor<1x8x7x7xf32>, found tensor<1x8x9x9xf32>}}
  %0 = graph.convolution %x, %k, [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<1x4x9x9xf32>, tensor<8x4x3x3xf32> -> tensor<1x8x9x9xf32>
  func.return
}
