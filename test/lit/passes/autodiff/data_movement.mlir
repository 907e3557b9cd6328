// RUN: lamina-opt %s -p "differentiate{mode=reverse},differentiate{mode=forward},canonicalize,cse" | filecheck %s

// The derivatives of data movement: @NAME.vjp and @NAME.jvp for every rule.

// CHECK-LABEL: func.func @reshape(
// CHECK-SAME:      %[[X:.*]]: tensor<2x6xf32>) -> tensor<3x4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.reshape %[[X]], [3, 4] : tensor<2x6xf32> -> tensor<3x4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<3x4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @reshape.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x6xf32>, %[[R_COTANGENT:.*]]: tensor<3x4xf32>) -> (tensor<3x4xf32>, tensor<2x6xf32>) attributes {lamina.derivative = "vjp of reshape wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.reshape %[[X]], [3, 4] : tensor<2x6xf32> -> tensor<3x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.reshape %[[R_COTANGENT]], [2, 6] : tensor<3x4xf32> -> tensor<2x6xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<3x4xf32>, tensor<2x6xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @reshape.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x6xf32>, %[[X_TANGENT:.*]]: tensor<2x6xf32>) -> (tensor<3x4xf32>, tensor<3x4xf32>) attributes {lamina.derivative = "jvp of reshape wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.reshape %[[X]], [3, 4] : tensor<2x6xf32> -> tensor<3x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.reshape %[[X_TANGENT]], [3, 4] : tensor<2x6xf32> -> tensor<3x4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<3x4xf32>, tensor<3x4xf32>
// CHECK-NEXT:  }
func.func @reshape(%x: tensor<2x6xf32>) -> tensor<3x4xf32> {
  %r = graph.reshape %x, [3, 4] : tensor<2x6xf32> -> tensor<3x4xf32>
  func.return %r : tensor<3x4xf32>
}

// CHECK-LABEL: func.func @dynamic_reshape(
// CHECK-SAME:      %[[X:.*]]: tensor<?x6xf32> {lamina.dims = ["n", "6"]}) -> tensor<2x?x3xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.reshape %[[X]], [2, -1, 3] : tensor<?x6xf32> -> tensor<2x?x3xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x?x3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @dynamic_reshape.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<?x6xf32> {lamina.dims = ["n", "6"]}, %[[R_COTANGENT:.*]]: tensor<2x?x3xf32>) -> (tensor<2x?x3xf32>, tensor<?x6xf32> {lamina.dims = ["n", "6"]}) attributes {lamina.derivative = "vjp of dynamic_reshape wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.reshape %[[X]], [2, -1, 3] : tensor<?x6xf32> -> tensor<2x?x3xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.reshape %[[R_COTANGENT]], [-1, 6] : tensor<2x?x3xf32> -> tensor<?x6xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<2x?x3xf32>, tensor<?x6xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @dynamic_reshape.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<?x6xf32> {lamina.dims = ["n", "6"]}, %[[X_TANGENT:.*]]: tensor<?x6xf32> {lamina.dims = ["n", "6"]}) -> (tensor<2x?x3xf32>, tensor<2x?x3xf32>) attributes {lamina.derivative = "jvp of dynamic_reshape wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.reshape %[[X]], [2, -1, 3] : tensor<?x6xf32> -> tensor<2x?x3xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.reshape %[[X_TANGENT]], [2, -1, 3] : tensor<?x6xf32> -> tensor<2x?x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<2x?x3xf32>, tensor<2x?x3xf32>
// CHECK-NEXT:  }
func.func @dynamic_reshape(%x: tensor<?x6xf32> {lamina.dims = ["n", "6"]}) -> tensor<2x?x3xf32> {
  %0 = graph.constant dense<3> : tensor<1xi64>
  %1 = graph.constant dense<[2, -1]> : tensor<2xi64>
  %2 = graph.concatenate %1, %0 dimension 0 : tensor<2xi64>, tensor<1xi64> -> tensor<3xi64>
  %r = graph.dynamic_reshape %x, %2 : tensor<?x6xf32>, tensor<3xi64> -> tensor<2x?x3xf32>
  func.return %r : tensor<2x?x3xf32>
}

// CHECK-LABEL: func.func @transpose(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3x4xf32>) -> tensor<4x2x3xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.transpose %[[X]], [2, 0, 1] : tensor<2x3x4xf32> -> tensor<4x2x3xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4x2x3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @transpose.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3x4xf32>, %[[R_COTANGENT:.*]]: tensor<4x2x3xf32>) -> (tensor<4x2x3xf32>, tensor<2x3x4xf32>) attributes {lamina.derivative = "vjp of transpose wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.transpose %[[X]], [2, 0, 1] : tensor<2x3x4xf32> -> tensor<4x2x3xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.transpose %[[R_COTANGENT]], [1, 2, 0] : tensor<4x2x3xf32> -> tensor<2x3x4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<4x2x3xf32>, tensor<2x3x4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @transpose.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3x4xf32>, %[[X_TANGENT:.*]]: tensor<2x3x4xf32>) -> (tensor<4x2x3xf32>, tensor<4x2x3xf32>) attributes {lamina.derivative = "jvp of transpose wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.transpose %[[X]], [2, 0, 1] : tensor<2x3x4xf32> -> tensor<4x2x3xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.transpose %[[X_TANGENT]], [2, 0, 1] : tensor<2x3x4xf32> -> tensor<4x2x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<4x2x3xf32>, tensor<4x2x3xf32>
// CHECK-NEXT:  }
func.func @transpose(%x: tensor<2x3x4xf32>) -> tensor<4x2x3xf32> {
  %r = graph.transpose %x, [2, 0, 1] : tensor<2x3x4xf32> -> tensor<4x2x3xf32>
  func.return %r : tensor<4x2x3xf32>
}

