// RUN: lamina-opt %s -p canonicalize | filecheck %s

// CHECK-LABEL: func.func @identities
func.func @identities(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  // CHECK-NEXT: func.return %x
  %zero = graph.constant dense<0.0> : tensor<f32>
  %0 = graph.reshape %x, [4, -1] : tensor<4x8xf32> -> tensor<4x8xf32>
  %1 = graph.transpose %0, [0, 1] : tensor<4x8xf32> -> tensor<4x8xf32>
  %2 = graph.broadcast %1, [1, 8] : tensor<4x8xf32> -> tensor<4x8xf32>
  %3 = graph.slice %2, [0, -8] to [9223372036854775807, 8] step [1, 1] : tensor<4x8xf32> -> tensor<4x8xf32>
  %4 = graph.pad constant %3, %zero, low [0, 0] high [0, 0] interior [0, 0] : tensor<4x8xf32>, tensor<f32> -> tensor<4x8xf32>
  %5 = graph.reverse %4, [] : tensor<4x8xf32> -> tensor<4x8xf32>
  %6 = graph.concatenate %5 dimension 1 : tensor<4x8xf32> -> tensor<4x8xf32>
  func.return %6 : tensor<4x8xf32>
}

// CHECK-LABEL: func.func @identities_of_unknown_sizes
func.func @identities_of_unknown_sizes(%x: tensor<?x?xf32>) -> tensor<?x?xf32> {
  // CHECK-NEXT: func.return %x
  %0 = graph.slice %x, [0, 0] to [9223372036854775807, 9223372036854775807] step [1, 1] : tensor<?x?xf32> -> tensor<?x?xf32>
  %1 = graph.broadcast %0, [-1, 1] : tensor<?x?xf32> -> tensor<?x?xf32>
  func.return %1 : tensor<?x?xf32>
}

// Equal types do not mean equal sizes.

// CHECK-LABEL: func.func @keeps_moves_of_unknown_sizes
func.func @keeps_moves_of_unknown_sizes(%x: tensor<?x?xf32>) -> tensor<?x?xf32> {
  // CHECK-NEXT: graph.transpose
  // CHECK-NEXT: graph.slice
  %0 = graph.transpose %x, [1, 0] : tensor<?x?xf32> -> tensor<?x?xf32>
  %1 = graph.slice %0, [0, 0] to [5, 9223372036854775807] step [1, 1] : tensor<?x?xf32> -> tensor<?x?xf32>
  func.return %1 : tensor<?x?xf32>
}

// The returned value has to keep its type.

// CHECK-LABEL: func.func @keeps_what_refines_the_type
func.func @keeps_what_refines_the_type(%x: tensor<?xf32>) -> tensor<4xf32> {
  // CHECK-NEXT: graph.reshape %x, [-1]
  %0 = graph.reshape %x, [-1] : tensor<?xf32> -> tensor<4xf32>
  func.return %0 : tensor<4xf32>
}

// CHECK-LABEL: func.func @reshapes
func.func @reshapes(%x: tensor<4x8xf32>, %shape: tensor<2xi64>) -> (tensor<2x16xf32>, tensor<?x?xf32>, tensor<2x16xf32>) {
  // CHECK-NEXT: graph.reshape %x, [2, -1] : tensor<4x8xf32> -> tensor<2x16xf32>
  // CHECK-NEXT: graph.dynamic_reshape %x, %shape : tensor<4x8xf32>, tensor<2xi64> -> tensor<?x?xf32>
  // CHECK-NEXT: graph.reshape %x, [2, 16] : tensor<4x8xf32> -> tensor<2x16xf32>
  %0 = graph.reshape %x, [32] : tensor<4x8xf32> -> tensor<32xf32>
  %1 = graph.reshape %0, [2, -1] : tensor<32xf32> -> tensor<2x16xf32>
  %2 = graph.dynamic_reshape %0, %shape : tensor<32xf32>, tensor<2xi64> -> tensor<?x?xf32>
  %3 = graph.reshape %2, [2, 16] : tensor<?x?xf32> -> tensor<2x16xf32>
  func.return %1, %2, %3 : tensor<2x16xf32>, tensor<?x?xf32>, tensor<2x16xf32>
}

// CHECK-LABEL: func.func @transposes
func.func @transposes(%x: tensor<2x3x4xf32>) -> (tensor<4x2x3xf32>, tensor<2x3x4xf32>) {
  // CHECK-NEXT: [[BOTH:%.+]] = graph.transpose %x, [2, 0, 1] : tensor<2x3x4xf32> -> tensor<4x2x3xf32>
  // CHECK-NEXT: func.return [[BOTH]], %x
  %0 = graph.transpose %x, [1, 2, 0] : tensor<2x3x4xf32> -> tensor<3x4x2xf32>
  %1 = graph.transpose %0, [1, 2, 0] : tensor<3x4x2xf32> -> tensor<4x2x3xf32>
  %2 = graph.transpose %1, [1, 2, 0] : tensor<4x2x3xf32> -> tensor<2x3x4xf32>
  func.return %1, %2 : tensor<4x2x3xf32>, tensor<2x3x4xf32>
}

