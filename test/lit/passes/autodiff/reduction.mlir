// RUN: lamina-opt %s -p "differentiate{mode=reverse},differentiate{mode=forward},canonicalize,cse" | filecheck %s

// The derivatives of reductions: @NAME.vjp and @NAME.jvp for every rule.

// CHECK-LABEL: func.func @reduce_add(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>) -> tensor<2xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.reduce add %[[X]], [1] : tensor<2x3xf32> -> tensor<2xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @reduce_add.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>, %[[R_COTANGENT:.*]]: tensor<2xf32>) -> (tensor<2xf32>, tensor<2x3xf32>) attributes {lamina.derivative = "vjp of reduce_add wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.reduce add %[[X]], [1] : tensor<2x3xf32> -> tensor<2xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.reshape %[[R_COTANGENT]], [2, 1] : tensor<2xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.broadcast %[[V0]], [2, 3] : tensor<2x1xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V1]] : tensor<2xf32>, tensor<2x3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @reduce_add.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>, %[[X_TANGENT:.*]]: tensor<2x3xf32>) -> (tensor<2xf32>, tensor<2xf32>) attributes {lamina.derivative = "jvp of reduce_add wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.reduce add %[[X]], [1] : tensor<2x3xf32> -> tensor<2xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.reduce add %[[X_TANGENT]], [1] : tensor<2x3xf32> -> tensor<2xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<2xf32>, tensor<2xf32>
// CHECK-NEXT:  }
func.func @reduce_add(%x: tensor<2x3xf32>) -> tensor<2xf32> {
  %r = graph.reduce add %x, [1] : tensor<2x3xf32> -> tensor<2xf32>
  func.return %r : tensor<2xf32>
}

// CHECK-LABEL: func.func @reduce_multiply(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>) -> tensor<2xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.reduce multiply %[[X]], [1] : tensor<2x3xf32> -> tensor<2xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @reduce_multiply.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>, %[[R_COTANGENT:.*]]: tensor<2xf32>) -> (tensor<2xf32>, tensor<2x3xf32>) attributes {lamina.derivative = "vjp of reduce_multiply wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.reduce multiply %[[X]], [1] : tensor<2x3xf32> -> tensor<2xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.reshape %[[R_COTANGENT]], [2, 1] : tensor<2xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.cumulative multiply %[[X]], 1 exclusive : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.cumulative multiply %[[X]], 1 exclusive reverse : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.multiply %[[V1]], %[[V2]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.multiply %[[V3]], %[[V0]] : tensor<2x3xf32>, tensor<2x1xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V4]] : tensor<2xf32>, tensor<2x3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @reduce_multiply.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>, %[[X_TANGENT:.*]]: tensor<2x3xf32>) -> (tensor<2xf32>, tensor<2xf32>) attributes {lamina.derivative = "jvp of reduce_multiply wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.reduce multiply %[[X]], [1] : tensor<2x3xf32> -> tensor<2xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.cumulative multiply %[[X]], 1 exclusive : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.cumulative multiply %[[X]], 1 exclusive reverse : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.multiply %[[V0]], %[[V1]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.multiply %[[X_TANGENT]], %[[V2]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.reduce add %[[V3]], [1] : tensor<2x3xf32> -> tensor<2xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V4]] : tensor<2xf32>, tensor<2xf32>
// CHECK-NEXT:  }
func.func @reduce_multiply(%x: tensor<2x3xf32>) -> tensor<2xf32> {
  %r = graph.reduce multiply %x, [1] : tensor<2x3xf32> -> tensor<2xf32>
  func.return %r : tensor<2xf32>
}