// CHECK-LABEL: func.func @broadcast(
// CHECK-SAME:      %[[X:.*]]: tensor<3x1xf32>) -> tensor<2x3x5xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.broadcast %[[X]], [2, -1, 5] : tensor<3x1xf32> -> tensor<2x3x5xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x3x5xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @broadcast.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<3x1xf32>, %[[R_COTANGENT:.*]]: tensor<2x3x5xf32>) -> (tensor<2x3x5xf32>, tensor<3x1xf32>) attributes {lamina.derivative = "vjp of broadcast wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.broadcast %[[X]], [2, -1, 5] : tensor<3x1xf32> -> tensor<2x3x5xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.reduce add %[[R_COTANGENT]], [2] keep_dimensions : tensor<2x3x5xf32> -> tensor<2x3x1xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.reduce add %[[V0]], [0] : tensor<2x3x1xf32> -> tensor<3x1xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V1]] : tensor<2x3x5xf32>, tensor<3x1xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @broadcast.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<3x1xf32>, %[[X_TANGENT:.*]]: tensor<3x1xf32>) -> (tensor<2x3x5xf32>, tensor<2x3x5xf32>) attributes {lamina.derivative = "jvp of broadcast wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.broadcast %[[X]], [2, -1, 5] : tensor<3x1xf32> -> tensor<2x3x5xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.broadcast %[[X_TANGENT]], [2, -1, 5] : tensor<3x1xf32> -> tensor<2x3x5xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<2x3x5xf32>, tensor<2x3x5xf32>
// CHECK-NEXT:  }
func.func @broadcast(%x: tensor<3x1xf32>) -> tensor<2x3x5xf32> {
  %r = graph.broadcast %x, [2, -1, 5] : tensor<3x1xf32> -> tensor<2x3x5xf32>
  func.return %r : tensor<2x3x5xf32>
}

// CHECK-LABEL: func.func @dynamic_broadcast(
// CHECK-SAME:      %[[X:.*]]: tensor<3x1xf32> {lamina.dims = ["3", "1"]}, %[[Y:.*]]: tensor<?x3x4xf32> {lamina.dims = ["n", "3", "4"]}) -> tensor<?x3x4xf32> {
// CHECK-NEXT:    %[[V0:.*]] = graph.shape_of %[[Y]] : tensor<?x3x4xf32> -> tensor<3xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.dynamic_broadcast %[[X]], %[[V0]] : tensor<3x1xf32>, tensor<3xi64> -> tensor<?x3x4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<?x3x4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @dynamic_broadcast.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<3x1xf32> {lamina.dims = ["3", "1"]}, %[[Y:.*]]: tensor<?x3x4xf32> {lamina.dims = ["n", "3", "4"]}, %[[R_COTANGENT:.*]]: tensor<?x3x4xf32>) -> (tensor<?x3x4xf32>, tensor<3x1xf32> {lamina.dims = ["3", "1"]}, tensor<?x3x4xf32> {lamina.dims = ["n", "3", "4"]}) attributes {lamina.derivative = "vjp of dynamic_broadcast wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.shape_of %[[Y]] : tensor<?x3x4xf32> -> tensor<3xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.dynamic_broadcast %[[X]], %[[V0]] : tensor<3x1xf32>, tensor<3xi64> -> tensor<?x3x4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.reduce add %[[R_COTANGENT]], [2] keep_dimensions : tensor<?x3x4xf32> -> tensor<?x3x1xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.reduce add %[[V1]], [0] : tensor<?x3x1xf32> -> tensor<3x1xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V4:.*]] = graph.dynamic_broadcast %[[V3]], %[[V0]] : tensor<f32>, tensor<3xi64> -> tensor<?x3x4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V2]], %[[V4]] : tensor<?x3x4xf32>, tensor<3x1xf32>, tensor<?x3x4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @dynamic_broadcast.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<3x1xf32> {lamina.dims = ["3", "1"]}, %[[Y:.*]]: tensor<?x3x4xf32> {lamina.dims = ["n", "3", "4"]}, %[[X_TANGENT:.*]]: tensor<3x1xf32> {lamina.dims = ["3", "1"]}, %[[Y_TANGENT:.*]]: tensor<?x3x4xf32> {lamina.dims = ["n", "3", "4"]}) -> (tensor<?x3x4xf32>, tensor<?x3x4xf32>) attributes {lamina.derivative = "jvp of dynamic_broadcast wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.shape_of %[[Y]] : tensor<?x3x4xf32> -> tensor<3xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.dynamic_broadcast %[[X]], %[[V0]] : tensor<3x1xf32>, tensor<3xi64> -> tensor<?x3x4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.dynamic_broadcast %[[X_TANGENT]], %[[V0]] : tensor<3x1xf32>, tensor<3xi64> -> tensor<?x3x4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V1]] : tensor<?x3x4xf32>, tensor<?x3x4xf32>
// CHECK-NEXT:  }
func.func @dynamic_broadcast(%x: tensor<3x1xf32> {lamina.dims = ["3", "1"]}, %y: tensor<?x3x4xf32> {lamina.dims = ["n", "3", "4"]}) -> tensor<?x3x4xf32> {
  %0 = graph.shape_of %y : tensor<?x3x4xf32> -> tensor<3xi64>
  %r = graph.dynamic_broadcast %x, %0 : tensor<3x1xf32>, tensor<3xi64> -> tensor<?x3x4xf32>
  func.return %r : tensor<?x3x4xf32>
}

