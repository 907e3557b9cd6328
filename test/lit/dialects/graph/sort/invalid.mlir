// RUN: lamina-opt %s --split-input-file --verify-diagnostics

func.func @f(%x: tensor<4x3xf32>) {
  // expected-error @below {{graph.arg_sort: dimension: expected axes within [0, 2), found [2]}}
  %0 = graph.arg_sort %x, 2 : tensor<4x3xf32> -> tensor<4x3xi64>
  func.return
}

// -----

func.func @f(%x: tensor<4x3xf32>) {
  // expected-error @below {{result 0: expected tensor<4x3xi64>, found tensor<4x3xi32>}}
  %0 = graph.arg_sort %x, 1 : tensor<4x3xf32> -> tensor<4x3xi32>
  func.return
}

// -----

func.func @f(%x: tensor<f32>) {
  // expected-error @below {{graph.sort: dimension: expected axes within [0, 0), found [0]}}
  %0 = graph.sort %x, 0 : tensor<f32> -> tensor<f32>
  func.return
}

// -----

func.func @f(%x: tensor<4x3xf32>) {
  // expected-error @below {{graph.arg_sort: count: expected at least 0 and at most 3, found 4}}
  %0 = graph.arg_sort %x, 1 first 4 : tensor<4x3xf32> -> tensor<4x4xi64>
  func.return
}

// -----

func.func @f(%x: tensor<4x?xf32>) {
  // expected-error @below {{graph.arg_sort: count: expected at least 0}}
  %0 = graph.arg_sort %x, 1 first -2 : tensor<4x?xf32> -> tensor<4x?xi64>
  func.return
}
