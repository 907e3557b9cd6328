// RUN: lamina-opt %s | lamina-opt | filecheck %s
// RUN: lamina-opt %s --print-op-generic | lamina-opt | filecheck %s

// Contractions: batch, free and contracted axes in any order.

func.func @ops(%a: tensor<2x4x8xf32>, %b: tensor<2x8x5xf32>, %u: tensor<?xui8>, %s: tensor<?xi8>, %h: tensor<3xf16>) {
  // CHECK: = graph.dot_general %a, %b, batch = [0] x [0], contract = [2] x [1] : tensor<2x4x8xf32>, tensor<2x8x5xf32> -> tensor<2x4x5xf32>
  %0 = graph.dot_general %a, %b, batch = [0] x [0], contract = [2] x [1] : tensor<2x4x8xf32>, tensor<2x8x5xf32> -> tensor<2x4x5xf32>
  // CHECK: = graph.dot_general %a, %b, contract = [0, 2] x [0, 1] : tensor<2x4x8xf32>, tensor<2x8x5xf32> -> tensor<4x5xf32>
  %1 = graph.dot_general %a, %b, contract = [0, 2] x [0, 1] : tensor<2x4x8xf32>, tensor<2x8x5xf32> -> tensor<4x5xf32>
  // CHECK: = graph.dot_general %h, %h, contract = [] x [] : tensor<3xf16>, tensor<3xf16> -> tensor<3x3xf16>
  %2 = graph.dot_general %h, %h, contract = [] x [] : tensor<3xf16>, tensor<3xf16> -> tensor<3x3xf16>
  // CHECK: = graph.dot_general %u, %s, contract = [0] x [0] into i32 : tensor<?xui8>, tensor<?xi8> -> tensor<i32>
  %3 = graph.dot_general %u, %s, contract = [0] x [0] into i32 : tensor<?xui8>, tensor<?xi8> -> tensor<i32>
  // CHECK: = graph.dot_general %h, %h, batch = [0] x [0], contract = [] x [] into f32 {note} : tensor<3xf16>, tensor<3xf16> -> tensor<3xf32>
  %4 = graph.dot_general %h, %h, batch = [0] x [0], contract = [] x [] into f32 {note} : tensor<3xf16>, tensor<3xf16> -> tensor<3xf32>
  // CHECK: = graph.dot_general %h, %h, contract = [0] x [0] : tensor<3xf16>, tensor<3xf16> -> tensor<f16>
  %5 = graph.dot_general %h, %h, batch = [] x [], contract = [0] x [0] : tensor<3xf16>, tensor<3xf16> -> tensor<f16>
  func.return
}