// CHECK-LABEL: func.func @slice(
// CHECK-SAME:      %[[X:.*]]: tensor<7x5xf32>) -> tensor<3x4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.slice %[[X]], [1, 0] to [6, -1] step [2, 1] : tensor<7x5xf32> -> tensor<3x4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<3x4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @slice.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<7x5xf32>, %[[R_COTANGENT:.*]]: tensor<3x4xf32>) -> (tensor<3x4xf32>, tensor<7x5xf32>) attributes {lamina.derivative = "vjp of slice wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.slice %[[X]], [1, 0] to [6, -1] step [2, 1] : tensor<7x5xf32> -> tensor<3x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.pad constant %[[R_COTANGENT]], %[[V0]], low [1, 0] high [1, 1] interior [1, 0] : tensor<3x4xf32>, tensor<f32> -> tensor<7x5xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V1]] : tensor<3x4xf32>, tensor<7x5xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @slice.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<7x5xf32>, %[[X_TANGENT:.*]]: tensor<7x5xf32>) -> (tensor<3x4xf32>, tensor<3x4xf32>) attributes {lamina.derivative = "jvp of slice wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.slice %[[X]], [1, 0] to [6, -1] step [2, 1] : tensor<7x5xf32> -> tensor<3x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.slice %[[X_TANGENT]], [1, 0] to [6, -1] step [2, 1] : tensor<7x5xf32> -> tensor<3x4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<3x4xf32>, tensor<3x4xf32>
// CHECK-NEXT:  }
func.func @slice(%x: tensor<7x5xf32>) -> tensor<3x4xf32> {
  %r = graph.slice %x, [1, 0] to [6, -1] step [2, 1] : tensor<7x5xf32> -> tensor<3x4xf32>
  func.return %r : tensor<3x4xf32>
}

// CHECK-LABEL: func.func @slice_symbolic(
// CHECK-SAME:      %[[X:.*]]: tensor<?x5xf32> {lamina.dims = ["n", "5"]}) -> tensor<?x3xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.slice %[[X]], [1, 0] to [-1, 3] step [1, 1] : tensor<?x5xf32> -> tensor<?x3xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<?x3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @slice_symbolic.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<?x5xf32> {lamina.dims = ["n", "5"]}, %[[R_COTANGENT:.*]]: tensor<?x3xf32>) -> (tensor<?x3xf32>, tensor<?x5xf32> {lamina.dims = ["n", "5"]}) attributes {lamina.derivative = "vjp of slice_symbolic wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.slice %[[X]], [1, 0] to [-1, 3] step [1, 1] : tensor<?x5xf32> -> tensor<?x3xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<1> : tensor<1xi64>
// CHECK-NEXT:    %[[V1:.*]] = graph.dimension %[[X]], 0 : tensor<?x5xf32> -> tensor<i64>
// CHECK-NEXT:    %[[V2:.*]] = graph.reshape %[[V1]], [1] : tensor<i64> -> tensor<1xi64>
// CHECK-NEXT:    %[[V3:.*]] = graph.dimension %[[R_COTANGENT]], 0 : tensor<?x3xf32> -> tensor<i64>
// CHECK-NEXT:    %[[V4:.*]] = graph.reshape %[[V3]], [1] : tensor<i64> -> tensor<1xi64>
// CHECK-NEXT:    %[[V5:.*]] = graph.constant dense<0> : tensor<i64>
// CHECK-NEXT:    %[[V6:.*]] = graph.compare LT, %[[V0]], %[[V5]] : tensor<1xi64>, tensor<i64> -> tensor<1xi1>
// CHECK-NEXT:    %[[V7:.*]] = graph.add %[[V0]], %[[V2]] : tensor<1xi64>
// CHECK-NEXT:    %[[V8:.*]] = graph.select %[[V6]], %[[V7]], %[[V0]] : tensor<1xi1>, tensor<1xi64>, tensor<1xi64> -> tensor<1xi64>
// CHECK-NEXT:    %[[V9:.*]] = graph.constant dense<0> : tensor<1xi64>
// CHECK-NEXT:    %[[V10:.*]] = graph.clamp %[[V9]], %[[V8]], %[[V2]] : tensor<1xi64>
// CHECK-NEXT:    %[[V11:.*]] = graph.constant dense<1> : tensor<i64>
// CHECK-NEXT:    %[[V12:.*]] = graph.subtract %[[V4]], %[[V11]] : tensor<1xi64>, tensor<i64> -> tensor<1xi64>
// CHECK-NEXT:    %[[V13:.*]] = graph.add %[[V12]], %[[V11]] : tensor<1xi64>, tensor<i64> -> tensor<1xi64>
// CHECK-NEXT:    %[[V14:.*]] = graph.maximum %[[V13]], %[[V5]] : tensor<1xi64>, tensor<i64> -> tensor<1xi64>
// CHECK-NEXT:    %[[V15:.*]] = graph.subtract %[[V2]], %[[V10]] : tensor<1xi64>
// CHECK-NEXT:    %[[V16:.*]] = graph.subtract %[[V15]], %[[V14]] : tensor<1xi64>
// CHECK-NEXT:    %[[V17:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V18:.*]] = graph.concatenate %[[V10]], %[[V9]] dimension 0 : tensor<1xi64>, tensor<1xi64> -> tensor<2xi64>
// CHECK-NEXT:    %[[V19:.*]] = graph.constant dense<2> : tensor<1xi64>
// CHECK-NEXT:    %[[V20:.*]] = graph.concatenate %[[V16]], %[[V19]] dimension 0 : tensor<1xi64>, tensor<1xi64> -> tensor<2xi64>
// CHECK-NEXT:    %[[V21:.*]] = graph.dynamic_pad constant %[[R_COTANGENT]], %[[V17]], low %[[V18]] high %[[V20]] : tensor<?x3xf32>, tensor<f32>, tensor<2xi64>, tensor<2xi64> -> tensor<?x5xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V21]] : tensor<?x3xf32>, tensor<?x5xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @slice_symbolic.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<?x5xf32> {lamina.dims = ["n", "5"]}, %[[X_TANGENT:.*]]: tensor<?x5xf32> {lamina.dims = ["n", "5"]}) -> (tensor<?x3xf32>, tensor<?x3xf32>) attributes {lamina.derivative = "jvp of slice_symbolic wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.slice %[[X]], [1, 0] to [-1, 3] step [1, 1] : tensor<?x5xf32> -> tensor<?x3xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.slice %[[X_TANGENT]], [1, 0] to [-1, 3] step [1, 1] : tensor<?x5xf32> -> tensor<?x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<?x3xf32>, tensor<?x3xf32>
// CHECK-NEXT:  }
func.func @slice_symbolic(%x: tensor<?x5xf32> {lamina.dims = ["n", "5"]}) -> tensor<?x3xf32> {
  %r = graph.slice %x, [1, 0] to [-1, 3] step [1, 1] : tensor<?x5xf32> -> tensor<?x3xf32>
  func.return %r : tensor<?x3xf32>
}

