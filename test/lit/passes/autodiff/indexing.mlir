// RUN: lamina-opt %s -p "differentiate{mode=reverse},differentiate{mode=forward},canonicalize,cse" | filecheck %s

// The derivatives of gather and scatter: @NAME.vjp and @NAME.jvp for every rule.

// CHECK-LABEL: func.func @gather(
// CHECK-SAME:      %[[X:.*]]: tensor<5x2xf32>) -> tensor<3x2xf32> {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<[4, 0, 9]> : tensor<3xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.gather %[[X]], %[[V0]], offset_dims [1] collapsed_slice_dims [0] start_index_map [0] index_vector_dim 1 slice_sizes [1, -1] : tensor<5x2xf32>, tensor<3xi64> -> tensor<3x2xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<3x2xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @gather.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<5x2xf32>, %[[R_COTANGENT:.*]]: tensor<3x2xf32>) -> (tensor<3x2xf32>, tensor<5x2xf32>) attributes {lamina.derivative = "vjp of gather wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<[4, 0, 9]> : tensor<3xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.gather %[[X]], %[[V0]], offset_dims [1] collapsed_slice_dims [0] start_index_map [0] index_vector_dim 1 slice_sizes [1, -1] : tensor<5x2xf32>, tensor<3xi64> -> tensor<3x2xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<0.000000e+00> : tensor<5x2xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.constant dense<4> : tensor<1xi64>
// CHECK-NEXT:    %[[V3:.*]] = graph.reshape %[[V2]], [] : tensor<1xi64> -> tensor<i64>
// CHECK-NEXT:    %[[V4:.*]] = graph.constant dense<0> : tensor<i64>
// CHECK-NEXT:    %[[V5:.*]] = graph.clamp %[[V4]], %[[V0]], %[[V3]] : tensor<i64>, tensor<3xi64>, tensor<i64> -> tensor<3xi64>
// CHECK-NEXT:    %[[V6:.*]] = graph.scatter add %[[V1]], %[[V5]], %[[R_COTANGENT]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V6]] : tensor<3x2xf32>, tensor<5x2xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @gather.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<5x2xf32>, %[[X_TANGENT:.*]]: tensor<5x2xf32>) -> (tensor<3x2xf32>, tensor<3x2xf32>) attributes {lamina.derivative = "jvp of gather wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<[4, 0, 9]> : tensor<3xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.gather %[[X]], %[[V0]], offset_dims [1] collapsed_slice_dims [0] start_index_map [0] index_vector_dim 1 slice_sizes [1, -1] : tensor<5x2xf32>, tensor<3xi64> -> tensor<3x2xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.gather %[[X_TANGENT]], %[[V0]], offset_dims [1] collapsed_slice_dims [0] start_index_map [0] index_vector_dim 1 slice_sizes [1, -1] : tensor<5x2xf32>, tensor<3xi64> -> tensor<3x2xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V1]] : tensor<3x2xf32>, tensor<3x2xf32>
// CHECK-NEXT:  }
func.func @gather(%x: tensor<5x2xf32>) -> tensor<3x2xf32> {
  %0 = graph.constant dense<[4, 0, 9]> : tensor<3xi64>
  %r = graph.gather %x, %0, offset_dims [1] collapsed_slice_dims [0] start_index_map [0] index_vector_dim 1 slice_sizes [1, -1] : tensor<5x2xf32>, tensor<3xi64> -> tensor<3x2xf32>
  func.return %r : tensor<3x2xf32>
}

