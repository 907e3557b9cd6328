// RUN: lamina-opt %s -p canonicalize | filecheck %s

// CHECK-LABEL: func.func @constant_predicate
func.func @constant_predicate(%x: tensor<3xf32>) -> tensor<3xf32> {
  // CHECK-NEXT: %a = graph.exp %x
  // CHECK-NEXT: func.return %a
  %c = graph.constant dense<true> : tensor<i1>
  %y = graph.if %c -> (tensor<3xf32>) {
    %a = graph.exp %x : tensor<3xf32>
    graph.yield %a : tensor<3xf32>
  } else {
    %b = graph.log %x : tensor<3xf32>
    graph.yield %b : tensor<3xf32>
  }
  func.return %y : tensor<3xf32>
}

// The function's type is not changed.
// CHECK-LABEL: func.func @more_precise_type
func.func @more_precise_type(%x: tensor<3xf32>) -> tensor<?xf32> {
  // CHECK: graph.if
  %c = graph.constant dense<true> : tensor<i1>
  %y = graph.if %c -> (tensor<?xf32>) {
    graph.yield %x : tensor<3xf32>
  } else {
    graph.yield %x : tensor<3xf32>
  }
  func.return %y : tensor<?xf32>
}

// CHECK-LABEL: func.func @common_and_unused_results
func.func @common_and_unused_results(%c: tensor<i1>, %x: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
  // CHECK-NEXT: %0 = graph.if %c -> (tensor<3xf32>) {
  // CHECK-NEXT: %a = graph.exp %x
  // CHECK-NEXT: graph.yield %a : tensor<3xf32>
  // CHECK-NEXT: } else {
  // CHECK-NEXT: graph.yield %x : tensor<3xf32>
  // CHECK-NEXT: }
  // CHECK-NEXT: func.return %x, %0
  %0, %1, %2 = graph.if %c -> (tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) {
    %a = graph.exp %x : tensor<3xf32>
    %u = graph.log %x : tensor<3xf32>
    graph.yield %x, %u, %a : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
  } else {
    graph.yield %x, %x, %x : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
  }
  func.return %0, %2 : tensor<3xf32>, tensor<3xf32>
}

// CHECK-LABEL: func.func @invariant_and_unused_loop_values
func.func @invariant_and_unused_loop_values(%c: tensor<i1>, %x: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
  // CHECK-NEXT: = graph.while (%[[P:.*]] = %c, %[[S:.*]] = %x) : (tensor<i1>, tensor<3xf32>) -> (tensor<i1>, tensor<3xf32>) {
  // CHECK-NEXT: graph.yield %[[P]]
  // CHECK-NEXT: } do (%[[Q:.*]], %[[T:.*]]) {
  // CHECK-NEXT: %[[SUM:.*]] = graph.add %[[T]], %x
  // CHECK-NEXT: %[[NOT:.*]] = graph.not %[[Q]]
  // CHECK-NEXT: graph.yield %[[NOT]], %[[SUM]]
  // CHECK-NEXT: }
  // CHECK-NEXT: func.return %{{.*}}, %x
  %p, %s, %k, %u = graph.while (%p = %c, %s = %x, %k = %x, %u = %x)
    : (tensor<i1>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) -> (tensor<i1>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) {
    graph.yield %p : tensor<i1>
  } do {
    %t = graph.add %s, %k : tensor<3xf32>
    %q = graph.not %p : tensor<i1>
    %w = graph.exp %u : tensor<3xf32>
    graph.yield %q, %t, %k, %w : tensor<i1>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
  }
  func.return %s, %k : tensor<3xf32>, tensor<3xf32>
}

// CHECK-LABEL: func.func @never_runs
func.func @never_runs(%x: tensor<3xf32>) -> tensor<3xf32> {
  // CHECK-NEXT: func.return %x
  %y = graph.while (%y = %x) : (tensor<3xf32>) -> (tensor<3xf32>) {
    %no = graph.constant dense<false> : tensor<i1>
    graph.yield %no : tensor<i1>
  } do {
    %z = graph.exp %y : tensor<3xf32>
    graph.yield %z : tensor<3xf32>
  }
  func.return %y : tensor<3xf32>
}