// CHECK-LABEL: func.func @dynamic_slice(
// CHECK-SAME:      %[[X:.*]]: tensor<7xf32>) -> tensor<?xf32> {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<1.000000e+00> : tensor<1xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.cast %[[V0]] : tensor<1xf32> -> tensor<1xi64>
// CHECK-NEXT:    %[[V2:.*]] = graph.constant dense<6.000000e+00> : tensor<1xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.cast %[[V2]] : tensor<1xf32> -> tensor<1xi64>
// CHECK-NEXT:    %[[V4:.*]] = graph.constant dense<2> : tensor<1xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.dynamic_slice %[[X]], %[[V1]] to %[[V3]] step %[[V4]] : tensor<7xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64> -> tensor<?xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<?xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @dynamic_slice.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<7xf32>, %[[R_COTANGENT:.*]]: tensor<?xf32>) -> (tensor<?xf32>, tensor<?xf32>) attributes {lamina.derivative = "vjp of dynamic_slice wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<1.000000e+00> : tensor<1xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.cast %[[V0]] : tensor<1xf32> -> tensor<1xi64>
// CHECK-NEXT:    %[[V2:.*]] = graph.constant dense<6.000000e+00> : tensor<1xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.cast %[[V2]] : tensor<1xf32> -> tensor<1xi64>
// CHECK-NEXT:    %[[V4:.*]] = graph.constant dense<2> : tensor<1xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.dynamic_slice %[[X]], %[[V1]] to %[[V3]] step %[[V4]] : tensor<7xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64> -> tensor<?xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.constant dense<7> : tensor<1xi64>
// CHECK-NEXT:    %[[V6:.*]] = graph.dimension %[[R_COTANGENT]], 0 : tensor<?xf32> -> tensor<i64>
// CHECK-NEXT:    %[[V7:.*]] = graph.reshape %[[V6]], [1] : tensor<i64> -> tensor<1xi64>
// CHECK-NEXT:    %[[V8:.*]] = graph.constant dense<0> : tensor<i64>
// CHECK-NEXT:    %[[V9:.*]] = graph.compare LT, %[[V1]], %[[V8]] : tensor<1xi64>, tensor<i64> -> tensor<1xi1>
// CHECK-NEXT:    %[[V10:.*]] = graph.add %[[V1]], %[[V5]] : tensor<1xi64>
// CHECK-NEXT:    %[[V11:.*]] = graph.select %[[V9]], %[[V10]], %[[V1]] : tensor<1xi1>, tensor<1xi64>, tensor<1xi64> -> tensor<1xi64>
// CHECK-NEXT:    %[[V12:.*]] = graph.constant dense<0> : tensor<1xi64>
// CHECK-NEXT:    %[[V13:.*]] = graph.clamp %[[V12]], %[[V11]], %[[V5]] : tensor<1xi64>
// CHECK-NEXT:    %[[V14:.*]] = graph.constant dense<1> : tensor<i64>
// CHECK-NEXT:    %[[V15:.*]] = graph.subtract %[[V7]], %[[V14]] : tensor<1xi64>, tensor<i64> -> tensor<1xi64>
// CHECK-NEXT:    %[[V16:.*]] = graph.constant dense<2> : tensor<i64>
// CHECK-NEXT:    %[[V17:.*]] = graph.multiply %[[V15]], %[[V16]] : tensor<1xi64>, tensor<i64> -> tensor<1xi64>
// CHECK-NEXT:    %[[V18:.*]] = graph.add %[[V17]], %[[V14]] : tensor<1xi64>, tensor<i64> -> tensor<1xi64>
// CHECK-NEXT:    %[[V19:.*]] = graph.maximum %[[V18]], %[[V8]] : tensor<1xi64>, tensor<i64> -> tensor<1xi64>
// CHECK-NEXT:    %[[V20:.*]] = graph.subtract %[[V5]], %[[V13]] : tensor<1xi64>
// CHECK-NEXT:    %[[V21:.*]] = graph.subtract %[[V20]], %[[V19]] : tensor<1xi64>
// CHECK-NEXT:    %[[V22:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V23:.*]] = graph.pad constant %[[R_COTANGENT]], %[[V22]], low [0] high [0] interior [1] : tensor<?xf32>, tensor<f32> -> tensor<?xf32>
// CHECK-NEXT:    %[[V24:.*]] = graph.dynamic_pad constant %[[V23]], %[[V22]], low %[[V13]] high %[[V21]] : tensor<?xf32>, tensor<f32>, tensor<1xi64>, tensor<1xi64> -> tensor<?xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V24]] : tensor<?xf32>, tensor<?xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @dynamic_slice.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<7xf32>, %[[X_TANGENT:.*]]: tensor<7xf32>) -> (tensor<?xf32>, tensor<?xf32>) attributes {lamina.derivative = "jvp of dynamic_slice wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<1.000000e+00> : tensor<1xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.cast %[[V0]] : tensor<1xf32> -> tensor<1xi64>
// CHECK-NEXT:    %[[V2:.*]] = graph.constant dense<6.000000e+00> : tensor<1xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.cast %[[V2]] : tensor<1xf32> -> tensor<1xi64>
// CHECK-NEXT:    %[[V4:.*]] = graph.constant dense<2> : tensor<1xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.dynamic_slice %[[X]], %[[V1]] to %[[V3]] step %[[V4]] : tensor<7xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64> -> tensor<?xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.dynamic_slice %[[X_TANGENT]], %[[V1]] to %[[V3]] step %[[V4]] : tensor<7xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64> -> tensor<?xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V5]] : tensor<?xf32>, tensor<?xf32>
// CHECK-NEXT:  }
func.func @dynamic_slice(%x: tensor<7xf32>) -> tensor<?xf32> {
  %0 = graph.constant dense<1.000000e+00> : tensor<1xf32>
  %1 = graph.cast %0 : tensor<1xf32> -> tensor<1xi64>
  %2 = graph.constant dense<6.000000e+00> : tensor<1xf32>
  %3 = graph.cast %2 : tensor<1xf32> -> tensor<1xi64>
  %4 = graph.constant dense<2> : tensor<1xi64>
  %r = graph.dynamic_slice %x, %1 to %3 step %4 : tensor<7xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64> -> tensor<?xf32>
  func.return %r : tensor<?xf32>
}