// CHECK-LABEL: func.func @reduce_maximum(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>) -> tensor<2xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.reduce maximum %[[X]], [1] : tensor<2x3xf32> -> tensor<2xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @reduce_maximum.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>, %[[R_COTANGENT:.*]]: tensor<2xf32>) -> (tensor<2xf32>, tensor<2x3xf32>) attributes {lamina.derivative = "vjp of reduce_maximum wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.reduce maximum %[[X]], [1] : tensor<2x3xf32> -> tensor<2xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.reshape %[[R_COTANGENT]], [2, 1] : tensor<2xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.reshape %[[R]], [2, 1] : tensor<2xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.compare EQ, %[[X]], %[[V1]] : tensor<2x3xf32>, tensor<2x1xf32> -> tensor<2x3xi1>
// CHECK-NEXT:    %[[V3:.*]] = graph.cast %[[V2]] : tensor<2x3xi1> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.reduce add %[[V3]], [1] keep_dimensions : tensor<2x3xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.divide %[[V3]], %[[V4]] : tensor<2x3xf32>, tensor<2x1xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.multiply %[[V5]], %[[V0]] : tensor<2x3xf32>, tensor<2x1xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V6]] : tensor<2xf32>, tensor<2x3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @reduce_maximum.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>, %[[X_TANGENT:.*]]: tensor<2x3xf32>) -> (tensor<2xf32>, tensor<2xf32>) attributes {lamina.derivative = "jvp of reduce_maximum wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.reduce maximum %[[X]], [1] : tensor<2x3xf32> -> tensor<2xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.reshape %[[R]], [2, 1] : tensor<2xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.compare EQ, %[[X]], %[[V0]] : tensor<2x3xf32>, tensor<2x1xf32> -> tensor<2x3xi1>
// CHECK-NEXT:    %[[V2:.*]] = graph.cast %[[V1]] : tensor<2x3xi1> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.reduce add %[[V2]], [1] keep_dimensions : tensor<2x3xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.divide %[[V2]], %[[V3]] : tensor<2x3xf32>, tensor<2x1xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.multiply %[[X_TANGENT]], %[[V4]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.reduce add %[[V5]], [1] : tensor<2x3xf32> -> tensor<2xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V6]] : tensor<2xf32>, tensor<2xf32>
// CHECK-NEXT:  }
func.func @reduce_maximum(%x: tensor<2x3xf32>) -> tensor<2xf32> {
  %r = graph.reduce maximum %x, [1] : tensor<2x3xf32> -> tensor<2xf32>
  func.return %r : tensor<2xf32>
}

// CHECK-LABEL: func.func @reduce_minimum(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>) -> tensor<2xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.reduce minimum %[[X]], [1] : tensor<2x3xf32> -> tensor<2xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @reduce_minimum.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>, %[[R_COTANGENT:.*]]: tensor<2xf32>) -> (tensor<2xf32>, tensor<2x3xf32>) attributes {lamina.derivative = "vjp of reduce_minimum wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.reduce minimum %[[X]], [1] : tensor<2x3xf32> -> tensor<2xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.reshape %[[R_COTANGENT]], [2, 1] : tensor<2xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.reshape %[[R]], [2, 1] : tensor<2xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.compare EQ, %[[X]], %[[V1]] : tensor<2x3xf32>, tensor<2x1xf32> -> tensor<2x3xi1>
// CHECK-NEXT:    %[[V3:.*]] = graph.cast %[[V2]] : tensor<2x3xi1> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.reduce add %[[V3]], [1] keep_dimensions : tensor<2x3xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.divide %[[V3]], %[[V4]] : tensor<2x3xf32>, tensor<2x1xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.multiply %[[V5]], %[[V0]] : tensor<2x3xf32>, tensor<2x1xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V6]] : tensor<2xf32>, tensor<2x3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @reduce_minimum.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>, %[[X_TANGENT:.*]]: tensor<2x3xf32>) -> (tensor<2xf32>, tensor<2xf32>) attributes {lamina.derivative = "jvp of reduce_minimum wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.reduce minimum %[[X]], [1] : tensor<2x3xf32> -> tensor<2xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.reshape %[[R]], [2, 1] : tensor<2xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.compare EQ, %[[X]], %[[V0]] : tensor<2x3xf32>, tensor<2x1xf32> -> tensor<2x3xi1>
// CHECK-NEXT:    %[[V2:.*]] = graph.cast %[[V1]] : tensor<2x3xi1> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.reduce add %[[V2]], [1] keep_dimensions : tensor<2x3xf32> -> tensor<2x1xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.divide %[[V2]], %[[V3]] : tensor<2x3xf32>, tensor<2x1xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.multiply %[[X_TANGENT]], %[[V4]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.reduce add %[[V5]], [1] : tensor<2x3xf32> -> tensor<2xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V6]] : tensor<2xf32>, tensor<2xf32>
// CHECK-NEXT:  }
func.func @reduce_minimum(%x: tensor<2x3xf32>) -> tensor<2xf32> {
  %r = graph.reduce minimum %x, [1] : tensor<2x3xf32> -> tensor<2xf32>
  func.return %r : tensor<2xf32>
}

