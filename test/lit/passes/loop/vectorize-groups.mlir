// RUN: lamina-opt %s -p graph-to-linalg,assign-schedules,bufferize,tile,vectorize | filecheck %s
// RUN: %if mlir-opt %{ lamina-opt %s -p graph-to-linalg,assign-schedules,bufferize,tile,vectorize | %mlir_opt %}

builtin.module attributes {lamina.target = {vector_bits = 512 : i64}} {

// Four groups of four outputs are one vector; the features of all four are read together, and each is repeated.
// CHECK-LABEL: func.func private @narrow
// CHECK:       memref.subview %x[{{.*}}] [1, 9, 16] [1, 1, 1]
// CHECK:       memref.subview %w[0, 0, {{.*}}] [3, 4, 16]
// CHECK:       scf.for
// CHECK-NEXT:  [[ALL:%.*]] = vector.transfer_read {{.*}}, vector<7x16xf32>
// CHECK-NEXT:  [[LINE:%.*]] = vector.shape_cast [[ALL]] : vector<7x16xf32> to vector<112xf32>
// CHECK-NEXT:  [[SPREAD:%.*]] = vector.shuffle [[LINE]], [[LINE]] [0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12, 16,
// CHECK-NEXT:  [[FIRST:%.*]] = vector.shape_cast [[SPREAD]] : vector<112xf32> to vector<7x16xf32>
// CHECK:       math.fma [[FIRST]],
// CHECK-NOT:   vector.transfer_read {{.*}}, vector<7x16xf32>
// CHECK:       vector.shuffle [[LINE]], [[LINE]] [1, 1, 1, 1, 5,
// CHECK:       vector.shuffle [[LINE]], [[LINE]] [2, 2, 2, 2, 6,
// CHECK:       vector.shuffle [[LINE]], [[LINE]] [3, 3, 3, 3, 7,
func.func private @narrow(%x: tensor<1x9x32xf32>, %w: tensor<3x4x32xf32>) -> tensor<1x7x32xf32> attributes {lamina.kernel} {
  %0 = graph.convolution %x, %w, [b, 0, f] x [0, i, o] -> [b, 0, f], strides = [1], padding = [0, 0], lhs_dilation = [1], rhs_dilation = [1], groups = 8
      : tensor<1x9x32xf32>, tensor<3x4x32xf32> -> tensor<1x7x32xf32>
  func.return %0 : tensor<1x7x32xf32>
}

// Three groups of five outputs: a lane of sixteen is left over, and masked. Their six features are a masked vector.
// CHECK-LABEL: func.func private @rest
// CHECK-DAG:   [[FEATURES:%.*]] = vector.constant_mask [7, 6] : vector<7x16xi1>
// CHECK-DAG:   [[OUTPUTS:%.*]] = vector.constant_mask [15] : vector<16xi1>
// CHECK:       vector.transfer_read {{.*}}, [[FEATURES]] {{.*}}, vector<7x16xf32>
// CHECK:       vector.shuffle {{.*}} [0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 16,
// CHECK:       vector.transfer_read {{.*}}, [[OUTPUTS]] {{.*}}, vector<16xf32>
func.func private @rest(%x: tensor<1x9x12xf32>, %w: tensor<3x2x30xf32>) -> tensor<1x7x30xf32> attributes {lamina.kernel} {
  %0 = graph.convolution %x, %w, [b, 0, f] x [0, i, o] -> [b, 0, f], strides = [1], padding = [0, 0], lhs_dilation = [1], rhs_dilation = [1], groups = 6
      : tensor<1x9x12xf32>, tensor<3x2x30xf32> -> tensor<1x7x30xf32>
  func.return %0 : tensor<1x7x30xf32>
}

// Wide groups are contractions of their own, one panel of weights for each.
// CHECK-LABEL: func.func private @wide
// CHECK:       memref.subview %x[{{.*}}] [1, 9, 24] [1, 1, 1]
// CHECK:       vector.outerproduct {{.*}} : vector<7xf32>, vector<32xf32>
func.func private @wide(%x: tensor<1x9x72xf32>, %w: tensor<3x3x24x24xf32>) -> tensor<1x7x72xf32> attributes {lamina.kernel} {
  %0 = graph.unpack %w dimension 2 size 72 : tensor<3x3x24x24xf32> -> tensor<3x24x72xf32>
  %1 = graph.convolution %x, %0, [b, 0, f] x [0, i, o] -> [b, 0, f], strides = [1], padding = [0, 0], lhs_dilation = [1], rhs_dilation = [1], groups = 3
      : tensor<1x9x72xf32>, tensor<3x24x72xf32> -> tensor<1x7x72xf32>
  func.return %1 : tensor<1x7x72xf32>
}
}