// CHECK-LABEL: func.func @reverse(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>) -> tensor<2x3xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.reverse %[[X]], [1] : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @reverse.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>, %[[R_COTANGENT:.*]]: tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>) attributes {lamina.derivative = "vjp of reverse wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.reverse %[[X]], [1] : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.reverse %[[R_COTANGENT]], [1] : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<2x3xf32>, tensor<2x3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @reverse.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>, %[[X_TANGENT:.*]]: tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>) attributes {lamina.derivative = "jvp of reverse wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.reverse %[[X]], [1] : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.reverse %[[X_TANGENT]], [1] : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<2x3xf32>, tensor<2x3xf32>
// CHECK-NEXT:  }
func.func @reverse(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %r = graph.reverse %x, [1] : tensor<2x3xf32> -> tensor<2x3xf32>
  func.return %r : tensor<2x3xf32>
}

// CHECK-LABEL: func.func @pad(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>, %[[Y:.*]]: tensor<f32>) -> tensor<3x6xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.pad constant %[[X]], %[[Y]], low [1, 0] high [0, -1] interior [0, 2] : tensor<2x3xf32>, tensor<f32> -> tensor<3x6xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<3x6xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @pad.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>, %[[Y:.*]]: tensor<f32>, %[[R_COTANGENT:.*]]: tensor<3x6xf32>) -> (tensor<3x6xf32>, tensor<2x3xf32>, tensor<f32>) attributes {lamina.derivative = "vjp of pad wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.pad constant %[[X]], %[[Y]], low [1, 0] high [0, -1] interior [0, 2] : tensor<2x3xf32>, tensor<f32> -> tensor<3x6xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.pad constant %[[R_COTANGENT]], %[[V0]], low [-1, 0] high [0, 1] interior [0, 0] : tensor<3x6xf32>, tensor<f32> -> tensor<2x7xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.slice %[[V1]], [0, 0] to [9223372036854775807, 9223372036854775807] step [1, 3] : tensor<2x7xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.reduce add %[[R_COTANGENT]], [0, 1] : tensor<3x6xf32> -> tensor<f32>
// CHECK-NEXT:    %[[V4:.*]] = graph.reduce add %[[V2]], [0, 1] : tensor<2x3xf32> -> tensor<f32>
// CHECK-NEXT:    %[[V5:.*]] = graph.subtract %[[V3]], %[[V4]] : tensor<f32>
// CHECK-NEXT:    func.return %[[R]], %[[V2]], %[[V5]] : tensor<3x6xf32>, tensor<2x3xf32>, tensor<f32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @pad.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>, %[[Y:.*]]: tensor<f32>, %[[X_TANGENT:.*]]: tensor<2x3xf32>, %[[Y_TANGENT:.*]]: tensor<f32>) -> (tensor<3x6xf32>, tensor<3x6xf32>) attributes {lamina.derivative = "jvp of pad wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.pad constant %[[X]], %[[Y]], low [1, 0] high [0, -1] interior [0, 2] : tensor<2x3xf32>, tensor<f32> -> tensor<3x6xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.pad constant %[[X_TANGENT]], %[[Y_TANGENT]], low [1, 0] high [0, -1] interior [0, 2] : tensor<2x3xf32>, tensor<f32> -> tensor<3x6xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<3x6xf32>, tensor<3x6xf32>
// CHECK-NEXT:  }
func.func @pad(%x: tensor<2x3xf32>, %y: tensor<f32>) -> tensor<3x6xf32> {
  %r = graph.pad constant %x, %y, low [1, 0] high [0, -1] interior [0, 2] : tensor<2x3xf32>, tensor<f32> -> tensor<3x6xf32>
  func.return %r : tensor<3x6xf32>
}

