// RUN: lamina-opt %s -p form-kernels --assume types-inferred | filecheck %s --check-prefix=BEFORE
// RUN: lamina-opt %s -p form-kernels,remove-barriers --assume types-inferred | filecheck %s

// What is behind a barrier is computed again, by a kernel of its own.

// BEFORE-LABEL: func.func @f(
// BEFORE:         graph.optimization_barrier
// CHECK-LABEL: func.func @f(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
// CHECK-NEXT:    %[[A:.*]] = func.call @exp(%[[X]])
// CHECK-NEXT:    %[[B:.*]] = func.call @exp_1(%[[X]])
// CHECK-NEXT:    func.return %[[A]], %[[B]]
func.func @f(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %a = graph.exp %x : tensor<4xf32>
  %c = graph.optimization_barrier %x : tensor<4xf32> -> tensor<4xf32>
  %b = graph.exp %c : tensor<4xf32>
  func.return %a, %b : tensor<4xf32>, tensor<4xf32>
}

// A result that is an argument behind a barrier is copied, as any other argument.
// CHECK-LABEL: func.func @given(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[A:.*]] = func.call @broadcast(%[[X]])
// CHECK-NEXT:    func.return %[[A]]
func.func @given(%x: tensor<4xf32>) -> tensor<4xf32> {
  %c = graph.optimization_barrier %x : tensor<4xf32> -> tensor<4xf32>
  func.return %c : tensor<4xf32>
}
