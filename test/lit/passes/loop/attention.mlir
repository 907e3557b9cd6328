// RUN: lamina-opt %s --to loop | filecheck %s

// One loop over heads and blocks of queries; of the scores, only a block is ever stored, with the queries innermost.

// CHECK-LABEL: func.func private @attention(
// CHECK-NOT: memref<1x2x128x128xf32>
// CHECK: scf.forall (%{{.*}}, %{{.*}}, %[[ROW:.*]]) = (0, 0, 0) to (1, 2, 128) step (1, 1, 32)
// Keys up to the last query of the block.
// CHECK: %[[END:.*]] = arith.addi %[[ROW]]
// CHECK: %[[KEYS:.*]] = arith.minsi %[[END]]
// CHECK: %[[BLOCK:.*]] = memref.alloca() {alignment = 64 : i64} : memref<128x32xf32>
// CHECK: %[[SCORES:.*]] = memref.subview %[[BLOCK]][0, 0] [%[[KEYS]], 32]
// CHECK: vector.outerproduct
// CHECK: vector.transfer_write %{{.*}}, %[[SCORES]]
// The largest score of every query, then the exponentials.
// CHECK: arith.cmpf ogt
// CHECK: math.exp
// CHECK: vector.outerproduct
// CHECK: arith.divf
// CHECK-NOT: scf.forall
module attributes {lamina.target = {triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v4", features = "", vector_bits = 512 : i64}} {
  func.func @main(%q: tensor<1x2x128x16xf32>, %k: tensor<1x2x128x16xf32>, %v: tensor<1x2x128x16xf32>) -> tensor<1x2x128x16xf32> {
    %y = graph.attention %q, %k, %v scale = 0.25 causal = start : tensor<1x2x128x16xf32>, tensor<1x2x128x16xf32>, tensor<1x2x128x16xf32> -> tensor<1x2x128x16xf32>
    func.return %y : tensor<1x2x128x16xf32>
  }
}