// CHECK-LABEL: func.func @pad_edge(
// CHECK-SAME:      %[[X:.*]]: tensor<3xf32>) -> tensor<6xf32> {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[R:.*]] = graph.pad edge %[[X]], %[[V0]], low [1] high [2] interior [0] : tensor<3xf32>, tensor<f32> -> tensor<6xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<6xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @pad_edge.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<3xf32>, %[[R_COTANGENT:.*]]: tensor<6xf32>) -> (tensor<6xf32>, tensor<3xf32>) attributes {lamina.derivative = "vjp of pad_edge wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[R:.*]] = graph.pad edge %[[X]], %[[V0]], low [1] high [2] interior [0] : tensor<3xf32>, tensor<f32> -> tensor<6xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<1> : tensor<1xi64>
// CHECK-NEXT:    %[[V2:.*]] = graph.constant dense<3> : tensor<1xi64>
// CHECK-NEXT:    %[[V3:.*]] = graph.constant dense<1> : tensor<i64>
// CHECK-NEXT:    %[[V4:.*]] = graph.subtract %[[V2]], %[[V3]] : tensor<1xi64>, tensor<i64> -> tensor<1xi64>
// CHECK-NEXT:    %[[V5:.*]] = graph.iota [6] dimension 0 : tensor<6xi64>
// CHECK-NEXT:    %[[V6:.*]] = graph.subtract %[[V5]], %[[V1]] : tensor<6xi64>, tensor<1xi64> -> tensor<6xi64>
// CHECK-NEXT:    %[[V7:.*]] = graph.constant dense<0> : tensor<1xi64>
// CHECK-NEXT:    %[[V8:.*]] = graph.clamp %[[V7]], %[[V6]], %[[V4]] : tensor<1xi64>, tensor<6xi64>, tensor<1xi64> -> tensor<6xi64>
// CHECK-NEXT:    %[[V9:.*]] = graph.broadcast %[[V0]], [3] : tensor<f32> -> tensor<3xf32>
// CHECK-NEXT:    %[[V10:.*]] = graph.scatter add %[[V9]], %[[V8]], %[[R_COTANGENT]], update_window_dims [] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<3xf32>, tensor<6xi64>, tensor<6xf32> -> tensor<3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V10]] : tensor<6xf32>, tensor<3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @pad_edge.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<3xf32>, %[[X_TANGENT:.*]]: tensor<3xf32>) -> (tensor<6xf32>, tensor<6xf32>) attributes {lamina.derivative = "jvp of pad_edge wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[R:.*]] = graph.pad edge %[[X]], %[[V0]], low [1] high [2] interior [0] : tensor<3xf32>, tensor<f32> -> tensor<6xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.pad edge %[[X_TANGENT]], %[[V0]], low [1] high [2] interior [0] : tensor<3xf32>, tensor<f32> -> tensor<6xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V1]] : tensor<6xf32>, tensor<6xf32>
// CHECK-NEXT:  }
func.func @pad_edge(%x: tensor<3xf32>) -> tensor<6xf32> {
  %0 = graph.constant dense<0.000000e+00> : tensor<f32>
  %r = graph.pad edge %x, %0, low [1] high [2] interior [0] : tensor<3xf32>, tensor<f32> -> tensor<6xf32>
  func.return %r : tensor<6xf32>
}

// CHECK-LABEL: func.func @dynamic_pad(
// CHECK-SAME:      %[[X:.*]]: tensor<3xf32>, %[[Y:.*]]: tensor<f32>) -> tensor<?xf32> {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<1.000000e+00> : tensor<1xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.cast %[[V0]] : tensor<1xf32> -> tensor<1xi64>
// CHECK-NEXT:    %[[V2:.*]] = graph.constant dense<2.000000e+00> : tensor<1xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.cast %[[V2]] : tensor<1xf32> -> tensor<1xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.dynamic_pad constant %[[X]], %[[Y]], low %[[V1]] high %[[V3]] : tensor<3xf32>, tensor<f32>, tensor<1xi64>, tensor<1xi64> -> tensor<?xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<?xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @dynamic_pad.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<3xf32>, %[[Y:.*]]: tensor<f32>, %[[R_COTANGENT:.*]]: tensor<?xf32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<f32>) attributes {lamina.derivative = "vjp of dynamic_pad wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<1.000000e+00> : tensor<1xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.cast %[[V0]] : tensor<1xf32> -> tensor<1xi64>
// CHECK-NEXT:    %[[V2:.*]] = graph.constant dense<2.000000e+00> : tensor<1xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.cast %[[V2]] : tensor<1xf32> -> tensor<1xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.dynamic_pad constant %[[X]], %[[Y]], low %[[V1]] high %[[V3]] : tensor<3xf32>, tensor<f32>, tensor<1xi64>, tensor<1xi64> -> tensor<?xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V5:.*]] = graph.negate %[[V1]] : tensor<1xi64>
// CHECK-NEXT:    %[[V6:.*]] = graph.negate %[[V3]] : tensor<1xi64>
// CHECK-NEXT:    %[[V7:.*]] = graph.dynamic_pad constant %[[R_COTANGENT]], %[[V4]], low %[[V5]] high %[[V6]] : tensor<?xf32>, tensor<f32>, tensor<1xi64>, tensor<1xi64> -> tensor<?xf32>
// CHECK-NEXT:    %[[V8:.*]] = graph.reduce add %[[R_COTANGENT]], [0] : tensor<?xf32> -> tensor<f32>
// CHECK-NEXT:    %[[V9:.*]] = graph.reduce add %[[V7]], [0] : tensor<?xf32> -> tensor<f32>
// CHECK-NEXT:    %[[V10:.*]] = graph.subtract %[[V8]], %[[V9]] : tensor<f32>
// CHECK-NEXT:    func.return %[[R]], %[[V7]], %[[V10]] : tensor<?xf32>, tensor<?xf32>, tensor<f32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @dynamic_pad.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<3xf32>, %[[Y:.*]]: tensor<f32>, %[[X_TANGENT:.*]]: tensor<3xf32>, %[[Y_TANGENT:.*]]: tensor<f32>) -> (tensor<?xf32>, tensor<?xf32>) attributes {lamina.derivative = "jvp of dynamic_pad wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<1.000000e+00> : tensor<1xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.cast %[[V0]] : tensor<1xf32> -> tensor<1xi64>
// CHECK-NEXT:    %[[V2:.*]] = graph.constant dense<2.000000e+00> : tensor<1xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.cast %[[V2]] : tensor<1xf32> -> tensor<1xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.dynamic_pad constant %[[X]], %[[Y]], low %[[V1]] high %[[V3]] : tensor<3xf32>, tensor<f32>, tensor<1xi64>, tensor<1xi64> -> tensor<?xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.dynamic_pad constant %[[X_TANGENT]], %[[Y_TANGENT]], low %[[V1]] high %[[V3]] : tensor<3xf32>, tensor<f32>, tensor<1xi64>, tensor<1xi64> -> tensor<?xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V4]] : tensor<?xf32>, tensor<?xf32>
// CHECK-NEXT:  }
func.func @dynamic_pad(%x: tensor<3xf32>, %y: tensor<f32>) -> tensor<?xf32> {
  %0 = graph.constant dense<1.000000e+00> : tensor<1xf32>
  %1 = graph.cast %0 : tensor<1xf32> -> tensor<1xi64>
  %2 = graph.constant dense<2.000000e+00> : tensor<1xf32>
  %3 = graph.cast %2 : tensor<1xf32> -> tensor<1xi64>
  %r = graph.dynamic_pad constant %x, %y, low %1 high %3 : tensor<3xf32>, tensor<f32>, tensor<1xi64>, tensor<1xi64> -> tensor<?xf32>
  func.return %r : tensor<?xf32>
}

