// RUN: lamina-opt %s -p "differentiate{mode=reverse},differentiate{mode=forward},canonicalize,cse" | filecheck %s

// The derivatives of attention: the weights are computed again, nothing of their size is kept.

// CHECK-LABEL: func.func @attention(
// CHECK-SAME:      %[[Q:.*]]: tensor<2x4x3xf32>, %[[K:.*]]: tensor<2x5x3xf32>, %[[V:.*]]: tensor<2x5x2xf32>) -> tensor<2x4x2xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.attention %[[Q]], %[[K]], %[[V]] scale = 5.000000e-01 : tensor<2x4x3xf32>, tensor<2x5x3xf32>, tensor<2x5x2xf32> -> tensor<2x4x2xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x4x2xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @attention.vjp(
// CHECK-SAME:      %[[Q:.*]]: tensor<2x4x3xf32>, %[[K:.*]]: tensor<2x5x3xf32>, %[[V:.*]]: tensor<2x5x2xf32>, %[[R_COTANGENT:.*]]: tensor<2x4x2xf32>) -> (tensor<2x4x2xf32>, tensor<2x4x3xf32>, tensor<2x5x3xf32>, tensor<2x5x2xf32>) attributes {lamina.derivative = "vjp of attention wrt=0,1,2 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.attention %[[Q]], %[[K]], %[[V]] scale = 5.000000e-01 : tensor<2x4x3xf32>, tensor<2x5x3xf32>, tensor<2x5x2xf32> -> tensor<2x4x2xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<5.000000e-01> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.multiply %[[Q]], %[[V0]] : tensor<2x4x3xf32>, tensor<f32> -> tensor<2x4x3xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.dot_general %[[V1]], %[[K]], batch = [0] x [0], contract = [2] x [2] : tensor<2x4x3xf32>, tensor<2x5x3xf32> -> tensor<2x4x5xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.softmax %[[V2]], 2 : tensor<2x4x5xf32> -> tensor<2x4x5xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.dot_general %[[R_COTANGENT]], %[[V]], batch = [0] x [0], contract = [2] x [2] : tensor<2x4x2xf32>, tensor<2x5x2xf32> -> tensor<2x4x5xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.multiply %[[V4]], %[[V3]] : tensor<2x4x5xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.reduce add %[[V5]], [2] keep_dimensions : tensor<2x4x5xf32> -> tensor<2x4x1xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.subtract %[[V4]], %[[V6]] : tensor<2x4x5xf32>, tensor<2x4x1xf32> -> tensor<2x4x5xf32>
// CHECK-NEXT:    %[[V8:.*]] = graph.multiply %[[V3]], %[[V7]] : tensor<2x4x5xf32>
// CHECK-NEXT:    %[[V9:.*]] = graph.dot_general %[[V8]], %[[K]], batch = [0] x [0], contract = [2] x [1] : tensor<2x4x5xf32>, tensor<2x5x3xf32> -> tensor<2x4x3xf32>
// CHECK-NEXT:    %[[V10:.*]] = graph.multiply %[[V9]], %[[V0]] : tensor<2x4x3xf32>, tensor<f32> -> tensor<2x4x3xf32>
// CHECK-NEXT:    %[[V11:.*]] = graph.dot_general %[[V8]], %[[V1]], batch = [0] x [0], contract = [1] x [1] : tensor<2x4x5xf32>, tensor<2x4x3xf32> -> tensor<2x5x3xf32>
// CHECK-NEXT:    %[[V12:.*]] = graph.dot_general %[[V3]], %[[R_COTANGENT]], batch = [0] x [0], contract = [1] x [1] : tensor<2x4x5xf32>, tensor<2x4x2xf32> -> tensor<2x5x2xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V10]], %[[V11]], %[[V12]] : tensor<2x4x2xf32>, tensor<2x4x3xf32>, tensor<2x5x3xf32>, tensor<2x5x2xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @attention.jvp(
// CHECK-SAME:      %[[Q:.*]]: tensor<2x4x3xf32>, %[[K:.*]]: tensor<2x5x3xf32>, %[[V:.*]]: tensor<2x5x2xf32>, %[[Q_TANGENT:.*]]: tensor<2x4x3xf32>, %[[K_TANGENT:.*]]: tensor<2x5x3xf32>, %[[V_TANGENT:.*]]: tensor<2x5x2xf32>) -> (tensor<2x4x2xf32>, tensor<2x4x2xf32>) attributes {lamina.derivative = "jvp of attention wrt=0,1,2 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.attention %[[Q]], %[[K]], %[[V]] scale = 5.000000e-01 : tensor<2x4x3xf32>, tensor<2x5x3xf32>, tensor<2x5x2xf32> -> tensor<2x4x2xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<5.000000e-01> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.multiply %[[Q]], %[[V0]] : tensor<2x4x3xf32>, tensor<f32> -> tensor<2x4x3xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.dot_general %[[V1]], %[[K]], batch = [0] x [0], contract = [2] x [2] : tensor<2x4x3xf32>, tensor<2x5x3xf32> -> tensor<2x4x5xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.softmax %[[V2]], 2 : tensor<2x4x5xf32> -> tensor<2x4x5xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.multiply %[[Q_TANGENT]], %[[V0]] : tensor<2x4x3xf32>, tensor<f32> -> tensor<2x4x3xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.dot_general %[[V4]], %[[K]], batch = [0] x [0], contract = [2] x [2] : tensor<2x4x3xf32>, tensor<2x5x3xf32> -> tensor<2x4x5xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.dot_general %[[V1]], %[[K_TANGENT]], batch = [0] x [0], contract = [2] x [2] : tensor<2x4x3xf32>, tensor<2x5x3xf32> -> tensor<2x4x5xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.add %[[V5]], %[[V6]] : tensor<2x4x5xf32>
// CHECK-NEXT:    %[[V8:.*]] = graph.multiply %[[V7]], %[[V3]] : tensor<2x4x5xf32>
// CHECK-NEXT:    %[[V9:.*]] = graph.reduce add %[[V8]], [2] keep_dimensions : tensor<2x4x5xf32> -> tensor<2x4x1xf32>
// CHECK-NEXT:    %[[V10:.*]] = graph.subtract %[[V7]], %[[V9]] : tensor<2x4x5xf32>, tensor<2x4x1xf32> -> tensor<2x4x5xf32>
// CHECK-NEXT:    %[[V11:.*]] = graph.multiply %[[V3]], %[[V10]] : tensor<2x4x5xf32>
// CHECK-NEXT:    %[[V12:.*]] = graph.dot_general %[[V11]], %[[V]], batch = [0] x [0], contract = [2] x [1] : tensor<2x4x5xf32>, tensor<2x5x2xf32> -> tensor<2x4x2xf32>
// CHECK-NEXT:    %[[V13:.*]] = graph.dot_general %[[V3]], %[[V_TANGENT]], batch = [0] x [0], contract = [2] x [1] : tensor<2x4x5xf32>, tensor<2x5x2xf32> -> tensor<2x4x2xf32>
// CHECK-NEXT:    %[[V14:.*]] = graph.add %[[V12]], %[[V13]] : tensor<2x4x2xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V14]] : tensor<2x4x2xf32>, tensor<2x4x2xf32>
// CHECK-NEXT:  }
func.func @attention(%q: tensor<2x4x3xf32>, %k: tensor<2x5x3xf32>, %v: tensor<2x5x2xf32>) -> tensor<2x4x2xf32> {
  %r = graph.attention %q, %k, %v scale = 0.5 : tensor<2x4x3xf32>, tensor<2x5x3xf32>, tensor<2x5x2xf32> -> tensor<2x4x2xf32>
  func.return %r : tensor<2x4x2xf32>
}

