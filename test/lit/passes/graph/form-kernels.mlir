// RUN: lamina-opt %s -p infer-types,form-kernels | filecheck %s

// A contraction takes the elementwise ops after it along.
// CHECK-LABEL: func.func @epilogue
func.func @epilogue(%x: tensor<?x8xf32> {lamina.dims = ["n", "8"]}, %w: tensor<8x4xf32>, %b: tensor<4xf32>) -> tensor<?x4xf32> {
  // CHECK-NEXT: %y = func.call @dot_general_add_relu(%x, %w, %b)
  // CHECK-NEXT: func.return %y
  %d = graph.dot_general %x, %w, contract = [1] x [0] : tensor<?x8xf32>, tensor<8x4xf32> -> tensor<?x4xf32>
  %a = graph.add %d, %b : tensor<?x4xf32>, tensor<4xf32> -> tensor<?x4xf32>
  %y = graph.relu %a : tensor<?x4xf32> -> tensor<?x4xf32>
  func.return %y : tensor<?x4xf32>
}

// A value used elsewhere ends the epilogue.
// CHECK-LABEL: func.func @shared_value
func.func @shared_value(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>) -> (tensor<?x4xf32>, tensor<?x4xf32>) {
  // CHECK-NEXT: %d = func.call @dot_general(%x, %w)
  // CHECK-NEXT: %y = func.call @exp(%d)
  %d = graph.dot_general %x, %w, contract = [1] x [0] : tensor<?x8xf32>, tensor<8x4xf32> -> tensor<?x4xf32>
  %y = graph.exp %d : tensor<?x4xf32>
  func.return %d, %y : tensor<?x4xf32>, tensor<?x4xf32>
}

// Reductions over the last axes and the work around them share a loop over rows.
// CHECK-LABEL: func.func @rows
func.func @rows(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  // CHECK-NEXT: func.call @mean_subtract_multiply_mean_rsqrt_multiply(%x)
  // CHECK-NEXT: func.return
  %m = graph.mean %x, [2] keep_dimensions : tensor<?x?x8xf32> -> tensor<?x?x1xf32>
  %c = graph.subtract %x, %m : tensor<?x?x8xf32>, tensor<?x?x1xf32> -> tensor<?x?x8xf32>
  %s = graph.multiply %c, %c : tensor<?x?x8xf32>
  %v = graph.mean %s, [2] keep_dimensions : tensor<?x?x8xf32> -> tensor<?x?x1xf32>
  %r = graph.rsqrt %v : tensor<?x?x1xf32>
  %y = graph.multiply %c, %r : tensor<?x?x8xf32>, tensor<?x?x1xf32> -> tensor<?x?x8xf32>
  func.return %y : tensor<?x?x8xf32>
}

// Views, sizes and control flow stay; kernels are formed inside regions.
// CHECK-LABEL: func.func @stays
func.func @stays(%p: tensor<i1>, %x: tensor<?x8xf32> {lamina.dims = ["n", "8"]}) -> (tensor<?xf32>, tensor<i64>) {
  // CHECK-NEXT: graph.dimension
  // CHECK-NEXT: graph.add
  %n = graph.dimension %x, 0 : tensor<?x8xf32> -> tensor<i64>
  %m = graph.add %n, %n : tensor<i64>
  // CHECK-NEXT: graph.reshape %x
  %flat = graph.reshape %x, [-1] : tensor<?x8xf32> -> tensor<?xf32>
  // CHECK-NEXT: graph.if %p
  // CHECK-NEXT: %[[E:.*]] = func.call @exp
  // CHECK-NEXT: graph.yield %[[E]]
  // A branch that yields what it did not compute copies it.
  // CHECK: %[[C:.*]] = func.call @broadcast
  // CHECK-NEXT: graph.yield %[[C]]
  %y = graph.if %p -> (tensor<?xf32>) {
    %e = graph.exp %flat : tensor<?xf32>
    graph.yield %e : tensor<?xf32>
  } else {
    graph.yield %flat : tensor<?xf32>
  }
  func.return %y, %m : tensor<?xf32>, tensor<i64>
}

// A size that only data gives is named after the element.
// CHECK-LABEL: func.func @size_from_data
func.func @size_from_data(%x: tensor<4xf32>, %shape: tensor<2xi64>) -> tensor<?x4xf32> {
  // CHECK-NEXT: func.call @dynamic_broadcast_negate(%x, %shape)
  %b = graph.dynamic_broadcast %x, %shape : tensor<4xf32>, tensor<2xi64> -> tensor<?x4xf32>
  %y = graph.negate %b : tensor<?x4xf32>
  func.return %y : tensor<?x4xf32>
}

// CHECK-LABEL: func.func private @dot_general_add_relu
// CHECK-SAME: %{{.*}}: tensor<?x8xf32> {lamina.dims = ["d0", "8"]}
// CHECK-SAME: -> (tensor<?x4xf32> {lamina.dims = ["d0", "4"]}) attributes {lamina.kernel}
// CHECK: func.func private @dynamic_broadcast_negate
// CHECK-SAME: lamina.elements = ["signed_0", "signed_1"]
// CHECK-SAME: attributes {lamina.kernel, lamina.size_symbols = ["signed_0"]}
