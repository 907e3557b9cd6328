// RUN: lamina-opt %s --split-input-file --verify-diagnostics

func.func @f(%c: tensor<i1>, %v: tensor<2xi1>, %x: tensor<3xf32>, %y: tensor<3x1xf32>) {
  // expected-error @below {{graph.if: expected as many results from both regions, found 1 and 0}}
  %0 = graph.if %c -> (tensor<3xf32>) {
    graph.yield %x : tensor<3xf32>
  } else {
    graph.yield
  }
  func.return
}

// -----

func.func @f(%c: tensor<i1>, %v: tensor<2xi1>, %x: tensor<3xf32>, %y: tensor<3x1xf32>) {
  // expected-error @below {{graph.if: result 0: expected equal ranks and element types from both regions, found tensor<3xf32> and tensor<3x1xf32>}}
  %0 = graph.if %c -> (tensor<3xf32>) {
    graph.yield %x : tensor<3xf32>
  } else {
    graph.yield %y : tensor<3x1xf32>
  }
  func.return
}

// -----

func.func @f(%c: tensor<i1>, %v: tensor<2xi1>, %x: tensor<3xf32>, %y: tensor<3x1xf32>) {
  // expected-error @below {{graph.if: expected 1 results, found 0}}
  graph.if %c -> () {
    graph.yield %x : tensor<3xf32>
  } else {
    graph.yield %x : tensor<3xf32>
  }
  func.return
}

// -----

func.func @f(%c: tensor<i1>, %v: tensor<2xi1>, %x: tensor<3xf32>, %y: tensor<3x1xf32>) {
  // expected-error @below {{graph.if: result 0: expected tensor<3xf32>, found tensor<4xf32>}}
  %0 = graph.if %c -> (tensor<4xf32>) {
    graph.yield %x : tensor<3xf32>
  } else {
    graph.yield %x : tensor<3xf32>
  }
  func.return
}

// -----

func.func @f(%c: tensor<i1>, %v: tensor<2xi1>, %x: tensor<3xf32>, %y: tensor<3x1xf32>) {
  %0 = graph.if %c -> (tensor<3xf32>) {
    graph.yield %x : tensor<3xf32>
  } else {
    // expected-error @below {{Operation graph.exp terminates block in single-block region but is not a terminator}}
    %1 = graph.exp %x : tensor<3xf32>
  }
  func.return
}

// -----

func.func @f(%c: tensor<i1>, %v: tensor<2xi1>, %x: tensor<3xf32>, %y: tensor<3x1xf32>) {
  // expected-error @below {{Expected attribute tensor<i1> but got tensor<2xi1>}}
  %0 = "graph.if"(%v) ({
    graph.yield %x : tensor<3xf32>
  }, {
    graph.yield %x : tensor<3xf32>
  }) : (tensor<2xi1>) -> tensor<3xf32>
  func.return
}

// -----

func.func @f(%c: tensor<i1>, %v: tensor<2xi1>, %x: tensor<3xf32>, %y: tensor<3x1xf32>) {
  // expected-error @below {{graph.while: condition: expected to yield tensor<i1>, found (tensor<2xi1>)}}
  %0 = graph.while (%a = %x) : (tensor<3xf32>) -> (tensor<3xf32>) {
    graph.yield %v : tensor<2xi1>
  } do {
    graph.yield %a : tensor<3xf32>
  }
  func.return
}

// -----

func.func @f(%c: tensor<i1>, %v: tensor<2xi1>, %x: tensor<3xf32>, %y: tensor<3x1xf32>) {
  // expected-error @below {{graph.while: values yielded by the body: expected (tensor<3xf32>), found (tensor<3x1xf32>)}}
  %0 = graph.while (%a = %x) : (tensor<3xf32>) -> (tensor<3xf32>) {
    graph.yield %c : tensor<i1>
  } do {
    graph.yield %y : tensor<3x1xf32>
  }
  func.return
}

// -----

func.func @f(%c: tensor<i1>, %v: tensor<2xi1>, %x: tensor<3xf32>, %y: tensor<3x1xf32>) {
  // expected-error @below {{graph.while: initial values: expected (tensor<4xf32>), found (tensor<3xf32>)}}
  %0 = graph.while (%a = %x) : (tensor<3xf32>) -> (tensor<4xf32>) {
    graph.yield %c : tensor<i1>
  } do {
    graph.yield %a : tensor<4xf32>
  }
  func.return
}

// -----

func.func @f(%c: tensor<i1>, %v: tensor<2xi1>, %x: tensor<3xf32>, %y: tensor<3x1xf32>) {
  // expected-error @below {{expected 1 operand and result types, found 1 and 0}}
  %0 = graph.while (%a = %x) : (tensor<3xf32>) -> () {
    graph.yield %c : tensor<i1>
  } do {
    graph.yield %a : tensor<3xf32>
  }
  func.return
}

