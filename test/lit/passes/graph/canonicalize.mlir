// RUN: lamina-opt %s -p canonicalize --print-debuginfo | filecheck %s

// What a rewrite makes has the location of what it replaces.
// CHECK-LABEL: func.func @merges_transposes
func.func @merges_transposes(%x: tensor<2x3x4xf32>) -> tensor<4x3x2xf32> {
  %t = graph.transpose %x, [1, 2, 0] : tensor<2x3x4xf32> -> tensor<3x4x2xf32>
  // CHECK: graph.transpose %x, [2, 1, 0] : tensor<2x3x4xf32> -> tensor<4x3x2xf32> loc("{{.*}}canonicalize.mlir":8:3)
  %y = graph.transpose %t, [1, 0, 2] : tensor<3x4x2xf32> -> tensor<4x3x2xf32>
  func.return %y : tensor<4x3x2xf32>
}

// Dead ops go, also when they use each other.
// CHECK-LABEL: func.func @removes_dead_ops
func.func @removes_dead_ops(%x: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK-NOT: graph
  %a = graph.exp %x : tensor<4xf32>
  %b = graph.log %a : tensor<4xf32>
  // CHECK: func.return %x
  func.return %x : tensor<4xf32>
}
