// RUN: lamina-opt %s --split-input-file --verify-diagnostics

func.func @f(%a: tensor<2x4x8xf32>, %b: tensor<2x8x5xf32>, %u: tensor<8xui8>, %s: tensor<8xi8>) {
  // expected-error @below {{graph.dot_general: contracted axes 1 and 1: expected equal sizes, found 4 and 8}}
  %0 = graph.dot_general %a, %b, batch = [0] x [0], contract = [1] x [1] : tensor<2x4x8xf32>, tensor<2x8x5xf32> -> tensor<2x4x5xf32>
  func.return
}

// -----

func.func @f(%a: tensor<2x4x8xf32>, %b: tensor<2x8x5xf32>, %u: tensor<8xui8>, %s: tensor<8xi8>) {
  // expected-error @below {{graph.dot_general: batch axes 0 and 2: expected equal sizes, found 2 and 5}}
  %0 = graph.dot_general %a, %b, batch = [0] x [2], contract = [2] x [1] : tensor<2x4x8xf32>, tensor<2x8x5xf32> -> tensor<2x4x5xf32>
  func.return
}

// -----

func.func @f(%a: tensor<2x4x8xf32>, %b: tensor<2x8x5xf32>, %u: tensor<8xui8>, %s: tensor<8xi8>) {
  // expected-error @below {{graph.dot_general: axes of the left operand: expected distinct axes, found [2, 2]}}
  %0 = graph.dot_general %a, %b, batch = [2] x [0], contract = [2] x [1] : tensor<2x4x8xf32>, tensor<2x8x5xf32> -> tensor<2x4x5xf32>
  func.return
}

// -----

func.func @f(%a: tensor<2x4x8xf32>, %b: tensor<2x8x5xf32>, %u: tensor<8xui8>, %s: tensor<8xi8>) {
  // expected-error @below {{graph.dot_general: axes of the right operand: expected axes within [0, 3), found [0, 3]}}
  %0 = graph.dot_general %a, %b, batch = [0] x [0], contract = [2] x [3] : tensor<2x4x8xf32>, tensor<2x8x5xf32> -> tensor<2x4x5xf32>
  func.return
}

// -----

func.func @f(%a: tensor<2x4x8xf32>, %b: tensor<2x8x5xf32>, %u: tensor<8xui8>, %s: tensor<8xi8>) {
  // expected-error @below {{graph.dot_general: rhs_contracting_dimensions: expected 1 entries, found 0}}
  %0 = graph.dot_general %a, %b, batch = [0] x [0], contract = [2] x [] : tensor<2x4x8xf32>, tensor<2x8x5xf32> -> tensor<2x4x5xf32>
  func.return
}

// -----

func.func @f(%a: tensor<2x4x8xf32>, %b: tensor<2x8x5xf32>, %u: tensor<8xui8>, %s: tensor<8xi8>) {
  // expected-error @below {{graph.dot_general: expected operands of equal element types, found ui8 and i8}}
  %0 = graph.dot_general %u, %s, contract = [0] x [0] : tensor<8xui8>, tensor<8xi8> -> tensor<i32>
  func.return
}

// -----

func.func @f(%a: tensor<2x4x8xf32>, %b: tensor<2x8x5xf32>, %u: tensor<8xui8>, %s: tensor<8xi8>) {
  // expected-error @below {{graph.dot_general: element_type: expected an integer, found f32}}
  %0 = graph.dot_general %u, %s, contract = [0] x [0] into f32 : tensor<8xui8>, tensor<8xi8> -> tensor<f32>
  func.return
}

// -----

func.func @f(%a: tensor<2x4x8xf32>, %b: tensor<2x8x5xf32>, %u: tensor<8xui8>, %s: tensor<8xi8>) {
  // expected-error @below {{graph.dot_general: result 0: expected tensor<2x4x5xf32>, found tensor<2x5x4xf32>}}
  %0 = graph.dot_general %a, %b, batch = [0] x [0], contract = [2] x [1] : tensor<2x4x8xf32>, tensor<2x8x5xf32> -> tensor<2x5x4xf32>
  func.return
}
