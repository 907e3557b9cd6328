// RUN: lamina-opt %s -p infer-types,recognize-group-norms | filecheck %s

// As PyTorch exports it: an instance norm of the groups.
// CHECK-LABEL: func.func @instance_norm
func.func @instance_norm(%x: tensor<2x8x6x6xf32>, %scale: tensor<8x1x1xf32>, %bias: tensor<8x1x1xf32>) -> tensor<2x8x6x6xf32> {
  %one = graph.constant dense<1.0> : tensor<4xf32>
  %zero = graph.constant dense<0.0> : tensor<4xf32>
  // CHECK-NEXT: %[[S:.*]] = graph.reshape %scale, [8]
  // CHECK-NEXT: %[[B:.*]] = graph.reshape %bias, [8]
  // CHECK-NEXT: %[[Y:.*]] = graph.group_norm %x, %[[S]], %[[B]], dimension = 1, groups = 4, epsilon = 1.000000e-05
  // CHECK-NEXT: func.return %[[Y]]
  %r = graph.reshape %x, [2, 4, -1] : tensor<2x8x6x6xf32> -> tensor<2x4x72xf32>
  %n = graph.group_norm %r, %one, %zero, dimension = 1, groups = 4, epsilon = 1.000000e-05 : tensor<2x4x72xf32>, tensor<4xf32>, tensor<4xf32> -> tensor<2x4x72xf32>
  %u = graph.reshape %n, [2, 8, 6, 6] : tensor<2x4x72xf32> -> tensor<2x8x6x6xf32>
  %v = graph.multiply %u, %scale : tensor<2x8x6x6xf32>, tensor<8x1x1xf32> -> tensor<2x8x6x6xf32>
  %y = graph.add %bias, %v : tensor<8x1x1xf32>, tensor<2x8x6x6xf32> -> tensor<2x8x6x6xf32>
  func.return %y : tensor<2x8x6x6xf32>
}

// Rows spelled out are a layer norm by now. Without scale and bias; the activation stays outside.
// CHECK-LABEL: func.func @layer_norm
func.func @layer_norm(%x: tensor<?x8x5xf32>) -> tensor<?x8x5xf32> {
  %one = graph.constant dense<1.0> : tensor<f32>
  %zero = graph.constant dense<0.0> : tensor<f32>
  // CHECK: %[[Y:.*]] = graph.group_norm %x, {{.*}} groups = 2
  // CHECK-NEXT: graph.silu %[[Y]]
  %r = graph.reshape %x, [-1, 2, 20] : tensor<?x8x5xf32> -> tensor<?x2x20xf32>
  %n = graph.layer_norm %r, %one, %zero, axis = 2, epsilon = 1.000000e-05 : tensor<?x2x20xf32>, tensor<f32>, tensor<f32> -> tensor<?x2x20xf32>
  %u = graph.reshape %n, [-1, 8, 5] : tensor<?x2x20xf32> -> tensor<?x8x5xf32>
  %y = graph.silu %u : tensor<?x8x5xf32> -> tensor<?x8x5xf32>
  func.return %y : tensor<?x8x5xf32>
}

// A bias along another axis is not the norm's.
// CHECK-LABEL: func.func @other_bias
func.func @other_bias(%x: tensor<2x8x8xf32>, %bias: tensor<8xf32>) -> tensor<2x8x8xf32> {
  %one = graph.constant dense<1.0> : tensor<f32>
  %zero = graph.constant dense<0.0> : tensor<f32>
  // CHECK: %[[Y:.*]] = graph.group_norm %x
  // CHECK-NEXT: graph.add %[[Y]], %bias
  %r = graph.reshape %x, [2, 4, 16] : tensor<2x8x8xf32> -> tensor<2x4x16xf32>
  %n = graph.layer_norm %r, %one, %zero, axis = 2, epsilon = 1.000000e-05 : tensor<2x4x16xf32>, tensor<f32>, tensor<f32> -> tensor<2x4x16xf32>
  %u = graph.reshape %n, [2, 8, 8] : tensor<2x4x16xf32> -> tensor<2x8x8xf32>
  %y = graph.add %u, %bias : tensor<2x8x8xf32>, tensor<8xf32> -> tensor<2x8x8xf32>
  func.return %y : tensor<2x8x8xf32>
}

// Rows that are not whole groups of features, and a result of another shape, stay.
// CHECK-LABEL: func.func @other_rows
func.func @other_rows(%x: tensor<2x6x8xf32>) -> (tensor<2x6x8xf32>, tensor<2x8x6xf32>) {
  %one = graph.constant dense<1.0> : tensor<f32>
  %zero = graph.constant dense<0.0> : tensor<f32>
  // CHECK-NOT: graph.group_norm
  %r = graph.reshape %x, [2, 4, 12] : tensor<2x6x8xf32> -> tensor<2x4x12xf32>
  %n = graph.layer_norm %r, %one, %zero, axis = 2, epsilon = 1.000000e-05 : tensor<2x4x12xf32>, tensor<f32>, tensor<f32> -> tensor<2x4x12xf32>
  %u = graph.reshape %n, [2, 6, 8] : tensor<2x4x12xf32> -> tensor<2x6x8xf32>
  %q = graph.reshape %x, [2, 3, 16] : tensor<2x6x8xf32> -> tensor<2x3x16xf32>
  %m = graph.layer_norm %q, %one, %zero, axis = 2, epsilon = 1.000000e-05 : tensor<2x3x16xf32>, tensor<f32>, tensor<f32> -> tensor<2x3x16xf32>
  %v = graph.reshape %m, [2, 8, 6] : tensor<2x3x16xf32> -> tensor<2x8x6xf32>
  func.return %u, %v : tensor<2x6x8xf32>, tensor<2x8x6xf32>
}