// CHECK-LABEL: func.func @scatter_add(
// CHECK-SAME:      %[[X:.*]]: tensor<5x2xf32>, %[[Y:.*]]: tensor<3x2xf32>) -> tensor<5x2xf32> {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<[4, 0, 4]> : tensor<3xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.scatter add %[[X]], %[[V0]], %[[Y]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<5x2xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @scatter_add.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<5x2xf32>, %[[Y:.*]]: tensor<3x2xf32>, %[[R_COTANGENT:.*]]: tensor<5x2xf32>) -> (tensor<5x2xf32>, tensor<5x2xf32>, tensor<3x2xf32>) attributes {lamina.derivative = "vjp of scatter_add wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<[4, 0, 4]> : tensor<3xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.scatter add %[[X]], %[[V0]], %[[Y]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.gather %[[R_COTANGENT]], %[[V0]], offset_dims [1] collapsed_slice_dims [0] start_index_map [0] index_vector_dim 1 slice_sizes [1, -1] : tensor<5x2xf32>, tensor<3xi64> -> tensor<3x2xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.constant dense<4> : tensor<1xi64>
// CHECK-NEXT:    %[[V3:.*]] = graph.reshape %[[V2]], [] : tensor<1xi64> -> tensor<i64>
// CHECK-NEXT:    %[[V4:.*]] = graph.constant dense<0> : tensor<i64>
// CHECK-NEXT:    %[[V5:.*]] = graph.compare GE, %[[V0]], %[[V4]] : tensor<3xi64>, tensor<i64> -> tensor<3xi1>
// CHECK-NEXT:    %[[V6:.*]] = graph.compare LE, %[[V0]], %[[V3]] : tensor<3xi64>, tensor<i64> -> tensor<3xi1>
// CHECK-NEXT:    %[[V7:.*]] = graph.and %[[V5]], %[[V6]] : tensor<3xi1>
// CHECK-NEXT:    %[[V8:.*]] = graph.reshape %[[V7]], [3, 1] : tensor<3xi1> -> tensor<3x1xi1>
// CHECK-NEXT:    %[[V9:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V10:.*]] = graph.select %[[V8]], %[[V1]], %[[V9]] : tensor<3x1xi1>, tensor<3x2xf32>, tensor<f32> -> tensor<3x2xf32>
// CHECK-NEXT:    func.return %[[R]], %[[R_COTANGENT]], %[[V10]] : tensor<5x2xf32>, tensor<5x2xf32>, tensor<3x2xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @scatter_add.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<5x2xf32>, %[[Y:.*]]: tensor<3x2xf32>, %[[X_TANGENT:.*]]: tensor<5x2xf32>, %[[Y_TANGENT:.*]]: tensor<3x2xf32>) -> (tensor<5x2xf32>, tensor<5x2xf32>) attributes {lamina.derivative = "jvp of scatter_add wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<[4, 0, 4]> : tensor<3xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.scatter add %[[X]], %[[V0]], %[[Y]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.scatter add %[[X_TANGENT]], %[[V0]], %[[Y_TANGENT]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V1]] : tensor<5x2xf32>, tensor<5x2xf32>
// CHECK-NEXT:  }
func.func @scatter_add(%x: tensor<5x2xf32>, %y: tensor<3x2xf32>) -> tensor<5x2xf32> {
  %0 = graph.constant dense<[4, 0, 4]> : tensor<3xi64>
  %r = graph.scatter add %x, %0, %y, update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
  func.return %r : tensor<5x2xf32>
}

