// RUN: lamina-opt %s -p graph-to-linalg | filecheck %s
// RUN: %if mlir-opt %{ lamina-opt %s -p graph-to-linalg | %mlir_opt %}

// Transposes, slices and splits are indexing maps.
// CHECK-LABEL: func.func private @maps
// CHECK:       affine_map<(d0, d1, d2) -> ((d2 + 1), ((d0 * 4) + d1))>
// CHECK-NOT:   tensor.extract
func.func private @maps(%x: tensor<6x12xf32>) -> tensor<3x4x5xf32> attributes {lamina.kernel} {
  %0 = graph.slice %x, [1, 0] to [6, 12] step [1, 1] : tensor<6x12xf32> -> tensor<5x12xf32>
  %1 = graph.reshape %0, [5, 3, 4] : tensor<5x12xf32> -> tensor<5x3x4xf32>
  %2 = graph.transpose %1, [1, 2, 0] : tensor<5x3x4xf32> -> tensor<3x4x5xf32>
  func.return %2 : tensor<3x4x5xf32>
}

// A gather reads at an index that is clamped.
// CHECK-LABEL: func.func private @take
// CHECK-DAG:   %[[LAST:.*]] = arith.constant 4 : index
// CHECK:       arith.index_cast %{{.*}} : i64 to index
// CHECK-NEXT:  arith.minsi %{{.*}}, %[[LAST]] : index
// CHECK-NEXT:  arith.maxsi
// CHECK:       tensor.extract %x
func.func private @take(%x: tensor<5x3xf32>, %i: tensor<?xi64>) -> tensor<?x3xf32> attributes {lamina.kernel} {
  %0 = graph.gather %x, %i, offset_dims [1] collapsed_slice_dims [0] start_index_map [0] index_vector_dim 1 slice_sizes [1, -1] : tensor<5x3xf32>, tensor<?xi64> -> tensor<?x3xf32>
  func.return %0 : tensor<?x3xf32>
}

// Padding of a tensor that may be empty never reads outside: scf.if. The axis that is not padded is not tested.
// CHECK-LABEL: func.func private @pad
// CHECK:       arith.cmpi slt
// CHECK-NOT:   arith.cmpi
// CHECK:       scf.if
// CHECK-NEXT:    tensor.extract
func.func private @pad(%x: tensor<?x3xf32>) -> tensor<?x3xf32> attributes {lamina.kernel} {
  %zero = graph.constant dense<0.0> : tensor<f32>
  %0 = graph.pad constant %x, %zero, low [0, 0] high [2, 0] interior [0, 0] : tensor<?x3xf32>, tensor<f32> -> tensor<?x3xf32>
  func.return %0 : tensor<?x3xf32>
}

// Where every position can be read, both sides are: arith.select.
// CHECK-LABEL: func.func private @concatenate
// CHECK-NOT:   scf.if
// CHECK:       arith.select
func.func private @concatenate(%x: tensor<2x3xf32>, %y: tensor<2x1xf32>) -> tensor<2x4xf32> attributes {lamina.kernel} {
  %0 = graph.concatenate %x, %y dimension 1 : tensor<2x3xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
  func.return %0 : tensor<2x4xf32>
}

// Integers that only say where are given as index.
// CHECK-LABEL: func.func private @update(%x: tensor<8xf32>, %u: tensor<2xf32>, %{{.*}}: index, %{{.*}}: tensor<8xf32>)
func.func private @update(%x: tensor<8xf32>, %u: tensor<2xf32>, %at: tensor<1xi64>) -> tensor<8xf32> attributes {lamina.kernel} {
  %0 = graph.dynamic_update_slice %x, %u, %at : tensor<8xf32>, tensor<2xf32>, tensor<1xi64> -> tensor<8xf32>
  func.return %0 : tensor<8xf32>
}
