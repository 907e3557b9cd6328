// RUN: lamina-opt %s -p canonicalize | filecheck %s

// Transposes that exchange heads and tokens are part of the op; what nobody uses goes.

// CHECK-LABEL: func.func @unused
func.func @unused(%q: tensor<3x4x8xf32>) -> tensor<3x4x8xf32> {
  // CHECK-NEXT: %y = graph.attention
  // CHECK-NEXT: func.return %y
  %x = graph.attention %q, %q, %q scale = 2.0 : tensor<3x4x8xf32>, tensor<3x4x8xf32>, tensor<3x4x8xf32> -> tensor<3x4x8xf32>
  %y = graph.attention %q, %q, %q scale = 1.0 : tensor<3x4x8xf32>, tensor<3x4x8xf32>, tensor<3x4x8xf32> -> tensor<3x4x8xf32>
  func.return %y : tensor<3x4x8xf32>
}

// CHECK-LABEL: func.func @absorbs_transposes
func.func @absorbs_transposes(%q: tensor<2x?x6x8xf32>, %k: tensor<2x5x3x8xf32>, %v: tensor<2x3x5x7xf32>, %m: tensor<5xi1>) -> tensor<2x?x6x7xf32> {
  // CHECK-NEXT: graph.attention %q, %k, %v mask = %m scale = 5.000000e-01 causal = end tokens_first = [0, 1, 3] : tensor<2x?x6x8xf32>, tensor<2x5x3x8xf32>, tensor<2x3x5x7xf32>, tensor<5xi1> -> tensor<2x?x6x7xf32>
  // CHECK-NEXT: func.return
  %qt = graph.transpose %q, [0, 2, 1, 3] : tensor<2x?x6x8xf32> -> tensor<2x6x?x8xf32>
  %kt = graph.transpose %k, [0, 2, 1, 3] : tensor<2x5x3x8xf32> -> tensor<2x3x5x8xf32>
  %a = graph.attention %qt, %kt, %v mask = %m scale = 0.5 causal = end : tensor<2x6x?x8xf32>, tensor<2x3x5x8xf32>, tensor<2x3x5x7xf32>, tensor<5xi1> -> tensor<2x6x?x7xf32>
  %at = graph.transpose %a, [0, 2, 1, 3] : tensor<2x6x?x7xf32> -> tensor<2x?x6x7xf32>
  func.return %at : tensor<2x?x6x7xf32>
}

// CHECK-LABEL: func.func @back_again
func.func @back_again(%q: tensor<3x4x8xf32>) -> tensor<3x4x8xf32> {
  // CHECK-NEXT: graph.attention %q, %q, %q scale = 1.000000e+00 : tensor<3x4x8xf32>
  // CHECK-NEXT: func.return
  %qt = graph.transpose %q, [1, 0, 2] : tensor<3x4x8xf32> -> tensor<4x3x8xf32>
  %a = graph.attention %qt, %qt, %qt scale = 1.0 tokens_first = [0, 1, 2, 3] : tensor<4x3x8xf32>, tensor<4x3x8xf32>, tensor<4x3x8xf32> -> tensor<4x3x8xf32>
  %at = graph.transpose %a, [1, 0, 2] : tensor<4x3x8xf32> -> tensor<3x4x8xf32>
  func.return %at : tensor<3x4x8xf32>
}

// CHECK-LABEL: func.func @keeps_other_transposes
func.func @keeps_other_transposes(%q: tensor<8x3x4xf32>) -> (tensor<3x4x8xf32>, tensor<4x3x8xf32>) {
  // CHECK-NEXT: graph.transpose %q, [1, 2, 0]
  // CHECK-NEXT: graph.attention
  // CHECK-NEXT: graph.transpose
  // CHECK-NEXT: func.return
  %qt = graph.transpose %q, [1, 2, 0] : tensor<8x3x4xf32> -> tensor<3x4x8xf32>
  %a = graph.attention %qt, %qt, %qt scale = 1.0 : tensor<3x4x8xf32>, tensor<3x4x8xf32>, tensor<3x4x8xf32> -> tensor<3x4x8xf32>
  %at = graph.transpose %a, [1, 0, 2] : tensor<3x4x8xf32> -> tensor<4x3x8xf32>
  func.return %a, %at : tensor<3x4x8xf32>, tensor<4x3x8xf32>
}