// CHECK-LABEL: func.func @reduce_add_symbolic(
// CHECK-SAME:      %[[X:.*]]: tensor<?x3x?xf32> {lamina.dims = ["n", "3", "m"]}) -> tensor<?x?xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.reduce add %[[X]], [1] : tensor<?x3x?xf32> -> tensor<?x?xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<?x?xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @reduce_add_symbolic.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<?x3x?xf32> {lamina.dims = ["n", "3", "m"]}, %[[R_COTANGENT:.*]]: tensor<?x?xf32>) -> (tensor<?x?xf32>, tensor<?x3x?xf32> {lamina.dims = ["n", "3", "m"]}) attributes {lamina.derivative = "vjp of reduce_add_symbolic wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.reduce add %[[X]], [1] : tensor<?x3x?xf32> -> tensor<?x?xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.dimension %[[R_COTANGENT]], 0 : tensor<?x?xf32> -> tensor<i64>
// CHECK-NEXT:    %[[V1:.*]] = graph.reshape %[[V0]], [1] : tensor<i64> -> tensor<1xi64>
// CHECK-NEXT:    %[[V2:.*]] = graph.dimension %[[R_COTANGENT]], 1 : tensor<?x?xf32> -> tensor<i64>
// CHECK-NEXT:    %[[V3:.*]] = graph.reshape %[[V2]], [1] : tensor<i64> -> tensor<1xi64>
// CHECK-NEXT:    %[[V4:.*]] = graph.constant dense<1> : tensor<1xi64>
// CHECK-NEXT:    %[[V5:.*]] = graph.concatenate %[[V1]], %[[V4]], %[[V3]] dimension 0 : tensor<1xi64>, tensor<1xi64>, tensor<1xi64> -> tensor<3xi64>
// CHECK-NEXT:    %[[V6:.*]] = graph.dynamic_reshape %[[R_COTANGENT]], %[[V5]] : tensor<?x?xf32>, tensor<3xi64> -> tensor<?x1x?xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.shape_of %[[X]] : tensor<?x3x?xf32> -> tensor<3xi64>
// CHECK-NEXT:    %[[V8:.*]] = graph.dynamic_broadcast %[[V6]], %[[V7]] : tensor<?x1x?xf32>, tensor<3xi64> -> tensor<?x3x?xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V8]] : tensor<?x?xf32>, tensor<?x3x?xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @reduce_add_symbolic.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<?x3x?xf32> {lamina.dims = ["n", "3", "m"]}, %[[X_TANGENT:.*]]: tensor<?x3x?xf32> {lamina.dims = ["n", "3", "m"]}) -> (tensor<?x?xf32>, tensor<?x?xf32>) attributes {lamina.derivative = "jvp of reduce_add_symbolic wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.reduce add %[[X]], [1] : tensor<?x3x?xf32> -> tensor<?x?xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.reduce add %[[X_TANGENT]], [1] : tensor<?x3x?xf32> -> tensor<?x?xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<?x?xf32>, tensor<?x?xf32>
// CHECK-NEXT:  }
func.func @reduce_add_symbolic(%x: tensor<?x3x?xf32> {lamina.dims = ["n", "3", "m"]}) -> tensor<?x?xf32> {
  %r = graph.reduce add %x, [1] : tensor<?x3x?xf32> -> tensor<?x?xf32>
  func.return %r : tensor<?x?xf32>
}

// CHECK-LABEL: func.func @cumulative_add(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>) -> tensor<2x3xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.cumulative add %[[X]], 1 : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @cumulative_add.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>, %[[R_COTANGENT:.*]]: tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>) attributes {lamina.derivative = "vjp of cumulative_add wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.cumulative add %[[X]], 1 : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.cumulative add %[[R_COTANGENT]], 1 reverse : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<2x3xf32>, tensor<2x3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @cumulative_add.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>, %[[X_TANGENT:.*]]: tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>) attributes {lamina.derivative = "jvp of cumulative_add wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.cumulative add %[[X]], 1 : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.cumulative add %[[X_TANGENT]], 1 : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<2x3xf32>, tensor<2x3xf32>
// CHECK-NEXT:  }
func.func @cumulative_add(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %r = graph.cumulative add %x, 1 : tensor<2x3xf32> -> tensor<2x3xf32>
  func.return %r : tensor<2x3xf32>
}

