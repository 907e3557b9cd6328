// RUN: lamina-opt %s -p infer-types,fold-scales | filecheck %s

// CHECK-LABEL: func.func @convolution
func.func @convolution(%x: tensor<?x1x4xf32>) -> tensor<?x2x3xf32> {
  %w = graph.constant dense<[[[1.0, 2.0]], [[3.0, 4.0]]]> : tensor<2x1x2xf32>
  %b = graph.constant dense<[[[1.0], [2.0]]]> : tensor<1x2x1xf32>
  %f = graph.constant dense<[[[10.0], [0.5]]]> : tensor<1x2x1xf32>
  %s = graph.constant dense<[[[0.25], [0.5]]]> : tensor<1x2x1xf32>
  // CHECK-NEXT: %[[W:.*]] = graph.constant dense<{{\[\[\[}}1.000000e+01, 2.000000e+01{{\]\], \[\[}}1.500000e+00, 2.000000e+00{{\]\]\]}}> : tensor<2x1x2xf32>
  // CHECK-NEXT: %[[C:.*]] = graph.convolution %x, %[[W]]
  // CHECK-NEXT: %[[B:.*]] = graph.constant dense<{{\[\[\[}}1.025000e+01{{\], \[}}1.500000e+00{{\]\]\]}}> : tensor<1x2x1xf32>
  // CHECK-NEXT: %[[Y:.*]] = graph.add %[[C]], %[[B]]
  // CHECK-NEXT: func.return %[[Y]]
  %c = graph.convolution %x, %w, [b, f, 0] x [o, i, 0] -> [b, f, 0], strides = [1], padding = [0, 0], lhs_dilation = [1], rhs_dilation = [1], groups = 1
      : tensor<?x1x4xf32>, tensor<2x1x2xf32> -> tensor<?x2x3xf32>
  %d = graph.add %c, %b : tensor<?x2x3xf32>, tensor<1x2x1xf32> -> tensor<?x2x3xf32>
  %m = graph.multiply %d, %f : tensor<?x2x3xf32>, tensor<1x2x1xf32> -> tensor<?x2x3xf32>
  %y = graph.add %s, %m : tensor<1x2x1xf32>, tensor<?x2x3xf32> -> tensor<?x2x3xf32>
  func.return %y : tensor<?x2x3xf32>
}

// The factor of a product may belong to either operand.
// CHECK-LABEL: func.func @rows_of_the_left
func.func @rows_of_the_left(%x: tensor<2x?xf32>) -> tensor<2x?xf32> {
  %w = graph.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %f = graph.constant dense<[[2.0], [3.0]]> : tensor<2x1xf32>
  // CHECK: %[[W:.*]] = graph.constant dense<{{\[\[}}2.000000e+00, 4.000000e+00{{\], \[}}9.000000e+00, 1.200000e+01{{\]\]}}> : tensor<2x2xf32>
  // CHECK-NEXT: %[[Y:.*]] = graph.dot_general %[[W]], %x
  // CHECK-NEXT: func.return %[[Y]]
  %y = graph.dot_general %w, %x, contract = [1] x [0] : tensor<2x2xf32>, tensor<2x?xf32> -> tensor<2x?xf32>
  %z = graph.multiply %y, %f : tensor<2x?xf32>, tensor<2x1xf32> -> tensor<2x?xf32>
  func.return %z : tensor<2x?xf32>
}

