// RUN: lamina-opt %s --to kernels | lamina-opt -p graph-to-linalg | filecheck %s
// RUN: %if mlir-opt %{ lamina-opt %s --to kernels | lamina-opt -p graph-to-linalg | %mlir_opt %}

// Words of key and position, padded to 4; the three steps of a network, of which the last writes rows of the whole
// width; the positions.
// CHECK-LABEL: func.func private @arg_sort(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>, %[[D:.*]]: tensor<2x3xi64>)
// CHECK:         %[[W:.*]] = tensor.empty() : tensor<2x1x4xi64>
// CHECK-NEXT:    %[[A:.*]] = linalg.generic {{.*}} outs(%[[W]] : tensor<2x1x4xi64>)
// CHECK:           arith.bitcast
// CHECK:           arith.shli
// CHECK:         %[[V:.*]] = tensor.empty() : tensor<2x1x4xi64>
// CHECK:         %[[B:.*]] = linalg.generic {{.*}} ins(%[[A]], %[[A]], {{.*}} outs(%[[V]] : tensor<2x1x4xi64>)
// CHECK:           arith.minsi
// CHECK-NEXT:      arith.maxsi
// CHECK:         %[[C:.*]] = linalg.generic {{.*}} ins(%[[B]], %[[B]], {{.*}} outs(%[[A]] : tensor<2x1x4xi64>)
// CHECK:         %[[E:.*]] = tensor.empty() : tensor<2x4xi64>
// CHECK:         %[[S:.*]] = linalg.generic {{.*}} ins(%[[C]], %[[C]], {{.*}} outs(%[[E]] : tensor<2x4xi64>)
// CHECK:         %[[R:.*]] = linalg.generic {{.*}} ins(%[[S]], {{.*}} outs(%[[D]] : tensor<2x3xi64>)
// CHECK:           arith.andi
// CHECK-NOT:     linalg.generic
// CHECK:         func.return %[[R]] : tensor<2x3xi64>

// The first three of 40: blocks of 4, and of every two of these the first three. Keys of 64 bits and positions are two
// tensors.
// CHECK-LABEL: func.func private @arg_sort_1(
// CHECK:         %[[K:.*]], %[[P:.*]] = linalg.generic {{.*}} outs({{.*}} : tensor<64xi64>, tensor<64xi64>)
// CHECK:         linalg.generic {{.*}} iterator_types = ["parallel", "reduction", "parallel"]} {{.*}} outs({{.*}} : tensor<2x4xi64>, tensor<24xi64>, tensor<24xi64>)
// CHECK:           tensor.extract %[[K]]
// CHECK:           tensor.extract %[[P]]
// CHECK:         linalg.generic {{.*}} iterator_types = ["parallel", "reduction", "parallel"]} {{.*}} outs({{.*}} : tensor<1x4xi64>, tensor<12xi64>, tensor<12xi64>)
func.func @main(%x: tensor<2x3xf32>, %y: tensor<40xf64>) -> (tensor<2x3xi64>, tensor<3xi64>) {
  %a = graph.arg_sort %x, 1 : tensor<2x3xf32> -> tensor<2x3xi64>
  %b = graph.arg_sort %y, 0 first 3 : tensor<40xf64> -> tensor<3xi64>
  func.return %a, %b : tensor<2x3xi64>, tensor<3xi64>
}
