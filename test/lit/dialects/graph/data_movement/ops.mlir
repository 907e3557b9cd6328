// RUN: lamina-opt %s | lamina-opt | filecheck %s
// RUN: lamina-opt %s --print-op-generic | lamina-opt | filecheck %s

// Every data-movement op, in custom and in generic syntax.

func.func @ops(%x: tensor<4x8xf32>, %d: tensor<?x8xf32>, %v: tensor<2xi64>, %i: tensor<3xi64>, %rows: tensor<4x1xi32>, %s: tensor<f32>) {
  // CHECK: = graph.reshape %x, [32] : tensor<4x8xf32> -> tensor<32xf32>
  %0 = graph.reshape %x, [32] : tensor<4x8xf32> -> tensor<32xf32>
  // CHECK: = graph.reshape %x, [2, -1, 2] : tensor<4x8xf32> -> tensor<2x8x2xf32>
  %1 = graph.reshape %x, [2, -1, 2] : tensor<4x8xf32> -> tensor<2x8x2xf32>
  // CHECK: = graph.reshape %d, [-1] : tensor<?x8xf32> -> tensor<?xf32>
  %2 = graph.reshape %d, [-1] : tensor<?x8xf32> -> tensor<?xf32>
  // CHECK: = graph.dynamic_reshape %x, %v : tensor<4x8xf32>, tensor<2xi64> -> tensor<?x?xf32>
  %3 = graph.dynamic_reshape %x, %v : tensor<4x8xf32>, tensor<2xi64> -> tensor<?x?xf32>
  // CHECK: = graph.transpose %x, [1, 0] : tensor<4x8xf32> -> tensor<8x4xf32>
  %4 = graph.transpose %x, [1, 0] : tensor<4x8xf32> -> tensor<8x4xf32>
  // CHECK: = graph.broadcast %x, [2, -1, 8] : tensor<4x8xf32> -> tensor<2x4x8xf32>
  %5 = graph.broadcast %x, [2, -1, 8] : tensor<4x8xf32> -> tensor<2x4x8xf32>
  // CHECK: = graph.dynamic_broadcast %x, %v : tensor<4x8xf32>, tensor<2xi64> -> tensor<4x8xf32>
  %6 = graph.dynamic_broadcast %x, %v : tensor<4x8xf32>, tensor<2xi64> -> tensor<4x8xf32>
  // CHECK: = graph.slice %x, [0, 1] to [4, 8] step [1, 2] : tensor<4x8xf32> -> tensor<4x4xf32>
  %7 = graph.slice %x, [0, 1] to [4, 8] step [1, 2] : tensor<4x8xf32> -> tensor<4x4xf32>
  // CHECK: = graph.slice %d, [1, -3] to [9223372036854775807, -1] step [1, 1] : tensor<?x8xf32> -> tensor<?x2xf32>
  %8 = graph.slice %d, [1, -3] to [9223372036854775807, -1] step [1, 1] : tensor<?x8xf32> -> tensor<?x2xf32>
  // CHECK: = graph.dynamic_slice %x, %v to %v step %v : tensor<4x8xf32>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64> -> tensor<?x?xf32>
  %9 = graph.dynamic_slice %x, %v to %v step %v : tensor<4x8xf32>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64> -> tensor<?x?xf32>
  // CHECK: = graph.reverse %x, [0, 1] : tensor<4x8xf32> -> tensor<4x8xf32>
  %10 = graph.reverse %x, [0, 1] : tensor<4x8xf32> -> tensor<4x8xf32>
  // CHECK: = graph.pad constant %x, %s, low [1, 0] high [0, -1] interior [1, 0] : tensor<4x8xf32>, tensor<f32> -> tensor<8x7xf32>
  %11 = graph.pad constant %x, %s, low [1, 0] high [0, -1] interior [1, 0] : tensor<4x8xf32>, tensor<f32> -> tensor<8x7xf32>
  // CHECK: = graph.pad edge %x, %s, low [1, 1] high [1, 1] interior [0, 0] : tensor<4x8xf32>, tensor<f32> -> tensor<6x10xf32>
  %12 = graph.pad edge %x, %s, low [1, 1] high [1, 1] interior [0, 0] : tensor<4x8xf32>, tensor<f32> -> tensor<6x10xf32>
  // CHECK: = graph.pad reflect %d, %s, low [1, 1] high [1, 1] interior [0, 0] : tensor<?x8xf32>, tensor<f32> -> tensor<?x10xf32>
  %13 = graph.pad reflect %d, %s, low [1, 1] high [1, 1] interior [0, 0] : tensor<?x8xf32>, tensor<f32> -> tensor<?x10xf32>
  // CHECK: = graph.dynamic_pad constant %x, %s, low %v high %v : tensor<4x8xf32>, tensor<f32>, tensor<2xi64>, tensor<2xi64> -> tensor<?x?xf32>
  %14 = graph.dynamic_pad constant %x, %s, low %v high %v : tensor<4x8xf32>, tensor<f32>, tensor<2xi64>, tensor<2xi64> -> tensor<?x?xf32>
  // CHECK: = graph.concatenate %x, %d dimension 0 : tensor<4x8xf32>, tensor<?x8xf32> -> tensor<?x8xf32>
  %15 = graph.concatenate %x, %d dimension 0 : tensor<4x8xf32>, tensor<?x8xf32> -> tensor<?x8xf32>
  // CHECK: = graph.concatenate %x dimension 1 : tensor<4x8xf32> -> tensor<4x8xf32>
  %16 = graph.concatenate %x dimension 1 : tensor<4x8xf32> -> tensor<4x8xf32>
  // CHECK: = graph.gather %x, %i, offset_dims [1] collapsed_slice_dims [0] start_index_map [0] index_vector_dim 1 slice_sizes [1, -1] : tensor<4x8xf32>, tensor<3xi64> -> tensor<3x8xf32>
  %17 = graph.gather %x, %i, offset_dims [1] collapsed_slice_dims [0] start_index_map [0] index_vector_dim 1 slice_sizes [1, -1] : tensor<4x8xf32>, tensor<3xi64> -> tensor<3x8xf32>
  // CHECK: = graph.gather %x, %rows, offset_dims [] collapsed_slice_dims [1] operand_batching_dims [0] start_indices_batching_dims [0] start_index_map [1] index_vector_dim 1 slice_sizes [1, 1] : tensor<4x8xf32>, tensor<4x1xi32> -> tensor<4xf32>
  %18 = graph.gather %x, %rows, offset_dims [] collapsed_slice_dims [1] operand_batching_dims [0] start_indices_batching_dims [0] start_index_map [1] index_vector_dim 1 slice_sizes [1, 1] : tensor<4x8xf32>, tensor<4x1xi32> -> tensor<4xf32>
  // CHECK: = graph.dynamic_update_slice %x, %d, %v : tensor<4x8xf32>, tensor<?x8xf32>, tensor<2xi64> -> tensor<4x8xf32>
  %19 = graph.dynamic_update_slice %x, %d, %v : tensor<4x8xf32>, tensor<?x8xf32>, tensor<2xi64> -> tensor<4x8xf32>
  %k = graph.slice %x, [0, 0] to [3, 8] step [1, 1] : tensor<4x8xf32> -> tensor<3x8xf32>
  %f = graph.constant dense<1.0> : tensor<4xf32>
  // CHECK: = graph.scatter add %x, %i, %k, update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<4x8xf32>, tensor<3xi64>, tensor<3x8xf32> -> tensor<4x8xf32>
  %sc0 = graph.scatter add %x, %i, %k, update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<4x8xf32>, tensor<3xi64>, tensor<3x8xf32> -> tensor<4x8xf32>
  // CHECK: = graph.scatter assign %x, %rows, %f, update_window_dims [] inserted_window_dims [1] input_batching_dims [0] scatter_indices_batching_dims [0] scatter_dims_to_operand_dims [1] index_vector_dim 1 : tensor<4x8xf32>, tensor<4x1xi32>, tensor<4xf32> -> tensor<4x8xf32>
  %sc1 = graph.scatter assign %x, %rows, %f, update_window_dims [] inserted_window_dims [1] input_batching_dims [0] scatter_indices_batching_dims [0] scatter_dims_to_operand_dims [1] index_vector_dim 1 : tensor<4x8xf32>, tensor<4x1xi32>, tensor<4xf32> -> tensor<4x8xf32>
  // CHECK: = graph.iota [4, 8] dimension 1 : tensor<4x8xbf16>
  %20 = graph.iota [4, 8] dimension 1 : tensor<4x8xbf16>
  // CHECK: = graph.dynamic_iota %v dimension 1 : tensor<2xi64> -> tensor<?x?xi32>
  %21 = graph.dynamic_iota %v dimension 1 : tensor<2xi64> -> tensor<?x?xi32>
  // CHECK: = graph.shape_of %d : tensor<?x8xf32> -> tensor<2xi64>
  %22 = graph.shape_of %d : tensor<?x8xf32> -> tensor<2xi64>
  // CHECK: = graph.dimension %d, 0 : tensor<?x8xf32> -> tensor<i64>
  %23 = graph.dimension %d, 0 : tensor<?x8xf32> -> tensor<i64>
  // CHECK: = graph.reshape %x, [4, 8] {note = "kept"} : tensor<4x8xf32> -> tensor<4x8xf32>
  %24 = graph.reshape %x, [4, 8] {note = "kept"} : tensor<4x8xf32> -> tensor<4x8xf32>
  func.return
}
