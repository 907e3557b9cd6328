// RUN: lamina-opt %s -p prepare-contractions,pack-operands,infer-types,cse,dce | filecheck %s

builtin.module attributes {lamina.target = {vector_bits = 512 : i64}} {

// Both products read one packed operand.
// CHECK-LABEL: func.func @shared
func.func @shared(%x: tensor<300x512xf32>, %w: tensor<512x512xf32>) -> (tensor<300x512xf32>, tensor<300x512xf32>) {
  // CHECK-NEXT: %[[P:.*]] = graph.pack %w dimension 1 tile 64 : tensor<512x512xf32> -> tensor<8x512x64xf32>
  // CHECK-NEXT: %[[U:.*]] = graph.unpack %[[P]] dimension 1 size 512
  // CHECK-NEXT: %[[Y:.*]] = graph.dot_general %x, %[[U]]
  // CHECK-NEXT: %[[Z:.*]] = graph.dot_general %[[Y]], %[[U]]
  %y = graph.dot_general %x, %w, contract = [1] x [0] : tensor<300x512xf32>, tensor<512x512xf32> -> tensor<300x512xf32>
  %z = graph.dot_general %y, %w, contract = [1] x [0] : tensor<300x512xf32>, tensor<512x512xf32> -> tensor<300x512xf32>
  func.return %y, %z : tensor<300x512xf32>, tensor<300x512xf32>
}

// Few rows, rows that are not known, a small operand, batches: as they are.
// CHECK-LABEL: func.func @stays
// CHECK-NOT: graph.pack
// CHECK: func.return
func.func @stays(%few: tensor<16x512xf32>, %any: tensor<?x512xf32>, %x: tensor<300x64xf32>, %b: tensor<2x300x512xf32>,
                 %w: tensor<512x512xf32>, %small: tensor<64x512xf32>, %v: tensor<2x512x512xf32>)
    -> (tensor<16x512xf32>, tensor<?x512xf32>, tensor<300x512xf32>, tensor<2x300x512xf32>) {
  %0 = graph.dot_general %few, %w, contract = [1] x [0] : tensor<16x512xf32>, tensor<512x512xf32> -> tensor<16x512xf32>
  %1 = graph.dot_general %any, %w, contract = [1] x [0] : tensor<?x512xf32>, tensor<512x512xf32> -> tensor<?x512xf32>
  %2 = graph.dot_general %x, %small, contract = [1] x [0] : tensor<300x64xf32>, tensor<64x512xf32> -> tensor<300x512xf32>
  %3 = graph.dot_general %b, %v, batch = [0] x [0], contract = [2] x [1] : tensor<2x300x512xf32>, tensor<2x512x512xf32> -> tensor<2x300x512xf32>
  func.return %0, %1, %2, %3 : tensor<16x512xf32>, tensor<?x512xf32>, tensor<300x512xf32>, tensor<2x300x512xf32>
}

}
