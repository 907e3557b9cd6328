// RUN: lamina-opt %s -p "differentiate{mode=reverse},differentiate{mode=forward},canonicalize,cse" | filecheck %s

// The derivatives of branches, loops and scans.

// CHECK-LABEL: func.func @branch(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[P:.*]]: tensor<i1>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[Y:.*]] = graph.if %[[P]] -> (tensor<4xf32>) {
// CHECK-NEXT:      %[[A:.*]] = graph.sin %[[X]] : tensor<4xf32>
// CHECK-NEXT:      graph.yield %[[A]] : tensor<4xf32>
// CHECK-NEXT:    } else {
// CHECK-NEXT:      %[[B:.*]] = graph.constant dense<1.000000e+00> : tensor<4xf32>
// CHECK-NEXT:      graph.yield %[[B]] : tensor<4xf32>
// CHECK-NEXT:    }
// CHECK-NEXT:    func.return %[[Y]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @branch.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[P:.*]]: tensor<i1>, %[[Y_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of branch wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[Y:.*]] = graph.if %[[P]] -> (tensor<4xf32>) {
// CHECK-NEXT:      %[[A:.*]] = graph.sin %[[X]] : tensor<4xf32>
// CHECK-NEXT:      graph.yield %[[A]] : tensor<4xf32>
// CHECK-NEXT:    } else {
// CHECK-NEXT:      %[[B:.*]] = graph.constant dense<1.000000e+00> : tensor<4xf32>
// CHECK-NEXT:      graph.yield %[[B]] : tensor<4xf32>
// CHECK-NEXT:    }
// CHECK-NEXT:    %[[V0:.*]] = graph.if %[[P]] -> (tensor<4xf32>) {
// CHECK-NEXT:      %[[V1:.*]] = graph.cos %[[X]] : tensor<4xf32>
// CHECK-NEXT:      %[[V2:.*]] = graph.multiply %[[Y_COTANGENT]], %[[V1]] : tensor<4xf32>
// CHECK-NEXT:      graph.yield %[[V2]] : tensor<4xf32>
// CHECK-NEXT:    } else {
// CHECK-NEXT:      %[[V3:.*]] = graph.constant dense<0.000000e+00> : tensor<4xf32>
// CHECK-NEXT:      graph.yield %[[V3]] : tensor<4xf32>
// CHECK-NEXT:    }
// CHECK-NEXT:    func.return %[[Y]], %[[V0]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @branch.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[P:.*]]: tensor<i1>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of branch wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[Y:.*]], %[[V0:.*]] = graph.if %[[P]] -> (tensor<4xf32>, tensor<4xf32>) {
// CHECK-NEXT:      %[[A:.*]] = graph.sin %[[X]] : tensor<4xf32>
// CHECK-NEXT:      %[[V1:.*]] = graph.cos %[[X]] : tensor<4xf32>
// CHECK-NEXT:      %[[V2:.*]] = graph.multiply %[[X_TANGENT]], %[[V1]] : tensor<4xf32>
// CHECK-NEXT:      graph.yield %[[A]], %[[V2]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:    } else {
// CHECK-NEXT:      %[[B:.*]] = graph.constant dense<1.000000e+00> : tensor<4xf32>
// CHECK-NEXT:      %[[V3:.*]] = graph.constant dense<0.000000e+00> : tensor<4xf32>
// CHECK-NEXT:      graph.yield %[[B]], %[[V3]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:    }
// CHECK-NEXT:    func.return %[[Y]], %[[V0]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @branch(%x: tensor<4xf32>, %p: tensor<i1>) -> tensor<4xf32> {
  %y = graph.if %p -> (tensor<4xf32>) {
    %a = graph.sin %x : tensor<4xf32>
    graph.yield %a : tensor<4xf32>
  } else {
    %b = graph.constant dense<1.0> : tensor<4xf32>
    graph.yield %b : tensor<4xf32>
  }
  func.return %y : tensor<4xf32>
}