// CHECK-LABEL: func.func @broadcasts
func.func @broadcasts(%x: tensor<8xf32>) -> tensor<2x4x8xf32> {
  // CHECK-NEXT: graph.broadcast %x, [2, 4, 8] : tensor<8xf32> -> tensor<2x4x8xf32>
  // CHECK-NEXT: func.return
  %0 = graph.broadcast %x, [4, 8] : tensor<8xf32> -> tensor<4x8xf32>
  %1 = graph.broadcast %0, [2, -1, 1] : tensor<4x8xf32> -> tensor<2x4x8xf32>
  func.return %1 : tensor<2x4x8xf32>
}

// CHECK-LABEL: func.func @slices
func.func @slices(%x: tensor<?x20xf32>) -> (tensor<?x3xf32>, tensor<?x0xf32>) {
  // CHECK-NEXT: graph.slice %x, [1, 3] to [-1, 16] step [2, 6] : tensor<?x20xf32> -> tensor<?x3xf32>
  // CHECK-NEXT: graph.slice %x, [1, 0] to [-1, 0] step [2, 1] : tensor<?x20xf32> -> tensor<?x0xf32>
  // CHECK-NEXT: func.return
  %0 = graph.slice %x, [0, 1] to [9223372036854775807, -1] step [1, 2] : tensor<?x20xf32> -> tensor<?x9xf32>
  %1 = graph.slice %0, [1, 1] to [-1, 100] step [2, 3] : tensor<?x9xf32> -> tensor<?x3xf32>
  %2 = graph.slice %0, [1, 5] to [-1, 5] step [2, 1] : tensor<?x9xf32> -> tensor<?x0xf32>
  func.return %1, %2 : tensor<?x3xf32>, tensor<?x0xf32>
}

// CHECK-LABEL: func.func @keeps_slices_of_an_unknown_size
func.func @keeps_slices_of_an_unknown_size(%x: tensor<?xf32>) -> tensor<?xf32> {
  // CHECK-NEXT: graph.slice
  // CHECK-NEXT: graph.slice
  %0 = graph.slice %x, [1] to [-1] step [1] : tensor<?xf32> -> tensor<?xf32>
  %1 = graph.slice %0, [-3] to [9223372036854775807] step [1] : tensor<?xf32> -> tensor<?xf32>
  func.return %1 : tensor<?xf32>
}

// CHECK-LABEL: func.func @reverses
func.func @reverses(%x: tensor<4x1x8xf32>) -> (tensor<4x1x8xf32>, tensor<4x1x8xf32>) {
  // CHECK-NEXT: func.return %x, %x
  %0 = graph.reverse %x, [0, 2] : tensor<4x1x8xf32> -> tensor<4x1x8xf32>
  %1 = graph.reverse %0, [2, 0] : tensor<4x1x8xf32> -> tensor<4x1x8xf32>
  %2 = graph.reverse %x, [1] : tensor<4x1x8xf32> -> tensor<4x1x8xf32>
  func.return %1, %2 : tensor<4x1x8xf32>, tensor<4x1x8xf32>
}

// CHECK-LABEL: func.func @concatenations
func.func @concatenations(%x: tensor<4x8xf32>, %empty: tensor<0x8xf32>) -> (tensor<12x8xf32>, tensor<0x8xf32>) {
  // CHECK-NEXT: [[ALL:%.+]] = graph.concatenate %x, %x, %x dimension 0
  // CHECK-NEXT: [[NONE:%.+]] = graph.concatenate %empty, %empty dimension 0
  // CHECK-NEXT: func.return [[ALL]], [[NONE]]
  %0 = graph.concatenate %x, %empty, %x dimension 0 : tensor<4x8xf32>, tensor<0x8xf32>, tensor<4x8xf32> -> tensor<8x8xf32>
  %1 = graph.concatenate %0, %x dimension 0 : tensor<8x8xf32>, tensor<4x8xf32> -> tensor<12x8xf32>
  %2 = graph.concatenate %empty, %empty dimension 0 : tensor<0x8xf32>, tensor<0x8xf32> -> tensor<0x8xf32>
  func.return %1, %2 : tensor<12x8xf32>, tensor<0x8xf32>
}

// CHECK-LABEL: func.func @updates
func.func @updates(%x: tensor<4x8xf32>, %whole: tensor<4x8xf32>, %starts: tensor<2xi64>) -> tensor<4x8xf32> {
  // CHECK-NEXT: func.return %whole
  %0 = graph.dynamic_update_slice %x, %whole, %starts : tensor<4x8xf32>, tensor<4x8xf32>, tensor<2xi64> -> tensor<4x8xf32>
  func.return %0 : tensor<4x8xf32>
}

