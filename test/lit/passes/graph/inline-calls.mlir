// RUN: lamina-opt %s -p inline-calls --split-input-file --verify-diagnostics | filecheck %s

// Calls in calls, and in regions; what nobody calls any more goes.
func.func private @twice(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = graph.add %x, %x : tensor<4xf32>
  func.return %y : tensor<4xf32>
}

func.func private @swapped(%x: tensor<4xf32>, %y: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %a = func.call @twice(%x) : (tensor<4xf32>) -> tensor<4xf32>
  func.return %y, %a : tensor<4xf32>, tensor<4xf32>
}

// CHECK-LABEL: func.func @main(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[P:.*]]: tensor<i1>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[E:.*]] = graph.exp %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[Y:.*]] = graph.add %[[X]], %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[R:.*]] = graph.if %[[P]] -> (tensor<4xf32>) {
// CHECK-NEXT:      %[[Y_1:.*]] = graph.add %[[Y]], %[[Y]] : tensor<4xf32>
// CHECK-NEXT:      graph.yield %[[Y_1]] : tensor<4xf32>
// CHECK-NEXT:    } else {
// CHECK-NEXT:      graph.yield %[[E]] : tensor<4xf32>
// CHECK-NEXT:    }
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
func.func @main(%x: tensor<4xf32>, %p: tensor<i1>) -> tensor<4xf32> {
  %e = graph.exp %x : tensor<4xf32>
  %a, %b = func.call @swapped(%x, %e) : (tensor<4xf32>, tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
  %r = graph.if %p -> (tensor<4xf32>) {
    %c = func.call @twice(%b) : (tensor<4xf32>) -> tensor<4xf32>
    graph.yield %c : tensor<4xf32>
  } else {
    graph.yield %a : tensor<4xf32>
  }
  func.return %r : tensor<4xf32>
}

// -----

// Kernels stay, and functions from outside.
// CHECK-LABEL: func.func private @kernel(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> attributes {lamina.kernel} {
// CHECK-NEXT:    %[[Y:.*]] = graph.add %[[X]], %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[Y]] : tensor<4xf32>
// CHECK-NEXT:  }
func.func private @kernel(%x: tensor<4xf32>) -> tensor<4xf32> attributes {lamina.kernel} {
  %y = graph.add %x, %x : tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func private @outside(
// CHECK-SAME:      tensor<4xf32>) -> tensor<4xf32>
func.func private @outside(tensor<4xf32>) -> tensor<4xf32>

// CHECK-LABEL: func.func @main(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[A:.*]] = func.call @kernel(%[[X]]) : (tensor<4xf32>) -> tensor<4xf32>
// CHECK-NEXT:    %[[B:.*]] = func.call @outside(%[[A]]) : (tensor<4xf32>) -> tensor<4xf32>
// CHECK-NEXT:    func.return %[[B]] : tensor<4xf32>
// CHECK-NEXT:  }
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %a = func.call @kernel(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %b = func.call @outside(%a) : (tensor<4xf32>) -> tensor<4xf32>
  func.return %b : tensor<4xf32>
}

// -----

// expected-error @below {{@main calls itself: @main → @again → @main}}
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %a = func.call @again(%x) : (tensor<4xf32>) -> tensor<4xf32>
  func.return %a : tensor<4xf32>
}

func.func private @again(%x: tensor<4xf32>) -> tensor<4xf32> {
  %a = func.call @main(%x) : (tensor<4xf32>) -> tensor<4xf32>
  func.return %a : tensor<4xf32>
}
