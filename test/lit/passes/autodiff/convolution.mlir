// RUN: lamina-opt %s -p "differentiate{mode=reverse},differentiate{mode=forward},canonicalize,cse" | filecheck %s

// The derivatives of convolutions: @NAME.vjp and @NAME.jvp for every rule.

// CHECK-LABEL: func.func @convolution(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3x6x7xf32>, %[[Y:.*]]: tensor<4x3x3x3xf32>) -> tensor<2x4x6x7xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.convolution %[[X]], %[[Y]], [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1], padding = [1, 1, 1, 1], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<2x3x6x7xf32>, tensor<4x3x3x3xf32> -> tensor<2x4x6x7xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x4x6x7xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @convolution.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3x6x7xf32>, %[[Y:.*]]: tensor<4x3x3x3xf32>, %[[R_COTANGENT:.*]]: tensor<2x4x6x7xf32>) -> (tensor<2x4x6x7xf32>, tensor<2x3x6x7xf32>, tensor<4x3x3x3xf32>) attributes {lamina.derivative = "vjp of convolution wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.convolution %[[X]], %[[Y]], [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1], padding = [1, 1, 1, 1], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<2x3x6x7xf32>, tensor<4x3x3x3xf32> -> tensor<2x4x6x7xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.reverse %[[Y]], [2, 3] : tensor<4x3x3x3xf32> -> tensor<4x3x3x3xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.convolution %[[R_COTANGENT]], %[[V0]], [b, f, 0, 1] x [i, o, 0, 1] -> [b, f, 0, 1], strides = [1, 1], padding = [1, 1, 1, 1], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<2x4x6x7xf32>, tensor<4x3x3x3xf32> -> tensor<2x3x6x7xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.convolution %[[X]], %[[R_COTANGENT]], [f, b, 0, 1] x [i, o, 0, 1] -> [f, b, 0, 1], strides = [1, 1], padding = [1, 1, 1, 1], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<2x3x6x7xf32>, tensor<2x4x6x7xf32> -> tensor<4x3x3x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V1]], %[[V2]] : tensor<2x4x6x7xf32>, tensor<2x3x6x7xf32>, tensor<4x3x3x3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @convolution.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3x6x7xf32>, %[[Y:.*]]: tensor<4x3x3x3xf32>, %[[X_TANGENT:.*]]: tensor<2x3x6x7xf32>, %[[Y_TANGENT:.*]]: tensor<4x3x3x3xf32>) -> (tensor<2x4x6x7xf32>, tensor<2x4x6x7xf32>) attributes {lamina.derivative = "jvp of convolution wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.convolution %[[X]], %[[Y]], [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1], padding = [1, 1, 1, 1], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<2x3x6x7xf32>, tensor<4x3x3x3xf32> -> tensor<2x4x6x7xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.convolution %[[X_TANGENT]], %[[Y]], [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1], padding = [1, 1, 1, 1], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<2x3x6x7xf32>, tensor<4x3x3x3xf32> -> tensor<2x4x6x7xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.convolution %[[X]], %[[Y_TANGENT]], [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1], padding = [1, 1, 1, 1], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<2x3x6x7xf32>, tensor<4x3x3x3xf32> -> tensor<2x4x6x7xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.add %[[V0]], %[[V1]] : tensor<2x4x6x7xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V2]] : tensor<2x4x6x7xf32>, tensor<2x4x6x7xf32>
// CHECK-NEXT:  }
func.func @convolution(%x: tensor<2x3x6x7xf32>, %y: tensor<4x3x3x3xf32>) -> tensor<2x4x6x7xf32> {
  %r = graph.convolution %x, %y, [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1], padding = [1, 1, 1, 1], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<2x3x6x7xf32>, tensor<4x3x3x3xf32> -> tensor<2x4x6x7xf32>
  func.return %r : tensor<2x4x6x7xf32>
}

