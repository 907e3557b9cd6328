// RUN: lamina-opt %s -p assign-target,infer-types,branch-attention,infer-types | filecheck %s

// Decoding: tokens first in the query and the result, a mask with a row for each query.
// CHECK-LABEL: func.func @decode
func.func @decode(%q: tensor<?x?x12x64xf32>, %k: tensor<?x12x?x64xf32>, %v: tensor<?x12x?x64xf32>, %m: tensor<?x1x?x?xf32>) -> tensor<?x?x12x64xf32> {
  // CHECK: graph.dimension %q, 1
  // CHECK: [[ONE:%.*]] = graph.compare EQ
  // CHECK: [[RESULT:%.*]] = graph.if [[ONE]] -> (tensor<?x?x12x64xf32>) {
  // CHECK: graph.reduce maximum %q
  // CHECK: graph.dot_general
  // CHECK: graph.softmax {{.*}} : tensor<?x12x1x?xf32>
  // CHECK: graph.dot_general
  // CHECK: } else {
  // CHECK-NEXT: [[ALL:%.*]] = graph.attention %q, %k, %v mask = %m
  // CHECK-NEXT: graph.yield [[ALL]]
  // CHECK: graph.dynamic_reshape [[RESULT]]
  %y = graph.attention %q, %k, %v mask = %m scale = 0.125 tokens_first = [0, 3] : tensor<?x?x12x64xf32>, tensor<?x12x?x64xf32>, tensor<?x12x?x64xf32>, tensor<?x1x?x?xf32> -> tensor<?x?x12x64xf32>
  func.return %y : tensor<?x?x12x64xf32>
}

// A known number of queries: nothing to ask.
// CHECK-LABEL: func.func @known
func.func @known(%q: tensor<?x12x16x64xf32>, %k: tensor<?x12x?x64xf32>, %v: tensor<?x12x?x64xf32>) -> tensor<?x12x16x64xf32> {
  // CHECK-NEXT: graph.attention
  %y = graph.attention %q, %k, %v scale = 0.125 : tensor<?x12x16x64xf32>, tensor<?x12x?x64xf32>, tensor<?x12x?x64xf32> -> tensor<?x12x16x64xf32>
  func.return %y : tensor<?x12x16x64xf32>
}

// As many queries as the mask has rows: never one.
// CHECK-LABEL: func.func @rows_of_the_mask
func.func @rows_of_the_mask(%q: tensor<1x2x?x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>, %m: tensor<5x?xf32>) -> tensor<1x2x?x8xf32> {
  // CHECK-NEXT: graph.attention
  %y = graph.attention %q, %k, %v mask = %m scale = 0.125 : tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<5x?xf32> -> tensor<1x2x?x8xf32>
  func.return %y : tensor<1x2x?x8xf32>
}