// CHECK-LABEL: func.func @constant_shapes
func.func @constant_shapes(%x: tensor<4x8xf32>, %row: tensor<8xf32>, %s: tensor<f32>)
    -> (tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xi32>) {
  // CHECK-NEXT: graph.reshape %x, [-1, 2] : tensor<4x8xf32> -> tensor<?x?xf32>
  // CHECK-NEXT: graph.broadcast %row, [4, 8] : tensor<8xf32> -> tensor<?x?xf32>
  // CHECK-NEXT: graph.slice %x, [-1, 2] to [4, 8] step [1, 2] : tensor<4x8xf32> -> tensor<?x?xf32>
  // CHECK-NEXT: graph.pad edge %x, %s, low [-1, 2] high [1, 2] interior [0, 0] : tensor<4x8xf32>, tensor<f32> -> tensor<?x?xf32>
  // CHECK-NEXT: graph.iota [4, 8] dimension 1 : tensor<?x?xi32>
  // CHECK-NEXT: func.return
  %a = graph.constant dense<[-1, 2]> : tensor<2xi64>
  %b = graph.constant dense<[4, 8]> : tensor<2xi64>
  %c = graph.constant dense<[1, 2]> : tensor<2xi64>
  %0 = graph.dynamic_reshape %x, %a : tensor<4x8xf32>, tensor<2xi64> -> tensor<?x?xf32>
  %1 = graph.dynamic_broadcast %row, %b : tensor<8xf32>, tensor<2xi64> -> tensor<?x?xf32>
  %2 = graph.dynamic_slice %x, %a to %b step %c : tensor<4x8xf32>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64> -> tensor<?x?xf32>
  %3 = graph.dynamic_pad edge %x, %s, low %a high %c : tensor<4x8xf32>, tensor<f32>, tensor<2xi64>, tensor<2xi64> -> tensor<?x?xf32>
  %4 = graph.dynamic_iota %b dimension 1 : tensor<2xi64> -> tensor<?x?xi32>
  func.return %0, %1, %2, %3, %4 : tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xi32>
}

// CHECK-LABEL: func.func @shapes_that_types_tell
func.func @shapes_that_types_tell(%x: tensor<?x8xf32>, %shape: tensor<2xi64>)
    -> (tensor<?x4xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<?x?xf32>) {
  // CHECK-NEXT: graph.reshape %x, [-1, 4] : tensor<?x8xf32> -> tensor<?x4xf32>
  // CHECK-NEXT: graph.broadcast %x, [4, 8] : tensor<?x8xf32> -> tensor<4x8xf32>
  // CHECK-NEXT: graph.iota [4, 8] dimension 0 : tensor<4x8xf32>
  // CHECK-NEXT: graph.dynamic_reshape
  %0 = graph.dynamic_reshape %x, %shape : tensor<?x8xf32>, tensor<2xi64> -> tensor<?x4xf32>
  %1 = graph.dynamic_broadcast %x, %shape : tensor<?x8xf32>, tensor<2xi64> -> tensor<4x8xf32>
  %2 = graph.dynamic_iota %shape dimension 0 : tensor<2xi64> -> tensor<4x8xf32>
  %3 = graph.dynamic_reshape %x, %shape : tensor<?x8xf32>, tensor<2xi64> -> tensor<?x?xf32>
  func.return %0, %1, %2, %3 : tensor<?x4xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<?x?xf32>
}

// CHECK-LABEL: func.func @sizes
func.func @sizes(%x: tensor<4x8xf32>, %d: tensor<?x8xf32>) -> (tensor<2xi64>, tensor<i64>, tensor<2xi64>, tensor<i64>) {
  // CHECK-NEXT: graph.constant dense<[4, 8]> : tensor<2xi64>
  // CHECK-NEXT: graph.constant dense<8> : tensor<i64>
  // CHECK-NEXT: graph.shape_of %d
  // CHECK-NEXT: graph.dimension %d, 0
  %0 = graph.shape_of %x : tensor<4x8xf32> -> tensor<2xi64>
  %1 = graph.dimension %d, 1 : tensor<?x8xf32> -> tensor<i64>
  %2 = graph.shape_of %d : tensor<?x8xf32> -> tensor<2xi64>
  %3 = graph.dimension %d, 0 : tensor<?x8xf32> -> tensor<i64>
  func.return %0, %1, %2, %3 : tensor<2xi64>, tensor<i64>, tensor<2xi64>, tensor<i64>
}

// A declared type that cannot be right is left to the check at run time.

// CHECK-LABEL: func.func @keeps_impossible_shapes
func.func @keeps_impossible_shapes(%x: tensor<4x8xf32>, %shape: tensor<2xi64>) -> (tensor<5x8xf32>, tensor<4x?xf32>) {
  // CHECK-NEXT: graph.dynamic_reshape
  // CHECK-NEXT: graph.dynamic_broadcast
  %0 = graph.dynamic_reshape %x, %shape : tensor<4x8xf32>, tensor<2xi64> -> tensor<5x8xf32>
  %1 = graph.dynamic_broadcast %x, %shape : tensor<4x8xf32>, tensor<2xi64> -> tensor<4x?xf32>
  func.return %0, %1 : tensor<5x8xf32>, tensor<4x?xf32>
}