// CHECK-LABEL: func.func @cumulative_multiply(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>) -> tensor<2x3xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.cumulative multiply %[[X]], 1 : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @cumulative_multiply.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>, %[[R_COTANGENT:.*]]: tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>) attributes {lamina.derivative = "vjp of cumulative_multiply wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.cumulative multiply %[[X]], 1 : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.pad constant %[[X]], %[[V0]], low [0, 1] high [0, -1] interior [0, 0] : tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.multiply %[[X]], %[[V1]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.pad constant %[[V2]], %[[V0]], low [0, 2] high [0, -2] interior [0, 0] : tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.multiply %[[R_COTANGENT]], %[[V2]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V6:.*]] = graph.pad constant %[[V4]], %[[V5]], low [0, -2] high [0, 2] interior [0, 0] : tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.multiply %[[R_COTANGENT]], %[[V3]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V8:.*]] = graph.add %[[V7]], %[[V6]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V9:.*]] = graph.multiply %[[V8]], %[[X]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V10:.*]] = graph.pad constant %[[V9]], %[[V5]], low [0, -1] high [0, 1] interior [0, 0] : tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V11:.*]] = graph.multiply %[[V8]], %[[V1]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V12:.*]] = graph.add %[[V11]], %[[V10]] : tensor<2x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V12]] : tensor<2x3xf32>, tensor<2x3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @cumulative_multiply.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>, %[[X_TANGENT:.*]]: tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>) attributes {lamina.derivative = "jvp of cumulative_multiply wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.cumulative multiply %[[X]], 1 : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.pad constant %[[X]], %[[V0]], low [0, 1] high [0, -1] interior [0, 0] : tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V3:.*]] = graph.pad constant %[[X_TANGENT]], %[[V2]], low [0, 1] high [0, -1] interior [0, 0] : tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.multiply %[[X_TANGENT]], %[[V1]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.multiply %[[V3]], %[[X]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.add %[[V4]], %[[V5]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.multiply %[[X]], %[[V1]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V8:.*]] = graph.pad constant %[[V7]], %[[V0]], low [0, 2] high [0, -2] interior [0, 0] : tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V9:.*]] = graph.pad constant %[[V6]], %[[V2]], low [0, 2] high [0, -2] interior [0, 0] : tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V10:.*]] = graph.multiply %[[V6]], %[[V8]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V11:.*]] = graph.multiply %[[V9]], %[[V7]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V12:.*]] = graph.add %[[V10]], %[[V11]] : tensor<2x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V12]] : tensor<2x3xf32>, tensor<2x3xf32>
// CHECK-NEXT:  }
func.func @cumulative_multiply(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %r = graph.cumulative multiply %x, 1 : tensor<2x3xf32> -> tensor<2x3xf32>
  func.return %r : tensor<2x3xf32>
}