// Large scores: a scan over blocks of queries.
// CHECK-LABEL: func.func @blocks(
// CHECK-SAME:      %[[Q:.*]]: tensor<1x2048x8xf32>, %[[K:.*]]: tensor<1x2048x8xf32>, %[[V:.*]]: tensor<1x2048x8xf32>) -> tensor<1x2048x8xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.attention %[[Q]], %[[K]], %[[V]] scale = 5.000000e-01 : tensor<1x2048x8xf32>, tensor<1x2048x8xf32>, tensor<1x2048x8xf32> -> tensor<1x2048x8xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<1x2048x8xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @blocks.vjp(
// CHECK-SAME:      %[[Q:.*]]: tensor<1x2048x8xf32>, %[[K:.*]]: tensor<1x2048x8xf32>, %[[V:.*]]: tensor<1x2048x8xf32>, %[[R_COTANGENT:.*]]: tensor<1x2048x8xf32>) -> (tensor<1x2048x8xf32>, tensor<1x2048x8xf32>, tensor<1x2048x8xf32>, tensor<1x2048x8xf32>) attributes {lamina.derivative = "vjp of blocks wrt=0,1,2 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.attention %[[Q]], %[[K]], %[[V]] scale = 5.000000e-01 : tensor<1x2048x8xf32>, tensor<1x2048x8xf32>, tensor<1x2048x8xf32> -> tensor<1x2048x8xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<0.000000e+00> : tensor<1x2048x8xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.reshape %[[Q]], [1, 4, 512, 8] : tensor<1x2048x8xf32> -> tensor<1x4x512x8xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.transpose %[[V1]], [1, 0, 2, 3] : tensor<1x4x512x8xf32> -> tensor<4x1x512x8xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.reshape %[[R_COTANGENT]], [1, 4, 512, 8] : tensor<1x2048x8xf32> -> tensor<1x4x512x8xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.transpose %[[V3]], [1, 0, 2, 3] : tensor<1x4x512x8xf32> -> tensor<4x1x512x8xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.constant dense<5.000000e-01> : tensor<f32>
// CHECK-NEXT:    %[[V6:.*]], %[[V7:.*]], %[[V8:.*]] = graph.scan %[[V9:.*]], (%[[V10:.*]] = %[[V0]], %[[V11:.*]] = %[[V0]]) over (%[[V12:.*]] = %[[V2]], %[[V13:.*]] = %[[V4]]) : (tensor<1x2048x8xf32>, tensor<1x2048x8xf32>, tensor<4x1x512x8xf32>, tensor<4x1x512x8xf32>) -> (tensor<1x2048x8xf32>, tensor<1x2048x8xf32>, tensor<4x1x512x8xf32>) {
// CHECK-NEXT:      %[[V14:.*]] = graph.multiply %[[V12]], %[[V5]] : tensor<1x512x8xf32>, tensor<f32> -> tensor<1x512x8xf32>
// CHECK-NEXT:      %[[V15:.*]] = graph.dot_general %[[V14]], %[[K]], batch = [0] x [0], contract = [2] x [2] : tensor<1x512x8xf32>, tensor<1x2048x8xf32> -> tensor<1x512x2048xf32>
// CHECK-NEXT:      %[[V16:.*]] = graph.softmax %[[V15]], 2 : tensor<1x512x2048xf32> -> tensor<1x512x2048xf32>
// CHECK-NEXT:      %[[V17:.*]] = graph.dot_general %[[V13]], %[[V]], batch = [0] x [0], contract = [2] x [2] : tensor<1x512x8xf32>, tensor<1x2048x8xf32> -> tensor<1x512x2048xf32>
// CHECK-NEXT:      %[[V18:.*]] = graph.multiply %[[V17]], %[[V16]] : tensor<1x512x2048xf32>
// CHECK-NEXT:      %[[V19:.*]] = graph.reduce add %[[V18]], [2] keep_dimensions : tensor<1x512x2048xf32> -> tensor<1x512x1xf32>
// CHECK-NEXT:      %[[V20:.*]] = graph.subtract %[[V17]], %[[V19]] : tensor<1x512x2048xf32>, tensor<1x512x1xf32> -> tensor<1x512x2048xf32>
// CHECK-NEXT:      %[[V21:.*]] = graph.multiply %[[V16]], %[[V20]] : tensor<1x512x2048xf32>
// CHECK-NEXT:      %[[V22:.*]] = graph.dot_general %[[V21]], %[[K]], batch = [0] x [0], contract = [2] x [1] : tensor<1x512x2048xf32>, tensor<1x2048x8xf32> -> tensor<1x512x8xf32>
// CHECK-NEXT:      %[[V23:.*]] = graph.multiply %[[V22]], %[[V5]] : tensor<1x512x8xf32>, tensor<f32> -> tensor<1x512x8xf32>
// CHECK-NEXT:      %[[V24:.*]] = graph.dot_general %[[V21]], %[[V14]], batch = [0] x [0], contract = [1] x [1] : tensor<1x512x2048xf32>, tensor<1x512x8xf32> -> tensor<1x2048x8xf32>
// CHECK-NEXT:      %[[V25:.*]] = graph.dot_general %[[V16]], %[[V13]], batch = [0] x [0], contract = [1] x [1] : tensor<1x512x2048xf32>, tensor<1x512x8xf32> -> tensor<1x2048x8xf32>
// CHECK-NEXT:      %[[V26:.*]] = graph.add %[[V10]], %[[V24]] : tensor<1x2048x8xf32>
// CHECK-NEXT:      %[[V27:.*]] = graph.add %[[V11]], %[[V25]] : tensor<1x2048x8xf32>
// CHECK-NEXT:      graph.yield %[[V26]], %[[V27]], %[[V23]] : tensor<1x2048x8xf32>, tensor<1x2048x8xf32>, tensor<1x512x8xf32>
// CHECK-NEXT:    }
// CHECK-NEXT:    %[[V28:.*]] = graph.transpose %[[V8]], [1, 0, 2, 3] : tensor<4x1x512x8xf32> -> tensor<1x4x512x8xf32>
// CHECK-NEXT:    %[[V29:.*]] = graph.reshape %[[V28]], [1, 2048, 8] : tensor<1x4x512x8xf32> -> tensor<1x2048x8xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V29]], %[[V6]], %[[V7]] : tensor<1x2048x8xf32>, tensor<1x2048x8xf32>, tensor<1x2048x8xf32>, tensor<1x2048x8xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @blocks.jvp(
// CHECK-SAME:      %[[Q:.*]]: tensor<1x2048x8xf32>, %[[K:.*]]: tensor<1x2048x8xf32>, %[[V:.*]]: tensor<1x2048x8xf32>, %[[Q_TANGENT:.*]]: tensor<1x2048x8xf32>, %[[K_TANGENT:.*]]: tensor<1x2048x8xf32>, %[[V_TANGENT:.*]]: tensor<1x2048x8xf32>) -> (tensor<1x2048x8xf32>, tensor<1x2048x8xf32>) attributes {lamina.derivative = "jvp of blocks wrt=0,1,2 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.attention %[[Q]], %[[K]], %[[V]] scale = 5.000000e-01 : tensor<1x2048x8xf32>, tensor<1x2048x8xf32>, tensor<1x2048x8xf32> -> tensor<1x2048x8xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<5.000000e-01> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.multiply %[[Q]], %[[V0]] : tensor<1x2048x8xf32>, tensor<f32> -> tensor<1x2048x8xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.dot_general %[[V1]], %[[K]], batch = [0] x [0], contract = [2] x [2] : tensor<1x2048x8xf32>, tensor<1x2048x8xf32> -> tensor<1x2048x2048xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.softmax %[[V2]], 2 : tensor<1x2048x2048xf32> -> tensor<1x2048x2048xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.multiply %[[Q_TANGENT]], %[[V0]] : tensor<1x2048x8xf32>, tensor<f32> -> tensor<1x2048x8xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.dot_general %[[V4]], %[[K]], batch = [0] x [0], contract = [2] x [2] : tensor<1x2048x8xf32>, tensor<1x2048x8xf32> -> tensor<1x2048x2048xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.dot_general %[[V1]], %[[K_TANGENT]], batch = [0] x [0], contract = [2] x [2] : tensor<1x2048x8xf32>, tensor<1x2048x8xf32> -> tensor<1x2048x2048xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.add %[[V5]], %[[V6]] : tensor<1x2048x2048xf32>
// CHECK-NEXT:    %[[V8:.*]] = graph.multiply %[[V7]], %[[V3]] : tensor<1x2048x2048xf32>
// CHECK-NEXT:    %[[V9:.*]] = graph.reduce add %[[V8]], [2] keep_dimensions : tensor<1x2048x2048xf32> -> tensor<1x2048x1xf32>
// CHECK-NEXT:    %[[V10:.*]] = graph.subtract %[[V7]], %[[V9]] : tensor<1x2048x2048xf32>, tensor<1x2048x1xf32> -> tensor<1x2048x2048xf32>
// CHECK-NEXT:    %[[V11:.*]] = graph.multiply %[[V3]], %[[V10]] : tensor<1x2048x2048xf32>
// CHECK-NEXT:    %[[V12:.*]] = graph.dot_general %[[V11]], %[[V]], batch = [0] x [0], contract = [2] x [1] : tensor<1x2048x2048xf32>, tensor<1x2048x8xf32> -> tensor<1x2048x8xf32>
// CHECK-NEXT:    %[[V13:.*]] = graph.dot_general %[[V3]], %[[V_TANGENT]], batch = [0] x [0], contract = [2] x [1] : tensor<1x2048x2048xf32>, tensor<1x2048x8xf32> -> tensor<1x2048x8xf32>
// CHECK-NEXT:    %[[V14:.*]] = graph.add %[[V12]], %[[V13]] : tensor<1x2048x8xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V14]] : tensor<1x2048x8xf32>, tensor<1x2048x8xf32>
// CHECK-NEXT:  }
func.func @blocks(%q: tensor<1x2048x8xf32>, %k: tensor<1x2048x8xf32>, %v: tensor<1x2048x8xf32>) -> tensor<1x2048x8xf32> {
  %r = graph.attention %q, %k, %v scale = 0.5 : tensor<1x2048x8xf32>, tensor<1x2048x8xf32>, tensor<1x2048x8xf32> -> tensor<1x2048x8xf32>
  func.return %r : tensor<1x2048x8xf32>
}