// CHECK-LABEL: func.func @strided(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3x7x7xf32>, %[[Y:.*]]: tensor<4x3x3x3xf32>) -> tensor<2x4x3x3xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.convolution %[[X]], %[[Y]], [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [2, 2], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<2x3x7x7xf32>, tensor<4x3x3x3xf32> -> tensor<2x4x3x3xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x4x3x3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @strided.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3x7x7xf32>, %[[Y:.*]]: tensor<4x3x3x3xf32>, %[[R_COTANGENT:.*]]: tensor<2x4x3x3xf32>) -> (tensor<2x4x3x3xf32>, tensor<2x3x7x7xf32>, tensor<4x3x3x3xf32>) attributes {lamina.derivative = "vjp of strided wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.convolution %[[X]], %[[Y]], [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [2, 2], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<2x3x7x7xf32>, tensor<4x3x3x3xf32> -> tensor<2x4x3x3xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.reverse %[[Y]], [2, 3] : tensor<4x3x3x3xf32> -> tensor<4x3x3x3xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.convolution %[[R_COTANGENT]], %[[V0]], [b, f, 0, 1] x [i, o, 0, 1] -> [b, f, 0, 1], strides = [1, 1], padding = [2, 2, 2, 2], lhs_dilation = [2, 2], rhs_dilation = [1, 1], groups = 1 : tensor<2x4x3x3xf32>, tensor<4x3x3x3xf32> -> tensor<2x3x7x7xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.convolution %[[X]], %[[R_COTANGENT]], [f, b, 0, 1] x [i, o, 0, 1] -> [f, b, 0, 1], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [2, 2], groups = 1 : tensor<2x3x7x7xf32>, tensor<2x4x3x3xf32> -> tensor<4x3x3x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V1]], %[[V2]] : tensor<2x4x3x3xf32>, tensor<2x3x7x7xf32>, tensor<4x3x3x3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @strided.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3x7x7xf32>, %[[Y:.*]]: tensor<4x3x3x3xf32>, %[[X_TANGENT:.*]]: tensor<2x3x7x7xf32>, %[[Y_TANGENT:.*]]: tensor<4x3x3x3xf32>) -> (tensor<2x4x3x3xf32>, tensor<2x4x3x3xf32>) attributes {lamina.derivative = "jvp of strided wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.convolution %[[X]], %[[Y]], [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [2, 2], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<2x3x7x7xf32>, tensor<4x3x3x3xf32> -> tensor<2x4x3x3xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.convolution %[[X_TANGENT]], %[[Y]], [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [2, 2], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<2x3x7x7xf32>, tensor<4x3x3x3xf32> -> tensor<2x4x3x3xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.convolution %[[X]], %[[Y_TANGENT]], [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [2, 2], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<2x3x7x7xf32>, tensor<4x3x3x3xf32> -> tensor<2x4x3x3xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.add %[[V0]], %[[V1]] : tensor<2x4x3x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V2]] : tensor<2x4x3x3xf32>, tensor<2x4x3x3xf32>
// CHECK-NEXT:  }
func.func @strided(%x: tensor<2x3x7x7xf32>, %y: tensor<4x3x3x3xf32>) -> tensor<2x4x3x3xf32> {
  %r = graph.convolution %x, %y, [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [2, 2], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<2x3x7x7xf32>, tensor<4x3x3x3xf32> -> tensor<2x4x3x3xf32>
  func.return %r : tensor<2x4x3x3xf32>
}

// CHECK-LABEL: func.func @grouped(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4x6x7xf32>, %[[Y:.*]]: tensor<6x2x1x1xf32>) -> tensor<2x6x6x7xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.convolution %[[X]], %[[Y]], [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 2 : tensor<2x4x6x7xf32>, tensor<6x2x1x1xf32> -> tensor<2x6x6x7xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x6x6x7xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @grouped.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4x6x7xf32>, %[[Y:.*]]: tensor<6x2x1x1xf32>, %[[R_COTANGENT:.*]]: tensor<2x6x6x7xf32>) -> (tensor<2x6x6x7xf32>, tensor<2x4x6x7xf32>, tensor<6x2x1x1xf32>) attributes {lamina.derivative = "vjp of grouped wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.convolution %[[X]], %[[Y]], [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 2 : tensor<2x4x6x7xf32>, tensor<6x2x1x1xf32> -> tensor<2x6x6x7xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.reshape %[[Y]], [2, 3, 2, 1, 1] : tensor<6x2x1x1xf32> -> tensor<2x3x2x1x1xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.transpose %[[V0]], [0, 2, 1, 3, 4] : tensor<2x3x2x1x1xf32> -> tensor<2x2x3x1x1xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.reshape %[[V1]], [4, 3, 1, 1] : tensor<2x2x3x1x1xf32> -> tensor<4x3x1x1xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.convolution %[[R_COTANGENT]], %[[V2]], [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 2 : tensor<2x6x6x7xf32>, tensor<4x3x1x1xf32> -> tensor<2x4x6x7xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.reshape %[[X]], [2, 2, 2, 6, 7] : tensor<2x4x6x7xf32> -> tensor<2x2x2x6x7xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.transpose %[[V4]], [2, 1, 0, 3, 4] : tensor<2x2x2x6x7xf32> -> tensor<2x2x2x6x7xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.reshape %[[V5]], [2, 4, 6, 7] : tensor<2x2x2x6x7xf32> -> tensor<2x4x6x7xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.convolution %[[V6]], %[[R_COTANGENT]], [b, f, 0, 1] x [i, o, 0, 1] -> [f, b, 0, 1], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 2 : tensor<2x4x6x7xf32>, tensor<2x6x6x7xf32> -> tensor<6x2x1x1xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V3]], %[[V7]] : tensor<2x6x6x7xf32>, tensor<2x4x6x7xf32>, tensor<6x2x1x1xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @grouped.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4x6x7xf32>, %[[Y:.*]]: tensor<6x2x1x1xf32>, %[[X_TANGENT:.*]]: tensor<2x4x6x7xf32>, %[[Y_TANGENT:.*]]: tensor<6x2x1x1xf32>) -> (tensor<2x6x6x7xf32>, tensor<2x6x6x7xf32>) attributes {lamina.derivative = "jvp of grouped wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.convolution %[[X]], %[[Y]], [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 2 : tensor<2x4x6x7xf32>, tensor<6x2x1x1xf32> -> tensor<2x6x6x7xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.convolution %[[X_TANGENT]], %[[Y]], [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 2 : tensor<2x4x6x7xf32>, tensor<6x2x1x1xf32> -> tensor<2x6x6x7xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.convolution %[[X]], %[[Y_TANGENT]], [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 2 : tensor<2x4x6x7xf32>, tensor<6x2x1x1xf32> -> tensor<2x6x6x7xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.add %[[V0]], %[[V1]] : tensor<2x6x6x7xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V2]] : tensor<2x6x6x7xf32>, tensor<2x6x6x7xf32>
// CHECK-NEXT:  }
func.func @grouped(%x: tensor<2x4x6x7xf32>, %y: tensor<6x2x1x1xf32>) -> tensor<2x6x6x7xf32> {
  %r = graph.convolution %x, %y, [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 2 : tensor<2x4x6x7xf32>, tensor<6x2x1x1xf32> -> tensor<2x6x6x7xf32>
  func.return %r : tensor<2x6x6x7xf32>
}

// CHECK-LABEL: func.func @symbolic(
// CHECK-SAME:      %[[X:.*]]: tensor<?x3x?x7xf32> {lamina.dims = ["n", "3", "h", "7"]}, %[[Y:.*]]: tensor<4x3x3x3xf32> {lamina.dims = ["4", "3", "3", "3"]}) -> tensor<?x4x?x5xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.convolution %[[X]], %[[Y]], [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [2, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<?x3x?x7xf32>, tensor<4x3x3x3xf32> -> tensor<?x4x?x5xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<?x4x?x5xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @symbolic.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<?x3x?x7xf32> {lamina.dims = ["n", "3", "h", "7"]}, %[[Y:.*]]: tensor<4x3x3x3xf32> {lamina.dims = ["4", "3", "3", "3"]}, %[[R_COTANGENT:.*]]: tensor<?x4x?x5xf32>) -> (tensor<?x4x?x5xf32>, tensor<?x3x?x7xf32> {lamina.dims = ["n", "3", "h", "7"]}, tensor<4x3x?x3xf32> {lamina.dims = ["4", "3", "3", "3"]}) attributes {lamina.derivative = "vjp of symbolic wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.convolution %[[X]], %[[Y]], [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [2, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<?x3x?x7xf32>, tensor<4x3x3x3xf32> -> tensor<?x4x?x5xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.reverse %[[Y]], [2, 3] : tensor<4x3x3x3xf32> -> tensor<4x3x3x3xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.convolution %[[R_COTANGENT]], %[[V0]], [b, f, 0, 1] x [i, o, 0, 1] -> [b, f, 0, 1], strides = [1, 1], padding = [2, 3, 2, 2], lhs_dilation = [2, 1], rhs_dilation = [1, 1], groups = 1 : tensor<?x4x?x5xf32>, tensor<4x3x3x3xf32> -> tensor<?x3x?x7xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.constant dense<0> : tensor<4xi64>
// CHECK-NEXT:    %[[V3:.*]] = graph.constant dense<1> : tensor<4xi64>
// CHECK-NEXT:    %[[V4:.*]] = graph.shape_of %[[X]] : tensor<?x3x?x7xf32> -> tensor<4xi64>
// CHECK-NEXT:    %[[V5:.*]] = graph.dynamic_slice %[[V1]], %[[V2]] to %[[V4]] step %[[V3]] : tensor<?x3x?x7xf32>, tensor<4xi64>, tensor<4xi64>, tensor<4xi64> -> tensor<?x3x?x7xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.convolution %[[X]], %[[R_COTANGENT]], [f, b, 0, 1] x [i, o, 0, 1] -> [f, b, 0, 1], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [2, 1], groups = 1 : tensor<?x3x?x7xf32>, tensor<?x4x?x5xf32> -> tensor<4x3x?x3xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.slice %[[V6]], [0, 0, 0, 0] to [4, 3, 3, 3] step [1, 1, 1, 1] : tensor<4x3x?x3xf32> -> tensor<4x3x?x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V5]], %[[V7]] : tensor<?x4x?x5xf32>, tensor<?x3x?x7xf32>, tensor<4x3x?x3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @symbolic.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<?x3x?x7xf32> {lamina.dims = ["n", "3", "h", "7"]}, %[[Y:.*]]: tensor<4x3x3x3xf32> {lamina.dims = ["4", "3", "3", "3"]}, %[[X_TANGENT:.*]]: tensor<?x3x?x7xf32> {lamina.dims = ["n", "3", "h", "7"]}, %[[Y_TANGENT:.*]]: tensor<4x3x3x3xf32> {lamina.dims = ["4", "3", "3", "3"]}) -> (tensor<?x4x?x5xf32>, tensor<?x4x?x5xf32>) attributes {lamina.derivative = "jvp of symbolic wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.convolution %[[X]], %[[Y]], [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [2, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<?x3x?x7xf32>, tensor<4x3x3x3xf32> -> tensor<?x4x?x5xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.convolution %[[X_TANGENT]], %[[Y]], [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [2, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<?x3x?x7xf32>, tensor<4x3x3x3xf32> -> tensor<?x4x?x5xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.convolution %[[X]], %[[Y_TANGENT]], [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [2, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<?x3x?x7xf32>, tensor<4x3x3x3xf32> -> tensor<?x4x?x5xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.add %[[V0]], %[[V1]] : tensor<?x4x?x5xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V2]] : tensor<?x4x?x5xf32>, tensor<?x4x?x5xf32>
// CHECK-NEXT:  }
func.func @symbolic(%x: tensor<?x3x?x7xf32> {lamina.dims = ["n", "3", "h", "7"]}, %y: tensor<4x3x3x3xf32> {lamina.dims = ["4", "3", "3", "3"]}) -> tensor<?x4x?x5xf32> {
  %r = graph.convolution %x, %y, [b, f, 0, 1] x [o, i, 0, 1] -> [b, f, 0, 1], strides = [2, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<?x3x?x7xf32>, tensor<4x3x3x3xf32> -> tensor<?x4x?x5xf32>
  func.return %r : tensor<?x4x?x5xf32>
}
