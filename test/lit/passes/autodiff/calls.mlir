// RUN: lamina-opt %s -p "differentiate{function=f mode=reverse},differentiate{function=f mode=forward},canonicalize,cse" | filecheck %s

// The callee is differentiated once for each way that it is called.

// CHECK-LABEL: func.func private @layer(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[W:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[A:.*]] = graph.multiply %[[X]], %[[W]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[A]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func private @layer.pullback(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[W:.*]]: tensor<4xf32>, %[[A_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "pullback of layer wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[A_COTANGENT]], %[[W]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.multiply %[[A_COTANGENT]], %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[V0]], %[[V1]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func private @layer.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[W:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>, %[[W_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of layer wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[A:.*]] = graph.multiply %[[X]], %[[W]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[X_TANGENT]], %[[W]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.multiply %[[W_TANGENT]], %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.add %[[V0]], %[[V1]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[A]], %[[V2]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func private @layer(%x: tensor<4xf32>, %w: tensor<4xf32>) -> tensor<4xf32> {
  %a = graph.multiply %x, %w : tensor<4xf32>
  func.return %a : tensor<4xf32>
}

// A rule of the user's: the gradient of clipping passes.
// CHECK-LABEL: func.func private @pass(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[T:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    func.return %[[T]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func private @pass.pullback(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[T:.*]]: tensor<4xf32>, %[[T_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>) attributes {lamina.derivative = "pullback of pass wrt=1 outputs=0"} {
// CHECK-NEXT:    func.return %[[T_COTANGENT]] : tensor<4xf32>
// CHECK-NEXT:  }
func.func private @pass(%x: tensor<4xf32>, %t: tensor<4xf32>) -> tensor<4xf32> {
  func.return %t : tensor<4xf32>
}

// CHECK-LABEL: func.func private @clip(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> attributes {lamina.vjp = @pass} {
// CHECK-NEXT:    %[[ZERO:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[ONE:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[Y:.*]] = graph.clamp %[[ZERO]], %[[X]], %[[ONE]] : tensor<f32>, tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    func.return %[[Y]] : tensor<4xf32>
// CHECK-NEXT:  }
func.func private @clip(%x: tensor<4xf32>) -> tensor<4xf32> attributes {lamina.vjp = @pass} {
  %zero = graph.constant dense<0.0> : tensor<f32>
  %one = graph.constant dense<1.0> : tensor<f32>
  %y = graph.clamp %zero, %x, %one : tensor<f32>, tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @f(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[W:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[A:.*]] = func.call @layer(%[[X]], %[[W]]) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
// CHECK-NEXT:    %[[B:.*]] = func.call @clip(%[[A]]) : (tensor<4xf32>) -> tensor<4xf32>
// CHECK-NEXT:    %[[C:.*]] = func.call @layer(%[[B]], %[[W]]) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
// CHECK-NEXT:    func.return %[[C]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @f.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[W:.*]]: tensor<4xf32>, %[[C_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of f wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[A:.*]] = func.call @layer(%[[X]], %[[W]]) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
// CHECK-NEXT:    %[[B:.*]] = func.call @clip(%[[A]]) : (tensor<4xf32>) -> tensor<4xf32>
// CHECK-NEXT:    %[[C:.*]] = func.call @layer(%[[B]], %[[W]]) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]], %[[V1:.*]] = func.call @layer.pullback(%[[B]], %[[W]], %[[C_COTANGENT]]) : (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
// CHECK-NEXT:    %[[V2:.*]] = func.call @pass(%[[A]], %[[V0]]) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]], %[[V4:.*]] = func.call @layer.pullback(%[[X]], %[[W]], %[[V2]]) : (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
// CHECK-NEXT:    %[[V5:.*]] = graph.add %[[V1]], %[[V4]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[C]], %[[V3]], %[[V5]] : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @f.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[W:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>, %[[W_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of f wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[A:.*]] = func.call @layer(%[[X]], %[[W]]) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]], %[[V1:.*]] = func.call @layer.jvp(%[[X]], %[[W]], %[[X_TANGENT]], %[[W_TANGENT]]) : (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
// CHECK-NEXT:    %[[B:.*]] = func.call @clip(%[[A]]) : (tensor<4xf32>) -> tensor<4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.constant dense<0.000000e+00> : tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = func.call @pass.pullback(%[[A]], %[[V2]], %[[V1]]) : (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
// CHECK-NEXT:    %[[C:.*]] = func.call @layer(%[[B]], %[[W]]) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
// CHECK-NEXT:    %[[V4:.*]], %[[V5:.*]] = func.call @layer.jvp(%[[B]], %[[W]], %[[V3]], %[[W_TANGENT]]) : (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
// CHECK-NEXT:    func.return %[[C]], %[[V5]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @f(%x: tensor<4xf32>, %w: tensor<4xf32>) -> tensor<4xf32> {
  %a = func.call @layer(%x, %w) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %b = func.call @clip(%a) : (tensor<4xf32>) -> tensor<4xf32>
  %c = func.call @layer(%b, %w) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %c : tensor<4xf32>
}
