// RUN: lamina-opt %s -p "remat{policy=nothing},differentiate{function=f kind=gradient},inline-calls,canonicalize,cse" | filecheck %s --check-prefix=NOTHING
// RUN: lamina-opt %s -p "remat{policy=dots},differentiate{function=f kind=gradient},inline-calls,canonicalize,cse" | filecheck %s --check-prefix=DOTS
// RUN: lamina-opt %s -p "remat{policy=everything},differentiate{function=f kind=gradient},inline-calls,canonicalize,cse" | filecheck %s --check-prefix=EVERYTHING
// RUN: lamina-opt %s -p "inline-calls,remat{segments=2 function=f}" | filecheck %s --check-prefix=SEGMENTS
// RUN: not lamina-opt %s -p "remat{policy=some}" 2>&1 | filecheck %s --check-prefix=POLICY
// RUN: not lamina-opt %s -p "remat{function=g}" 2>&1 | filecheck %s --check-prefix=FUNCTION
// RUN: not lamina-opt %s -p "remat{segments=0}" 2>&1 | filecheck %s --check-prefix=COUNT

// POLICY: remat: unknown policy 'some'
// POLICY-NEXT: the policies are nothing, dots, everything
// FUNCTION: remat: the module has no function @g with a body
// COUNT: remat: segments: expected at least 1, found 0

// The backward pass of a layer starts behind a barrier, and computes again what the policy does not keep.

// NOTHING-LABEL: func.func @f.grad(
// NOTHING-SAME:      %[[X:.*]]: tensor<4x4xf32>, %[[W:.*]]: tensor<4x4xf32>)
// NOTHING-NEXT:    %[[A:.*]] = graph.dot_general %[[X]], %[[W]],
// NOTHING-NEXT:    %[[B:.*]] = graph.sin %[[A]]
// NOTHING-NEXT:    %[[C:.*]] = graph.exp %[[B]]
// NOTHING:         %[[C1:.*]], %[[W1:.*]] = graph.optimization_barrier %[[C]], %[[W]] :
// NOTHING-NEXT:    %[[A1:.*]] = graph.dot_general %[[C1]], %[[W1]],
// NOTHING-NEXT:    %[[B1:.*]] = graph.sin %[[A1]]
// NOTHING:         %[[X2:.*]], %[[W2:.*]], %[[T2:.*]] = graph.optimization_barrier %[[X]], %[[W]], %{{.*}} :
// NOTHING-NEXT:    %[[A2:.*]] = graph.dot_general %[[X2]], %[[W2]],
// NOTHING-NEXT:    %[[B2:.*]] = graph.sin %[[A2]]

// DOTS-LABEL: func.func @f.grad(
// DOTS-SAME:      %[[X:.*]]: tensor<4x4xf32>, %[[W:.*]]: tensor<4x4xf32>)
// DOTS-NEXT:    %[[A:.*]] = graph.dot_general %[[X]], %[[W]],
// DOTS-NEXT:    %[[B:.*]] = graph.sin %[[A]]
// DOTS-NEXT:    %[[C:.*]] = graph.exp %[[B]]
// DOTS-NEXT:    %[[D:.*]] = graph.dot_general %[[C]], %[[W]],
// DOTS:         %[[C1:.*]], %[[W1:.*]], %[[D1:.*]] = graph.optimization_barrier %[[C]], %[[W]], %[[D]] :
// DOTS-NEXT:    graph.sin %[[D1]]
// DOTS:         %[[X2:.*]], %[[W2:.*]], %[[T2:.*]], %[[A2:.*]] = graph.optimization_barrier %[[X]], %[[W]], %{{.*}}, %[[A]] :
// DOTS-NEXT:    graph.sin %[[A2]]

// EVERYTHING-LABEL: func.func @f.grad(
// EVERYTHING-NOT:     graph.optimization_barrier
// EVERYTHING:         func.return

// SEGMENTS-LABEL: func.func @f(
// SEGMENTS-SAME:      %[[X:.*]]: tensor<4x4xf32>, %[[W:.*]]: tensor<4x4xf32>)
// SEGMENTS-NEXT:    %[[A:.*]] = func.call @f.segment0(%[[X]], %[[W]])
// SEGMENTS-NEXT:    %[[L:.*]] = func.call @f.segment1(%[[A]])
// SEGMENTS-NEXT:    func.return %[[L]]
// SEGMENTS:       func.func private @f.segment0({{.*}}) -> tensor<4x4xf32> attributes {lamina.remat = "nothing"} {
// SEGMENTS:       func.func private @f.segment1({{.*}}) -> tensor<f32> attributes {lamina.remat = "nothing"} {

func.func private @layer(%x: tensor<4x4xf32>, %w: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %a = graph.dot_general %x, %w, contract = [1] x [0] : tensor<4x4xf32>, tensor<4x4xf32> -> tensor<4x4xf32>
  %b = graph.sin %a : tensor<4x4xf32>
  %c = graph.exp %b : tensor<4x4xf32>
  func.return %c : tensor<4x4xf32>
}

func.func @f(%x: tensor<4x4xf32>, %w: tensor<4x4xf32>) -> tensor<f32> {
  %y = func.call @layer(%x, %w) : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  %z = func.call @layer(%y, %w) : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  %l = graph.reduce add %z, [0, 1] : tensor<4x4xf32> -> tensor<f32>
  func.return %l : tensor<f32>
}