// A bound makes it a scan; NaN where it does not suffice.
// CHECK-LABEL: func.func @loop(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[N:.*]]: tensor<i64>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[ONE:.*]] = graph.constant dense<1> : tensor<i64>
// CHECK-NEXT:    %[[ZERO:.*]] = graph.constant dense<0> : tensor<i64>
// CHECK-NEXT:    %[[I:.*]], %[[Y:.*]] = graph.while (%[[I_1:.*]] = %[[ZERO]], %[[Y_1:.*]] = %[[X]]) : (tensor<i64>, tensor<4xf32>) -> (tensor<i64>, tensor<4xf32>) {
// CHECK-NEXT:      %[[MORE:.*]] = graph.compare LT, %[[I_1]], %[[N]] : tensor<i64>, tensor<i64> -> tensor<i1>
// CHECK-NEXT:      graph.yield %[[MORE]] : tensor<i1>
// CHECK-NEXT:    } do (%[[I_2:.*]], %[[Y_2:.*]]) {
// CHECK-NEXT:      %[[J:.*]] = graph.add %[[I_2]], %[[ONE]] : tensor<i64>
// CHECK-NEXT:      %[[B:.*]] = graph.sin %[[Y_2]] : tensor<4xf32>
// CHECK-NEXT:      graph.yield %[[J]], %[[B]] : tensor<i64>, tensor<4xf32>
// CHECK-NEXT:    } attributes {lamina.max_iterations = 9 : i64}
// CHECK-NEXT:    func.return %[[Y]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @loop.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[N:.*]]: tensor<i64>, %[[Y_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of loop wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[ONE:.*]] = graph.constant dense<1> : tensor<i64>
// CHECK-NEXT:    %[[ZERO:.*]] = graph.constant dense<0> : tensor<i64>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<9> : tensor<i64>
// CHECK-NEXT:    %[[V1:.*]], %[[V2:.*]], %[[V3:.*]], %[[V4:.*]] = graph.scan %[[V5:.*]], (%[[V6:.*]] = %[[ZERO]], %[[V7:.*]] = %[[X]]) over () length %[[V0]] : (tensor<i64>, tensor<4xf32>, tensor<i64>) -> (tensor<i64>, tensor<4xf32>, tensor<9xi64>, tensor<9x4xf32>) {
// CHECK-NEXT:      %[[MORE:.*]] = graph.compare LT, %[[V6]], %[[N]] : tensor<i64>, tensor<i64> -> tensor<i1>
// CHECK-NEXT:      %[[V8:.*]], %[[V9:.*]] = graph.if %[[MORE]] -> (tensor<i64>, tensor<4xf32>) {
// CHECK-NEXT:        %[[J:.*]] = graph.add %[[V6]], %[[ONE]] : tensor<i64>
// CHECK-NEXT:        %[[B:.*]] = graph.sin %[[V7]] : tensor<4xf32>
// CHECK-NEXT:        graph.yield %[[J]], %[[B]] : tensor<i64>, tensor<4xf32>
// CHECK-NEXT:      } else {
// CHECK-NEXT:        graph.yield %[[V6]], %[[V7]] : tensor<i64>, tensor<4xf32>
// CHECK-NEXT:      }
// CHECK-NEXT:      graph.yield %[[V8]], %[[V9]], %[[V6]], %[[V7]] : tensor<i64>, tensor<4xf32>, tensor<i64>, tensor<4xf32>
// CHECK-NEXT:    }
// CHECK-NEXT:    %[[MORE_1:.*]] = graph.compare LT, %[[V1]], %[[N]] : tensor<i64>, tensor<i64> -> tensor<i1>
// CHECK-NEXT:    %[[I:.*]], %[[Y:.*]] = graph.while (%[[I_1:.*]] = %[[ZERO]], %[[Y_1:.*]] = %[[X]]) : (tensor<i64>, tensor<4xf32>) -> (tensor<i64>, tensor<4xf32>) {
// CHECK-NEXT:      %[[MORE_2:.*]] = graph.compare LT, %[[I_1]], %[[N]] : tensor<i64>, tensor<i64> -> tensor<i1>
// CHECK-NEXT:      graph.yield %[[MORE_2]] : tensor<i1>
// CHECK-NEXT:    } do (%[[I_2:.*]], %[[Y_2:.*]]) {
// CHECK-NEXT:      %[[J_1:.*]] = graph.add %[[I_2]], %[[ONE]] : tensor<i64>
// CHECK-NEXT:      %[[B_1:.*]] = graph.sin %[[Y_2]] : tensor<4xf32>
// CHECK-NEXT:      graph.yield %[[J_1]], %[[B_1]] : tensor<i64>, tensor<4xf32>
// CHECK-NEXT:    } attributes {lamina.max_iterations = 9 : i64}
// CHECK-NEXT:    %[[V10:.*]] = graph.constant dense<0x7fc00000> : tensor<f32>
// CHECK-NEXT:    %[[V11:.*]] = graph.select %[[MORE_1]], %[[V10]], %[[Y_COTANGENT]] : tensor<i1>, tensor<f32>, tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V12:.*]] = graph.scan %[[V13:.*]], (%[[V14:.*]] = %[[V11]]) over (%[[V15:.*]] = %[[V3]], %[[V16:.*]] = %[[V4]]) reverse : (tensor<4xf32>, tensor<9xi64>, tensor<9x4xf32>) -> (tensor<4xf32>) {
// CHECK-NEXT:      %[[MORE_3:.*]] = graph.compare LT, %[[V15]], %[[N]] : tensor<i64>, tensor<i64> -> tensor<i1>
// CHECK-NEXT:      %[[V17:.*]] = graph.if %[[MORE_3]] -> (tensor<4xf32>) {
// CHECK-NEXT:        %[[V18:.*]] = graph.cos %[[V16]] : tensor<4xf32>
// CHECK-NEXT:        %[[V19:.*]] = graph.multiply %[[V14]], %[[V18]] : tensor<4xf32>
// CHECK-NEXT:        graph.yield %[[V19]] : tensor<4xf32>
// CHECK-NEXT:      } else {
// CHECK-NEXT:        graph.yield %[[V14]] : tensor<4xf32>
// CHECK-NEXT:      }
// CHECK-NEXT:      graph.yield %[[V17]] : tensor<4xf32>
// CHECK-NEXT:    }
// CHECK-NEXT:    func.return %[[Y]], %[[V12]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @loop.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[N:.*]]: tensor<i64>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of loop wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[ONE:.*]] = graph.constant dense<1> : tensor<i64>
// CHECK-NEXT:    %[[ZERO:.*]] = graph.constant dense<0> : tensor<i64>
// CHECK-NEXT:    %[[I:.*]], %[[Y:.*]], %[[V0:.*]] = graph.while (%[[I_1:.*]] = %[[ZERO]], %[[Y_1:.*]] = %[[X]], %[[V1:.*]] = %[[X_TANGENT]]) : (tensor<i64>, tensor<4xf32>, tensor<4xf32>) -> (tensor<i64>, tensor<4xf32>, tensor<4xf32>) {
// CHECK-NEXT:      %[[MORE:.*]] = graph.compare LT, %[[I_1]], %[[N]] : tensor<i64>, tensor<i64> -> tensor<i1>
// CHECK-NEXT:      graph.yield %[[MORE]] : tensor<i1>
// CHECK-NEXT:    } do (%[[I_2:.*]], %[[Y_2:.*]], %[[V2:.*]]) {
// CHECK-NEXT:      %[[J:.*]] = graph.add %[[I_2]], %[[ONE]] : tensor<i64>
// CHECK-NEXT:      %[[B:.*]] = graph.sin %[[Y_2]] : tensor<4xf32>
// CHECK-NEXT:      %[[V3:.*]] = graph.cos %[[Y_2]] : tensor<4xf32>
// CHECK-NEXT:      %[[V4:.*]] = graph.multiply %[[V2]], %[[V3]] : tensor<4xf32>
// CHECK-NEXT:      graph.yield %[[J]], %[[B]], %[[V4]] : tensor<i64>, tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:    } attributes {lamina.max_iterations = 9 : i64}
// CHECK-NEXT:    func.return %[[Y]], %[[V0]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @loop(%x: tensor<4xf32>, %n: tensor<i64>) -> tensor<4xf32> {
  %one = graph.constant dense<1> : tensor<i64>
  %zero = graph.constant dense<0> : tensor<i64>
  %i, %y = graph.while (%i = %zero, %y = %x) : (tensor<i64>, tensor<4xf32>) -> (tensor<i64>, tensor<4xf32>) {
    %more = graph.compare LT, %i, %n : tensor<i64>, tensor<i64> -> tensor<i1>
    graph.yield %more : tensor<i1>
  } do {
    %j = graph.add %i, %one : tensor<i64>
    %b = graph.sin %y : tensor<4xf32>
    graph.yield %j, %b : tensor<i64>, tensor<4xf32>
  } attributes {lamina.max_iterations = 9 : i64}
  func.return %y : tensor<4xf32>
}