// CHECK-LABEL: func.func @concatenate(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>, %[[Y:.*]]: tensor<2x1xf32>) -> tensor<2x7xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.concatenate %[[X]], %[[Y]], %[[X]] dimension 1 : tensor<2x3xf32>, tensor<2x1xf32>, tensor<2x3xf32> -> tensor<2x7xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x7xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @concatenate.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>, %[[Y:.*]]: tensor<2x1xf32>, %[[R_COTANGENT:.*]]: tensor<2x7xf32>) -> (tensor<2x7xf32>, tensor<2x3xf32>, tensor<2x1xf32>) attributes {lamina.derivative = "vjp of concatenate wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.concatenate %[[X]], %[[Y]], %[[X]] dimension 1 : tensor<2x3xf32>, tensor<2x1xf32>, tensor<2x3xf32> -> tensor<2x7xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.slice %[[R_COTANGENT]], [0, 0] to [9223372036854775807, 3] step [1, 1] : tensor<2x7xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.slice %[[R_COTANGENT]], [0, 3] to [9223372036854775807, 4] step [1, 1] : tensor<2x7xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.slice %[[R_COTANGENT]], [0, 4] to [9223372036854775807, 7] step [1, 1] : tensor<2x7xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.add %[[V0]], %[[V2]] : tensor<2x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V3]], %[[V1]] : tensor<2x7xf32>, tensor<2x3xf32>, tensor<2x1xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @concatenate.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>, %[[Y:.*]]: tensor<2x1xf32>, %[[X_TANGENT:.*]]: tensor<2x3xf32>, %[[Y_TANGENT:.*]]: tensor<2x1xf32>) -> (tensor<2x7xf32>, tensor<2x7xf32>) attributes {lamina.derivative = "jvp of concatenate wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.concatenate %[[X]], %[[Y]], %[[X]] dimension 1 : tensor<2x3xf32>, tensor<2x1xf32>, tensor<2x3xf32> -> tensor<2x7xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.concatenate %[[X_TANGENT]], %[[Y_TANGENT]], %[[X_TANGENT]] dimension 1 : tensor<2x3xf32>, tensor<2x1xf32>, tensor<2x3xf32> -> tensor<2x7xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<2x7xf32>, tensor<2x7xf32>
// CHECK-NEXT:  }
func.func @concatenate(%x: tensor<2x3xf32>, %y: tensor<2x1xf32>) -> tensor<2x7xf32> {
  %r = graph.concatenate %x, %y, %x dimension 1 : tensor<2x3xf32>, tensor<2x1xf32>, tensor<2x3xf32> -> tensor<2x7xf32>
  func.return %r : tensor<2x7xf32>
}

// CHECK-LABEL: func.func @concatenate_symbolic(
// CHECK-SAME:      %[[X:.*]]: tensor<2x?xf32> {lamina.dims = ["2", "m"]}, %[[Y:.*]]: tensor<2x?xf32> {lamina.dims = ["2", "n"]}) -> tensor<2x?xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.concatenate %[[X]], %[[Y]] dimension 1 : tensor<2x?xf32>, tensor<2x?xf32> -> tensor<2x?xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x?xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @concatenate_symbolic.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x?xf32> {lamina.dims = ["2", "m"]}, %[[Y:.*]]: tensor<2x?xf32> {lamina.dims = ["2", "n"]}, %[[R_COTANGENT:.*]]: tensor<2x?xf32>) -> (tensor<2x?xf32>, tensor<2x?xf32> {lamina.dims = ["2", "m"]}, tensor<2x?xf32> {lamina.dims = ["2", "n"]}) attributes {lamina.derivative = "vjp of concatenate_symbolic wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.concatenate %[[X]], %[[Y]] dimension 1 : tensor<2x?xf32>, tensor<2x?xf32> -> tensor<2x?xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.dimension %[[X]], 1 : tensor<2x?xf32> -> tensor<i64>
// CHECK-NEXT:    %[[V1:.*]] = graph.reshape %[[V0]], [1] : tensor<i64> -> tensor<1xi64>
// CHECK-NEXT:    %[[V2:.*]] = graph.constant dense<0> : tensor<2xi64>
// CHECK-NEXT:    %[[V3:.*]] = graph.constant dense<9223372036854775807> : tensor<1xi64>
// CHECK-NEXT:    %[[V4:.*]] = graph.concatenate %[[V3]], %[[V1]] dimension 0 : tensor<1xi64>, tensor<1xi64> -> tensor<2xi64>
// CHECK-NEXT:    %[[V5:.*]] = graph.constant dense<1> : tensor<2xi64>
// CHECK-NEXT:    %[[V6:.*]] = graph.dynamic_slice %[[R_COTANGENT]], %[[V2]] to %[[V4]] step %[[V5]] : tensor<2x?xf32>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64> -> tensor<2x?xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.dimension %[[Y]], 1 : tensor<2x?xf32> -> tensor<i64>
// CHECK-NEXT:    %[[V8:.*]] = graph.reshape %[[V7]], [1] : tensor<i64> -> tensor<1xi64>
// CHECK-NEXT:    %[[V9:.*]] = graph.add %[[V1]], %[[V8]] : tensor<1xi64>
// CHECK-NEXT:    %[[V10:.*]] = graph.constant dense<0> : tensor<1xi64>
// CHECK-NEXT:    %[[V11:.*]] = graph.concatenate %[[V10]], %[[V1]] dimension 0 : tensor<1xi64>, tensor<1xi64> -> tensor<2xi64>
// CHECK-NEXT:    %[[V12:.*]] = graph.concatenate %[[V3]], %[[V9]] dimension 0 : tensor<1xi64>, tensor<1xi64> -> tensor<2xi64>
// CHECK-NEXT:    %[[V13:.*]] = graph.dynamic_slice %[[R_COTANGENT]], %[[V11]] to %[[V12]] step %[[V5]] : tensor<2x?xf32>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64> -> tensor<2x?xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V6]], %[[V13]] : tensor<2x?xf32>, tensor<2x?xf32>, tensor<2x?xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @concatenate_symbolic.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x?xf32> {lamina.dims = ["2", "m"]}, %[[Y:.*]]: tensor<2x?xf32> {lamina.dims = ["2", "n"]}, %[[X_TANGENT:.*]]: tensor<2x?xf32> {lamina.dims = ["2", "m"]}, %[[Y_TANGENT:.*]]: tensor<2x?xf32> {lamina.dims = ["2", "n"]}) -> (tensor<2x?xf32>, tensor<2x?xf32>) attributes {lamina.derivative = "jvp of concatenate_symbolic wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.concatenate %[[X]], %[[Y]] dimension 1 : tensor<2x?xf32>, tensor<2x?xf32> -> tensor<2x?xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.concatenate %[[X_TANGENT]], %[[Y_TANGENT]] dimension 1 : tensor<2x?xf32>, tensor<2x?xf32> -> tensor<2x?xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<2x?xf32>, tensor<2x?xf32>
// CHECK-NEXT:  }
func.func @concatenate_symbolic(%x: tensor<2x?xf32> {lamina.dims = ["2", "m"]}, %y: tensor<2x?xf32> {lamina.dims = ["2", "n"]}) -> tensor<2x?xf32> {
  %r = graph.concatenate %x, %y dimension 1 : tensor<2x?xf32>, tensor<2x?xf32> -> tensor<2x?xf32>
  func.return %r : tensor<2x?xf32>
}

