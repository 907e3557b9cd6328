// RUN: lamina-opt %s -p infer-types,fold-constants,form-kernels,share-kernels,cse --statistics 2>&1 >/dev/null | filecheck %s
// RUN: lamina-opt %s --to loop --statistics 2>&1 >/dev/null | filecheck %s --check-prefix ARENA

// CHECK: ... Pass statistics report ...
// CHECK: fold-constants
// CHECK-NEXT: (S) 8 ops-before - ops before the pass
// CHECK-NEXT: (S) 6 ops-after
// CHECK-NEXT: (S) 1 folded {{ +}}- ops replaced by constants
// CHECK: form-kernels
// CHECK: (S) {{ *}}3 kernels
// CHECK-NEXT: (S) {{ *}}3 ops
// CHECK-NEXT: (S) {{ *}}3 calls
// CHECK: share-kernels
// CHECK: (S) {{ *}}1 merged
// CHECK: cse
// CHECK-NEXT: ops-before
// ARENA: plan-arena
// ARENA: {{[1-9]}} placed
// ARENA-NEXT: 0 symbolic
func.func @main(%x: tensor<8x8xf32>, %w: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %one = graph.constant dense<1.0> : tensor<f32>
  %two = graph.add %one, %one : tensor<f32>
  %a = graph.dot_general %x, %w, contract = [1] x [0] : tensor<8x8xf32>, tensor<8x8xf32> -> tensor<8x8xf32>
  %b = graph.dot_general %a, %w, contract = [1] x [0] : tensor<8x8xf32>, tensor<8x8xf32> -> tensor<8x8xf32>
  %c = graph.dot_general %b, %w, contract = [1] x [1] : tensor<8x8xf32>, tensor<8x8xf32> -> tensor<8x8xf32>
  func.return %c : tensor<8x8xf32>
}