// CHECK-LABEL: func.func @cumulative_maximum(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>) -> tensor<2x3xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.cumulative maximum %[[X]], 1 : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @cumulative_maximum.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>, %[[R_COTANGENT:.*]]: tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>) attributes {lamina.derivative = "vjp of cumulative_maximum wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.cumulative maximum %[[X]], 1 : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<0xff800000> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.pad constant %[[X]], %[[V0]], low [0, 1] high [0, -1] interior [0, 0] : tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.maximum %[[X]], %[[V1]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.compare EQ, %[[X]], %[[V1]] : tensor<2x3xf32>, tensor<2x3xf32> -> tensor<2x3xi1>
// CHECK-NEXT:    %[[V4:.*]] = graph.constant dense<5.000000e-01> : tensor<f32>
// CHECK-NEXT:    %[[V5:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V6:.*]] = graph.select %[[V3]], %[[V4]], %[[V5]] : tensor<2x3xi1>, tensor<f32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V8:.*]] = graph.compare EQ, %[[X]], %[[V2]] : tensor<2x3xf32>, tensor<2x3xf32> -> tensor<2x3xi1>
// CHECK-NEXT:    %[[V9:.*]] = graph.select %[[V8]], %[[V6]], %[[V7]] : tensor<2x3xi1>, tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V10:.*]] = graph.compare EQ, %[[V1]], %[[V2]] : tensor<2x3xf32>, tensor<2x3xf32> -> tensor<2x3xi1>
// CHECK-NEXT:    %[[V11:.*]] = graph.select %[[V10]], %[[V6]], %[[V7]] : tensor<2x3xi1>, tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V12:.*]] = graph.pad constant %[[V2]], %[[V0]], low [0, 2] high [0, -2] interior [0, 0] : tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V13:.*]] = graph.maximum %[[V2]], %[[V12]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V14:.*]] = graph.compare EQ, %[[V2]], %[[V12]] : tensor<2x3xf32>, tensor<2x3xf32> -> tensor<2x3xi1>
// CHECK-NEXT:    %[[V15:.*]] = graph.select %[[V14]], %[[V4]], %[[V5]] : tensor<2x3xi1>, tensor<f32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V16:.*]] = graph.compare EQ, %[[V2]], %[[V13]] : tensor<2x3xf32>, tensor<2x3xf32> -> tensor<2x3xi1>
// CHECK-NEXT:    %[[V17:.*]] = graph.select %[[V16]], %[[V15]], %[[V7]] : tensor<2x3xi1>, tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V18:.*]] = graph.compare EQ, %[[V12]], %[[V13]] : tensor<2x3xf32>, tensor<2x3xf32> -> tensor<2x3xi1>
// CHECK-NEXT:    %[[V19:.*]] = graph.select %[[V18]], %[[V15]], %[[V7]] : tensor<2x3xi1>, tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V20:.*]] = graph.multiply %[[R_COTANGENT]], %[[V19]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V21:.*]] = graph.pad constant %[[V20]], %[[V7]], low [0, -2] high [0, 2] interior [0, 0] : tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V22:.*]] = graph.multiply %[[R_COTANGENT]], %[[V17]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V23:.*]] = graph.add %[[V22]], %[[V21]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V24:.*]] = graph.multiply %[[V23]], %[[V11]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V25:.*]] = graph.pad constant %[[V24]], %[[V7]], low [0, -1] high [0, 1] interior [0, 0] : tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V26:.*]] = graph.multiply %[[V23]], %[[V9]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V27:.*]] = graph.add %[[V26]], %[[V25]] : tensor<2x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V27]] : tensor<2x3xf32>, tensor<2x3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @cumulative_maximum.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3xf32>, %[[X_TANGENT:.*]]: tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>) attributes {lamina.derivative = "jvp of cumulative_maximum wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.cumulative maximum %[[X]], 1 : tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<0xff800000> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.pad constant %[[X]], %[[V0]], low [0, 1] high [0, -1] interior [0, 0] : tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V3:.*]] = graph.pad constant %[[X_TANGENT]], %[[V2]], low [0, 1] high [0, -1] interior [0, 0] : tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.maximum %[[X]], %[[V1]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.compare EQ, %[[X]], %[[V1]] : tensor<2x3xf32>, tensor<2x3xf32> -> tensor<2x3xi1>
// CHECK-NEXT:    %[[V6:.*]] = graph.constant dense<5.000000e-01> : tensor<f32>
// CHECK-NEXT:    %[[V7:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V8:.*]] = graph.select %[[V5]], %[[V6]], %[[V7]] : tensor<2x3xi1>, tensor<f32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V9:.*]] = graph.compare EQ, %[[X]], %[[V4]] : tensor<2x3xf32>, tensor<2x3xf32> -> tensor<2x3xi1>
// CHECK-NEXT:    %[[V10:.*]] = graph.select %[[V9]], %[[V8]], %[[V2]] : tensor<2x3xi1>, tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V11:.*]] = graph.compare EQ, %[[V1]], %[[V4]] : tensor<2x3xf32>, tensor<2x3xf32> -> tensor<2x3xi1>
// CHECK-NEXT:    %[[V12:.*]] = graph.select %[[V11]], %[[V8]], %[[V2]] : tensor<2x3xi1>, tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V13:.*]] = graph.multiply %[[X_TANGENT]], %[[V10]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V14:.*]] = graph.multiply %[[V3]], %[[V12]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V15:.*]] = graph.add %[[V13]], %[[V14]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V16:.*]] = graph.pad constant %[[V4]], %[[V0]], low [0, 2] high [0, -2] interior [0, 0] : tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V17:.*]] = graph.pad constant %[[V15]], %[[V2]], low [0, 2] high [0, -2] interior [0, 0] : tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V18:.*]] = graph.maximum %[[V4]], %[[V16]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V19:.*]] = graph.compare EQ, %[[V4]], %[[V16]] : tensor<2x3xf32>, tensor<2x3xf32> -> tensor<2x3xi1>
// CHECK-NEXT:    %[[V20:.*]] = graph.select %[[V19]], %[[V6]], %[[V7]] : tensor<2x3xi1>, tensor<f32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V21:.*]] = graph.compare EQ, %[[V4]], %[[V18]] : tensor<2x3xf32>, tensor<2x3xf32> -> tensor<2x3xi1>
// CHECK-NEXT:    %[[V22:.*]] = graph.select %[[V21]], %[[V20]], %[[V2]] : tensor<2x3xi1>, tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V23:.*]] = graph.compare EQ, %[[V16]], %[[V18]] : tensor<2x3xf32>, tensor<2x3xf32> -> tensor<2x3xi1>
// CHECK-NEXT:    %[[V24:.*]] = graph.select %[[V23]], %[[V20]], %[[V2]] : tensor<2x3xi1>, tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
// CHECK-NEXT:    %[[V25:.*]] = graph.multiply %[[V15]], %[[V22]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V26:.*]] = graph.multiply %[[V17]], %[[V24]] : tensor<2x3xf32>
// CHECK-NEXT:    %[[V27:.*]] = graph.add %[[V25]], %[[V26]] : tensor<2x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V27]] : tensor<2x3xf32>, tensor<2x3xf32>
// CHECK-NEXT:  }
func.func @cumulative_maximum(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %r = graph.cumulative maximum %x, 1 : tensor<2x3xf32> -> tensor<2x3xf32>
  func.return %r : tensor<2x3xf32>
}

