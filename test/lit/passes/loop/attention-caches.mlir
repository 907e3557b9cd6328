// RUN: lamina-opt %s --to loop | filecheck %s

// Keys and values of all heads do not fit the second cache: those of a head become neighbors first. A block of queries
// is as long as the first cache allows, and all of its rows take 64 values before the next.

// CHECK-LABEL: func.func private @attention(
// CHECK: %[[KEYS:.*]] = memref.alloc() {alignment = 64 : i64} : memref<1x2x512x64xf32>
// CHECK: %[[VALUES:.*]] = memref.alloc() {alignment = 64 : i64} : memref<1x2x512x64xf32>
// CHECK: scf.forall (%{{.*}}, %{{.*}}, %{{.*}}) in (1, 512, 2)
// CHECK: memref.subview %[[KEYS]]
// CHECK: memref.subview %[[VALUES]]
// CHECK: scf.forall (%{{.*}}, %{{.*}}, %{{.*}}) = (0, 0, 0) to (1, 2, 512) step (1, 1, 64)
// CHECK: memref.subview %[[KEYS]][%{{.*}}, %{{.*}}, 0, 0] [1, 1, 512, 64]
// CHECK: vector.outerproduct
// CHECK: math.exp
// CHECK: memref.subview %[[VALUES]][%{{.*}}, %{{.*}}, 0, 0] [1, 1, 512, 64]
// CHECK: %[[END:.*]] = arith.addi %[[START:.*]], %{{.*}} : index
// CHECK: scf.for %{{.*}} = %[[START]] to %[[END]]
// CHECK: vector.outerproduct
module attributes {lamina.target = {triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v4", features = "", vector_bits = 512 : i64, l1 = 49152 : i64, l2 = 262144 : i64}} {
  func.func @main(%q: tensor<1x512x2x64xf32>, %k: tensor<1x512x2x64xf32>, %v: tensor<1x512x2x64xf32>) -> tensor<1x512x2x64xf32> {
    %y = graph.attention %q, %k, %v scale = 0.125 tokens_first = [0, 1, 2, 3] : tensor<1x512x2x64xf32>, tensor<1x512x2x64xf32>, tensor<1x512x2x64xf32> -> tensor<1x512x2x64xf32>
    func.return %y : tensor<1x512x2x64xf32>
  }
}