// The carried values are stacked; the weights' cotangent is summed up step by step.
// CHECK-LABEL: func.func @recurrence(
// CHECK-SAME:      %[[H:.*]]: tensor<3xf32>, %[[XS:.*]]: tensor<?x3xf32>, %[[W:.*]]: tensor<3xf32>) -> tensor<3xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.scan %[[I:.*]], (%[[C:.*]] = %[[H]]) over (%[[X:.*]] = %[[XS]]) : (tensor<3xf32>, tensor<?x3xf32>) -> (tensor<3xf32>) {
// CHECK-NEXT:      %[[A:.*]] = graph.multiply %[[C]], %[[W]] : tensor<3xf32>
// CHECK-NEXT:      %[[B:.*]] = graph.add %[[A]], %[[X]] : tensor<3xf32>
// CHECK-NEXT:      %[[D:.*]] = graph.tanh %[[B]] : tensor<3xf32>
// CHECK-NEXT:      graph.yield %[[D]] : tensor<3xf32>
// CHECK-NEXT:    }
// CHECK-NEXT:    func.return %[[R]] : tensor<3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @recurrence.vjp(
// CHECK-SAME:      %[[H:.*]]: tensor<3xf32>, %[[XS:.*]]: tensor<?x3xf32>, %[[W:.*]]: tensor<3xf32>, %[[R_COTANGENT:.*]]: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>, tensor<?x3xf32>, tensor<3xf32>) attributes {lamina.derivative = "vjp of recurrence wrt=0,1,2 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]], %[[V0:.*]], %[[V1:.*]] = graph.scan %[[V2:.*]], (%[[V3:.*]] = %[[H]]) over (%[[V4:.*]] = %[[XS]]) : (tensor<3xf32>, tensor<?x3xf32>) -> (tensor<3xf32>, tensor<?x3xf32>, tensor<?x3xf32>) {
// CHECK-NEXT:      %[[A:.*]] = graph.multiply %[[V3]], %[[W]] : tensor<3xf32>
// CHECK-NEXT:      %[[B:.*]] = graph.add %[[A]], %[[V4]] : tensor<3xf32>
// CHECK-NEXT:      %[[D:.*]] = graph.tanh %[[B]] : tensor<3xf32>
// CHECK-NEXT:      graph.yield %[[D]], %[[V3]], %[[D]] : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
// CHECK-NEXT:    }
// CHECK-NEXT:    %[[V5:.*]] = graph.constant dense<0.000000e+00> : tensor<3xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V7:.*]], %[[V8:.*]], %[[V9:.*]] = graph.scan %[[V10:.*]], (%[[V11:.*]] = %[[R_COTANGENT]], %[[V12:.*]] = %[[V5]]) over (%[[V13:.*]] = %[[V0]], %[[D_1:.*]] = %[[V1]]) reverse : (tensor<3xf32>, tensor<3xf32>, tensor<?x3xf32>, tensor<?x3xf32>) -> (tensor<3xf32>, tensor<3xf32>, tensor<?x3xf32>) {
// CHECK-NEXT:      %[[V14:.*]] = graph.multiply %[[D_1]], %[[D_1]] : tensor<3xf32>
// CHECK-NEXT:      %[[V15:.*]] = graph.subtract %[[V6]], %[[V14]] : tensor<f32>, tensor<3xf32> -> tensor<3xf32>
// CHECK-NEXT:      %[[V16:.*]] = graph.multiply %[[V11]], %[[V15]] : tensor<3xf32>
// CHECK-NEXT:      %[[V17:.*]] = graph.multiply %[[V16]], %[[W]] : tensor<3xf32>
// CHECK-NEXT:      %[[V18:.*]] = graph.multiply %[[V16]], %[[V13]] : tensor<3xf32>
// CHECK-NEXT:      %[[V19:.*]] = graph.add %[[V12]], %[[V18]] : tensor<3xf32>
// CHECK-NEXT:      graph.yield %[[V17]], %[[V19]], %[[V16]] : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
// CHECK-NEXT:    }
// CHECK-NEXT:    func.return %[[R]], %[[V7]], %[[V9]], %[[V8]] : tensor<3xf32>, tensor<3xf32>, tensor<?x3xf32>, tensor<3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @recurrence.jvp(
// CHECK-SAME:      %[[H:.*]]: tensor<3xf32>, %[[XS:.*]]: tensor<?x3xf32>, %[[W:.*]]: tensor<3xf32>, %[[H_TANGENT:.*]]: tensor<3xf32>, %[[XS_TANGENT:.*]]: tensor<?x3xf32>, %[[W_TANGENT:.*]]: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) attributes {lamina.derivative = "jvp of recurrence wrt=0,1,2 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[R:.*]], %[[V1:.*]] = graph.scan %[[I:.*]], (%[[C:.*]] = %[[H]], %[[V2:.*]] = %[[H_TANGENT]]) over (%[[X:.*]] = %[[XS]], %[[V3:.*]] = %[[XS_TANGENT]]) : (tensor<3xf32>, tensor<3xf32>, tensor<?x3xf32>, tensor<?x3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
// CHECK-NEXT:      %[[A:.*]] = graph.multiply %[[C]], %[[W]] : tensor<3xf32>
// CHECK-NEXT:      %[[V4:.*]] = graph.multiply %[[V2]], %[[W]] : tensor<3xf32>
// CHECK-NEXT:      %[[V5:.*]] = graph.multiply %[[W_TANGENT]], %[[C]] : tensor<3xf32>
// CHECK-NEXT:      %[[V6:.*]] = graph.add %[[V4]], %[[V5]] : tensor<3xf32>
// CHECK-NEXT:      %[[B:.*]] = graph.add %[[A]], %[[X]] : tensor<3xf32>
// CHECK-NEXT:      %[[V7:.*]] = graph.add %[[V6]], %[[V3]] : tensor<3xf32>
// CHECK-NEXT:      %[[D:.*]] = graph.tanh %[[B]] : tensor<3xf32>
// CHECK-NEXT:      %[[V8:.*]] = graph.multiply %[[D]], %[[D]] : tensor<3xf32>
// CHECK-NEXT:      %[[V9:.*]] = graph.subtract %[[V0]], %[[V8]] : tensor<f32>, tensor<3xf32> -> tensor<3xf32>
// CHECK-NEXT:      %[[V10:.*]] = graph.multiply %[[V7]], %[[V9]] : tensor<3xf32>
// CHECK-NEXT:      graph.yield %[[D]], %[[V10]] : tensor<3xf32>, tensor<3xf32>
// CHECK-NEXT:    }
// CHECK-NEXT:    func.return %[[R]], %[[V1]] : tensor<3xf32>, tensor<3xf32>
// CHECK-NEXT:  }
func.func @recurrence(%h: tensor<3xf32>, %xs: tensor<?x3xf32>, %w: tensor<3xf32>) -> tensor<3xf32> {
  %r = graph.scan %i, (%c = %h) over (%x = %xs) : (tensor<3xf32>, tensor<?x3xf32>) -> (tensor<3xf32>) {
    %a = graph.multiply %c, %w : tensor<3xf32>
    %b = graph.add %a, %x : tensor<3xf32>
    %d = graph.tanh %b : tensor<3xf32>
    graph.yield %d : tensor<3xf32>
  }
  func.return %r : tensor<3xf32>
}

