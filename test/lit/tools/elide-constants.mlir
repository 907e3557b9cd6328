// RUN: lamina-opt %s -p cse --print-ir-after-all 2>&1 >/dev/null | filecheck %s --check-prefix ELIDED
// RUN: lamina-opt %s | filecheck %s --check-prefix WHOLE
// RUN: lamina-opt %s --elide-constants | filecheck %s --check-prefix ELIDED
// RUN: lamina-opt %s --elide-constants=20 | filecheck %s --check-prefix WHOLE
// RUN: lamina-opt %s --elide-constants=2 -o %t.mlir && filecheck %s --check-prefix WHOLE < %t.mlir
// RUN: lamina-opt %s --elide-constants | lamina-opt | filecheck %s --check-prefix ELIDED

// ELIDED: graph.constant dense_resource<__elided__> : tensor<17xi32>
// ELIDED: graph.constant dense<3> : tensor<99xi32>
// WHOLE: graph.constant dense<[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]> : tensor<17xi32>
func.func @f() -> (tensor<17xi32>, tensor<99xi32>) {
  %0 = graph.constant dense<[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]> : tensor<17xi32>
  %1 = graph.constant dense<3> : tensor<99xi32>
  func.return %0, %1 : tensor<17xi32>, tensor<99xi32>
}
