// RUN: lamina-opt %s | lamina-opt | filecheck %s
// RUN: lamina-opt %s --print-op-generic | lamina-opt | filecheck %s

// Attention.

func.func @ops(%q: tensor<2x6x?x8xf32>, %k: tensor<2x3x?x8xf32>, %m: tensor<2x1x1x?xf32>, %p: tensor<i1>, %t: tensor<2x?x6x8xf32>) {
  // CHECK: = graph.attention %q, %q, %q scale = 1.000000e+00 : tensor<2x6x?x8xf32>, tensor<2x6x?x8xf32>, tensor<2x6x?x8xf32> -> tensor<2x6x?x8xf32>
  %0 = graph.attention %q, %q, %q scale = 1.0 : tensor<2x6x?x8xf32>, tensor<2x6x?x8xf32>, tensor<2x6x?x8xf32> -> tensor<2x6x?x8xf32>
  // CHECK: = graph.attention %q, %k, %k mask = %m scale = 5.000000e-01 : tensor<2x6x?x8xf32>, tensor<2x3x?x8xf32>, tensor<2x3x?x8xf32>, tensor<2x1x1x?xf32> -> tensor<2x6x?x8xf32>
  %1 = graph.attention %q, %k, %k mask = %m scale = 0.5 : tensor<2x6x?x8xf32>, tensor<2x3x?x8xf32>, tensor<2x3x?x8xf32>, tensor<2x1x1x?xf32> -> tensor<2x6x?x8xf32>
  // CHECK: = graph.attention %q, %k, %k mask = %p scale = 5.000000e-01 causal = end {note} : tensor<2x6x?x8xf32>, tensor<2x3x?x8xf32>, tensor<2x3x?x8xf32>, tensor<i1> -> tensor<2x6x?x8xf32>
  %2 = graph.attention %q, %k, %k mask = %p scale = 0.5 causal = end {note} : tensor<2x6x?x8xf32>, tensor<2x3x?x8xf32>, tensor<2x3x?x8xf32>, tensor<i1> -> tensor<2x6x?x8xf32>
  // CHECK: = graph.attention %t, %k, %k scale = 5.000000e-01 causal = start tokens_first = [0, 3] : tensor<2x?x6x8xf32>, tensor<2x3x?x8xf32>, tensor<2x3x?x8xf32> -> tensor<2x?x6x8xf32>
  %3 = graph.attention %t, %k, %k scale = 0.5 causal = start tokens_first = [0, 3] : tensor<2x?x6x8xf32>, tensor<2x3x?x8xf32>, tensor<2x3x?x8xf32> -> tensor<2x?x6x8xf32>
  func.return
}
