// RUN: lamina-opt %s --split-input-file -p infer-types,recognize-composites,recognize-attention | filecheck %s

// As exporters write it: scales on queries and keys, a mask made by a select, the result turned.

// CHECK-LABEL: func.func @masked
func.func @masked(%q: tensor<?x16x4x8xf32> {lamina.dims = ["b", "16", "4", "8"]}, %k: tensor<?x16x4x8xf32> {lamina.dims = ["b", "16", "4", "8"]}, %v: tensor<?x16x4x8xf32> {lamina.dims = ["b", "16", "4", "8"]}, %p: tensor<?x1x1x16xi1> {lamina.dims = ["b", "1", "1", "16"]}) -> tensor<?x16x4x8xf32> {
  // CHECK: %[[MASK:.*]] = graph.select %p
  // CHECK: graph.attention %q, %k, %v mask = %[[MASK]] scale = 2.500000e-01 tokens_first = [0, 1, 2, 3]
  // CHECK-NOT: graph.softmax
  %half = graph.constant dense<0.5> : tensor<f32>
  %zero = graph.constant dense<0.0> : tensor<f32>
  %low = graph.constant dense<-3.4e38> : tensor<f32>
  %true = graph.constant dense<true> : tensor<1x1x16x1xi1>
  %qt = graph.transpose %q, [0, 2, 1, 3] : tensor<?x16x4x8xf32> -> tensor<?x4x16x8xf32>
  %qs = graph.multiply %qt, %half : tensor<?x4x16x8xf32>, tensor<f32> -> tensor<?x4x16x8xf32>
  %kt = graph.transpose %k, [0, 2, 3, 1] : tensor<?x16x4x8xf32> -> tensor<?x4x8x16xf32>
  %ks = graph.multiply %kt, %half : tensor<?x4x8x16xf32>, tensor<f32> -> tensor<?x4x8x16xf32>
  %s = graph.dot_general %qs, %ks, batch = [0, 1] x [0, 1], contract = [3] x [2] : tensor<?x4x16x8xf32>, tensor<?x4x8x16xf32> -> tensor<?x4x16x16xf32>
  %a = graph.and %true, %p : tensor<1x1x16x1xi1>, tensor<?x1x1x16xi1> -> tensor<?x1x16x16xi1>
  %m = graph.select %a, %zero, %low : tensor<?x1x16x16xi1>, tensor<f32>, tensor<f32> -> tensor<?x1x16x16xf32>
  %x = graph.add %s, %m : tensor<?x4x16x16xf32>, tensor<?x1x16x16xf32> -> tensor<?x4x16x16xf32>
  %w = graph.softmax %x, 3 : tensor<?x4x16x16xf32> -> tensor<?x4x16x16xf32>
  %n = graph.is_nan %w : tensor<?x4x16x16xf32> -> tensor<?x4x16x16xi1>
  %g = graph.select %n, %zero, %w : tensor<?x4x16x16xi1>, tensor<f32>, tensor<?x4x16x16xf32> -> tensor<?x4x16x16xf32>
  %r = graph.dot_general %g, %v, batch = [0, 1] x [0, 2], contract = [3] x [1] : tensor<?x4x16x16xf32>, tensor<?x16x4x8xf32> -> tensor<?x4x16x8xf32>
  %t = graph.transpose %r, [0, 2, 1, 3] : tensor<?x4x16x8xf32> -> tensor<?x16x4x8xf32>
  func.return %t : tensor<?x16x4x8xf32>
}

// -----

// Keys and values repeated for a group of heads; a constant mask that is causal.