// CHECK-LABEL: func.func @scatter_assign(
// CHECK-SAME:      %[[X:.*]]: tensor<5x2xf32>, %[[Y:.*]]: tensor<3x2xf32>) -> tensor<5x2xf32> {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<[4, 0, 4]> : tensor<3xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.scatter assign %[[X]], %[[V0]], %[[Y]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<5x2xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @scatter_assign.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<5x2xf32>, %[[Y:.*]]: tensor<3x2xf32>, %[[R_COTANGENT:.*]]: tensor<5x2xf32>) -> (tensor<5x2xf32>, tensor<5x2xf32>, tensor<3x2xf32>) attributes {lamina.derivative = "vjp of scatter_assign wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<[4, 0, 4]> : tensor<3xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.scatter assign %[[X]], %[[V0]], %[[Y]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<0.000000e+00> : tensor<3x2xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.scatter assign %[[R_COTANGENT]], %[[V0]], %[[V1]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.gather %[[R_COTANGENT]], %[[V0]], offset_dims [1] collapsed_slice_dims [0] start_index_map [0] index_vector_dim 1 slice_sizes [1, -1] : tensor<5x2xf32>, tensor<3xi64> -> tensor<3x2xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.constant dense<4> : tensor<1xi64>
// CHECK-NEXT:    %[[V5:.*]] = graph.reshape %[[V4]], [] : tensor<1xi64> -> tensor<i64>
// CHECK-NEXT:    %[[V6:.*]] = graph.constant dense<0> : tensor<i64>
// CHECK-NEXT:    %[[V7:.*]] = graph.compare GE, %[[V0]], %[[V6]] : tensor<3xi64>, tensor<i64> -> tensor<3xi1>
// CHECK-NEXT:    %[[V8:.*]] = graph.compare LE, %[[V0]], %[[V5]] : tensor<3xi64>, tensor<i64> -> tensor<3xi1>
// CHECK-NEXT:    %[[V9:.*]] = graph.and %[[V7]], %[[V8]] : tensor<3xi1>
// CHECK-NEXT:    %[[V10:.*]] = graph.reshape %[[V9]], [3, 1] : tensor<3xi1> -> tensor<3x1xi1>
// CHECK-NEXT:    %[[V11:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V12:.*]] = graph.select %[[V10]], %[[V3]], %[[V11]] : tensor<3x1xi1>, tensor<3x2xf32>, tensor<f32> -> tensor<3x2xf32>
// CHECK-NEXT:    %[[V13:.*]] = graph.iota [3, 2] dimension 0 : tensor<3x2xi64>
// CHECK-NEXT:    %[[V14:.*]] = graph.iota [3, 2] dimension 1 : tensor<3x2xi64>
// CHECK-NEXT:    %[[V15:.*]] = graph.constant dense<2> : tensor<1xi64>
// CHECK-NEXT:    %[[V16:.*]] = graph.reshape %[[V15]], [] : tensor<1xi64> -> tensor<i64>
// CHECK-NEXT:    %[[V17:.*]] = graph.multiply %[[V13]], %[[V16]] : tensor<3x2xi64>, tensor<i64> -> tensor<3x2xi64>
// CHECK-NEXT:    %[[V18:.*]] = graph.add %[[V17]], %[[V14]] : tensor<3x2xi64>
// CHECK-NEXT:    %[[V19:.*]] = graph.constant dense<-1> : tensor<i64>
// CHECK-NEXT:    %[[V20:.*]] = graph.broadcast %[[V19]], [5, 2] : tensor<i64> -> tensor<5x2xi64>
// CHECK-NEXT:    %[[V21:.*]] = graph.scatter assign %[[V20]], %[[V0]], %[[V18]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xi64>, tensor<3xi64>, tensor<3x2xi64> -> tensor<5x2xi64>
// CHECK-NEXT:    %[[V22:.*]] = graph.gather %[[V21]], %[[V0]], offset_dims [1] collapsed_slice_dims [0] start_index_map [0] index_vector_dim 1 slice_sizes [1, -1] : tensor<5x2xi64>, tensor<3xi64> -> tensor<3x2xi64>
// CHECK-NEXT:    %[[V23:.*]] = graph.select %[[V10]], %[[V22]], %[[V6]] : tensor<3x1xi1>, tensor<3x2xi64>, tensor<i64> -> tensor<3x2xi64>
// CHECK-NEXT:    %[[V24:.*]] = graph.compare EQ, %[[V23]], %[[V18]] : tensor<3x2xi64>, tensor<3x2xi64> -> tensor<3x2xi1>
// CHECK-NEXT:    %[[V25:.*]] = graph.cast %[[V24]] : tensor<3x2xi1> -> tensor<3x2xf32>
// CHECK-NEXT:    %[[V26:.*]] = graph.multiply %[[V12]], %[[V25]] : tensor<3x2xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V2]], %[[V26]] : tensor<5x2xf32>, tensor<5x2xf32>, tensor<3x2xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @scatter_assign.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<5x2xf32>, %[[Y:.*]]: tensor<3x2xf32>, %[[X_TANGENT:.*]]: tensor<5x2xf32>, %[[Y_TANGENT:.*]]: tensor<3x2xf32>) -> (tensor<5x2xf32>, tensor<5x2xf32>) attributes {lamina.derivative = "jvp of scatter_assign wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<[4, 0, 4]> : tensor<3xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.scatter assign %[[X]], %[[V0]], %[[Y]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<0.000000e+00> : tensor<3x2xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.scatter assign %[[X_TANGENT]], %[[V0]], %[[V1]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.iota [3, 2] dimension 0 : tensor<3x2xi64>
// CHECK-NEXT:    %[[V4:.*]] = graph.iota [3, 2] dimension 1 : tensor<3x2xi64>
// CHECK-NEXT:    %[[V5:.*]] = graph.constant dense<2> : tensor<1xi64>
// CHECK-NEXT:    %[[V6:.*]] = graph.reshape %[[V5]], [] : tensor<1xi64> -> tensor<i64>
// CHECK-NEXT:    %[[V7:.*]] = graph.multiply %[[V3]], %[[V6]] : tensor<3x2xi64>, tensor<i64> -> tensor<3x2xi64>
// CHECK-NEXT:    %[[V8:.*]] = graph.add %[[V7]], %[[V4]] : tensor<3x2xi64>
// CHECK-NEXT:    %[[V9:.*]] = graph.constant dense<-1> : tensor<i64>
// CHECK-NEXT:    %[[V10:.*]] = graph.broadcast %[[V9]], [5, 2] : tensor<i64> -> tensor<5x2xi64>
// CHECK-NEXT:    %[[V11:.*]] = graph.scatter assign %[[V10]], %[[V0]], %[[V8]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xi64>, tensor<3xi64>, tensor<3x2xi64> -> tensor<5x2xi64>
// CHECK-NEXT:    %[[V12:.*]] = graph.gather %[[V11]], %[[V0]], offset_dims [1] collapsed_slice_dims [0] start_index_map [0] index_vector_dim 1 slice_sizes [1, -1] : tensor<5x2xi64>, tensor<3xi64> -> tensor<3x2xi64>
// CHECK-NEXT:    %[[V13:.*]] = graph.constant dense<4> : tensor<1xi64>
// CHECK-NEXT:    %[[V14:.*]] = graph.reshape %[[V13]], [] : tensor<1xi64> -> tensor<i64>
// CHECK-NEXT:    %[[V15:.*]] = graph.constant dense<0> : tensor<i64>
// CHECK-NEXT:    %[[V16:.*]] = graph.compare GE, %[[V0]], %[[V15]] : tensor<3xi64>, tensor<i64> -> tensor<3xi1>
// CHECK-NEXT:    %[[V17:.*]] = graph.compare LE, %[[V0]], %[[V14]] : tensor<3xi64>, tensor<i64> -> tensor<3xi1>
// CHECK-NEXT:    %[[V18:.*]] = graph.and %[[V16]], %[[V17]] : tensor<3xi1>
// CHECK-NEXT:    %[[V19:.*]] = graph.reshape %[[V18]], [3, 1] : tensor<3xi1> -> tensor<3x1xi1>
// CHECK-NEXT:    %[[V20:.*]] = graph.select %[[V19]], %[[V12]], %[[V15]] : tensor<3x1xi1>, tensor<3x2xi64>, tensor<i64> -> tensor<3x2xi64>
// CHECK-NEXT:    %[[V21:.*]] = graph.compare EQ, %[[V20]], %[[V8]] : tensor<3x2xi64>, tensor<3x2xi64> -> tensor<3x2xi1>
// CHECK-NEXT:    %[[V22:.*]] = graph.cast %[[V21]] : tensor<3x2xi1> -> tensor<3x2xf32>
// CHECK-NEXT:    %[[V23:.*]] = graph.multiply %[[Y_TANGENT]], %[[V22]] : tensor<3x2xf32>
// CHECK-NEXT:    %[[V24:.*]] = graph.scatter add %[[V2]], %[[V0]], %[[V23]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V24]] : tensor<5x2xf32>, tensor<5x2xf32>
// CHECK-NEXT:  }
func.func @scatter_assign(%x: tensor<5x2xf32>, %y: tensor<3x2xf32>) -> tensor<5x2xf32> {
  %0 = graph.constant dense<[4, 0, 4]> : tensor<3xi64>
  %r = graph.scatter assign %x, %0, %y, update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
  func.return %r : tensor<5x2xf32>
}