// CHECK-LABEL: func.func @reduce_window_add(
// CHECK-SAME:      %[[X:.*]]: tensor<4x5xf32>) -> tensor<4x3xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.reduce_window add %[[X]], window = [1, 2], strides = [1, 2], dilations = [1, 1], padding = [0, 0, 1, 0] : tensor<4x5xf32> -> tensor<4x3xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4x3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @reduce_window_add.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4x5xf32>, %[[R_COTANGENT:.*]]: tensor<4x3xf32>) -> (tensor<4x3xf32>, tensor<4x5xf32>) attributes {lamina.derivative = "vjp of reduce_window_add wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.reduce_window add %[[X]], window = [1, 2], strides = [1, 2], dilations = [1, 1], padding = [0, 0, 1, 0] : tensor<4x5xf32> -> tensor<4x3xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.pad constant %[[R_COTANGENT]], %[[V0]], low [0, 0] high [0, 1] interior [0, 1] : tensor<4x3xf32>, tensor<f32> -> tensor<4x6xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.reduce_window add %[[V1]], window = [1, 2], strides = [1, 1], dilations = [1, 1], padding = [0, 0, 0, 0] : tensor<4x6xf32> -> tensor<4x5xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V2]] : tensor<4x3xf32>, tensor<4x5xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @reduce_window_add.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4x5xf32>, %[[X_TANGENT:.*]]: tensor<4x5xf32>) -> (tensor<4x3xf32>, tensor<4x3xf32>) attributes {lamina.derivative = "jvp of reduce_window_add wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.reduce_window add %[[X]], window = [1, 2], strides = [1, 2], dilations = [1, 1], padding = [0, 0, 1, 0] : tensor<4x5xf32> -> tensor<4x3xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.reduce_window add %[[X_TANGENT]], window = [1, 2], strides = [1, 2], dilations = [1, 1], padding = [0, 0, 1, 0] : tensor<4x5xf32> -> tensor<4x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<4x3xf32>, tensor<4x3xf32>
// CHECK-NEXT:  }
func.func @reduce_window_add(%x: tensor<4x5xf32>) -> tensor<4x3xf32> {
  %r = graph.reduce_window add %x, window = [1, 2], strides = [1, 2], dilations = [1, 1], padding = [0, 0, 1, 0] : tensor<4x5xf32> -> tensor<4x3xf32>
  func.return %r : tensor<4x3xf32>
}

