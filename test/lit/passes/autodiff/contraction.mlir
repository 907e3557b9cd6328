// RUN: lamina-opt %s -p "differentiate{mode=reverse},differentiate{mode=forward},canonicalize,cse" | filecheck %s

// The derivatives of contractions: @NAME.vjp and @NAME.jvp for every rule.

// CHECK-LABEL: func.func @matmul(
// CHECK-SAME:      %[[X:.*]]: tensor<3x4xf32>, %[[Y:.*]]: tensor<4x5xf32>) -> tensor<3x5xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.dot_general %[[X]], %[[Y]], contract = [1] x [0] : tensor<3x4xf32>, tensor<4x5xf32> -> tensor<3x5xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<3x5xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @matmul.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<3x4xf32>, %[[Y:.*]]: tensor<4x5xf32>, %[[R_COTANGENT:.*]]: tensor<3x5xf32>) -> (tensor<3x5xf32>, tensor<3x4xf32>, tensor<4x5xf32>) attributes {lamina.derivative = "vjp of matmul wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.dot_general %[[X]], %[[Y]], contract = [1] x [0] : tensor<3x4xf32>, tensor<4x5xf32> -> tensor<3x5xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.dot_general %[[R_COTANGENT]], %[[Y]], contract = [1] x [1] : tensor<3x5xf32>, tensor<4x5xf32> -> tensor<3x4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.dot_general %[[X]], %[[R_COTANGENT]], contract = [0] x [0] : tensor<3x4xf32>, tensor<3x5xf32> -> tensor<4x5xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]], %[[V1]] : tensor<3x5xf32>, tensor<3x4xf32>, tensor<4x5xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @matmul.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<3x4xf32>, %[[Y:.*]]: tensor<4x5xf32>, %[[X_TANGENT:.*]]: tensor<3x4xf32>, %[[Y_TANGENT:.*]]: tensor<4x5xf32>) -> (tensor<3x5xf32>, tensor<3x5xf32>) attributes {lamina.derivative = "jvp of matmul wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.dot_general %[[X]], %[[Y]], contract = [1] x [0] : tensor<3x4xf32>, tensor<4x5xf32> -> tensor<3x5xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.dot_general %[[X_TANGENT]], %[[Y]], contract = [1] x [0] : tensor<3x4xf32>, tensor<4x5xf32> -> tensor<3x5xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.dot_general %[[X]], %[[Y_TANGENT]], contract = [1] x [0] : tensor<3x4xf32>, tensor<4x5xf32> -> tensor<3x5xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.add %[[V0]], %[[V1]] : tensor<3x5xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V2]] : tensor<3x5xf32>, tensor<3x5xf32>
// CHECK-NEXT:  }
func.func @matmul(%x: tensor<3x4xf32>, %y: tensor<4x5xf32>) -> tensor<3x5xf32> {
  %r = graph.dot_general %x, %y, contract = [1] x [0] : tensor<3x4xf32>, tensor<4x5xf32> -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}

// CHECK-LABEL: func.func @batched(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3x4xf32>, %[[Y:.*]]: tensor<2x5x4xf32>) -> tensor<2x3x5xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.dot_general %[[X]], %[[Y]], batch = [0] x [0], contract = [2] x [2] : tensor<2x3x4xf32>, tensor<2x5x4xf32> -> tensor<2x3x5xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x3x5xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @batched.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3x4xf32>, %[[Y:.*]]: tensor<2x5x4xf32>, %[[R_COTANGENT:.*]]: tensor<2x3x5xf32>) -> (tensor<2x3x5xf32>, tensor<2x3x4xf32>, tensor<2x5x4xf32>) attributes {lamina.derivative = "vjp of batched wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.dot_general %[[X]], %[[Y]], batch = [0] x [0], contract = [2] x [2] : tensor<2x3x4xf32>, tensor<2x5x4xf32> -> tensor<2x3x5xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.dot_general %[[R_COTANGENT]], %[[Y]], batch = [0] x [0], contract = [2] x [1] : tensor<2x3x5xf32>, tensor<2x5x4xf32> -> tensor<2x3x4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.dot_general %[[X]], %[[R_COTANGENT]], batch = [0] x [0], contract = [1] x [1] : tensor<2x3x4xf32>, tensor<2x3x5xf32> -> tensor<2x4x5xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.transpose %[[V1]], [0, 2, 1] : tensor<2x4x5xf32> -> tensor<2x5x4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]], %[[V2]] : tensor<2x3x5xf32>, tensor<2x3x4xf32>, tensor<2x5x4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @batched.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x3x4xf32>, %[[Y:.*]]: tensor<2x5x4xf32>, %[[X_TANGENT:.*]]: tensor<2x3x4xf32>, %[[Y_TANGENT:.*]]: tensor<2x5x4xf32>) -> (tensor<2x3x5xf32>, tensor<2x3x5xf32>) attributes {lamina.derivative = "jvp of batched wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.dot_general %[[X]], %[[Y]], batch = [0] x [0], contract = [2] x [2] : tensor<2x3x4xf32>, tensor<2x5x4xf32> -> tensor<2x3x5xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.dot_general %[[X_TANGENT]], %[[Y]], batch = [0] x [0], contract = [2] x [2] : tensor<2x3x4xf32>, tensor<2x5x4xf32> -> tensor<2x3x5xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.dot_general %[[X]], %[[Y_TANGENT]], batch = [0] x [0], contract = [2] x [2] : tensor<2x3x4xf32>, tensor<2x5x4xf32> -> tensor<2x3x5xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.add %[[V0]], %[[V1]] : tensor<2x3x5xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V2]] : tensor<2x3x5xf32>, tensor<2x3x5xf32>
// CHECK-NEXT:  }
func.func @batched(%x: tensor<2x3x4xf32>, %y: tensor<2x5x4xf32>) -> tensor<2x3x5xf32> {
  %r = graph.dot_general %x, %y, batch = [0] x [0], contract = [2] x [2] : tensor<2x3x4xf32>, tensor<2x5x4xf32> -> tensor<2x3x5xf32>
  func.return %r : tensor<2x3x5xf32>
}
