// RUN: lamina-opt %s | lamina-opt | filecheck %s
// RUN: lamina-opt %s --print-op-generic | lamina-opt | filecheck %s

// Reductions of whole axes, positions of extremes, running and windowed reductions.

func.func @ops(%x: tensor<4x8xf32>, %i: tensor<2x?xui8>, %p: tensor<3xi1>, %s: tensor<f16>) {
  // CHECK: = graph.reduce add %x, [1] : tensor<4x8xf32> -> tensor<4xf32>
  %0 = graph.reduce add %x, [1] : tensor<4x8xf32> -> tensor<4xf32>
  // CHECK: = graph.reduce multiply %i, [0, 1] : tensor<2x?xui8> -> tensor<ui8>
  %1 = graph.reduce multiply %i, [0, 1] : tensor<2x?xui8> -> tensor<ui8>
  // CHECK: = graph.reduce maximum %x, [0] keep_dimensions : tensor<4x8xf32> -> tensor<1x8xf32>
  %2 = graph.reduce maximum %x, [0] keep_dimensions : tensor<4x8xf32> -> tensor<1x8xf32>
  // CHECK: = graph.reduce minimum %s, [] : tensor<f16> -> tensor<f16>
  %3 = graph.reduce minimum %s, [] : tensor<f16> -> tensor<f16>
  // CHECK: = graph.reduce and %p, [0] : tensor<3xi1> -> tensor<i1>
  %4 = graph.reduce and %p, [0] : tensor<3xi1> -> tensor<i1>
  // CHECK: = graph.reduce or %i, [0] {note} : tensor<2x?xui8> -> tensor<?xui8>
  %5 = graph.reduce or %i, [0] {note} : tensor<2x?xui8> -> tensor<?xui8>
  // CHECK: = graph.arg_reduce maximum %x, 1 : tensor<4x8xf32> -> tensor<4xi64>
  %6 = graph.arg_reduce maximum %x, 1 : tensor<4x8xf32> -> tensor<4xi64>
  // CHECK: = graph.arg_reduce minimum %i, 0 keep_dimensions select_last : tensor<2x?xui8> -> tensor<1x?xi64>
  %7 = graph.arg_reduce minimum %i, 0 keep_dimensions select_last : tensor<2x?xui8> -> tensor<1x?xi64>
  // CHECK: = graph.cumulative add %x, 0 : tensor<4x8xf32> -> tensor<4x8xf32>
  %8 = graph.cumulative add %x, 0 : tensor<4x8xf32> -> tensor<4x8xf32>
  // CHECK: = graph.cumulative or %p, 0 exclusive reverse : tensor<3xi1> -> tensor<3xi1>
  %9 = graph.cumulative or %p, 0 exclusive reverse : tensor<3xi1> -> tensor<3xi1>
  // CHECK: = graph.reduce_window maximum %x, window = [2, 3], strides = [2, 1], dilations = [1, 2], padding = [0, 0, 1, 1] : tensor<4x8xf32> -> tensor<2x6xf32>
  %10 = graph.reduce_window maximum %x, window = [2, 3], strides = [2, 1], dilations = [1, 2], padding = [0, 0, 1, 1] : tensor<4x8xf32> -> tensor<2x6xf32>
  // CHECK: = graph.reduce_window add %i, window = [1, 2], strides = [1, 1], dilations = [1, 1], padding = [0, 0, 0, 0] : tensor<2x?xui8> -> tensor<2x?xui8>
  %11 = graph.reduce_window add %i, window = [1, 2], strides = [1, 1], dilations = [1, 1], padding = [0, 0, 0, 0] : tensor<2x?xui8> -> tensor<2x?xui8>
  // CHECK: = graph.reduce_window add %s, window = [], strides = [], dilations = [], padding = [] : tensor<f16> -> tensor<f16>
  %12 = graph.reduce_window add %s, window = [], strides = [], dilations = [], padding = [] : tensor<f16> -> tensor<f16>
  func.return
}
