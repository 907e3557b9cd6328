// RUN: lamina-opt %s | lamina-opt | filecheck %s
// RUN: lamina-opt %s --print-op-generic | lamina-opt | filecheck %s

// Branches and loops; their regions use values from outside.

// CHECK-LABEL: func.func @branch
func.func @branch(%c: tensor<i1>, %x: tensor<4xf32>, %y: tensor<?xf32>) {
  // CHECK-NEXT: %0, %1 = graph.if %c -> (tensor<4xf32>, tensor<?xf32>) {
  %0, %1 = graph.if %c -> (tensor<4xf32>, tensor<?xf32>) {
    // CHECK-NEXT: graph.yield %x, %y : tensor<4xf32>, tensor<?xf32>
    graph.yield %x, %y : tensor<4xf32>, tensor<?xf32>
    // CHECK-NEXT: } else {
  } else {
    // CHECK-NEXT: = graph.exp %x : tensor<4xf32>
    %2 = graph.exp %x : tensor<4xf32>
    // CHECK-NEXT: graph.yield %2, %x : tensor<4xf32>, tensor<4xf32>
    graph.yield %2, %x : tensor<4xf32>, tensor<4xf32>
    // CHECK-NEXT: }
  }
  // CHECK-NEXT: graph.if %c -> () {
  graph.if %c -> () {
    // CHECK-NEXT: graph.yield
    graph.yield
  } else {
    // CHECK: graph.yield
    graph.yield
    // CHECK-NEXT: } attributes {note = "kept"}
  } attributes {note = "kept"}
  func.return
}

// CHECK-LABEL: func.func @loop
func.func @loop(%n: tensor<i64>, %x: tensor<4xf32>) -> tensor<?xf32> {
  %one = graph.constant dense<1> : tensor<i64>
  // CHECK: %last, %y = graph.while (%i = %one, %y_1 = %x) : (tensor<i64>, tensor<4xf32>) -> (tensor<i64>, tensor<?xf32>) {
  %last, %y = graph.while (%i = %one, %y_1 = %x) : (tensor<i64>, tensor<4xf32>) -> (tensor<i64>, tensor<?xf32>) {
    // CHECK-NEXT: = graph.compare LT, %i, %n : tensor<i64>, tensor<i64> -> tensor<i1>
    %more = graph.compare LT, %i, %n : tensor<i64>, tensor<i64> -> tensor<i1>
    // CHECK-NEXT: graph.yield %more : tensor<i1>
    graph.yield %more : tensor<i1>
    // CHECK-NEXT: } do (%j, %z) {
  } do (%j, %z) {
    %next = graph.add %j, %one : tensor<i64>
    %w = graph.exp %z : tensor<?xf32>
    // CHECK: graph.yield %next, %w : tensor<i64>, tensor<?xf32>
    graph.yield %next, %w : tensor<i64>, tensor<?xf32>
    // CHECK-NEXT: } attributes {note = "kept"}
  } attributes {note = "kept"}
  func.return %y : tensor<?xf32>
}

// The body may use the names of the condition.
// CHECK-LABEL: func.func @names
func.func @names(%c: tensor<i1>, %x: tensor<4xf32>) {
  // CHECK: graph.while (%a = %x) : (tensor<4xf32>) -> (tensor<4xf32>) {
  %y = graph.while (%a = %x) : (tensor<4xf32>) -> (tensor<4xf32>) {
    graph.yield %c : tensor<i1>
    // CHECK: } do (%{{.*}}) {
  } do {
    graph.yield %a : tensor<4xf32>
  }
  func.return
}

// CHECK-LABEL: func.func @scan
func.func @scan(%x: tensor<?x4xf32>, %k: tensor<?xui8>, %h: tensor<4xf32>, %n: tensor<i64>) {
  // CHECK-NEXT: %last, %ys = graph.scan %i, (%h_t = %h) over (%x_t = %x, %k_t = %k) reverse : (tensor<4xf32>, tensor<?x4xf32>, tensor<?xui8>) -> (tensor<4xf32>, tensor<?x4xf32>) {
  %last, %ys = graph.scan %i, (%h_t = %h) over (%x_t = %x, %k_t = %k) reverse : (tensor<4xf32>, tensor<?x4xf32>, tensor<?xui8>) -> (tensor<4xf32>, tensor<?x4xf32>) {
    // CHECK-NEXT: = graph.add %h_t, %x_t : tensor<4xf32>
    %next = graph.add %h_t, %x_t : tensor<4xf32>
    // CHECK-NEXT: graph.yield %next, %h : tensor<4xf32>, tensor<4xf32>
    graph.yield %next, %h : tensor<4xf32>, tensor<4xf32>
    // CHECK-NEXT: }
  }
  // CHECK-NEXT: = graph.scan %i_1, () over () length %n : (tensor<i64>) -> (tensor<?xi64>) {
  %positions = graph.scan %i, () over () length %n : (tensor<i64>) -> (tensor<?xi64>) {
    // CHECK-NEXT: graph.yield %i_1 : tensor<i64>
    graph.yield %i : tensor<i64>
    // CHECK-NEXT: } attributes {note = "kept"}
  } attributes {note = "kept"}
  func.return
}

// CHECK-LABEL: func.func @barrier
func.func @barrier(%x: tensor<4xf32>, %y: tensor<?xi64>) -> (tensor<4xf32>, tensor<?xi64>) {
  // CHECK-NEXT: %a, %b = graph.optimization_barrier %x, %y : tensor<4xf32>, tensor<?xi64> -> tensor<4xf32>, tensor<?xi64>
  %a, %b = graph.optimization_barrier %x, %y : tensor<4xf32>, tensor<?xi64> -> tensor<4xf32>, tensor<?xi64>
  func.return %a, %b : tensor<4xf32>, tensor<?xi64>
}
