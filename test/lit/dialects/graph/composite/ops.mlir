// RUN: lamina-opt %s | lamina-opt | filecheck %s
// RUN: lamina-opt %s --print-op-generic | lamina-opt | filecheck %s

// Composites.

func.func @ops(%x: tensor<2x?x8xf32>, %i: tensor<4xi8>, %s: tensor<8xf32>, %f: tensor<2xf32>) {
  // CHECK: = graph.relu %i : tensor<4xi8> -> tensor<4xi8>
  %0 = graph.relu %i : tensor<4xi8> -> tensor<4xi8>
  // CHECK: = graph.gelu %x : tensor<2x?x8xf32> -> tensor<2x?x8xf32>
  %1 = graph.gelu %x : tensor<2x?x8xf32> -> tensor<2x?x8xf32>
  // CHECK: = graph.gelu %x approximate = tanh : tensor<2x?x8xf32> -> tensor<2x?x8xf32>
  %2 = graph.gelu %x approximate = tanh : tensor<2x?x8xf32> -> tensor<2x?x8xf32>
  // CHECK: = graph.gelu %x : tensor<2x?x8xf32> -> tensor<2x?x8xf32>
  %3 = graph.gelu %x approximate = none : tensor<2x?x8xf32> -> tensor<2x?x8xf32>
  // CHECK: = graph.silu %x {note} : tensor<2x?x8xf32> -> tensor<2x?x8xf32>
  %4 = graph.silu %x {note} : tensor<2x?x8xf32> -> tensor<2x?x8xf32>
  // CHECK: = graph.softmax %x, 2 : tensor<2x?x8xf32> -> tensor<2x?x8xf32>
  %5 = graph.softmax %x, 2 : tensor<2x?x8xf32> -> tensor<2x?x8xf32>
  // CHECK: = graph.log_softmax %x, 0 : tensor<2x?x8xf32> -> tensor<2x?x8xf32>
  %6 = graph.log_softmax %x, 0 : tensor<2x?x8xf32> -> tensor<2x?x8xf32>
  // CHECK: = graph.mean %x, [0, 1] : tensor<2x?x8xf32> -> tensor<8xf32>
  %7 = graph.mean %x, [0, 1] : tensor<2x?x8xf32> -> tensor<8xf32>
  // CHECK: = graph.mean %x, [2] keep_dimensions : tensor<2x?x8xf32> -> tensor<2x?x1xf32>
  %8 = graph.mean %x, [2] keep_dimensions : tensor<2x?x8xf32> -> tensor<2x?x1xf32>
  // CHECK: = graph.layer_norm %x, %s, %s, axis = 2, epsilon = 1.000000e-05 : tensor<2x?x8xf32>, tensor<8xf32>, tensor<8xf32> -> tensor<2x?x8xf32>
  %9 = graph.layer_norm %x, %s, %s, axis = 2, epsilon = 1.000000e-05 : tensor<2x?x8xf32>, tensor<8xf32>, tensor<8xf32> -> tensor<2x?x8xf32>
  // CHECK: = graph.layer_norm %x, %s, %s, axis = 1, epsilon = 1.2345678901230001e-05 : tensor<2x?x8xf32>, tensor<8xf32>, tensor<8xf32> -> tensor<2x?x8xf32>
  %10 = graph.layer_norm %x, %s, %s, axis = 1, epsilon = 1.2345678901230001e-05 : tensor<2x?x8xf32>, tensor<8xf32>, tensor<8xf32> -> tensor<2x?x8xf32>
  // CHECK: = graph.rms_norm %x, %s, axis = 2, epsilon = 0.000000e+00 : tensor<2x?x8xf32>, tensor<8xf32> -> tensor<2x?x8xf32>
  %11 = graph.rms_norm %x, %s, axis = 2, epsilon = 0.000000e+00 : tensor<2x?x8xf32>, tensor<8xf32> -> tensor<2x?x8xf32>
  // CHECK: = graph.batch_norm %x, %f, %f, %f, %f, dimension = 0, epsilon = 1.000000e-03 : tensor<2x?x8xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32> -> tensor<2x?x8xf32>
  %12 = graph.batch_norm %x, %f, %f, %f, %f, dimension = 0, epsilon = 1.000000e-03 : tensor<2x?x8xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32> -> tensor<2x?x8xf32>
  // CHECK: = graph.group_norm %x, %s, %s, dimension = 2, groups = 4, epsilon = 1.000000e-05 : tensor<2x?x8xf32>, tensor<8xf32>, tensor<8xf32> -> tensor<2x?x8xf32>
  %gn = graph.group_norm %x, %s, %s, dimension = 2, groups = 4, epsilon = 1.000000e-05 : tensor<2x?x8xf32>, tensor<8xf32>, tensor<8xf32> -> tensor<2x?x8xf32>
  // CHECK: = graph.stop_gradient %x : tensor<2x?x8xf32> -> tensor<2x?x8xf32>
  %sg = graph.stop_gradient %x : tensor<2x?x8xf32> -> tensor<2x?x8xf32>
  // CHECK: = graph.resize linear %x, [1, 2], sizes = [-1, 16], scales = [2.000000e+00, 0.000000e+00], half_pixel, floor, cubic_coefficient = -7.500000e-01 : tensor<2x?x8xf32> -> tensor<2x?x16xf32>
  %r0 = graph.resize linear %x, [1, 2], sizes = [-1, 16], scales = [2.000000e+00, 0.000000e+00], half_pixel, floor, cubic_coefficient = -7.500000e-01 : tensor<2x?x8xf32> -> tensor<2x?x16xf32>
  // CHECK: = graph.resize cubic %x, [2], sizes = [4], scales = [5.000000e-01], tf_crop_and_resize, floor, cubic_coefficient = -5.000000e-01 exclude_outside antialias roi = [1.000000e-01, 9.000000e-01] extrapolation_value = 1.000000e+00 : tensor<2x?x8xf32> -> tensor<2x?x4xf32>
  %r1 = graph.resize cubic %x, [2], sizes = [4], scales = [5.000000e-01], tf_crop_and_resize, floor, cubic_coefficient = -5.000000e-01 exclude_outside antialias roi = [1.000000e-01, 9.000000e-01] extrapolation_value = 1.000000e+00 : tensor<2x?x8xf32> -> tensor<2x?x4xf32>
  func.return
}
