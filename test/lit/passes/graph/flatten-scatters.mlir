// RUN: lamina-opt %s -p flatten-scatters,canonicalize,cse | filecheck %s

// Rows already: nothing changes.
// CHECK-LABEL: func.func @rows(
// CHECK-SAME:      %[[X:.*]]: tensor<4x8xf32>, %[[I:.*]]: tensor<3xi64>, %[[U:.*]]: tensor<3x8xf32>) -> tensor<4x8xf32> {
// CHECK-NEXT:    %[[Y:.*]] = graph.scatter add %[[X]], %[[I]], %[[U]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<4x8xf32>, tensor<3xi64>, tensor<3x8xf32> -> tensor<4x8xf32>
// CHECK-NEXT:    func.return %[[Y]] : tensor<4x8xf32>
// CHECK-NEXT:  }
func.func @rows(%x: tensor<4x8xf32>, %i: tensor<3xi64>, %u: tensor<3x8xf32>) -> tensor<4x8xf32> {
  %y = graph.scatter add %x, %i, %u, update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<4x8xf32>, tensor<3xi64>, tensor<3x8xf32> -> tensor<4x8xf32>
  func.return %y : tensor<4x8xf32>
}

// Two indices for each element; narrow integers.
// CHECK-LABEL: func.func @elements(
// CHECK-SAME:      %[[X:.*]]: tensor<4x8xf32>, %[[I:.*]]: tensor<3x2xi32>, %[[U:.*]]: tensor<3xf32>) -> tensor<4x8xf32> {
// CHECK-NEXT:    %[[V0:.*]] = graph.reshape %[[X]], [32, 1] : tensor<4x8xf32> -> tensor<32x1xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.cast %[[I]] : tensor<3x2xi32> -> tensor<3x2xi64>
// CHECK-NEXT:    %[[V2:.*]] = graph.slice %[[V1]], [0, 0] to [9223372036854775807, 1] step [1, 1] : tensor<3x2xi64> -> tensor<3x1xi64>
// CHECK-NEXT:    %[[V3:.*]] = graph.reshape %[[V2]], [3] : tensor<3x1xi64> -> tensor<3xi64>
// CHECK-NEXT:    %[[V4:.*]] = graph.constant dense<3> : tensor<i64>
// CHECK-NEXT:    %[[V5:.*]] = graph.constant dense<0> : tensor<i64>
// CHECK-NEXT:    %[[V6:.*]] = graph.compare GE, %[[V3]], %[[V5]] : tensor<3xi64>, tensor<i64> -> tensor<3xi1>
// CHECK-NEXT:    %[[V7:.*]] = graph.compare LE, %[[V3]], %[[V4]] : tensor<3xi64>, tensor<i64> -> tensor<3xi1>
// CHECK-NEXT:    %[[V8:.*]] = graph.and %[[V6]], %[[V7]] : tensor<3xi1>
// CHECK-NEXT:    %[[V9:.*]] = graph.constant dense<8> : tensor<i64>
// CHECK-NEXT:    %[[V10:.*]] = graph.multiply %[[V3]], %[[V9]] : tensor<3xi64>, tensor<i64> -> tensor<3xi64>
// CHECK-NEXT:    %[[V11:.*]] = graph.slice %[[V1]], [0, 1] to [9223372036854775807, 2] step [1, 1] : tensor<3x2xi64> -> tensor<3x1xi64>
// CHECK-NEXT:    %[[V12:.*]] = graph.reshape %[[V11]], [3] : tensor<3x1xi64> -> tensor<3xi64>
// CHECK-NEXT:    %[[V13:.*]] = graph.constant dense<7> : tensor<i64>
// CHECK-NEXT:    %[[V14:.*]] = graph.compare GE, %[[V12]], %[[V5]] : tensor<3xi64>, tensor<i64> -> tensor<3xi1>
// CHECK-NEXT:    %[[V15:.*]] = graph.compare LE, %[[V12]], %[[V13]] : tensor<3xi64>, tensor<i64> -> tensor<3xi1>
// CHECK-NEXT:    %[[V16:.*]] = graph.and %[[V14]], %[[V15]] : tensor<3xi1>
// CHECK-NEXT:    %[[V17:.*]] = graph.and %[[V8]], %[[V16]] : tensor<3xi1>
// CHECK-NEXT:    %[[V18:.*]] = graph.add %[[V10]], %[[V12]] : tensor<3xi64>
// CHECK-NEXT:    %[[V19:.*]] = graph.reshape %[[V18]], [3, 1] : tensor<3xi64> -> tensor<3x1xi64>
// CHECK-NEXT:    %[[V20:.*]] = graph.reshape %[[V17]], [3, 1] : tensor<3xi1> -> tensor<3x1xi1>
// CHECK-NEXT:    %[[V21:.*]] = graph.constant dense<-1> : tensor<i64>
// CHECK-NEXT:    %[[V22:.*]] = graph.select %[[V20]], %[[V19]], %[[V21]] : tensor<3x1xi1>, tensor<3x1xi64>, tensor<i64> -> tensor<3x1xi64>
// CHECK-NEXT:    %[[V23:.*]] = graph.reshape %[[V22]], [3] : tensor<3x1xi64> -> tensor<3xi64>
// CHECK-NEXT:    %[[V24:.*]] = graph.reshape %[[U]], [3, 1] : tensor<3xf32> -> tensor<3x1xf32>
// CHECK-NEXT:    %[[V25:.*]] = graph.scatter assign %[[V0]], %[[V23]], %[[V24]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<32x1xf32>, tensor<3xi64>, tensor<3x1xf32> -> tensor<32x1xf32>
// CHECK-NEXT:    %[[Y:.*]] = graph.reshape %[[V25]], [4, 8] : tensor<32x1xf32> -> tensor<4x8xf32>
// CHECK-NEXT:    func.return %[[Y]] : tensor<4x8xf32>
// CHECK-NEXT:  }
func.func @elements(%x: tensor<4x8xf32>, %i: tensor<3x2xi32>, %u: tensor<3xf32>) -> tensor<4x8xf32> {
  %y = graph.scatter assign %x, %i, %u, update_window_dims [] inserted_window_dims [0, 1] scatter_dims_to_operand_dims [0, 1] index_vector_dim 1 : tensor<4x8xf32>, tensor<3x2xi32>, tensor<3xf32> -> tensor<4x8xf32>
  func.return %y : tensor<4x8xf32>
}