// CHECK-LABEL: func.func @dynamic_update_slice(
// CHECK-SAME:      %[[X:.*]]: tensor<7xf32>, %[[Y:.*]]: tensor<2xf32>) -> tensor<7xf32> {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<3.000000e+00> : tensor<1xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.cast %[[V0]] : tensor<1xf32> -> tensor<1xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.dynamic_update_slice %[[X]], %[[Y]], %[[V1]] : tensor<7xf32>, tensor<2xf32>, tensor<1xi64> -> tensor<7xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<7xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @dynamic_update_slice.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<7xf32>, %[[Y:.*]]: tensor<2xf32>, %[[R_COTANGENT:.*]]: tensor<7xf32>) -> (tensor<7xf32>, tensor<7xf32>, tensor<2xf32>) attributes {lamina.derivative = "vjp of dynamic_update_slice wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<3.000000e+00> : tensor<1xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.cast %[[V0]] : tensor<1xf32> -> tensor<1xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.dynamic_update_slice %[[X]], %[[Y]], %[[V1]] : tensor<7xf32>, tensor<2xf32>, tensor<1xi64> -> tensor<7xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.constant dense<0.000000e+00> : tensor<2xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.dynamic_update_slice %[[R_COTANGENT]], %[[V2]], %[[V1]] : tensor<7xf32>, tensor<2xf32>, tensor<1xi64> -> tensor<7xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.constant dense<7> : tensor<1xi64>
// CHECK-NEXT:    %[[V5:.*]] = graph.constant dense<2> : tensor<1xi64>
// CHECK-NEXT:    %[[V6:.*]] = graph.subtract %[[V4]], %[[V5]] : tensor<1xi64>
// CHECK-NEXT:    %[[V7:.*]] = graph.constant dense<0> : tensor<i64>
// CHECK-NEXT:    %[[V8:.*]] = graph.clamp %[[V7]], %[[V1]], %[[V6]] : tensor<i64>, tensor<1xi64>, tensor<1xi64> -> tensor<1xi64>
// CHECK-NEXT:    %[[V9:.*]] = graph.add %[[V8]], %[[V5]] : tensor<1xi64>
// CHECK-NEXT:    %[[V10:.*]] = graph.constant dense<1> : tensor<1xi64>
// CHECK-NEXT:    %[[V11:.*]] = graph.dynamic_slice %[[R_COTANGENT]], %[[V8]] to %[[V9]] step %[[V10]] : tensor<7xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64> -> tensor<2xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V3]], %[[V11]] : tensor<7xf32>, tensor<7xf32>, tensor<2xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @dynamic_update_slice.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<7xf32>, %[[Y:.*]]: tensor<2xf32>, %[[X_TANGENT:.*]]: tensor<7xf32>, %[[Y_TANGENT:.*]]: tensor<2xf32>) -> (tensor<7xf32>, tensor<7xf32>) attributes {lamina.derivative = "jvp of dynamic_update_slice wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<3.000000e+00> : tensor<1xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.cast %[[V0]] : tensor<1xf32> -> tensor<1xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.dynamic_update_slice %[[X]], %[[Y]], %[[V1]] : tensor<7xf32>, tensor<2xf32>, tensor<1xi64> -> tensor<7xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.dynamic_update_slice %[[X_TANGENT]], %[[Y_TANGENT]], %[[V1]] : tensor<7xf32>, tensor<2xf32>, tensor<1xi64> -> tensor<7xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V2]] : tensor<7xf32>, tensor<7xf32>
// CHECK-NEXT:  }
func.func @dynamic_update_slice(%x: tensor<7xf32>, %y: tensor<2xf32>) -> tensor<7xf32> {
  %0 = graph.constant dense<3.000000e+00> : tensor<1xf32>
  %1 = graph.cast %0 : tensor<1xf32> -> tensor<1xi64>
  %r = graph.dynamic_update_slice %x, %y, %1 : tensor<7xf32>, tensor<2xf32>, tensor<1xi64> -> tensor<7xf32>
  func.return %r : tensor<7xf32>
}