// CHECK-LABEL: func.func @reduce_window_multiply(
// CHECK-SAME:      %[[X:.*]]: tensor<4x5xf32>) -> tensor<4x3xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.reduce_window multiply %[[X]], window = [1, 2], strides = [1, 2], dilations = [1, 1], padding = [0, 0, 1, 0] : tensor<4x5xf32> -> tensor<4x3xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4x3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @reduce_window_multiply.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4x5xf32>, %[[R_COTANGENT:.*]]: tensor<4x3xf32>) -> (tensor<4x3xf32>, tensor<4x5xf32>) attributes {lamina.derivative = "vjp of reduce_window_multiply wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.reduce_window multiply %[[X]], window = [1, 2], strides = [1, 2], dilations = [1, 1], padding = [0, 0, 1, 0] : tensor<4x5xf32> -> tensor<4x3xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.pad constant %[[X]], %[[V0]], low [0, 1] high [0, 0] interior [0, 0] : tensor<4x5xf32>, tensor<f32> -> tensor<4x6xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.slice %[[V1]], [0, 0] to [9223372036854775807, -1] step [1, 2] : tensor<4x6xf32> -> tensor<4x3xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.slice %[[V1]], [0, 1] to [9223372036854775807, 9223372036854775807] step [1, 2] : tensor<4x6xf32> -> tensor<4x3xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.multiply %[[R_COTANGENT]], %[[V3]] : tensor<4x3xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V6:.*]] = graph.pad constant %[[V4]], %[[V5]], low [0, -1] high [0, 1] interior [0, 1] : tensor<4x3xf32>, tensor<f32> -> tensor<4x5xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.multiply %[[R_COTANGENT]], %[[V2]] : tensor<4x3xf32>
// CHECK-NEXT:    %[[V8:.*]] = graph.pad constant %[[V7]], %[[V5]], low [0, 0] high [0, 0] interior [0, 1] : tensor<4x3xf32>, tensor<f32> -> tensor<4x5xf32>
// CHECK-NEXT:    %[[V9:.*]] = graph.add %[[V6]], %[[V8]] : tensor<4x5xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V9]] : tensor<4x3xf32>, tensor<4x5xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @reduce_window_multiply.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4x5xf32>, %[[X_TANGENT:.*]]: tensor<4x5xf32>) -> (tensor<4x3xf32>, tensor<4x3xf32>) attributes {lamina.derivative = "jvp of reduce_window_multiply wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.reduce_window multiply %[[X]], window = [1, 2], strides = [1, 2], dilations = [1, 1], padding = [0, 0, 1, 0] : tensor<4x5xf32> -> tensor<4x3xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.pad constant %[[X_TANGENT]], %[[V0]], low [0, 1] high [0, 0] interior [0, 0] : tensor<4x5xf32>, tensor<f32> -> tensor<4x6xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V3:.*]] = graph.pad constant %[[X]], %[[V2]], low [0, 1] high [0, 0] interior [0, 0] : tensor<4x5xf32>, tensor<f32> -> tensor<4x6xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.slice %[[V3]], [0, 0] to [9223372036854775807, -1] step [1, 2] : tensor<4x6xf32> -> tensor<4x3xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.slice %[[V3]], [0, 1] to [9223372036854775807, 9223372036854775807] step [1, 2] : tensor<4x6xf32> -> tensor<4x3xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.slice %[[V1]], [0, 0] to [9223372036854775807, -1] step [1, 2] : tensor<4x6xf32> -> tensor<4x3xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.multiply %[[V6]], %[[V5]] : tensor<4x3xf32>
// CHECK-NEXT:    %[[V8:.*]] = graph.slice %[[V1]], [0, 1] to [9223372036854775807, 9223372036854775807] step [1, 2] : tensor<4x6xf32> -> tensor<4x3xf32>
// CHECK-NEXT:    %[[V9:.*]] = graph.multiply %[[V8]], %[[V4]] : tensor<4x3xf32>
// CHECK-NEXT:    %[[V10:.*]] = graph.add %[[V7]], %[[V9]] : tensor<4x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V10]] : tensor<4x3xf32>, tensor<4x3xf32>
// CHECK-NEXT:  }
func.func @reduce_window_multiply(%x: tensor<4x5xf32>) -> tensor<4x3xf32> {
  %r = graph.reduce_window multiply %x, window = [1, 2], strides = [1, 2], dilations = [1, 1], padding = [0, 0, 1, 0] : tensor<4x5xf32> -> tensor<4x3xf32>
  func.return %r : tensor<4x3xf32>
}