// Patches: the parts of a slice are rows of their own.
// CHECK-LABEL: func.func @patches(
// CHECK-SAME:      %[[X:.*]]: tensor<4x8x2xf32>, %[[I:.*]]: tensor<5x2xi64>, %[[U:.*]]: tensor<5x3x2x2xf32>) -> tensor<4x8x2xf32> {
// CHECK-NEXT:    %[[V0:.*]] = graph.reshape %[[X]], [32, 2] : tensor<4x8x2xf32> -> tensor<32x2xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.slice %[[I]], [0, 0] to [9223372036854775807, 1] step [1, 1] : tensor<5x2xi64> -> tensor<5x1xi64>
// CHECK-NEXT:    %[[V2:.*]] = graph.reshape %[[V1]], [5] : tensor<5x1xi64> -> tensor<5xi64>
// CHECK-NEXT:    %[[V3:.*]] = graph.constant dense<1> : tensor<i64>
// CHECK-NEXT:    %[[V4:.*]] = graph.constant dense<0> : tensor<i64>
// CHECK-NEXT:    %[[V5:.*]] = graph.compare GE, %[[V2]], %[[V4]] : tensor<5xi64>, tensor<i64> -> tensor<5xi1>
// CHECK-NEXT:    %[[V6:.*]] = graph.compare LE, %[[V2]], %[[V3]] : tensor<5xi64>, tensor<i64> -> tensor<5xi1>
// CHECK-NEXT:    %[[V7:.*]] = graph.and %[[V5]], %[[V6]] : tensor<5xi1>
// CHECK-NEXT:    %[[V8:.*]] = graph.constant dense<8> : tensor<i64>
// CHECK-NEXT:    %[[V9:.*]] = graph.multiply %[[V2]], %[[V8]] : tensor<5xi64>, tensor<i64> -> tensor<5xi64>
// CHECK-NEXT:    %[[V10:.*]] = graph.slice %[[I]], [0, 1] to [9223372036854775807, 2] step [1, 1] : tensor<5x2xi64> -> tensor<5x1xi64>
// CHECK-NEXT:    %[[V11:.*]] = graph.reshape %[[V10]], [5] : tensor<5x1xi64> -> tensor<5xi64>
// CHECK-NEXT:    %[[V12:.*]] = graph.constant dense<6> : tensor<i64>
// CHECK-NEXT:    %[[V13:.*]] = graph.compare GE, %[[V11]], %[[V4]] : tensor<5xi64>, tensor<i64> -> tensor<5xi1>
// CHECK-NEXT:    %[[V14:.*]] = graph.compare LE, %[[V11]], %[[V12]] : tensor<5xi64>, tensor<i64> -> tensor<5xi1>
// CHECK-NEXT:    %[[V15:.*]] = graph.and %[[V13]], %[[V14]] : tensor<5xi1>
// CHECK-NEXT:    %[[V16:.*]] = graph.and %[[V7]], %[[V15]] : tensor<5xi1>
// CHECK-NEXT:    %[[V17:.*]] = graph.add %[[V9]], %[[V11]] : tensor<5xi64>
// CHECK-NEXT:    %[[V18:.*]] = graph.reshape %[[V17]], [5, 1] : tensor<5xi64> -> tensor<5x1xi64>
// CHECK-NEXT:    %[[V19:.*]] = graph.iota [3, 2] dimension 0 : tensor<3x2xi64>
// CHECK-NEXT:    %[[V20:.*]] = graph.multiply %[[V19]], %[[V8]] : tensor<3x2xi64>, tensor<i64> -> tensor<3x2xi64>
// CHECK-NEXT:    %[[V21:.*]] = graph.iota [3, 2] dimension 1 : tensor<3x2xi64>
// CHECK-NEXT:    %[[V22:.*]] = graph.add %[[V20]], %[[V21]] : tensor<3x2xi64>
// CHECK-NEXT:    %[[V23:.*]] = graph.reshape %[[V22]], [1, 6] : tensor<3x2xi64> -> tensor<1x6xi64>
// CHECK-NEXT:    %[[V24:.*]] = graph.add %[[V18]], %[[V23]] : tensor<5x1xi64>, tensor<1x6xi64> -> tensor<5x6xi64>
// CHECK-NEXT:    %[[V25:.*]] = graph.reshape %[[V16]], [5, 1] : tensor<5xi1> -> tensor<5x1xi1>
// CHECK-NEXT:    %[[V26:.*]] = graph.constant dense<-1> : tensor<i64>
// CHECK-NEXT:    %[[V27:.*]] = graph.select %[[V25]], %[[V24]], %[[V26]] : tensor<5x1xi1>, tensor<5x6xi64>, tensor<i64> -> tensor<5x6xi64>
// CHECK-NEXT:    %[[V28:.*]] = graph.reshape %[[V27]], [30] : tensor<5x6xi64> -> tensor<30xi64>
// CHECK-NEXT:    %[[V29:.*]] = graph.reshape %[[U]], [30, 2] : tensor<5x3x2x2xf32> -> tensor<30x2xf32>
// CHECK-NEXT:    %[[V30:.*]] = graph.scatter maximum %[[V0]], %[[V28]], %[[V29]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<32x2xf32>, tensor<30xi64>, tensor<30x2xf32> -> tensor<32x2xf32>
// CHECK-NEXT:    %[[Y:.*]] = graph.reshape %[[V30]], [4, 8, 2] : tensor<32x2xf32> -> tensor<4x8x2xf32>
// CHECK-NEXT:    func.return %[[Y]] : tensor<4x8x2xf32>
// CHECK-NEXT:  }
func.func @patches(%x: tensor<4x8x2xf32>, %i: tensor<5x2xi64>, %u: tensor<5x3x2x2xf32>) -> tensor<4x8x2xf32> {
  %y = graph.scatter maximum %x, %i, %u, update_window_dims [1, 2, 3] inserted_window_dims [] scatter_dims_to_operand_dims [0, 1] index_vector_dim 1 : tensor<4x8x2xf32>, tensor<5x2xi64>, tensor<5x3x2x2xf32> -> tensor<4x8x2xf32>
  func.return %y : tensor<4x8x2xf32>
}

