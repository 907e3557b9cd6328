// RUN: lamina-opt %s --split-input-file --verify-diagnostics

func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x7xf32>, %s: tensor<f32>, %v: tensor<2xi64>, %w: tensor<?xi64>) {
  // expected-error @below {{graph.reshape: expected 32 elements as in the operand, found shape [5, 8]}}
  %0 = graph.reshape %x, [5, 8] : tensor<4x8xf32> -> tensor<5x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x7xf32>, %s: tensor<f32>, %v: tensor<2xi64>, %w: tensor<?xi64>) {
  // expected-error @below {{graph.reshape: expected sizes of at least 0 and at most one -1, found [-1, -1]}}
  %0 = graph.reshape %x, [-1, -1] : tensor<4x8xf32> -> tensor<?x?xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x7xf32>, %s: tensor<f32>, %v: tensor<2xi64>, %w: tensor<?xi64>) {
  // expected-error @below {{graph.reshape: expected a size in place of -1 that gives 32 elements in [-1, 5]}}
  %0 = graph.reshape %x, [-1, 5] : tensor<4x8xf32> -> tensor<?x5xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x7xf32>, %s: tensor<f32>, %v: tensor<2xi64>, %w: tensor<?xi64>) {
  // expected-error @below {{graph.dynamic_reshape: shape: expected an i64 vector of static length, found tensor<?xi64>}}
  %0 = graph.dynamic_reshape %x, %w : tensor<4x8xf32>, tensor<?xi64> -> tensor<?x?xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x7xf32>, %s: tensor<f32>, %v: tensor<2xi64>, %w: tensor<?xi64>) {
  // expected-error @below {{graph.transpose: permutation: expected distinct axes, found [0, 0]}}
  %0 = graph.transpose %x, [0, 0] : tensor<4x8xf32> -> tensor<4x4xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x7xf32>, %s: tensor<f32>, %v: tensor<2xi64>, %w: tensor<?xi64>) {
  // expected-error @below {{graph.broadcast: expected shapes that broadcast together, found [4, 8], [3, 8]}}
  %0 = graph.broadcast %x, [3, 8] : tensor<4x8xf32> -> tensor<3x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x7xf32>, %s: tensor<f32>, %v: tensor<2xi64>, %w: tensor<?xi64>) {
  // expected-error @below {{graph.slice: strides: expected values of at least 1, found [1, 0]}}
  %0 = graph.slice %x, [0, 0] to [4, 8] step [1, 0] : tensor<4x8xf32> -> tensor<4x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x7xf32>, %s: tensor<f32>, %v: tensor<2xi64>, %w: tensor<?xi64>) {
  // expected-error @below {{graph.slice: result 0: expected tensor<4x8xf32>, found tensor<4x7xf32>}}
  %0 = graph.slice %x, [0, 0] to [4, 8] step [1, 1] : tensor<4x8xf32> -> tensor<4x7xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x7xf32>, %s: tensor<f32>, %v: tensor<2xi64>, %w: tensor<?xi64>) {
  // expected-error @below {{graph.dynamic_slice: starts: expected 0 entries, one per axis, found 2}}
  %0 = graph.dynamic_slice %s, %v to %v step %v : tensor<f32>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64> -> tensor<f32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x7xf32>, %s: tensor<f32>, %v: tensor<2xi64>, %w: tensor<?xi64>) {
  // expected-error @below {{graph.reverse: dimensions: expected axes within [0, 2), found [2]}}
  %0 = graph.reverse %x, [2] : tensor<4x8xf32> -> tensor<4x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x7xf32>, %s: tensor<f32>, %v: tensor<2xi64>, %w: tensor<?xi64>) {
  // expected-error @below {{graph.pad: mode: expected one of constant, edge, reflect, found wrap}}
  %0 = graph.pad wrap %x, %s, low [0, 0] high [0, 0] interior [0, 0] : tensor<4x8xf32>, tensor<f32> -> tensor<4x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x7xf32>, %s: tensor<f32>, %v: tensor<2xi64>, %w: tensor<?xi64>) {
  // expected-error @below {{graph.pad: expected at most 4 elements to crop on axis 0}}
  %0 = graph.pad constant %x, %s, low [-5, 0] high [0, 0] interior [0, 0] : tensor<4x8xf32>, tensor<f32> -> tensor<0x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x7xf32>, %s: tensor<f32>, %v: tensor<2xi64>, %w: tensor<?xi64>) {
  // expected-error @below {{graph.concatenate: axis 1: expected equal sizes, found 8 and 7}}
  %0 = graph.concatenate %x, %y dimension 0 : tensor<4x8xf32>, tensor<4x7xf32> -> tensor<8x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x7xf32>, %s: tensor<f32>, %v: tensor<2xi64>, %w: tensor<?xi64>) {
  // expected-error @below {{graph.gather: slice_sizes: expected at most 8 for axis 1, found 9}}
  %0 = graph.gather %x, %v, offset_dims [1] collapsed_slice_dims [0] start_index_map [0] index_vector_dim 1 slice_sizes [1, 9] : tensor<4x8xf32>, tensor<2xi64> -> tensor<2x9xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x7xf32>, %s: tensor<f32>, %v: tensor<2xi64>, %w: tensor<?xi64>) {
  // expected-error @below {{graph.dynamic_update_slice: update: expected at most 7 on axis 1, found 8}}
  %0 = graph.dynamic_update_slice %y, %x, %v : tensor<4x7xf32>, tensor<4x8xf32>, tensor<2xi64> -> tensor<4x7xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x7xf32>, %s: tensor<f32>, %v: tensor<2xi64>, %w: tensor<?xi64>) {
  // expected-error @below {{graph.iota: element_type: expected a float or an integer, found i1}}
  %0 = graph.iota [4] dimension 0 : tensor<4xi1>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x7xf32>, %s: tensor<f32>, %v: tensor<2xi64>, %w: tensor<?xi64>) {
  // expected-error @below {{graph.dimension: axis: expected axes within [0, 2), found [2]}}
  %0 = graph.dimension %x, 2 : tensor<4x8xf32> -> tensor<i64>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %i: tensor<3xi64>, %u: tensor<3x8xf32>, %n: tensor<2x8xf32>, %b: tensor<4x8xi1>, %c: tensor<3x8xi1>) {
  // expected-error @below {{graph.scatter: kind: expected one of assign, add, multiply, maximum, minimum, found and}}
  %0 = graph.scatter and %x, %i, %u, update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<4x8xf32>, tensor<3xi64>, tensor<3x8xf32> -> tensor<4x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %i: tensor<3xi64>, %u: tensor<3x8xf32>, %n: tensor<2x8xf32>, %b: tensor<4x8xi1>, %c: tensor<3x8xi1>) {
  // expected-error @below {{graph.scatter: add: expected a float or an integer, found i1}}
  %0 = graph.scatter add %b, %i, %c, update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<4x8xi1>, tensor<3xi64>, tensor<3x8xi1> -> tensor<4x8xi1>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %i: tensor<3xi64>, %u: tensor<3x8xf32>, %n: tensor<2x8xf32>, %b: tensor<4x8xi1>, %c: tensor<3x8xi1>) {
  // expected-error @below {{graph.scatter: indices: expected an integer, found f32}}
  %0 = graph.scatter add %x, %u, %u, update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<4x8xf32>, tensor<3x8xf32>, tensor<3x8xf32> -> tensor<4x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %i: tensor<3xi64>, %u: tensor<3x8xf32>, %n: tensor<2x8xf32>, %b: tensor<4x8xi1>, %c: tensor<3x8xi1>) {
  // expected-error @below {{graph.scatter: updates: expected f32 as the operand, found i1}}
  %0 = graph.scatter add %x, %i, %c, update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<4x8xf32>, tensor<3xi64>, tensor<3x8xi1> -> tensor<4x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %i: tensor<3xi64>, %u: tensor<3x8xf32>, %n: tensor<2x8xf32>, %b: tensor<4x8xi1>, %c: tensor<3x8xi1>) {
  // expected-error @below {{graph.scatter: axis 0 of the updates: expected equal sizes, found 3 and 2}}
  %0 = graph.scatter add %x, %i, %n, update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<4x8xf32>, tensor<3xi64>, tensor<2x8xf32> -> tensor<4x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %i: tensor<3xi64>, %u: tensor<3x8xf32>, %n: tensor<2x8xf32>, %w: tensor<3x16xf32>) {
  // expected-error @below {{graph.scatter: updates: expected at most 8 on axis 1, found 16}}
  %0 = graph.scatter add %x, %i, %w, update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<4x8xf32>, tensor<3xi64>, tensor<3x16xf32> -> tensor<4x8xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %i: tensor<3xi64>, %u: tensor<3x8xf32>, %n: tensor<2x8xf32>, %v: tensor<3xf32>) {
  // expected-error @below {{graph.scatter: axes of the updates: expected 2 entries, found 1}}
  %0 = graph.scatter add %x, %i, %v, update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<4x8xf32>, tensor<3xi64>, tensor<3xf32> -> tensor<4x8xf32>
  func.return
}