// CHECK-LABEL: func.func @scatter_maximum(
// CHECK-SAME:      %[[X:.*]]: tensor<5x2xf32>, %[[Y:.*]]: tensor<3x2xf32>) -> tensor<5x2xf32> {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<[4, 0, 4]> : tensor<3xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.scatter maximum %[[X]], %[[V0]], %[[Y]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<5x2xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @scatter_maximum.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<5x2xf32>, %[[Y:.*]]: tensor<3x2xf32>, %[[R_COTANGENT:.*]]: tensor<5x2xf32>) -> (tensor<5x2xf32>, tensor<5x2xf32>, tensor<3x2xf32>) attributes {lamina.derivative = "vjp of scatter_maximum wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<[4, 0, 4]> : tensor<3xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.scatter maximum %[[X]], %[[V0]], %[[Y]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.compare EQ, %[[X]], %[[R]] : tensor<5x2xf32>, tensor<5x2xf32> -> tensor<5x2xi1>
// CHECK-NEXT:    %[[V2:.*]] = graph.cast %[[V1]] : tensor<5x2xi1> -> tensor<5x2xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.gather %[[R]], %[[V0]], offset_dims [1] collapsed_slice_dims [0] start_index_map [0] index_vector_dim 1 slice_sizes [1, -1] : tensor<5x2xf32>, tensor<3xi64> -> tensor<3x2xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.constant dense<4> : tensor<1xi64>
// CHECK-NEXT:    %[[V5:.*]] = graph.reshape %[[V4]], [] : tensor<1xi64> -> tensor<i64>
// CHECK-NEXT:    %[[V6:.*]] = graph.constant dense<0> : tensor<i64>
// CHECK-NEXT:    %[[V7:.*]] = graph.compare GE, %[[V0]], %[[V6]] : tensor<3xi64>, tensor<i64> -> tensor<3xi1>
// CHECK-NEXT:    %[[V8:.*]] = graph.compare LE, %[[V0]], %[[V5]] : tensor<3xi64>, tensor<i64> -> tensor<3xi1>
// CHECK-NEXT:    %[[V9:.*]] = graph.and %[[V7]], %[[V8]] : tensor<3xi1>
// CHECK-NEXT:    %[[V10:.*]] = graph.reshape %[[V9]], [3, 1] : tensor<3xi1> -> tensor<3x1xi1>
// CHECK-NEXT:    %[[V11:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V12:.*]] = graph.select %[[V10]], %[[V3]], %[[V11]] : tensor<3x1xi1>, tensor<3x2xf32>, tensor<f32> -> tensor<3x2xf32>
// CHECK-NEXT:    %[[V13:.*]] = graph.compare EQ, %[[V12]], %[[Y]] : tensor<3x2xf32>, tensor<3x2xf32> -> tensor<3x2xi1>
// CHECK-NEXT:    %[[V14:.*]] = graph.cast %[[V13]] : tensor<3x2xi1> -> tensor<3x2xf32>
// CHECK-NEXT:    %[[V15:.*]] = graph.scatter add %[[V2]], %[[V0]], %[[V14]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
// CHECK-NEXT:    %[[V16:.*]] = graph.divide %[[R_COTANGENT]], %[[V15]] : tensor<5x2xf32>
// CHECK-NEXT:    %[[V17:.*]] = graph.select %[[V1]], %[[V16]], %[[V11]] : tensor<5x2xi1>, tensor<5x2xf32>, tensor<f32> -> tensor<5x2xf32>
// CHECK-NEXT:    %[[V18:.*]] = graph.gather %[[V16]], %[[V0]], offset_dims [1] collapsed_slice_dims [0] start_index_map [0] index_vector_dim 1 slice_sizes [1, -1] : tensor<5x2xf32>, tensor<3xi64> -> tensor<3x2xf32>
// CHECK-NEXT:    %[[V19:.*]] = graph.select %[[V10]], %[[V18]], %[[V11]] : tensor<3x1xi1>, tensor<3x2xf32>, tensor<f32> -> tensor<3x2xf32>
// CHECK-NEXT:    %[[V20:.*]] = graph.multiply %[[V19]], %[[V14]] : tensor<3x2xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V17]], %[[V20]] : tensor<5x2xf32>, tensor<5x2xf32>, tensor<3x2xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @scatter_maximum.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<5x2xf32>, %[[Y:.*]]: tensor<3x2xf32>, %[[X_TANGENT:.*]]: tensor<5x2xf32>, %[[Y_TANGENT:.*]]: tensor<3x2xf32>) -> (tensor<5x2xf32>, tensor<5x2xf32>) attributes {lamina.derivative = "jvp of scatter_maximum wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<[4, 0, 4]> : tensor<3xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.scatter maximum %[[X]], %[[V0]], %[[Y]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.compare EQ, %[[X]], %[[R]] : tensor<5x2xf32>, tensor<5x2xf32> -> tensor<5x2xi1>
// CHECK-NEXT:    %[[V3:.*]] = graph.select %[[V2]], %[[X_TANGENT]], %[[V1]] : tensor<5x2xi1>, tensor<5x2xf32>, tensor<f32> -> tensor<5x2xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.gather %[[R]], %[[V0]], offset_dims [1] collapsed_slice_dims [0] start_index_map [0] index_vector_dim 1 slice_sizes [1, -1] : tensor<5x2xf32>, tensor<3xi64> -> tensor<3x2xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.constant dense<4> : tensor<1xi64>
// CHECK-NEXT:    %[[V6:.*]] = graph.reshape %[[V5]], [] : tensor<1xi64> -> tensor<i64>
// CHECK-NEXT:    %[[V7:.*]] = graph.constant dense<0> : tensor<i64>
// CHECK-NEXT:    %[[V8:.*]] = graph.compare GE, %[[V0]], %[[V7]] : tensor<3xi64>, tensor<i64> -> tensor<3xi1>
// CHECK-NEXT:    %[[V9:.*]] = graph.compare LE, %[[V0]], %[[V6]] : tensor<3xi64>, tensor<i64> -> tensor<3xi1>
// CHECK-NEXT:    %[[V10:.*]] = graph.and %[[V8]], %[[V9]] : tensor<3xi1>
// CHECK-NEXT:    %[[V11:.*]] = graph.reshape %[[V10]], [3, 1] : tensor<3xi1> -> tensor<3x1xi1>
// CHECK-NEXT:    %[[V12:.*]] = graph.select %[[V11]], %[[V4]], %[[V1]] : tensor<3x1xi1>, tensor<3x2xf32>, tensor<f32> -> tensor<3x2xf32>
// CHECK-NEXT:    %[[V13:.*]] = graph.compare EQ, %[[V12]], %[[Y]] : tensor<3x2xf32>, tensor<3x2xf32> -> tensor<3x2xi1>
// CHECK-NEXT:    %[[V14:.*]] = graph.cast %[[V13]] : tensor<3x2xi1> -> tensor<3x2xf32>
// CHECK-NEXT:    %[[V15:.*]] = graph.multiply %[[Y_TANGENT]], %[[V14]] : tensor<3x2xf32>
// CHECK-NEXT:    %[[V16:.*]] = graph.scatter add %[[V3]], %[[V0]], %[[V15]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
// CHECK-NEXT:    %[[V17:.*]] = graph.cast %[[V2]] : tensor<5x2xi1> -> tensor<5x2xf32>
// CHECK-NEXT:    %[[V18:.*]] = graph.scatter add %[[V17]], %[[V0]], %[[V14]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
// CHECK-NEXT:    %[[V19:.*]] = graph.divide %[[V16]], %[[V18]] : tensor<5x2xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V19]] : tensor<5x2xf32>, tensor<5x2xf32>
// CHECK-NEXT:  }
func.func @scatter_maximum(%x: tensor<5x2xf32>, %y: tensor<3x2xf32>) -> tensor<5x2xf32> {
  %0 = graph.constant dense<[4, 0, 4]> : tensor<3xi64>
  %r = graph.scatter maximum %x, %0, %y, update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
  func.return %r : tensor<5x2xf32>
}

