// RUN: lamina-opt %s | lamina-opt | filecheck %s
// RUN: lamina-opt %s --print-op-generic | lamina-opt | filecheck %s

// CHECK-LABEL: func.func @f
func.func @f(%x: tensor<4x?xf32>, %b: tensor<3xi1>) {
  // CHECK-NEXT: %0 = graph.arg_sort %x, 1 : tensor<4x?xf32> -> tensor<4x?xi64>
  %0 = graph.arg_sort %x, 1 : tensor<4x?xf32> -> tensor<4x?xi64>
  // CHECK-NEXT: %1 = graph.arg_sort %b, 0 descending {note = "kept"} : tensor<3xi1> -> tensor<3xi64>
  %1 = graph.arg_sort %b, 0 descending {note = "kept"} : tensor<3xi1> -> tensor<3xi64>
  // CHECK-NEXT: %2 = graph.sort %x, 0 : tensor<4x?xf32> -> tensor<4x?xf32>
  %2 = graph.sort %x, 0 : tensor<4x?xf32> -> tensor<4x?xf32>
  // CHECK-NEXT: %3 = graph.sort %x, 1 descending : tensor<4x?xf32> -> tensor<4x?xf32>
  %3 = graph.sort %x, 1 descending : tensor<4x?xf32> -> tensor<4x?xf32>
  // CHECK-NEXT: %4 = graph.arg_sort %x, 0 first 2 descending : tensor<4x?xf32> -> tensor<2x?xi64>
  %4 = graph.arg_sort %x, 0 first 2 descending : tensor<4x?xf32> -> tensor<2x?xi64>
  func.return
}
