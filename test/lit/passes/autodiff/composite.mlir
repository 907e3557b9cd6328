// RUN: lamina-opt %s -p "differentiate{mode=reverse},differentiate{mode=forward},canonicalize,cse" | filecheck %s

// The derivatives of composites: @NAME.vjp and @NAME.jvp for every rule.

// CHECK-LABEL: func.func @relu(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.relu %[[X]] : tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @relu.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of relu wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.relu %[[X]] : tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.compare GT, %[[R]], %[[V0]] : tensor<4xf32>, tensor<f32> -> tensor<4xi1>
// CHECK-NEXT:    %[[V2:.*]] = graph.select %[[V1]], %[[R_COTANGENT]], %[[V0]] : tensor<4xi1>, tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V2]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @relu.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of relu wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.relu %[[X]] : tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.compare GT, %[[R]], %[[V0]] : tensor<4xf32>, tensor<f32> -> tensor<4xi1>
// CHECK-NEXT:    %[[V2:.*]] = graph.select %[[V1]], %[[X_TANGENT]], %[[V0]] : tensor<4xi1>, tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V2]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @relu(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.relu %x : tensor<4xf32> -> tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// No rule: through the decomposition.
// CHECK-LABEL: func.func @silu(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.silu %[[X]] : tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @silu.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of silu wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.logistic %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[R:.*]] = graph.multiply %[[X]], %[[V0]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.multiply %[[R_COTANGENT]], %[[V0]] : tensor<4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.multiply %[[R_COTANGENT]], %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V4:.*]] = graph.subtract %[[V3]], %[[V0]] : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.multiply %[[V0]], %[[V4]] : tensor<4xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.multiply %[[V2]], %[[V5]] : tensor<4xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.add %[[V1]], %[[V6]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V7]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @silu.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of silu wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.logistic %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.subtract %[[V1]], %[[V0]] : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.multiply %[[V0]], %[[V2]] : tensor<4xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.multiply %[[X_TANGENT]], %[[V3]] : tensor<4xf32>
// CHECK-NEXT:    %[[R:.*]] = graph.multiply %[[X]], %[[V0]] : tensor<4xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.multiply %[[X_TANGENT]], %[[V0]] : tensor<4xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.multiply %[[V4]], %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.add %[[V5]], %[[V6]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V7]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @silu(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.silu %x : tensor<4xf32> -> tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @softmax(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>) -> tensor<2x4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.softmax %[[X]], 1 : tensor<2x4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @softmax.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[R_COTANGENT:.*]]: tensor<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>) attributes {lamina.derivative = "vjp of softmax wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.softmax %[[X]], 1 : tensor<2x4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[R_COTANGENT]], %[[R]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.reduce add %[[V0]], [1] keep_dimensions : tensor<2x4xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.subtract %[[R_COTANGENT]], %[[V1]] : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.multiply %[[R]], %[[V2]] : tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V3]] : tensor<2x4xf32>, tensor<2x4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @softmax.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[X_TANGENT:.*]]: tensor<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>) attributes {lamina.derivative = "jvp of softmax wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.softmax %[[X]], 1 : tensor<2x4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[X_TANGENT]], %[[R]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.reduce add %[[V0]], [1] keep_dimensions : tensor<2x4xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.subtract %[[X_TANGENT]], %[[V1]] : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.multiply %[[R]], %[[V2]] : tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V3]] : tensor<2x4xf32>, tensor<2x4xf32>
// CHECK-NEXT:  }
func.func @softmax(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %r = graph.softmax %x, 1 : tensor<2x4xf32> -> tensor<2x4xf32>
  func.return %r : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @log_softmax(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>) -> tensor<2x4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.log_softmax %[[X]], 1 : tensor<2x4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @log_softmax.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[R_COTANGENT:.*]]: tensor<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>) attributes {lamina.derivative = "vjp of log_softmax wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.log_softmax %[[X]], 1 : tensor<2x4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.reduce add %[[R_COTANGENT]], [1] keep_dimensions : tensor<2x4xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.exp %[[R]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.multiply %[[V1]], %[[V0]] : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.subtract %[[R_COTANGENT]], %[[V2]] : tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V3]] : tensor<2x4xf32>, tensor<2x4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @log_softmax.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[X_TANGENT:.*]]: tensor<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>) attributes {lamina.derivative = "jvp of log_softmax wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.log_softmax %[[X]], 1 : tensor<2x4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.exp %[[R]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.multiply %[[X_TANGENT]], %[[V0]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.reduce add %[[V1]], [1] keep_dimensions : tensor<2x4xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.subtract %[[X_TANGENT]], %[[V2]] : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V3]] : tensor<2x4xf32>, tensor<2x4xf32>
// CHECK-NEXT:  }
func.func @log_softmax(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %r = graph.log_softmax %x, 1 : tensor<2x4xf32> -> tensor<2x4xf32>
  func.return %r : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @mean(
// CHECK-SAME:      %[[X:.*]]: tensor<2x?xf32> {lamina.dims = ["2", "n"]}) -> tensor<2xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.mean %[[X]], [1] : tensor<2x?xf32> -> tensor<2xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @mean.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x?xf32> {lamina.dims = ["2", "n"]}, %[[R_COTANGENT:.*]]: tensor<2xf32>) -> (tensor<2xf32>, tensor<2x?xf32> {lamina.dims = ["2", "n"]}) attributes {lamina.derivative = "vjp of mean wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.mean %[[X]], [1] : tensor<2x?xf32> -> tensor<2xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.dimension %[[X]], 1 : tensor<2x?xf32> -> tensor<i64>
// CHECK-NEXT:    %[[V1:.*]] = graph.cast %[[V0]] : tensor<i64> -> tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.divide %[[R_COTANGENT]], %[[V1]] : tensor<2xf32>, tensor<f32> -> tensor<2xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.reshape %[[V2]], [2, 1] : tensor<2xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.shape_of %[[X]] : tensor<2x?xf32> -> tensor<2xi64>
// CHECK-NEXT:    %[[V5:.*]] = graph.dynamic_broadcast %[[V3]], %[[V4]] : tensor<2x1xf32>, tensor<2xi64> -> tensor<2x?xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V5]] : tensor<2xf32>, tensor<2x?xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @mean.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x?xf32> {lamina.dims = ["2", "n"]}, %[[X_TANGENT:.*]]: tensor<2x?xf32> {lamina.dims = ["2", "n"]}) -> (tensor<2xf32>, tensor<2xf32>) attributes {lamina.derivative = "jvp of mean wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.mean %[[X]], [1] : tensor<2x?xf32> -> tensor<2xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.mean %[[X_TANGENT]], [1] : tensor<2x?xf32> -> tensor<2xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<2xf32>, tensor<2xf32>
// CHECK-NEXT:  }
func.func @mean(%x: tensor<2x?xf32> {lamina.dims = ["2", "n"]}) -> tensor<2xf32> {
  %r = graph.mean %x, [1] : tensor<2x?xf32> -> tensor<2xf32>
  func.return %r : tensor<2xf32>
}

// CHECK-LABEL: func.func @layer_norm(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[Z:.*]]: tensor<4xf32>) -> tensor<2x4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.layer_norm %[[X]], %[[Y]], %[[Z]], axis = 1, epsilon = 1.000000e-05 : tensor<2x4xf32>, tensor<4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @layer_norm.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[Z:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of layer_norm wrt=0,1,2 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.layer_norm %[[X]], %[[Y]], %[[Z]], axis = 1, epsilon = 1.000000e-05 : tensor<2x4xf32>, tensor<4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.mean %[[X]], [1] keep_dimensions : tensor<2x4xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.subtract %[[X]], %[[V0]] : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.multiply %[[V1]], %[[V1]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.mean %[[V2]], [1] keep_dimensions : tensor<2x4xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.constant dense<1.000000e-05> : tensor<f32>
// CHECK-NEXT:    %[[V5:.*]] = graph.add %[[V3]], %[[V4]] : tensor<2x1xf32>, tensor<f32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.rsqrt %[[V5]] : tensor<2x1xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.multiply %[[V1]], %[[V6]] : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V8:.*]] = graph.multiply %[[R_COTANGENT]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V9:.*]] = graph.multiply %[[V8]], %[[V7]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V10:.*]] = graph.mean %[[V9]], [1] keep_dimensions : tensor<2x4xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V11:.*]] = graph.multiply %[[V7]], %[[V10]] : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V12:.*]] = graph.subtract %[[V8]], %[[V11]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V13:.*]] = graph.mean %[[V8]], [1] keep_dimensions : tensor<2x4xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V14:.*]] = graph.subtract %[[V12]], %[[V13]] : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V15:.*]] = graph.multiply %[[V14]], %[[V6]] : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V16:.*]] = graph.multiply %[[R_COTANGENT]], %[[V7]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V17:.*]] = graph.reduce add %[[V16]], [0] : tensor<2x4xf32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V18:.*]] = graph.reduce add %[[R_COTANGENT]], [0] : tensor<2x4xf32> -> tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V15]], %[[V17]], %[[V18]] : tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @layer_norm.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[Z:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<2x4xf32>, %[[Y_TANGENT:.*]]: tensor<4xf32>, %[[Z_TANGENT:.*]]: tensor<4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>) attributes {lamina.derivative = "jvp of layer_norm wrt=0,1,2 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.layer_norm %[[X]], %[[Y]], %[[Z]], axis = 1, epsilon = 1.000000e-05 : tensor<2x4xf32>, tensor<4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.mean %[[X]], [1] keep_dimensions : tensor<2x4xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.subtract %[[X]], %[[V0]] : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.multiply %[[V1]], %[[V1]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.mean %[[V2]], [1] keep_dimensions : tensor<2x4xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.constant dense<1.000000e-05> : tensor<f32>
// CHECK-NEXT:    %[[V5:.*]] = graph.add %[[V3]], %[[V4]] : tensor<2x1xf32>, tensor<f32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.rsqrt %[[V5]] : tensor<2x1xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.multiply %[[V1]], %[[V6]] : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V8:.*]] = graph.multiply %[[V7]], %[[Y_TANGENT]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V9:.*]] = graph.multiply %[[X_TANGENT]], %[[V7]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V10:.*]] = graph.mean %[[V9]], [1] keep_dimensions : tensor<2x4xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V11:.*]] = graph.multiply %[[V7]], %[[V10]] : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V12:.*]] = graph.subtract %[[X_TANGENT]], %[[V11]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V13:.*]] = graph.mean %[[X_TANGENT]], [1] keep_dimensions : tensor<2x4xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V14:.*]] = graph.subtract %[[V12]], %[[V13]] : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V15:.*]] = graph.multiply %[[V14]], %[[V6]] : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V16:.*]] = graph.multiply %[[V15]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V17:.*]] = graph.add %[[Z_TANGENT]], %[[V8]] : tensor<4xf32>, tensor<2x4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V18:.*]] = graph.add %[[V17]], %[[V16]] : tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V18]] : tensor<2x4xf32>, tensor<2x4xf32>
// CHECK-NEXT:  }
func.func @layer_norm(%x: tensor<2x4xf32>, %y: tensor<4xf32>, %z: tensor<4xf32>) -> tensor<2x4xf32> {
  %r = graph.layer_norm %x, %y, %z, axis = 1, epsilon = 1.000000e-05 : tensor<2x4xf32>, tensor<4xf32>, tensor<4xf32> -> tensor<2x4xf32>
  func.return %r : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @rms_norm(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>) -> tensor<2x4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.rms_norm %[[X]], %[[Y]], axis = 1, epsilon = 1.000000e-05 : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @rms_norm.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of rms_norm wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.rms_norm %[[X]], %[[Y]], axis = 1, epsilon = 1.000000e-05 : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[X]], %[[X]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.mean %[[V0]], [1] keep_dimensions : tensor<2x4xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.constant dense<1.000000e-05> : tensor<f32>
// CHECK-NEXT:    %[[V3:.*]] = graph.add %[[V1]], %[[V2]] : tensor<2x1xf32>, tensor<f32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.rsqrt %[[V3]] : tensor<2x1xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.multiply %[[X]], %[[V4]] : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.multiply %[[R_COTANGENT]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.multiply %[[V6]], %[[V5]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V8:.*]] = graph.mean %[[V7]], [1] keep_dimensions : tensor<2x4xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V9:.*]] = graph.multiply %[[V5]], %[[V8]] : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V10:.*]] = graph.subtract %[[V6]], %[[V9]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V11:.*]] = graph.multiply %[[V10]], %[[V4]] : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V12:.*]] = graph.multiply %[[R_COTANGENT]], %[[V5]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V13:.*]] = graph.reduce add %[[V12]], [0] : tensor<2x4xf32> -> tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V11]], %[[V13]] : tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @rms_norm.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<2x4xf32>, %[[Y_TANGENT:.*]]: tensor<4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>) attributes {lamina.derivative = "jvp of rms_norm wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.rms_norm %[[X]], %[[Y]], axis = 1, epsilon = 1.000000e-05 : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[X]], %[[X]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.mean %[[V0]], [1] keep_dimensions : tensor<2x4xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.constant dense<1.000000e-05> : tensor<f32>
// CHECK-NEXT:    %[[V3:.*]] = graph.add %[[V1]], %[[V2]] : tensor<2x1xf32>, tensor<f32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.rsqrt %[[V3]] : tensor<2x1xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.multiply %[[X]], %[[V4]] : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.multiply %[[V5]], %[[Y_TANGENT]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.multiply %[[X_TANGENT]], %[[V5]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V8:.*]] = graph.mean %[[V7]], [1] keep_dimensions : tensor<2x4xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V9:.*]] = graph.multiply %[[V5]], %[[V8]] : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V10:.*]] = graph.subtract %[[X_TANGENT]], %[[V9]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V11:.*]] = graph.multiply %[[V10]], %[[V4]] : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V12:.*]] = graph.multiply %[[V11]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V13:.*]] = graph.add %[[V6]], %[[V12]] : tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V13]] : tensor<2x4xf32>, tensor<2x4xf32>
// CHECK-NEXT:  }
func.func @rms_norm(%x: tensor<2x4xf32>, %y: tensor<4xf32>) -> tensor<2x4xf32> {
  %r = graph.rms_norm %x, %y, axis = 1, epsilon = 1.000000e-05 : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
  func.return %r : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @stop_gradient(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[V0:.*]] = graph.stop_gradient %[[X]] : tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    %[[R:.*]] = graph.multiply %[[X]], %[[V0]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @stop_gradient.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of stop_gradient wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.stop_gradient %[[X]] : tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    %[[R:.*]] = graph.multiply %[[X]], %[[V0]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.multiply %[[R_COTANGENT]], %[[V0]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V1]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @stop_gradient.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of stop_gradient wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.stop_gradient %[[X]] : tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    %[[R:.*]] = graph.multiply %[[X]], %[[V0]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.multiply %[[X_TANGENT]], %[[V0]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V1]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @stop_gradient(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = graph.stop_gradient %x : tensor<4xf32> -> tensor<4xf32>
  %r = graph.multiply %x, %0 : tensor<4xf32>
  func.return %r : tensor<4xf32>
}
