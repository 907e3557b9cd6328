// RUN: lamina-opt %s --split-input-file --verify-diagnostics --parsing-diagnostics | filecheck %s

// CHECK: graph.add: expected shapes that broadcast together, found [4], [3]
func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  %0 = graph.add %x, %y : tensor<4xf32>, tensor<3xf32> -> tensor<4xf32>
  func.return
}

// -----

// CHECK: graph.add: operand 1: expected f32 as operand 0, found i32
func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  %0 = graph.add %x, %i : tensor<4xf32>, tensor<4xi32> -> tensor<4xf32>
  func.return
}

// -----

// CHECK: graph.add: operand 0: expected a float or an integer, found i1
func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  %0 = graph.add %b, %b : tensor<4xi1>
  func.return
}

// -----

// CHECK: graph.tanh: operand 0: expected a float, found i32
func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  %0 = graph.tanh %i : tensor<4xi32>
  func.return
}

// -----

// CHECK: graph.tanh: result 0: expected tensor<4xf32>, found tensor<5xf32>
func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  %0 = graph.tanh %x : tensor<4xf32> -> tensor<5xf32>
  func.return
}

// -----

// CHECK: graph.tanh: result 0: expected tensor<4xf32>, found tensor<4xf64>
func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  %0 = graph.tanh %x : tensor<4xf32> -> tensor<4xf64>
  func.return
}

// -----

// CHECK: graph.and: operand 0: expected an integer or i1, found f32
func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  %0 = graph.and %x, %x : tensor<4xf32>
  func.return
}

// -----

// CHECK: graph.shift_left: operand 0: expected an integer, found i1
func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  %0 = graph.shift_left %b, %b : tensor<4xi1>
  func.return
}

// -----

// CHECK: graph.compare: direction: expected one of EQ, NE, LT, LE, GT, GE, found LESS
func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  %0 = graph.compare LESS, %x, %x : tensor<4xf32>, tensor<4xf32> -> tensor<4xi1>
  func.return
}

// -----

// CHECK: graph.compare: result 0: expected tensor<4xi1>, found tensor<4xf32>
func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  %0 = graph.compare LT, %x, %x : tensor<4xf32>
  func.return
}

// -----

// CHECK: graph.select: pred: expected i1, found f32
func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  %0 = graph.select %x, %x, %x : tensor<4xf32>
  func.return
}

// -----

// CHECK: graph.bitcast: expected element types of one width, found f32 and i64
func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  %0 = graph.bitcast %x : tensor<4xf32> -> tensor<4xi64>
  func.return
}

// -----

// CHECK: graph.cast: element_type: expected an element type, found i4
func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  %0 = graph.cast %x : tensor<4xf32> -> tensor<4xi4>
  func.return
}

// -----

// CHECK: expected one type for all, or 2 operand types, '->' and the result's type
func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  %0 = graph.add %x, %x : tensor<4xf32>, tensor<4xf32>
  func.return
}

// -----

// CHECK: expected a tensor type, found f32
func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>, %i: tensor<4xi32>, %b: tensor<4xi1>) {
  %0 = graph.cast %x : tensor<4xf32> -> f32
  func.return
}
