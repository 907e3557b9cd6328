// RUN: lamina-opt %s --to kernels | lamina-opt -p graph-to-linalg | filecheck %s
// RUN: %if mlir-opt %{ lamina-opt %s --to kernels | lamina-opt -p graph-to-linalg | %mlir_opt %}

// A copy of the operand, then a counted loop over the rows of updates.
// CHECK-LABEL: func.func @main(
// CHECK-SAME:      %[[X:.*]]: tensor<?x8xf32>, %[[I:.*]]: tensor<?xi64>, %[[U:.*]]: tensor<?x8xf32>) -> (tensor<?x8xf32> {lamina.dims = ["size_arg0_0", "8"]}) {
// CHECK-NEXT:    %[[V0:.*]] = arith.constant 0 : index
// CHECK-NEXT:    %[[V1:.*]] = tensor.dim %[[I]], %[[V0]] : tensor<?xi64>
// CHECK-NEXT:    %[[V2:.*]] = tensor.dim %[[U]], %[[V0]] : tensor<?x8xf32>
// CHECK-NEXT:    %[[V3:.*]] = arith.cmpi eq, %[[V1]], %[[V2]] : index
// CHECK-NEXT:    cf.assert %[[V3]], "stdin:3:5: expected equal sizes, found size_arg1_0 and size_arg2_0 that differ"
// CHECK-NEXT:    %[[V4:.*]] = tensor.dim %[[X]], %[[V0]] : tensor<?x8xf32>
// CHECK-NEXT:    %[[V5:.*]] = tensor.empty(%[[V4]]) : tensor<?x8xf32>
// CHECK-NEXT:    %[[Y:.*]] = func.call @scatter(%[[X]], %[[I]], %[[U]], %[[V5]]) : (tensor<?x8xf32>, tensor<?xi64>, tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
// CHECK-NEXT:    func.return %[[Y]] : tensor<?x8xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func private @scatter(
// CHECK-SAME:      %[[V0:.*]]: tensor<?x8xf32> {lamina.dims = ["d0", "8"]}, %[[V1:.*]]: tensor<?xi64> {lamina.dims = ["d1"]}, %[[V2:.*]]: tensor<?x8xf32> {lamina.dims = ["d2", "8"]}, %[[V3:.*]]: tensor<?x8xf32>) -> (tensor<?x8xf32> {lamina.dims = ["d0", "8"]}) attributes {lamina.kernel, lamina.in_place = @scatter_in_place} {
// CHECK-NEXT:    %[[V4:.*]] = arith.constant 0 : index
// CHECK-NEXT:    %[[V5:.*]] = arith.constant 8 : index
// CHECK-NEXT:    %[[V6:.*]] = arith.constant 1 : index
// CHECK-NEXT:    %[[V7:.*]] = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%[[V0]] : tensor<?x8xf32>) outs(%[[V3]] : tensor<?x8xf32>) attrs = {lamina.axes = ["i0", "i1"]} {
// CHECK-NEXT:    ^bb0(%[[V8:.*]]: f32, %[[V9:.*]]: f32):
// CHECK-NEXT:      linalg.yield %[[V8]] : f32
// CHECK-NEXT:    } -> tensor<?x8xf32>
// CHECK-NEXT:    %[[V10:.*]] = tensor.dim %[[V0]], %[[V4]] : tensor<?x8xf32>
// CHECK-NEXT:    %[[V11:.*]] = tensor.dim %[[V2]], %[[V4]] : tensor<?x8xf32>
// CHECK-NEXT:    %[[V12:.*]] = arith.cmpi eq, %[[V10]], %[[V4]] : index
// CHECK-NEXT:    %[[V13:.*]] = arith.select %[[V12]], %[[V4]], %[[V11]] : index
// CHECK-NEXT:    %[[V14:.*]] = arith.subi %[[V10]], %[[V6]] : index
// CHECK-NEXT:    %[[V15:.*]] = scf.for %[[V16:.*]] = %[[V4]] to %[[V13]] step %[[V6]] iter_args(%[[V17:.*]] = %[[V7]]) -> (tensor<?x8xf32>) {
// CHECK-NEXT:      %[[V18:.*]] = tensor.extract %[[V1]][%[[V16]]] : tensor<?xi64>
// CHECK-NEXT:      %[[V19:.*]] = arith.index_cast %[[V18]] : i64 to index
// CHECK-NEXT:      %[[V20:.*]] = arith.minsi %[[V19]], %[[V14]] : index
// CHECK-NEXT:      %[[V21:.*]] = arith.maxsi %[[V20]], %[[V4]] : index
// CHECK-NEXT:      %[[V22:.*]] = arith.cmpi eq, %[[V19]], %[[V21]] : index
// CHECK-NEXT:      %[[V23:.*]] = tensor.extract_slice %[[V17]][%[[V21]], 0] [1, 8] [1, 1] : tensor<?x8xf32> to tensor<8xf32>
// CHECK-NEXT:      %[[V24:.*]] = tensor.extract_slice %[[V2]][%[[V16]], 0] [1, 8] [1, 1] : tensor<?x8xf32> to tensor<8xf32>
// CHECK-NEXT:      %[[V25:.*]] = tensor.empty() : tensor<8xf32>
// CHECK-NEXT:      %[[V26:.*]] = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%[[V23]], %[[V24]] : tensor<8xf32>, tensor<8xf32>) outs(%[[V25]] : tensor<8xf32>) attrs = {lamina.axes = ["i0"]} {
// CHECK-NEXT:      ^bb0(%[[V27:.*]]: f32, %[[V28:.*]]: f32, %[[V29:.*]]: f32):
// CHECK-NEXT:        %[[V30:.*]] = arith.addf %[[V27]], %[[V28]] : f32
// CHECK-NEXT:        %[[V31:.*]] = arith.select %[[V22]], %[[V30]], %[[V27]] : f32
// CHECK-NEXT:        linalg.yield %[[V31]] : f32
// CHECK-NEXT:      } -> tensor<8xf32>
// CHECK-NEXT:      %[[V32:.*]] = tensor.insert_slice %[[V26]] into %[[V17]][%[[V21]], 0] [1, 8] [1, 1] : tensor<8xf32> into tensor<?x8xf32>
// CHECK-NEXT:      scf.yield %[[V32]] : tensor<?x8xf32>
// CHECK-NEXT:    }
// CHECK-NEXT:    func.return %[[V15]] : tensor<?x8xf32>
// CHECK-NEXT:  }
// Its twin, for a destination that is the operand, copies nothing.
// CHECK-LABEL: func.func private @scatter_in_place(
// CHECK-SAME:      %[[D:[0-9a-z]+]]: tensor<?x8xf32>) -> (tensor<?x8xf32>
// CHECK-NOT:     linalg.generic
// CHECK:         scf.for {{.*}} iter_args(%{{.*}} = %[[D]]) -> (tensor<?x8xf32>) {
func.func @main(%x: tensor<?x8xf32>, %i: tensor<?xi64>, %u: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %y = graph.scatter add %x, %i, %u, update_window_dims [1] inserted_window_dims [0] scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<?x8xf32>, tensor<?xi64>, tensor<?x8xf32> -> tensor<?x8xf32>
  func.return %y : tensor<?x8xf32>
}
