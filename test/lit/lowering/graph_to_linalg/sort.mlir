// RUN: lamina-opt %s --to kernels | lamina-opt -p graph-to-linalg | filecheck %s
// RUN: %if mlir-opt %{ lamina-opt %s --to kernels | lamina-opt -p graph-to-linalg | %mlir_opt %}

// One stage for each level of the merge sort: runs of 1, 2 and 4. The positions of the last lie in the destination.
// CHECK-LABEL: func.func private @arg_sort(
// CHECK-SAME:      %[[X:.*]]: tensor<2x5xf32>, %[[D:.*]]: tensor<2x5xi64>)
// CHECK:         %[[P:.*]] = tensor.empty() : tensor<2x5xi64>
// CHECK-NEXT:    %[[K0:.*]] = tensor.empty() : tensor<2x5xf32>
// CHECK-NEXT:    %[[K1:.*]] = tensor.empty() : tensor<2x5xf32>
// CHECK:         %[[A:.*]], %[[AK:.*]] = linalg.generic {{.*}} iterator_types = ["parallel", "parallel"]} outs(%[[D]], %[[K0]] : tensor<2x5xi64>, tensor<2x5xf32>)
// CHECK:           scf.for
// CHECK:         %[[B:.*]], %[[BK:.*]] = linalg.generic {{.*}} iterator_types = ["parallel", "parallel"]} outs(%[[P]], %[[K1]] : tensor<2x5xi64>, tensor<2x5xf32>)
// CHECK:           tensor.extract %[[AK]]
// CHECK:         %[[C:.*]] = linalg.generic {{.*}} iterator_types = ["parallel", "parallel"]} outs(%[[A]] : tensor<2x5xi64>)
// CHECK:           tensor.extract %[[BK]]
// CHECK:           tensor.extract %[[B]]
// CHECK:         func.return %[[C]] : tensor<2x5xi64>
func.func @main(%x: tensor<2x5xf32>) -> tensor<2x5xi64> {
  %y = graph.arg_sort %x, 1 : tensor<2x5xf32> -> tensor<2x5xi64>
  func.return %y : tensor<2x5xi64>
}
