// RUN: lamina-opt %s -p infer-types,split-groups | filecheck %s

// The schedules of a CPU take groups as they are.
builtin.module attributes {lamina.target = {vector_bits = 256 : i64}} {

// CHECK-LABEL: func.func @two_groups
func.func @two_groups(%x: tensor<?x4x8xf32>, %w: tensor<6x2x3xf32>) -> tensor<?x6x6xf32> {
  // CHECK-NEXT: graph.convolution %x, %w, {{.*}} groups = 2
  %y = graph.convolution %x, %w, [b, f, 0] x [o, i, 0] -> [b, f, 0], strides = [1], padding = [0, 0], lhs_dilation = [1], rhs_dilation = [1], groups = 2
      : tensor<?x4x8xf32>, tensor<6x2x3xf32> -> tensor<?x6x6xf32>
  func.return %y : tensor<?x6x6xf32>
}
}