// CHECK-LABEL: func.func @scatter_minimum(
// CHECK-SAME:      %[[X:.*]]: tensor<5x2xf32>, %[[Y:.*]]: tensor<3x2xf32>) -> tensor<5x2xf32> {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<[4, 0, 4]> : tensor<3xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.scatter minimum %[[X]], %[[V0]], %[[Y]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<5x2xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @scatter_minimum.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<5x2xf32>, %[[Y:.*]]: tensor<3x2xf32>, %[[R_COTANGENT:.*]]: tensor<5x2xf32>) -> (tensor<5x2xf32>, tensor<5x2xf32>, tensor<3x2xf32>) attributes {lamina.derivative = "vjp of scatter_minimum wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<[4, 0, 4]> : tensor<3xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.scatter minimum %[[X]], %[[V0]], %[[Y]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.compare EQ, %[[X]], %[[R]] : tensor<5x2xf32>, tensor<5x2xf32> -> tensor<5x2xi1>
// CHECK-NEXT:    %[[V2:.*]] = graph.cast %[[V1]] : tensor<5x2xi1> -> tensor<5x2xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.gather %[[R]], %[[V0]], offset_dims [1] collapsed_slice_dims [0] start_index_map [0] index_vector_dim 1 slice_sizes [1, -1] : tensor<5x2xf32>, tensor<3xi64> -> tensor<3x2xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.constant dense<4> : tensor<1xi64>
// CHECK-NEXT:    %[[V5:.*]] = graph.reshape %[[V4]], [] : tensor<1xi64> -> tensor<i64>
// CHECK-NEXT:    %[[V6:.*]] = graph.constant dense<0> : tensor<i64>
// CHECK-NEXT:    %[[V7:.*]] = graph.compare GE, %[[V0]], %[[V6]] : tensor<3xi64>, tensor<i64> -> tensor<3xi1>
// CHECK-NEXT:    %[[V8:.*]] = graph.compare LE, %[[V0]], %[[V5]] : tensor<3xi64>, tensor<i64> -> tensor<3xi1>
// CHECK-NEXT:    %[[V9:.*]] = graph.and %[[V7]], %[[V8]] : tensor<3xi1>
// CHECK-NEXT:    %[[V10:.*]] = graph.reshape %[[V9]], [3, 1] : tensor<3xi1> -> tensor<3x1xi1>
// CHECK-NEXT:    %[[V11:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V12:.*]] = graph.select %[[V10]], %[[V3]], %[[V11]] : tensor<3x1xi1>, tensor<3x2xf32>, tensor<f32> -> tensor<3x2xf32>
// CHECK-NEXT:    %[[V13:.*]] = graph.compare EQ, %[[V12]], %[[Y]] : tensor<3x2xf32>, tensor<3x2xf32> -> tensor<3x2xi1>
// CHECK-NEXT:    %[[V14:.*]] = graph.cast %[[V13]] : tensor<3x2xi1> -> tensor<3x2xf32>
// CHECK-NEXT:    %[[V15:.*]] = graph.scatter add %[[V2]], %[[V0]], %[[V14]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
// CHECK-NEXT:    %[[V16:.*]] = graph.divide %[[R_COTANGENT]], %[[V15]] : tensor<5x2xf32>
// CHECK-NEXT:    %[[V17:.*]] = graph.select %[[V1]], %[[V16]], %[[V11]] : tensor<5x2xi1>, tensor<5x2xf32>, tensor<f32> -> tensor<5x2xf32>
// CHECK-NEXT:    %[[V18:.*]] = graph.gather %[[V16]], %[[V0]], offset_dims [1] collapsed_slice_dims [0] start_index_map [0] index_vector_dim 1 slice_sizes [1, -1] : tensor<5x2xf32>, tensor<3xi64> -> tensor<3x2xf32>
// CHECK-NEXT:    %[[V19:.*]] = graph.select %[[V10]], %[[V18]], %[[V11]] : tensor<3x1xi1>, tensor<3x2xf32>, tensor<f32> -> tensor<3x2xf32>
// CHECK-NEXT:    %[[V20:.*]] = graph.multiply %[[V19]], %[[V14]] : tensor<3x2xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V17]], %[[V20]] : tensor<5x2xf32>, tensor<5x2xf32>, tensor<3x2xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @scatter_minimum.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<5x2xf32>, %[[Y:.*]]: tensor<3x2xf32>, %[[X_TANGENT:.*]]: tensor<5x2xf32>, %[[Y_TANGENT:.*]]: tensor<3x2xf32>) -> (tensor<5x2xf32>, tensor<5x2xf32>) attributes {lamina.derivative = "jvp of scatter_minimum wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<[4, 0, 4]> : tensor<3xi64>
// CHECK-NEXT:    %[[R:.*]] = graph.scatter minimum %[[X]], %[[V0]], %[[Y]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.compare EQ, %[[X]], %[[R]] : tensor<5x2xf32>, tensor<5x2xf32> -> tensor<5x2xi1>
// CHECK-NEXT:    %[[V3:.*]] = graph.select %[[V2]], %[[X_TANGENT]], %[[V1]] : tensor<5x2xi1>, tensor<5x2xf32>, tensor<f32> -> tensor<5x2xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.gather %[[R]], %[[V0]], offset_dims [1] collapsed_slice_dims [0] start_index_map [0] index_vector_dim 1 slice_sizes [1, -1] : tensor<5x2xf32>, tensor<3xi64> -> tensor<3x2xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.constant dense<4> : tensor<1xi64>
// CHECK-NEXT:    %[[V6:.*]] = graph.reshape %[[V5]], [] : tensor<1xi64> -> tensor<i64>
// CHECK-NEXT:    %[[V7:.*]] = graph.constant dense<0> : tensor<i64>
// CHECK-NEXT:    %[[V8:.*]] = graph.compare GE, %[[V0]], %[[V7]] : tensor<3xi64>, tensor<i64> -> tensor<3xi1>
// CHECK-NEXT:    %[[V9:.*]] = graph.compare LE, %[[V0]], %[[V6]] : tensor<3xi64>, tensor<i64> -> tensor<3xi1>
// CHECK-NEXT:    %[[V10:.*]] = graph.and %[[V8]], %[[V9]] : tensor<3xi1>
// CHECK-NEXT:    %[[V11:.*]] = graph.reshape %[[V10]], [3, 1] : tensor<3xi1> -> tensor<3x1xi1>
// CHECK-NEXT:    %[[V12:.*]] = graph.select %[[V11]], %[[V4]], %[[V1]] : tensor<3x1xi1>, tensor<3x2xf32>, tensor<f32> -> tensor<3x2xf32>
// CHECK-NEXT:    %[[V13:.*]] = graph.compare EQ, %[[V12]], %[[Y]] : tensor<3x2xf32>, tensor<3x2xf32> -> tensor<3x2xi1>
// CHECK-NEXT:    %[[V14:.*]] = graph.cast %[[V13]] : tensor<3x2xi1> -> tensor<3x2xf32>
// CHECK-NEXT:    %[[V15:.*]] = graph.multiply %[[Y_TANGENT]], %[[V14]] : tensor<3x2xf32>
// CHECK-NEXT:    %[[V16:.*]] = graph.scatter add %[[V3]], %[[V0]], %[[V15]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
// CHECK-NEXT:    %[[V17:.*]] = graph.cast %[[V2]] : tensor<5x2xi1> -> tensor<5x2xf32>
// CHECK-NEXT:    %[[V18:.*]] = graph.scatter add %[[V17]], %[[V0]], %[[V14]], update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
// CHECK-NEXT:    %[[V19:.*]] = graph.divide %[[V16]], %[[V18]] : tensor<5x2xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V19]] : tensor<5x2xf32>, tensor<5x2xf32>
// CHECK-NEXT:  }
func.func @scatter_minimum(%x: tensor<5x2xf32>, %y: tensor<3x2xf32>) -> tensor<5x2xf32> {
  %0 = graph.constant dense<[4, 0, 4]> : tensor<3xi64>
  %r = graph.scatter minimum %x, %0, %y, update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<5x2xf32>, tensor<3xi64>, tensor<3x2xf32> -> tensor<5x2xf32>
  func.return %r : tensor<5x2xf32>
}