// CHECK-LABEL: func.func @grouped
func.func @grouped(%q: tensor<1x4x8x8xf32>, %k: tensor<1x2x8x8xf32>, %v: tensor<1x2x8x8xf32>) -> tensor<1x4x8x8xf32> {
  // CHECK-NEXT: graph.attention %q, %k, %v scale = 1.000000e+00 causal = start : tensor<1x4x8x8xf32>, tensor<1x2x8x8xf32>, tensor<1x2x8x8xf32>
  %m = graph.constant dense<[[true, false, false, false, false, false, false, false], [true, true, false, false, false, false, false, false], [true, true, true, false, false, false, false, false], [true, true, true, true, false, false, false, false], [true, true, true, true, true, false, false, false], [true, true, true, true, true, true, false, false], [true, true, true, true, true, true, true, false], [true, true, true, true, true, true, true, true]]> : tensor<8x8xi1>
  %low = graph.constant dense<0xff800000> : tensor<f32>
  %k5 = graph.reshape %k, [1, 2, 1, 8, 8] : tensor<1x2x8x8xf32> -> tensor<1x2x1x8x8xf32>
  %kr = graph.broadcast %k5, [1, 2, 2, 8, 8] : tensor<1x2x1x8x8xf32> -> tensor<1x2x2x8x8xf32>
  %k4 = graph.reshape %kr, [1, 4, 8, 8] : tensor<1x2x2x8x8xf32> -> tensor<1x4x8x8xf32>
  %v5 = graph.reshape %v, [1, 2, 1, 8, 8] : tensor<1x2x8x8xf32> -> tensor<1x2x1x8x8xf32>
  %vr = graph.broadcast %v5, [1, 2, 2, 8, 8] : tensor<1x2x1x8x8xf32> -> tensor<1x2x2x8x8xf32>
  %v4 = graph.reshape %vr, [1, 4, 8, 8] : tensor<1x2x2x8x8xf32> -> tensor<1x4x8x8xf32>
  %s = graph.dot_general %q, %k4, batch = [0, 1] x [0, 1], contract = [3] x [3] : tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32> -> tensor<1x4x8x8xf32>
  %x = graph.select %m, %s, %low : tensor<8x8xi1>, tensor<1x4x8x8xf32>, tensor<f32> -> tensor<1x4x8x8xf32>
  %w = graph.softmax %x, 3 : tensor<1x4x8x8xf32> -> tensor<1x4x8x8xf32>
  %r = graph.dot_general %w, %v4, batch = [0, 1] x [0, 1], contract = [3] x [2] : tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32> -> tensor<1x4x8x8xf32>
  func.return %r : tensor<1x4x8x8xf32>
}

// -----

// Scores that are a result as well stay.

// CHECK-LABEL: func.func @scores_used
func.func @scores_used(%q: tensor<4x16x8xf32>) -> (tensor<4x16x8xf32>, tensor<4x16x16xf32>) {
  // CHECK-NOT: graph.attention
  %s = graph.dot_general %q, %q, batch = [0] x [0], contract = [2] x [2] : tensor<4x16x8xf32>, tensor<4x16x8xf32> -> tensor<4x16x16xf32>
  %w = graph.softmax %s, 2 : tensor<4x16x16xf32> -> tensor<4x16x16xf32>
  %r = graph.dot_general %w, %q, batch = [0] x [0], contract = [2] x [1] : tensor<4x16x16xf32>, tensor<4x16x8xf32> -> tensor<4x16x8xf32>
  func.return %r, %s : tensor<4x16x8xf32>, tensor<4x16x16xf32>
}

// -----

// A guard stays where a mask may hide a whole row.

// CHECK-LABEL: func.func @guarded
func.func @guarded(%q: tensor<4x16x8xf32>, %m: tensor<16x16xf32>) -> tensor<4x16x8xf32> {
  // CHECK-NOT: graph.attention
  %zero = graph.constant dense<0.0> : tensor<f32>
  %s = graph.dot_general %q, %q, batch = [0] x [0], contract = [2] x [2] : tensor<4x16x8xf32>, tensor<4x16x8xf32> -> tensor<4x16x16xf32>
  %x = graph.add %s, %m : tensor<4x16x16xf32>, tensor<16x16xf32> -> tensor<4x16x16xf32>
  %w = graph.softmax %x, 2 : tensor<4x16x16xf32> -> tensor<4x16x16xf32>
  %n = graph.is_nan %w : tensor<4x16x16xf32> -> tensor<4x16x16xi1>
  %g = graph.select %n, %zero, %w : tensor<4x16x16xi1>, tensor<f32>, tensor<4x16x16xf32> -> tensor<4x16x16xf32>
  %r = graph.dot_general %g, %q, batch = [0] x [0], contract = [2] x [1] : tensor<4x16x16xf32>, tensor<4x16x8xf32> -> tensor<4x16x8xf32>
  func.return %r : tensor<4x16x8xf32>
}

// -----

// One query: the kernels of the primitives run along the keys.

// CHECK-LABEL: func.func @decoding
func.func @decoding(%q: tensor<4x1x8xf32>, %k: tensor<4x64x8xf32>) -> tensor<4x1x8xf32> {
  // CHECK-NOT: graph.attention
  // CHECK: graph.softmax
  %r = graph.attention %q, %k, %k scale = 0.5 : tensor<4x1x8xf32>, tensor<4x64x8xf32>, tensor<4x64x8xf32> -> tensor<4x1x8xf32>
  func.return %r : tensor<4x1x8xf32>
}
