// RUN: lamina-opt %s -p graph-to-linalg | filecheck %s
// RUN: %if mlir-opt %{ lamina-opt %s -p graph-to-linalg | %mlir_opt %}

// The producer is part of the reduction; the destination starts as the identity.
// CHECK-LABEL: func.func private @reduce
// CHECK:       %[[ZERO:.*]] = arith.constant 0.0
// CHECK:       linalg.fill ins(%[[ZERO]] : f32) outs(%{{.*}} : tensor<?xf32>)
// CHECK:       iterator_types = ["parallel", "reduction"]
// CHECK:         math.exp
// CHECK-NEXT:    arith.addf %{{.*}}, %{{.*}} fastmath<reassoc> : f32
// CHECK-NOT:   linalg.generic
func.func private @reduce(%x: tensor<?x4xf32>) -> tensor<?xf32> attributes {lamina.kernel} {
  %0 = graph.exp %x : tensor<?x4xf32>
  %1 = graph.reduce add %0, [1] : tensor<?x4xf32> -> tensor<?xf32>
  func.return %1 : tensor<?xf32>
}

// Softmax: maximum, exp (used twice, so stored), sum, quotient.
// CHECK-LABEL: func.func private @softmax
// CHECK:       arith.maximumf
// CHECK:       linalg.generic
// CHECK:         math.exp
// CHECK:       linalg.generic
// CHECK:         arith.addf
// CHECK:       linalg.generic
// CHECK:         arith.divf
// CHECK-NOT:   linalg.generic
func.func private @softmax(%x: tensor<?x8xf32>) -> tensor<?x8xf32> attributes {lamina.kernel} {
  %0 = graph.reduce maximum %x, [1] keep_dimensions : tensor<?x8xf32> -> tensor<?x1xf32>
  %1 = graph.subtract %x, %0 : tensor<?x8xf32>, tensor<?x1xf32> -> tensor<?x8xf32>
  %2 = graph.exp %1 : tensor<?x8xf32>
  %3 = graph.reduce add %2, [1] keep_dimensions : tensor<?x8xf32> -> tensor<?x1xf32>
  %4 = graph.divide %2, %3 : tensor<?x8xf32>, tensor<?x1xf32> -> tensor<?x8xf32>
  func.return %4 : tensor<?x8xf32>
}

// f16 is summed in f32.
// CHECK-LABEL: func.func private @narrow
// CHECK:       arith.extf
// CHECK-NEXT:  arith.addf %{{.*}}, %{{.*}} fastmath<reassoc> : f32
// CHECK:       arith.truncf
func.func private @narrow(%x: tensor<4xf16>) -> tensor<f16> attributes {lamina.kernel} {
  %0 = graph.reduce add %x, [0] : tensor<4xf16> -> tensor<f16>
  func.return %0 : tensor<f16>
}

// One pass with two results: the extreme and its position.
// CHECK-LABEL: func.func private @arg_reduce
// CHECK:       linalg.yield %{{.*}}, %{{.*}} : f32, i64
// CHECK-NOT:   linalg.generic
func.func private @arg_reduce(%x: tensor<4x?xf32>) -> tensor<4xi64> attributes {lamina.kernel} {
  %0 = graph.arg_reduce maximum %x, 1 : tensor<4x?xf32> -> tensor<4xi64>
  func.return %0 : tensor<4xi64>
}

// A running value, and what is stored of it: the scanned axis is a reduction that the second result has too.
// CHECK-LABEL: func.func private @cumulative
// CHECK:       affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "reduction"]}
// CHECK:         %[[SUM:.*]] = arith.addf
// CHECK-NEXT:    linalg.yield %[[SUM]], %[[SUM]] : f32, f32
func.func private @cumulative(%x: tensor<4x?xf32>) -> tensor<4x?xf32> attributes {lamina.kernel} {
  %0 = graph.cumulative add %x, 1 : tensor<4x?xf32> -> tensor<4x?xf32>
  func.return %0 : tensor<4x?xf32>
}

// The window's size comes from an empty tensor; padding is a stage of its own.
// CHECK-LABEL: func.func private @max_pool
// CHECK:       arith.select
// CHECK:       %[[WINDOW:.*]] = tensor.empty() : tensor<3xf32>
// CHECK:       affine_map<(d0, d1) -> ((d0 + (d1 * 2)))>, affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d1)>]
// CHECK-SAME:  ins(%{{.*}}, %[[WINDOW]] : tensor<9xf32>, tensor<3xf32>)
func.func private @max_pool(%x: tensor<8xf32>) -> tensor<4xf32> attributes {lamina.kernel} {
  %0 = graph.reduce_window maximum %x, window = [3], strides = [2], dilations = [1], padding = [1, 0] : tensor<8xf32> -> tensor<4xf32>
  func.return %0 : tensor<4xf32>
}
