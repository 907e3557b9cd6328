// RUN: lamina-opt %s --split-input-file --verify-diagnostics

func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  // expected-error @below {{graph.add: expected shapes that broadcast together, found [4], [3]}}
  %0 = graph.add %x, %y : tensor<4xf32>, tensor<3xf32> -> tensor<4xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  // expected-error @below {{graph.add: operand 1: expected f32 as operand 0, found i32}}
  %0 = graph.add %x, %i : tensor<4xf32>, tensor<4xi32> -> tensor<4xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  // expected-error @below {{graph.add: operand 0: expected a float or an integer, found i1}}
  %0 = graph.add %b, %b : tensor<4xi1>
  func.return
}

// -----

func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  // expected-error @below {{graph.tanh: operand 0: expected a float, found i32}}
  %0 = graph.tanh %i : tensor<4xi32>
  func.return
}

// -----

func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  // expected-error @below {{graph.tanh: result 0: expected tensor<4xf32>, found tensor<5xf32>}}
  %0 = graph.tanh %x : tensor<4xf32> -> tensor<5xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  // expected-error @below {{graph.tanh: result 0: expected tensor<4xf32>, found tensor<4xf64>}}
  %0 = graph.tanh %x : tensor<4xf32> -> tensor<4xf64>
  func.return
}

// -----

func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  // expected-error @below {{graph.and: operand 0: expected an integer or i1, found f32}}
  %0 = graph.and %x, %x : tensor<4xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  // expected-error @below {{graph.shift_left: operand 0: expected an integer, found i1}}
  %0 = graph.shift_left %b, %b : tensor<4xi1>
  func.return
}

// -----

func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  // expected-error @below {{graph.compare: direction: expected one of EQ, NE, LT, LE, GT, GE, found LESS}}
  %0 = graph.compare LESS, %x, %x : tensor<4xf32>, tensor<4xf32> -> tensor<4xi1>
  func.return
}

// -----

func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  // expected-error @below {{graph.compare: result 0: expected tensor<4xi1>, found tensor<4xf32>}}
  %0 = graph.compare LT, %x, %x : tensor<4xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  // expected-error @below {{graph.select: pred: expected i1, found f32}}
  %0 = graph.select %x, %x, %x : tensor<4xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  // expected-error @below {{graph.bitcast: expected element types of one width, found f32 and i64}}
  %0 = graph.bitcast %x : tensor<4xf32> -> tensor<4xi64>
  func.return
}

// -----

func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  // expected-error @below {{graph.cast: element_type: expected an element type, found i4}}
  %0 = graph.cast %x : tensor<4xf32> -> tensor<4xi4>
  func.return
}

// -----

func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  // expected-error @below {{expected one type for all, or 2 operand types, '->' and the result's type}}
  %0 = graph.add %x, %x : tensor<4xf32>, tensor<4xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  // expected-error @below {{expected a tensor type, found f32}}
  %0 = graph.cast %x : tensor<4xf32> -> f32
  func.return
}