// The factor varies along the axis of the input that is no constant; the product has a second user; integers.
// CHECK-LABEL: func.func @not_folded
func.func @not_folded(%x: tensor<2x2xf32>, %i: tensor<2x2xi32>) -> (tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xi32>) {
  %w = graph.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %v = graph.constant dense<[[1, 2], [3, 4]]> : tensor<2x2xi32>
  %f = graph.constant dense<[[2.0], [3.0]]> : tensor<2x1xf32>
  %g = graph.constant dense<[2.0, 3.0]> : tensor<2xf32>
  %h = graph.constant dense<[2, 3]> : tensor<2xi32>
  // CHECK-COUNT-3: graph.multiply
  %a = graph.dot_general %x, %w, contract = [1] x [0] : tensor<2x2xf32>, tensor<2x2xf32> -> tensor<2x2xf32>
  %0 = graph.multiply %a, %f : tensor<2x2xf32>, tensor<2x1xf32> -> tensor<2x2xf32>
  %b = graph.dot_general %x, %w, contract = [0] x [0] : tensor<2x2xf32>, tensor<2x2xf32> -> tensor<2x2xf32>
  %1 = graph.multiply %b, %g : tensor<2x2xf32>, tensor<2xf32> -> tensor<2x2xf32>
  %c = graph.dot_general %i, %v, contract = [1] x [0] : tensor<2x2xi32>, tensor<2x2xi32> -> tensor<2x2xi32>
  %2 = graph.multiply %c, %h : tensor<2x2xi32>, tensor<2xi32> -> tensor<2x2xi32>
  func.return %0, %b, %1, %2 : tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xi32>
}

// The weights overflow; the shift does; the weights have another user; f16, which would be rounded once more.
// CHECK-LABEL: func.func @not_exactly
func.func @not_exactly(%x: tensor<1x2xf32>, %h: tensor<1x2xf16>) -> (tensor<1x2xf32>, tensor<1x2xf32>, tensor<1x2xf32>, tensor<2x2xf32>, tensor<1x2xf16>, tensor<1x2xf32>) {
  // CHECK-COUNT-4: graph.multiply
  // CHECK-COUNT-2: graph.add
  %w = graph.constant dense<[[1.0, 2.0], [3.0, 1.0e30]]> : tensor<2x2xf32>
  %u = graph.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %v = graph.constant dense<[[1.0, 2.0], [3.0, 5.0]]> : tensor<2x2xf32>
  %f = graph.constant dense<[2.0, 1.0e20]> : tensor<2xf32>
  %b = graph.constant dense<[3.0e38, 1.0]> : tensor<2xf32>
  %g = graph.constant dense<[2.0, 3.0]> : tensor<2xf32>
  %hw = graph.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf16>
  %hf = graph.constant dense<[2.0, 3.0]> : tensor<2xf16>
  %a0 = graph.dot_general %x, %w, contract = [1] x [0] : tensor<1x2xf32>, tensor<2x2xf32> -> tensor<1x2xf32>
  %y0 = graph.multiply %a0, %f : tensor<1x2xf32>, tensor<2xf32> -> tensor<1x2xf32>
  %a1 = graph.dot_general %x, %u, contract = [1] x [0] : tensor<1x2xf32>, tensor<2x2xf32> -> tensor<1x2xf32>
  %s1 = graph.add %a1, %b : tensor<1x2xf32>, tensor<2xf32> -> tensor<1x2xf32>
  %y1 = graph.multiply %s1, %g : tensor<1x2xf32>, tensor<2xf32> -> tensor<1x2xf32>
  %a2 = graph.dot_general %x, %v, contract = [1] x [0] : tensor<1x2xf32>, tensor<2x2xf32> -> tensor<1x2xf32>
  %y2 = graph.multiply %a2, %g : tensor<1x2xf32>, tensor<2xf32> -> tensor<1x2xf32>
  %a3 = graph.dot_general %h, %hw, contract = [1] x [0] : tensor<1x2xf16>, tensor<2x2xf16> -> tensor<1x2xf16>
  %y3 = graph.multiply %a3, %hf : tensor<1x2xf16>, tensor<2xf16> -> tensor<1x2xf16>
  %z = graph.constant dense<[[1.0, 2.0], [4.0, 4.0]]> : tensor<2x2xf32>
  %a4 = graph.dot_general %x, %z, contract = [1] x [0] : tensor<1x2xf32>, tensor<2x2xf32> -> tensor<1x2xf32>
  %s4 = graph.add %a4, %b : tensor<1x2xf32>, tensor<2xf32> -> tensor<1x2xf32>
  %y4 = graph.add %s4, %b : tensor<1x2xf32>, tensor<2xf32> -> tensor<1x2xf32>
  func.return %y0, %y1, %y2, %v, %y3, %y4 : tensor<1x2xf32>, tensor<1x2xf32>, tensor<1x2xf32>, tensor<2x2xf32>, tensor<1x2xf16>, tensor<1x2xf32>
}