// CHECK-LABEL: func.func @unused_control_flow
func.func @unused_control_flow(%c: tensor<i1>, %x: tensor<3xf32>) {
  // CHECK-NEXT: func.return
  %y = graph.while (%y = %x) : (tensor<3xf32>) -> (tensor<3xf32>) {
    graph.yield %c : tensor<i1>
  } do {
    %z = graph.exp %y : tensor<3xf32>
    graph.yield %z : tensor<3xf32>
  }
  func.return
}

// What no result needs is not carried, sliced or stacked; what no step changes is computed once.
// CHECK-LABEL: func.func @scan
func.func @scan(%x: tensor<5x3xf32>, %y: tensor<5x3xf32>, %w: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
  // CHECK-NEXT: %[[E:.*]] = graph.exp %w
  // CHECK-NEXT: %[[R:.*]] = graph.scan %{{.*}}, (%[[A:.*]] = %w) over (%[[B:.*]] = %x) : (tensor<3xf32>, tensor<5x3xf32>) -> (tensor<3xf32>) {
  // CHECK-NEXT:   %[[S:.*]] = graph.add %[[A]], %[[B]]
  // CHECK-NEXT:   %[[T:.*]] = graph.multiply %[[S]], %[[E]]
  // CHECK-NEXT:   graph.yield %[[T]] : tensor<3xf32>
  // CHECK-NEXT: }
  // CHECK-NEXT: func.return %[[R]], %w
  %0, %1, %2, %3 = graph.scan %i, (%a = %w, %b = %w, %c = %w) over (%d = %x, %e = %y)
    : (tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<5x3xf32>, tensor<5x3xf32>)
      -> (tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<5x3xf32>) {
    %k = graph.exp %b : tensor<3xf32>
    %s = graph.add %a, %d : tensor<3xf32>
    %t = graph.multiply %s, %k : tensor<3xf32>
    %u = graph.add %c, %e : tensor<3xf32>
    graph.yield %t, %b, %u, %u : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
  }
  func.return %0, %1 : tensor<3xf32>, tensor<3xf32>
}

// CHECK-LABEL: func.func @counted
func.func @counted(%x: tensor<?x3xf32>, %w: tensor<3xf32>) -> tensor<3xf32> {
  // CHECK: %[[N:.*]] = graph.dimension %x, 0
  // CHECK: graph.scan %{{.*}}, (%{{.*}} = %w) over () length %[[N]]
  %0 = graph.scan %i, (%a = %w) over (%d = %x) : (tensor<3xf32>, tensor<?x3xf32>) -> (tensor<3xf32>) {
    %s = graph.add %a, %a : tensor<3xf32>
    graph.yield %s : tensor<3xf32>
  }
  func.return %0 : tensor<3xf32>
}

// Barriers keep only what is read behind them, and no constants.
// CHECK-LABEL: func.func @barrier
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[Y:.*]]: tensor<4xf32>)
func.func @barrier(%x: tensor<4xf32>, %y: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  // CHECK: %[[C:.*]] = graph.constant
  %c = graph.constant dense<1.0> : tensor<f32>
  %s = graph.broadcast %c, [4] : tensor<f32> -> tensor<4xf32>
  // CHECK: %[[S:.*]] = graph.broadcast %[[C]], [4]
  // CHECK-NEXT: %[[A:.*]] = graph.optimization_barrier %[[X]] : tensor<4xf32> -> tensor<4xf32>
  %a, %b, %d = graph.optimization_barrier %x, %y, %s : tensor<4xf32>, tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
  // CHECK-NEXT: func.return %[[A]], %[[S]]
  func.return %a, %d : tensor<4xf32>, tensor<4xf32>
}
