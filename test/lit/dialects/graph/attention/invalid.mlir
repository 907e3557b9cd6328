// RUN: lamina-opt %s --split-input-file --verify-diagnostics

func.func @f(%x: tensor<2x3x4x8xf32>, %s: tensor<3x4x8xf32>, %d: tensor<2x3x4x5xf32>, %g: tensor<2x2x4x8xf32>, %i: tensor<4x4xi8>, %m: tensor<4x3xf32>) {
  // expected-error @below {{graph.attention: key: expected f32 with 4 axes, found tensor<3x4x8xf32>}}
  %0 = graph.attention %x, %s, %x scale = 1.0 : tensor<2x3x4x8xf32>, tensor<3x4x8xf32>, tensor<2x3x4x8xf32> -> tensor<2x3x4x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x3x4x8xf32>, %s: tensor<3x4x8xf32>, %d: tensor<2x3x4x5xf32>, %g: tensor<2x2x4x8xf32>, %i: tensor<4x4xi8>, %m: tensor<4x3xf32>) {
  // expected-error @below {{graph.attention: batch, key, feature or head axes: expected equal sizes, found 8 and 5}}
  %0 = graph.attention %x, %d, %x scale = 1.0 : tensor<2x3x4x8xf32>, tensor<2x3x4x5xf32>, tensor<2x3x4x8xf32> -> tensor<2x3x4x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x3x4x8xf32>, %s: tensor<3x4x8xf32>, %d: tensor<2x3x4x5xf32>, %g: tensor<2x2x4x8xf32>, %i: tensor<4x4xi8>, %m: tensor<4x3xf32>) {
  // expected-error @below {{graph.attention: expected a number of query heads that 2 key heads divide, found 3}}
  %0 = graph.attention %x, %g, %g scale = 1.0 : tensor<2x3x4x8xf32>, tensor<2x2x4x8xf32>, tensor<2x2x4x8xf32> -> tensor<2x3x4x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x3x4x8xf32>, %s: tensor<3x4x8xf32>, %d: tensor<2x3x4x5xf32>, %g: tensor<2x2x4x8xf32>, %i: tensor<4x4xi8>, %m: tensor<4x3xf32>) {
  // expected-error @below {{graph.attention: mask: expected i1 or f32, found i8}}
  %0 = graph.attention %x, %x, %x mask = %i scale = 1.0 : tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<4x4xi8> -> tensor<2x3x4x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x3x4x8xf32>, %s: tensor<3x4x8xf32>, %d: tensor<2x3x4x5xf32>, %g: tensor<2x2x4x8xf32>, %i: tensor<4x4xi8>, %m: tensor<4x3xf32>) {
  // expected-error @below {{graph.attention: expected shapes that broadcast together}}
  %0 = graph.attention %x, %x, %x mask = %m scale = 1.0 : tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<4x3xf32> -> tensor<2x3x4x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x3x4x8xf32>, %s: tensor<3x4x8xf32>, %d: tensor<2x3x4x5xf32>, %g: tensor<2x2x4x8xf32>, %i: tensor<4x4xi8>, %m: tensor<4x3xf32>) {
  // expected-error @below {{graph.attention: causal: expected one of start, end, found middle}}
  %0 = graph.attention %x, %x, %x scale = 1.0 causal = middle : tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32> -> tensor<2x3x4x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x3x4x8xf32>, %s: tensor<3x4x8xf32>, %d: tensor<2x3x4x5xf32>, %g: tensor<2x2x4x8xf32>, %i: tensor<4x4xi8>, %m: tensor<4x3xf32>) {
  // expected-error @below {{graph.attention: tokens_first: expected axes within [0, 4), found [4]}}
  %0 = graph.attention %x, %x, %x scale = 1.0 tokens_first = [4] : tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32> -> tensor<2x3x4x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x3x4x8xf32>, %s: tensor<3x4x8xf32>, %d: tensor<2x3x4x5xf32>, %g: tensor<2x2x4x8xf32>, %i: tensor<4x4xi8>, %m: tensor<4x3xf32>) {
  // expected-error @below {{graph.attention: result 0: expected tensor<2x3x4x5xf32>, found tensor<2x3x4x8xf32>}}
  %0 = graph.attention %x, %x, %d scale = 1.0 : tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<2x3x4x5xf32> -> tensor<2x3x4x8xf32>
  func.return
}