// -----

func.func @f(%c: tensor<i1>, %v: tensor<2xi1>, %x: tensor<3xf32>, %y: tensor<3x1xf32>) {
  %0 = graph.while (%a = %x) : (tensor<3xf32>) -> (tensor<3xf32>) {
    graph.yield %c : tensor<i1>
  // expected-error @below {{expected 1 loop values, found 2}}
  } do (%p, %q) {
    graph.yield %a : tensor<3xf32>
  }
  func.return
}

// -----

func.func @f() {
  // expected-error @below {{'graph.yield' expects parent op to be one of 'graph.if', 'graph.while', 'graph.scan'}}
  graph.yield
}

// -----

func.func @f(%n: tensor<i64>, %x: tensor<3x2xf32>, %y: tensor<4x2xf32>, %h: tensor<2xf32>, %s: tensor<f32>) {
  // expected-error @below {{graph.scan: scanned: expected equal sizes, found 3 and 4}}
  %0 = graph.scan %i, () over (%a = %x, %b = %y) : (tensor<3x2xf32>, tensor<4x2xf32>) -> (tensor<3x2xf32>) {
    graph.yield %a : tensor<2xf32>
  }
  func.return
}

// -----

func.func @f(%n: tensor<i64>, %x: tensor<3x2xf32>, %y: tensor<4x2xf32>, %h: tensor<2xf32>, %s: tensor<f32>) {
  // expected-error @below {{graph.scan: expected a length where nothing is scanned, and only there}}
  %0 = graph.scan %i, () over (%a = %x) length %n : (tensor<3x2xf32>, tensor<i64>) -> (tensor<3x2xf32>) {
    graph.yield %a : tensor<2xf32>
  }
  func.return
}

// -----

func.func @f(%n: tensor<i64>, %x: tensor<3x2xf32>, %y: tensor<4x2xf32>, %h: tensor<2xf32>, %s: tensor<f32>) {
  // expected-error @below {{graph.scan: scanned: expected tensors of at least one axis}}
  %0 = graph.scan %i, () over (%a = %s) : (tensor<f32>) -> (tensor<?xf32>) {
    graph.yield %a : tensor<f32>
  }
  func.return
}

// -----

func.func @f(%n: tensor<i64>, %x: tensor<3x2xf32>, %y: tensor<4x2xf32>, %h: tensor<2xf32>, %s: tensor<f32>) {
  // expected-error @below {{graph.scan: carried values yielded by the body: expected (tensor<2xf32>), found (tensor<f32>)}}
  %0 = graph.scan %i, (%c = %h) over (%a = %x) : (tensor<2xf32>, tensor<3x2xf32>) -> (tensor<2xf32>) {
    graph.yield %s : tensor<f32>
  }
  func.return
}

// -----

func.func @f(%n: tensor<i64>, %x: tensor<3x2xf32>, %y: tensor<4x2xf32>, %h: tensor<2xf32>, %s: tensor<f32>) {
  // expected-error @below {{graph.scan: length: expected tensor<i64>, found tensor<f32>}}
  %0 = graph.scan %i, () over () length %s : (tensor<f32>) -> (tensor<?xi64>) {
    graph.yield %i : tensor<i64>
  }
  func.return
}

// -----

func.func @f(%n: tensor<i64>, %x: tensor<3x2xf32>, %y: tensor<4x2xf32>, %h: tensor<2xf32>, %s: tensor<f32>) {
  // expected-error @below {{expected 2 operand types and at least 1 result types, found 1 and 1}}
  %0 = graph.scan %i, (%c = %h) over (%a = %x) : (tensor<2xf32>) -> (tensor<2xf32>) {
    graph.yield %c : tensor<2xf32>
  }
  func.return
}

// -----

func.func @f(%n: tensor<i64>, %x: tensor<3x2xf32>, %y: tensor<4x2xf32>, %h: tensor<2xf32>, %s: tensor<f32>) {
  // expected-error @below {{graph.scan: result 0: expected tensor<3x2xf32>, found tensor<4x2xf32>}}
  %0 = graph.scan %i, () over (%a = %x) : (tensor<3x2xf32>) -> (tensor<4x2xf32>) {
    graph.yield %a : tensor<2xf32>
  }
  func.return
}

// -----

func.func @barrier_types(%x: tensor<4xf32>) {
  // expected-error @below {{result 0: expected tensor<4xf32>, found tensor<5xf32>}}
  %a = graph.optimization_barrier %x : tensor<4xf32> -> tensor<5xf32>
  func.return
}

// -----

func.func @barrier_of_nothing() {
  // expected-error @below {{expected at least one operand}}
  "graph.optimization_barrier"() : () -> ()
  func.return
}
