// RUN: lamina-opt %s --split-input-file --verify-diagnostics --parsing-diagnostics | filecheck %s

// CHECK: graph.if: expected as many results from both regions, found 1 and 0
func.func @f(%c: tensor<i1>, %v: tensor<2xi1>, %x: tensor<3xf32>, %y: tensor<3x1xf32>) {
  %0 = graph.if %c -> (tensor<3xf32>) {
    graph.yield %x : tensor<3xf32>
  } else {
    graph.yield
  }
  func.return
}

// -----

// CHECK: graph.if: result 0: expected equal ranks and element types from both regions, found tensor<3xf32> and tensor<3x1xf32>
func.func @f(%c: tensor<i1>, %v: tensor<2xi1>, %x: tensor<3xf32>, %y: tensor<3x1xf32>) {
  %0 = graph.if %c -> (tensor<3xf32>) {
    graph.yield %x : tensor<3xf32>
  } else {
    graph.yield %y : tensor<3x1xf32>
  }
  func.return
}

// -----

// CHECK: graph.if: expected 1 results, found 0
func.func @f(%c: tensor<i1>, %v: tensor<2xi1>, %x: tensor<3xf32>, %y: tensor<3x1xf32>) {
  graph.if %c -> () {
    graph.yield %x : tensor<3xf32>
  } else {
    graph.yield %x : tensor<3xf32>
  }
  func.return
}

// -----

// CHECK: graph.if: result 0: expected tensor<3xf32>, found tensor<4xf32>
func.func @f(%c: tensor<i1>, %v: tensor<2xi1>, %x: tensor<3xf32>, %y: tensor<3x1xf32>) {
  %0 = graph.if %c -> (tensor<4xf32>) {
    graph.yield %x : tensor<3xf32>
  } else {
    graph.yield %x : tensor<3xf32>
  }
  func.return
}

// -----

// CHECK: Operation graph.exp terminates block in single-block region but is not a terminator
func.func @f(%c: tensor<i1>, %v: tensor<2xi1>, %x: tensor<3xf32>, %y: tensor<3x1xf32>) {
  %0 = graph.if %c -> (tensor<3xf32>) {
    graph.yield %x : tensor<3xf32>
  } else {
    %1 = graph.exp %x : tensor<3xf32>
  }
  func.return
}

// -----

// CHECK: Expected attribute tensor<i1> but got tensor<2xi1>
func.func @f(%c: tensor<i1>, %v: tensor<2xi1>, %x: tensor<3xf32>, %y: tensor<3x1xf32>) {
  %0 = "graph.if"(%v) ({
    graph.yield %x : tensor<3xf32>
  }, {
    graph.yield %x : tensor<3xf32>
  }) : (tensor<2xi1>) -> tensor<3xf32>
  func.return
}

// -----

// CHECK: graph.while: condition: expected to yield tensor<i1>, found (tensor<2xi1>)
func.func @f(%c: tensor<i1>, %v: tensor<2xi1>, %x: tensor<3xf32>, %y: tensor<3x1xf32>) {
  %0 = graph.while (%a = %x) : (tensor<3xf32>) -> (tensor<3xf32>) {
    graph.yield %v : tensor<2xi1>
  } do {
    graph.yield %a : tensor<3xf32>
  }
  func.return
}

// -----

// CHECK: graph.while: values yielded by the body: expected (tensor<3xf32>), found (tensor<3x1xf32>)
func.func @f(%c: tensor<i1>, %v: tensor<2xi1>, %x: tensor<3xf32>, %y: tensor<3x1xf32>) {
  %0 = graph.while (%a = %x) : (tensor<3xf32>) -> (tensor<3xf32>) {
    graph.yield %c : tensor<i1>
  } do {
    graph.yield %y : tensor<3x1xf32>
  }
  func.return
}

// -----

// CHECK: graph.while: initial values: expected (tensor<4xf32>), found (tensor<3xf32>)
func.func @f(%c: tensor<i1>, %v: tensor<2xi1>, %x: tensor<3xf32>, %y: tensor<3x1xf32>) {
  %0 = graph.while (%a = %x) : (tensor<3xf32>) -> (tensor<4xf32>) {
    graph.yield %c : tensor<i1>
  } do {
    graph.yield %a : tensor<4xf32>
  }
  func.return
}

// -----

// CHECK: expected 1 operand and result types, found 1 and 0
func.func @f(%c: tensor<i1>, %v: tensor<2xi1>, %x: tensor<3xf32>, %y: tensor<3x1xf32>) {
  %0 = graph.while (%a = %x) : (tensor<3xf32>) -> () {
    graph.yield %c : tensor<i1>
  } do {
    graph.yield %a : tensor<3xf32>
  }
  func.return
}

// -----

// CHECK: expected 1 loop values, found 2
func.func @f(%c: tensor<i1>, %v: tensor<2xi1>, %x: tensor<3xf32>, %y: tensor<3x1xf32>) {
  %0 = graph.while (%a = %x) : (tensor<3xf32>) -> (tensor<3xf32>) {
    graph.yield %c : tensor<i1>
  } do (%p, %q) {
    graph.yield %a : tensor<3xf32>
  }
  func.return
}

// -----

// CHECK: 'graph.yield' expects parent op to be one of 'graph.if', 'graph.while'
func.func @f() {
  graph.yield
}
