// RUN: lamina-opt %s -p fold-constants,prepare-contractions,pack-constants,fold-constants,canonicalize | filecheck %s

builtin.module attributes {lamina.target = {vector_bits = 512 : i64}} {

// The constants are made of small ones.
// CHECK-LABEL: func.func @panels_of_64
func.func @panels_of_64(%x: tensor<?x64xf32>) -> tensor<?x128xf32> {
  // CHECK-NEXT: %[[C:.*]] = graph.constant dense_resource<{{.*}}> : tensor<2x64x64xf32>
  // CHECK-NEXT: %[[W:.*]] = graph.unpack %[[C]] dimension 1 size 128
  // CHECK-NEXT: graph.dot_general %x, %[[W]], contract = [1] x [0]
  %w0 = graph.iota [128] dimension 0 : tensor<128xf32>
  %w1 = graph.broadcast %w0, [8, 128] : tensor<128xf32> -> tensor<8x128xf32>
  %w = graph.concatenate %w1, %w1, %w1, %w1, %w1, %w1, %w1, %w1 dimension 0
      : tensor<8x128xf32>, tensor<8x128xf32>, tensor<8x128xf32>, tensor<8x128xf32>, tensor<8x128xf32>, tensor<8x128xf32>, tensor<8x128xf32>, tensor<8x128xf32> -> tensor<64x128xf32>
  %y = graph.dot_general %x, %w, contract = [1] x [0] : tensor<?x64xf32>, tensor<64x128xf32> -> tensor<?x128xf32>
  func.return %y : tensor<?x128xf32>
}

// f64: half as many lanes. The transpose is packed with the constant, and both products share it.
// CHECK-LABEL: func.func @transposed
func.func @transposed(%x: tensor<?x64xf64>, %z: tensor<1x64xf64>) -> (tensor<?x96xf64>, tensor<1x96xf64>) {
  // CHECK-NEXT: %[[C:.*]] = graph.constant dense_resource<{{.*}}> : tensor<4x64x24xf64>
  // CHECK-NEXT: %[[V:.*]] = graph.unpack %[[C]] dimension 1 size 96
  // CHECK-NEXT: graph.dot_general %x, %[[V]], contract = [1] x [0]
  // CHECK-NEXT: %[[W:.*]] = graph.unpack %[[C]] dimension 1 size 96
  // CHECK-NEXT: graph.dot_general %z, %[[W]], contract = [1] x [0]
  // CHECK-NEXT: func.return
  %w0 = graph.iota [64] dimension 0 : tensor<64xf64>
  %w1 = graph.broadcast %w0, [8, 64] : tensor<64xf64> -> tensor<8x64xf64>
  %w = graph.concatenate %w1, %w1, %w1, %w1, %w1, %w1, %w1, %w1, %w1, %w1, %w1, %w1 dimension 0
      : tensor<8x64xf64>, tensor<8x64xf64>, tensor<8x64xf64>, tensor<8x64xf64>, tensor<8x64xf64>, tensor<8x64xf64>, tensor<8x64xf64>, tensor<8x64xf64>, tensor<8x64xf64>, tensor<8x64xf64>, tensor<8x64xf64>, tensor<8x64xf64> -> tensor<96x64xf64>
  %0 = graph.dot_general %x, %w, contract = [1] x [1] : tensor<?x64xf64>, tensor<96x64xf64> -> tensor<?x96xf64>
  %1 = graph.dot_general %z, %w, contract = [1] x [1] : tensor<1x64xf64>, tensor<96x64xf64> -> tensor<1x96xf64>
  func.return %0, %1 : tensor<?x96xf64>, tensor<1x96xf64>
}

// A product of one row reads each weight once: panels of as many vectors as registers sum at a time, four at least.
// CHECK-LABEL: func.func @one_row
func.func @one_row(%x: tensor<1x64xf32>) -> tensor<1x128xf32> {
  // CHECK-NEXT: %[[C:.*]] = graph.constant dense_resource<{{.*}}> : tensor<4x64x32xf32>
  // CHECK-NEXT: %[[W:.*]] = graph.unpack %[[C]] dimension 1 size 128
  // CHECK-NEXT: graph.dot_general %x, %[[W]], contract = [1] x [0]
  %w0 = graph.iota [128] dimension 0 : tensor<128xf32>
  %w1 = graph.broadcast %w0, [8, 128] : tensor<128xf32> -> tensor<8x128xf32>
  %w = graph.concatenate %w1, %w1, %w1, %w1, %w1, %w1, %w1, %w1 dimension 0
      : tensor<8x128xf32>, tensor<8x128xf32>, tensor<8x128xf32>, tensor<8x128xf32>, tensor<8x128xf32>, tensor<8x128xf32>, tensor<8x128xf32>, tensor<8x128xf32> -> tensor<64x128xf32>
  %y = graph.dot_general %x, %w, contract = [1] x [0] : tensor<1x64xf32>, tensor<64x128xf32> -> tensor<1x128xf32>
  func.return %y : tensor<1x128xf32>
}

// Where many rows read the same constant, the panels suit them.
// CHECK-LABEL: func.func @one_row_and_many
func.func @one_row_and_many(%x: tensor<1x64xf32>, %z: tensor<?x64xf32>) -> (tensor<1x128xf32>, tensor<?x128xf32>) {
  // CHECK-NEXT: graph.constant dense_resource<{{.*}}> : tensor<2x64x64xf32>
  // CHECK-NOT: graph.constant
  // CHECK: func.return
  %w0 = graph.iota [128] dimension 0 : tensor<128xf32>
  %w1 = graph.broadcast %w0, [8, 128] : tensor<128xf32> -> tensor<8x128xf32>
  %w = graph.concatenate %w1, %w1, %w1, %w1, %w1, %w1, %w1, %w1 dimension 0
      : tensor<8x128xf32>, tensor<8x128xf32>, tensor<8x128xf32>, tensor<8x128xf32>, tensor<8x128xf32>, tensor<8x128xf32>, tensor<8x128xf32>, tensor<8x128xf32> -> tensor<64x128xf32>
  %y = graph.dot_general %x, %w, contract = [1] x [0] : tensor<1x64xf32>, tensor<64x128xf32> -> tensor<1x128xf32>
  %v = graph.dot_general %z, %w, contract = [1] x [0] : tensor<?x64xf32>, tensor<64x128xf32> -> tensor<?x128xf32>
  func.return %y, %v : tensor<1x128xf32>, tensor<?x128xf32>
}

// What is small, or one panel already, stays.
// CHECK-LABEL: func.func @stays
func.func @stays(%x: tensor<?x32xf32>, %z: tensor<?x512xf32>) -> (tensor<?x100xf32>, tensor<?x32xf32>) {
  // CHECK-NOT: graph.unpack
  %v0 = graph.iota [100] dimension 0 : tensor<100xf32>
  %v1 = graph.broadcast %v0, [8, 100] : tensor<100xf32> -> tensor<8x100xf32>
  %v = graph.concatenate %v1, %v1, %v1, %v1 dimension 0
      : tensor<8x100xf32>, tensor<8x100xf32>, tensor<8x100xf32>, tensor<8x100xf32> -> tensor<32x100xf32>
  %w0 = graph.iota [32] dimension 0 : tensor<32xf32>
  %w1 = graph.broadcast %w0, [8, 32] : tensor<32xf32> -> tensor<8x32xf32>
  %w2 = graph.concatenate %w1, %w1, %w1, %w1, %w1, %w1, %w1, %w1 dimension 0
      : tensor<8x32xf32>, tensor<8x32xf32>, tensor<8x32xf32>, tensor<8x32xf32>, tensor<8x32xf32>, tensor<8x32xf32>, tensor<8x32xf32>, tensor<8x32xf32> -> tensor<64x32xf32>
  %w = graph.concatenate %w2, %w2, %w2, %w2, %w2, %w2, %w2, %w2 dimension 0
      : tensor<64x32xf32>, tensor<64x32xf32>, tensor<64x32xf32>, tensor<64x32xf32>, tensor<64x32xf32>, tensor<64x32xf32>, tensor<64x32xf32>, tensor<64x32xf32> -> tensor<512x32xf32>
  %0 = graph.dot_general %x, %v, contract = [1] x [0] : tensor<?x32xf32>, tensor<32x100xf32> -> tensor<?x100xf32>
  %1 = graph.dot_general %z, %w, contract = [1] x [0] : tensor<?x512xf32>, tensor<512x32xf32> -> tensor<?x32xf32>
  func.return %0, %1 : tensor<?x100xf32>, tensor<?x32xf32>
}

// An argument is no constant.
// CHECK-LABEL: func.func @argument
func.func @argument(%x: tensor<?x128xf32>, %w: tensor<128x100xf32>) -> tensor<?x100xf32> {
  // CHECK-NEXT: graph.dot_general %x, %w
  %y = graph.dot_general %x, %w, contract = [1] x [0] : tensor<?x128xf32>, tensor<128x100xf32> -> tensor<?x100xf32>
  func.return %y : tensor<?x100xf32>
}

}