// Sizes that only the run can tell.
// CHECK-LABEL: func.func @symbolic(
// CHECK-SAME:      %[[X:.*]]: tensor<?x?xf32>, %[[I:.*]]: tensor<?xi64>, %[[U:.*]]: tensor<?x?xf32>) -> tensor<?x?xf32> {
// CHECK-NEXT:    %[[V0:.*]] = graph.transpose %[[U]], [1, 0] : tensor<?x?xf32> -> tensor<?x?xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.reshape %[[X]], [-1, 1] : tensor<?x?xf32> -> tensor<?x1xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.dimension %[[X]], 1 : tensor<?x?xf32> -> tensor<i64>
// CHECK-NEXT:    %[[V3:.*]] = graph.constant dense<1> : tensor<i64>
// CHECK-NEXT:    %[[V4:.*]] = graph.subtract %[[V2]], %[[V3]] : tensor<i64>
// CHECK-NEXT:    %[[V5:.*]] = graph.constant dense<0> : tensor<i64>
// CHECK-NEXT:    %[[V6:.*]] = graph.compare GE, %[[I]], %[[V5]] : tensor<?xi64>, tensor<i64> -> tensor<?xi1>
// CHECK-NEXT:    %[[V7:.*]] = graph.compare LE, %[[I]], %[[V4]] : tensor<?xi64>, tensor<i64> -> tensor<?xi1>
// CHECK-NEXT:    %[[V8:.*]] = graph.and %[[V6]], %[[V7]] : tensor<?xi1>
// CHECK-NEXT:    %[[V9:.*]] = graph.reshape %[[I]], [-1, 1] : tensor<?xi64> -> tensor<?x1xi64>
// CHECK-NEXT:    %[[V10:.*]] = graph.dimension %[[U]], 0 : tensor<?x?xf32> -> tensor<i64>
// CHECK-NEXT:    %[[V11:.*]] = graph.reshape %[[V10]], [1] : tensor<i64> -> tensor<1xi64>
// CHECK-NEXT:    %[[V12:.*]] = graph.dynamic_iota %[[V11]] dimension 0 : tensor<1xi64> -> tensor<?xi64>
// CHECK-NEXT:    %[[V13:.*]] = graph.multiply %[[V12]], %[[V2]] : tensor<?xi64>, tensor<i64> -> tensor<?xi64>
// CHECK-NEXT:    %[[V14:.*]] = graph.reshape %[[V13]], [1, -1] : tensor<?xi64> -> tensor<1x?xi64>
// CHECK-NEXT:    %[[V15:.*]] = graph.add %[[V9]], %[[V14]] : tensor<?x1xi64>, tensor<1x?xi64> -> tensor<?x?xi64>
// CHECK-NEXT:    %[[V16:.*]] = graph.reshape %[[V8]], [-1, 1] : tensor<?xi1> -> tensor<?x1xi1>
// CHECK-NEXT:    %[[V17:.*]] = graph.constant dense<-1> : tensor<i64>
// CHECK-NEXT:    %[[V18:.*]] = graph.select %[[V16]], %[[V15]], %[[V17]] : tensor<?x1xi1>, tensor<?x?xi64>, tensor<i64> -> tensor<?x?xi64>
// CHECK-NEXT:    %[[V19:.*]] = graph.reshape %[[V18]], [-1] : tensor<?x?xi64> -> tensor<?xi64>
// CHECK-NEXT:    %[[V20:.*]] = graph.reshape %[[V0]], [-1, 1] : tensor<?x?xf32> -> tensor<?x1xf32>
// CHECK-NEXT:    %[[V21:.*]] = graph.scatter add %[[V1]], %[[V19]], %[[V20]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<?x1xf32>, tensor<?xi64>, tensor<?x1xf32> -> tensor<?x1xf32>
// CHECK-NEXT:    %[[V22:.*]] = graph.dimension %[[X]], 0 : tensor<?x?xf32> -> tensor<i64>
// CHECK-NEXT:    %[[V23:.*]] = graph.reshape %[[V22]], [1] : tensor<i64> -> tensor<1xi64>
// CHECK-NEXT:    %[[V24:.*]] = graph.reshape %[[V2]], [1] : tensor<i64> -> tensor<1xi64>
// CHECK-NEXT:    %[[V25:.*]] = graph.concatenate %[[V23]], %[[V24]] dimension 0 : tensor<1xi64>, tensor<1xi64> -> tensor<2xi64>
// CHECK-NEXT:    %[[Y:.*]] = graph.dynamic_reshape %[[V21]], %[[V25]] : tensor<?x1xf32>, tensor<2xi64> -> tensor<?x?xf32>
// CHECK-NEXT:    func.return %[[Y]] : tensor<?x?xf32>
// CHECK-NEXT:  }
func.func @symbolic(%x: tensor<?x?xf32>, %i: tensor<?xi64>, %u: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %y = graph.scatter add %x, %i, %u, update_window_dims [0] inserted_window_dims [1] scatter_dims_to_operand_dims [1] index_vector_dim 1 : tensor<?x?xf32>, tensor<?xi64>, tensor<?x?xf32> -> tensor<?x?xf32>
  func.return %y : tensor<?x?xf32>
}