// CHECK-LABEL: func.func @reduce_window_maximum(
// CHECK-SAME:      %[[X:.*]]: tensor<4x5xf32>) -> tensor<4x3xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.reduce_window maximum %[[X]], window = [1, 2], strides = [1, 2], dilations = [1, 1], padding = [0, 0, 1, 0] : tensor<4x5xf32> -> tensor<4x3xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4x3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @reduce_window_maximum.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4x5xf32>, %[[R_COTANGENT:.*]]: tensor<4x3xf32>) -> (tensor<4x3xf32>, tensor<4x5xf32>) attributes {lamina.derivative = "vjp of reduce_window_maximum wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.reduce_window maximum %[[X]], window = [1, 2], strides = [1, 2], dilations = [1, 1], padding = [0, 0, 1, 0] : tensor<4x5xf32> -> tensor<4x3xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<0xff800000> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.pad constant %[[X]], %[[V1]], low [0, 1] high [0, 0] interior [0, 0] : tensor<4x5xf32>, tensor<f32> -> tensor<4x6xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.slice %[[V2]], [0, 0] to [9223372036854775807, -1] step [1, 2] : tensor<4x6xf32> -> tensor<4x3xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.compare EQ, %[[V3]], %[[R]] : tensor<4x3xf32>, tensor<4x3xf32> -> tensor<4x3xi1>
// CHECK-NEXT:    %[[V5:.*]] = graph.slice %[[V2]], [0, 1] to [9223372036854775807, 9223372036854775807] step [1, 2] : tensor<4x6xf32> -> tensor<4x3xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.compare EQ, %[[V5]], %[[R]] : tensor<4x3xf32>, tensor<4x3xf32> -> tensor<4x3xi1>
// CHECK-NEXT:    %[[V7:.*]] = graph.not %[[V4]] : tensor<4x3xi1>
// CHECK-NEXT:    %[[V8:.*]] = graph.and %[[V6]], %[[V7]] : tensor<4x3xi1>
// CHECK-NEXT:    %[[V9:.*]] = graph.select %[[V4]], %[[R_COTANGENT]], %[[V0]] : tensor<4x3xi1>, tensor<4x3xf32>, tensor<f32> -> tensor<4x3xf32>
// CHECK-NEXT:    %[[V10:.*]] = graph.pad constant %[[V9]], %[[V0]], low [0, -1] high [0, 1] interior [0, 1] : tensor<4x3xf32>, tensor<f32> -> tensor<4x5xf32>
// CHECK-NEXT:    %[[V11:.*]] = graph.select %[[V8]], %[[R_COTANGENT]], %[[V0]] : tensor<4x3xi1>, tensor<4x3xf32>, tensor<f32> -> tensor<4x3xf32>
// CHECK-NEXT:    %[[V12:.*]] = graph.pad constant %[[V11]], %[[V0]], low [0, 0] high [0, 0] interior [0, 1] : tensor<4x3xf32>, tensor<f32> -> tensor<4x5xf32>
// CHECK-NEXT:    %[[V13:.*]] = graph.add %[[V10]], %[[V12]] : tensor<4x5xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V13]] : tensor<4x3xf32>, tensor<4x5xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @reduce_window_maximum.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4x5xf32>, %[[X_TANGENT:.*]]: tensor<4x5xf32>) -> (tensor<4x3xf32>, tensor<4x3xf32>) attributes {lamina.derivative = "jvp of reduce_window_maximum wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.reduce_window maximum %[[X]], window = [1, 2], strides = [1, 2], dilations = [1, 1], padding = [0, 0, 1, 0] : tensor<4x5xf32> -> tensor<4x3xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.pad constant %[[X_TANGENT]], %[[V0]], low [0, 1] high [0, 0] interior [0, 0] : tensor<4x5xf32>, tensor<f32> -> tensor<4x6xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.constant dense<0xff800000> : tensor<f32>
// CHECK-NEXT:    %[[V3:.*]] = graph.pad constant %[[X]], %[[V2]], low [0, 1] high [0, 0] interior [0, 0] : tensor<4x5xf32>, tensor<f32> -> tensor<4x6xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.slice %[[V3]], [0, 0] to [9223372036854775807, -1] step [1, 2] : tensor<4x6xf32> -> tensor<4x3xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.compare EQ, %[[V4]], %[[R]] : tensor<4x3xf32>, tensor<4x3xf32> -> tensor<4x3xi1>
// CHECK-NEXT:    %[[V6:.*]] = graph.slice %[[V3]], [0, 1] to [9223372036854775807, 9223372036854775807] step [1, 2] : tensor<4x6xf32> -> tensor<4x3xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.compare EQ, %[[V6]], %[[R]] : tensor<4x3xf32>, tensor<4x3xf32> -> tensor<4x3xi1>
// CHECK-NEXT:    %[[V8:.*]] = graph.not %[[V5]] : tensor<4x3xi1>
// CHECK-NEXT:    %[[V9:.*]] = graph.and %[[V7]], %[[V8]] : tensor<4x3xi1>
// CHECK-NEXT:    %[[V10:.*]] = graph.slice %[[V1]], [0, 0] to [9223372036854775807, -1] step [1, 2] : tensor<4x6xf32> -> tensor<4x3xf32>
// CHECK-NEXT:    %[[V11:.*]] = graph.select %[[V5]], %[[V10]], %[[V0]] : tensor<4x3xi1>, tensor<4x3xf32>, tensor<f32> -> tensor<4x3xf32>
// CHECK-NEXT:    %[[V12:.*]] = graph.slice %[[V1]], [0, 1] to [9223372036854775807, 9223372036854775807] step [1, 2] : tensor<4x6xf32> -> tensor<4x3xf32>
// CHECK-NEXT:    %[[V13:.*]] = graph.select %[[V9]], %[[V12]], %[[V0]] : tensor<4x3xi1>, tensor<4x3xf32>, tensor<f32> -> tensor<4x3xf32>
// CHECK-NEXT:    %[[V14:.*]] = graph.add %[[V11]], %[[V13]] : tensor<4x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V14]] : tensor<4x3xf32>, tensor<4x3xf32>
// CHECK-NEXT:  }
func.func @reduce_window_maximum(%x: tensor<4x5xf32>) -> tensor<4x3xf32> {
  %r = graph.reduce_window maximum %x, window = [1, 2], strides = [1, 2], dilations = [1, 1], padding = [0, 0, 1, 0] : tensor<4x5xf32> -> tensor<4x3xf32>
  func.return %r : tensor<4x3xf32>
}