// What a branch's way back reads is a further result, zeros where the other branch is taken.
// CHECK-LABEL: func.func @kept(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[P:.*]]: tensor<i1>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[Y:.*]] = graph.if %[[P]] -> (tensor<4xf32>) {
// CHECK-NEXT:      %[[A:.*]] = graph.exp %[[X]] : tensor<4xf32>
// CHECK-NEXT:      %[[B:.*]] = graph.tanh %[[A]] : tensor<4xf32>
// CHECK-NEXT:      graph.yield %[[B]] : tensor<4xf32>
// CHECK-NEXT:    } else {
// CHECK-NEXT:      %[[C:.*]] = graph.logistic %[[X]] : tensor<4xf32>
// CHECK-NEXT:      graph.yield %[[C]] : tensor<4xf32>
// CHECK-NEXT:    }
// CHECK-NEXT:    func.return %[[Y]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @kept.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[P:.*]]: tensor<i1>, %[[Y_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of kept wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[Y:.*]], %[[B:.*]] = graph.if %[[P]] -> (tensor<4xf32>, tensor<4xf32>) {
// CHECK-NEXT:      %[[A:.*]] = graph.exp %[[X]] : tensor<4xf32>
// CHECK-NEXT:      %[[B_1:.*]] = graph.tanh %[[A]] : tensor<4xf32>
// CHECK-NEXT:      graph.yield %[[B_1]], %[[B_1]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:    } else {
// CHECK-NEXT:      %[[C:.*]] = graph.logistic %[[X]] : tensor<4xf32>
// CHECK-NEXT:      %[[V0:.*]] = graph.constant dense<0.000000e+00> : tensor<4xf32>
// CHECK-NEXT:      graph.yield %[[C]], %[[V0]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:    }
// CHECK-NEXT:    %[[V1:.*]] = graph.if %[[P]] -> (tensor<4xf32>) {
// CHECK-NEXT:      %[[A_1:.*]] = graph.exp %[[X]] : tensor<4xf32>
// CHECK-NEXT:      %[[V2:.*]] = graph.multiply %[[B]], %[[B]] : tensor<4xf32>
// CHECK-NEXT:      %[[V3:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:      %[[V4:.*]] = graph.subtract %[[V3]], %[[V2]] : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:      %[[V5:.*]] = graph.multiply %[[Y_COTANGENT]], %[[V4]] : tensor<4xf32>
// CHECK-NEXT:      %[[V6:.*]] = graph.multiply %[[V5]], %[[A_1]] : tensor<4xf32>
// CHECK-NEXT:      graph.yield %[[V6]] : tensor<4xf32>
// CHECK-NEXT:    } else {
// CHECK-NEXT:      %[[C_1:.*]] = graph.logistic %[[X]] : tensor<4xf32>
// CHECK-NEXT:      %[[V7:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:      %[[V8:.*]] = graph.subtract %[[V7]], %[[C_1]] : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:      %[[V9:.*]] = graph.multiply %[[C_1]], %[[V8]] : tensor<4xf32>
// CHECK-NEXT:      %[[V10:.*]] = graph.multiply %[[Y_COTANGENT]], %[[V9]] : tensor<4xf32>
// CHECK-NEXT:      graph.yield %[[V10]] : tensor<4xf32>
// CHECK-NEXT:    }
// CHECK-NEXT:    func.return %[[Y]], %[[V1]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @kept.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[P:.*]]: tensor<i1>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of kept wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[Y:.*]], %[[V0:.*]] = graph.if %[[P]] -> (tensor<4xf32>, tensor<4xf32>) {
// CHECK-NEXT:      %[[A:.*]] = graph.exp %[[X]] : tensor<4xf32>
// CHECK-NEXT:      %[[V1:.*]] = graph.multiply %[[X_TANGENT]], %[[A]] : tensor<4xf32>
// CHECK-NEXT:      %[[B:.*]] = graph.tanh %[[A]] : tensor<4xf32>
// CHECK-NEXT:      %[[V2:.*]] = graph.multiply %[[B]], %[[B]] : tensor<4xf32>
// CHECK-NEXT:      %[[V3:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:      %[[V4:.*]] = graph.subtract %[[V3]], %[[V2]] : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:      %[[V5:.*]] = graph.multiply %[[V1]], %[[V4]] : tensor<4xf32>
// CHECK-NEXT:      graph.yield %[[B]], %[[V5]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:    } else {
// CHECK-NEXT:      %[[C:.*]] = graph.logistic %[[X]] : tensor<4xf32>
// CHECK-NEXT:      %[[V6:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:      %[[V7:.*]] = graph.subtract %[[V6]], %[[C]] : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:      %[[V8:.*]] = graph.multiply %[[C]], %[[V7]] : tensor<4xf32>
// CHECK-NEXT:      %[[V9:.*]] = graph.multiply %[[X_TANGENT]], %[[V8]] : tensor<4xf32>
// CHECK-NEXT:      graph.yield %[[C]], %[[V9]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:    }
// CHECK-NEXT:    func.return %[[Y]], %[[V0]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @kept(%x: tensor<4xf32>, %p: tensor<i1>) -> tensor<4xf32> {
  %y = graph.if %p -> (tensor<4xf32>) {
    %a = graph.exp %x : tensor<4xf32>
    %b = graph.tanh %a : tensor<4xf32>
    graph.yield %b : tensor<4xf32>
  } else {
    %c = graph.logistic %x : tensor<4xf32>
    graph.yield %c : tensor<4xf32>
  }
  func.return %y : tensor<4xf32>
}
