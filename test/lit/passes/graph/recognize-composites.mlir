// RUN: lamina-opt %s -p recognize-composites | filecheck %s

// CHECK-LABEL: func.func @gelu
func.func @gelu(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %root = graph.constant dense<1.41421354> : tensor<f32>
  %one = graph.constant dense<1.0> : tensor<f32>
  %half = graph.constant dense<0.5> : tensor<f32>
  // CHECK-NEXT: %[[Y:.*]] = graph.gelu %x : tensor<?x8xf32> -> tensor<?x8xf32>
  // CHECK-NEXT: func.return %[[Y]]
  %a = graph.divide %x, %root : tensor<?x8xf32>, tensor<f32> -> tensor<?x8xf32>
  %b = graph.erf %a : tensor<?x8xf32>
  %c = graph.add %b, %one : tensor<?x8xf32>, tensor<f32> -> tensor<?x8xf32>
  %d = graph.multiply %x, %c : tensor<?x8xf32>
  %y = graph.multiply %d, %half : tensor<?x8xf32>, tensor<f32> -> tensor<?x8xf32>
  func.return %y : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @gelu_tanh
func.func @gelu_tanh(%x: tensor<8xf32>) -> tensor<8xf32> {
  %half = graph.constant dense<0.5> : tensor<f32>
  %one = graph.constant dense<1.0> : tensor<f32>
  %three = graph.constant dense<3.0> : tensor<f32>
  %cubic = graph.constant dense<0.044715> : tensor<f32>
  %root = graph.constant dense<0.797884583> : tensor<f32>
  // CHECK-NEXT: %[[Y:.*]] = graph.gelu %x approximate = tanh : tensor<8xf32> -> tensor<8xf32>
  // CHECK-NEXT: func.return %[[Y]]
  %p = graph.power %x, %three : tensor<8xf32>, tensor<f32> -> tensor<8xf32>
  %q = graph.multiply %p, %cubic : tensor<8xf32>, tensor<f32> -> tensor<8xf32>
  %s = graph.add %x, %q : tensor<8xf32>
  %t = graph.multiply %s, %root : tensor<8xf32>, tensor<f32> -> tensor<8xf32>
  %u = graph.tanh %t : tensor<8xf32>
  %v = graph.add %one, %u : tensor<f32>, tensor<8xf32> -> tensor<8xf32>
  %h = graph.multiply %x, %half : tensor<8xf32>, tensor<f32> -> tensor<8xf32>
  %y = graph.multiply %h, %v : tensor<8xf32>
  func.return %y : tensor<8xf32>
}

// CHECK-LABEL: func.func @silu_gate
func.func @silu_gate(%x: tensor<8xf32>, %up: tensor<8xf32>) -> tensor<8xf32> {
  // CHECK-NEXT: %[[S:.*]] = graph.silu %x : tensor<8xf32> -> tensor<8xf32>
  // CHECK-NEXT: graph.multiply %[[S]], %up
  %s = graph.logistic %x : tensor<8xf32>
  %g = graph.multiply %x, %s : tensor<8xf32>
  %y = graph.multiply %g, %up : tensor<8xf32>
  func.return %y : tensor<8xf32>
}

// CHECK-LABEL: func.func @relu6
func.func @relu6(%x: tensor<8xf32>) -> tensor<8xf32> {
  %zero = graph.constant dense<0.0> : tensor<f32>
  %six = graph.constant dense<6.0> : tensor<f32>
  // CHECK-NOT: graph.m
  // CHECK: graph.clamp
  // CHECK-NEXT: func.return
  %m = graph.maximum %x, %zero : tensor<8xf32>, tensor<f32> -> tensor<8xf32>
  %y = graph.minimum %m, %six : tensor<8xf32>, tensor<f32> -> tensor<8xf32>
  func.return %y : tensor<8xf32>
}

// CHECK-LABEL: func.func @softmax
func.func @softmax(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // CHECK-NEXT: graph.softmax %x, 1 : tensor<?x8xf32> -> tensor<?x8xf32>
  // CHECK-NEXT: func.return
  %m = graph.reduce maximum %x, [1] keep_dimensions : tensor<?x8xf32> -> tensor<?x1xf32>
  %s = graph.subtract %x, %m : tensor<?x8xf32>, tensor<?x1xf32> -> tensor<?x8xf32>
  %e = graph.exp %s : tensor<?x8xf32>
  %t = graph.reduce add %e, [1] keep_dimensions : tensor<?x8xf32> -> tensor<?x1xf32>
  %y = graph.divide %e, %t : tensor<?x8xf32>, tensor<?x1xf32> -> tensor<?x8xf32>
  func.return %y : tensor<?x8xf32>
}

// A constant mask that leaves something of each row: the guard goes.
// CHECK-LABEL: func.func @guard_of_a_causal_mask
func.func @guard_of_a_causal_mask(%q: tensor<?x2x2xf32>) -> tensor<?x2x2xf32> {
  %mask = graph.constant dense<[[0.0, 0xFF800000], [0.0, 0.0]]> : tensor<2x2xf32>
  %zero = graph.constant dense<0.0> : tensor<f32>
  // CHECK: %[[P:.*]] = graph.softmax
  // CHECK-NEXT: func.return %[[P]]
  %x = graph.dot_general %q, %q, batch = [0] x [0], contract = [2] x [2] : tensor<?x2x2xf32>, tensor<?x2x2xf32> -> tensor<?x2x2xf32>
  %s = graph.add %x, %mask : tensor<?x2x2xf32>, tensor<2x2xf32> -> tensor<?x2x2xf32>
  %p = graph.softmax %s, 2 : tensor<?x2x2xf32> -> tensor<?x2x2xf32>
  %n = graph.is_nan %p : tensor<?x2x2xf32> -> tensor<?x2x2xi1>
  %y = graph.select %n, %zero, %p : tensor<?x2x2xi1>, tensor<f32>, tensor<?x2x2xf32> -> tensor<?x2x2xf32>
  func.return %y : tensor<?x2x2xf32>
}

// One that hides a row, or that comes from outside: it stays.
// CHECK-LABEL: func.func @guard_of_a_hidden_row
func.func @guard_of_a_hidden_row(%q: tensor<?x2x2xf32>) -> tensor<?x2x2xf32> {
  %mask = graph.constant dense<[[0xFF800000, 0xFF800000], [0.0, 0.0]]> : tensor<2x2xf32>
  %zero = graph.constant dense<0.0> : tensor<f32>
  // CHECK: graph.is_nan
  // CHECK: graph.select
  %x = graph.dot_general %q, %q, batch = [0] x [0], contract = [2] x [2] : tensor<?x2x2xf32>, tensor<?x2x2xf32> -> tensor<?x2x2xf32>
  %s = graph.add %x, %mask : tensor<?x2x2xf32>, tensor<2x2xf32> -> tensor<?x2x2xf32>
  %p = graph.softmax %s, 2 : tensor<?x2x2xf32> -> tensor<?x2x2xf32>
  %n = graph.is_nan %p : tensor<?x2x2xf32> -> tensor<?x2x2xi1>
  %y = graph.select %n, %zero, %p : tensor<?x2x2xi1>, tensor<f32>, tensor<?x2x2xf32> -> tensor<?x2x2xf32>
  func.return %y : tensor<?x2x2xf32>
}

// CHECK-LABEL: func.func @guard_of_any_mask
func.func @guard_of_any_mask(%x: tensor<2x2xf32>, %mask: tensor<2x2xf32>) -> tensor<2x2xf32> {
  %zero = graph.constant dense<0.0> : tensor<f32>
  // CHECK: graph.is_nan
  // CHECK: graph.select
  %s = graph.add %x, %mask : tensor<2x2xf32>
  %p = graph.softmax %s, 1 : tensor<2x2xf32> -> tensor<2x2xf32>
  %n = graph.is_nan %p : tensor<2x2xf32> -> tensor<2x2xi1>
  %y = graph.select %n, %zero, %p : tensor<2x2xi1>, tensor<f32>, tensor<2x2xf32> -> tensor<2x2xf32>
  func.return %y : tensor<2x2xf32>
}

// A factor over a finite mask, and over one that hides a row; a second mask; scores of unknown origin.
// CHECK-LABEL: func.func @guards_behind_factors
func.func @guards_behind_factors(%q: tensor<2x2xf32>, %p: tensor<2x2xi1>, %m: tensor<2x2xf32>) -> (tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>) {
  // CHECK-COUNT-3: graph.is_nan
  // CHECK-NOT: graph.is_nan
  %zero = graph.constant dense<0.0> : tensor<f32>
  %half = graph.constant dense<0.5> : tensor<f32>
  %low = graph.constant dense<-3.4e38> : tensor<f32>
  %bias = graph.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %d = graph.dot_general %q, %q, contract = [1] x [1] : tensor<2x2xf32>, tensor<2x2xf32> -> tensor<2x2xf32>
  %f = graph.select %p, %zero, %low : tensor<2x2xi1>, tensor<f32>, tensor<f32> -> tensor<2x2xf32>
  %a0 = graph.add %d, %f : tensor<2x2xf32>
  %s0 = graph.multiply %a0, %half : tensor<2x2xf32>, tensor<f32> -> tensor<2x2xf32>
  %w0 = graph.softmax %s0, 1 : tensor<2x2xf32> -> tensor<2x2xf32>
  %n0 = graph.is_nan %w0 : tensor<2x2xf32> -> tensor<2x2xi1>
  %y0 = graph.select %n0, %zero, %w0 : tensor<2x2xi1>, tensor<f32>, tensor<2x2xf32> -> tensor<2x2xf32>
  %a1 = graph.add %d, %m : tensor<2x2xf32>
  %s1 = graph.multiply %half, %a1 : tensor<f32>, tensor<2x2xf32> -> tensor<2x2xf32>
  %w1 = graph.softmax %s1, 1 : tensor<2x2xf32> -> tensor<2x2xf32>
  %n1 = graph.is_nan %w1 : tensor<2x2xf32> -> tensor<2x2xi1>
  %y1 = graph.select %n1, %zero, %w1 : tensor<2x2xi1>, tensor<f32>, tensor<2x2xf32> -> tensor<2x2xf32>
  %s2 = graph.add %a1, %bias : tensor<2x2xf32>
  %w2 = graph.softmax %s2, 1 : tensor<2x2xf32> -> tensor<2x2xf32>
  %n2 = graph.is_nan %w2 : tensor<2x2xf32> -> tensor<2x2xi1>
  %y2 = graph.select %n2, %zero, %w2 : tensor<2x2xi1>, tensor<f32>, tensor<2x2xf32> -> tensor<2x2xf32>
  %s3 = graph.add %m, %bias : tensor<2x2xf32>
  %w3 = graph.softmax %s3, 1 : tensor<2x2xf32> -> tensor<2x2xf32>
  %n3 = graph.is_nan %w3 : tensor<2x2xf32> -> tensor<2x2xi1>
  %y3 = graph.select %n3, %zero, %w3 : tensor<2x2xi1>, tensor<f32>, tensor<2x2xf32> -> tensor<2x2xf32>
  func.return %y0, %y1, %y2, %y3 : tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>
}

// CHECK-LABEL: func.func @layer_norm
func.func @layer_norm(%x: tensor<?x8xf32>, %scale: tensor<1x8xf32>, %bias: tensor<8xf32>) -> tensor<?x8xf32> {
  %eps = graph.constant dense<0.5> : tensor<f32>
  // CHECK: %[[SCALE:.*]] = graph.reshape %scale, [8] : tensor<1x8xf32> -> tensor<8xf32>
  // CHECK-NEXT: %[[Y:.*]] = graph.layer_norm %x, %[[SCALE]], %bias, axis = 1, epsilon = 5.000000e-01
  // CHECK-NEXT: func.return %[[Y]]
  %m = graph.mean %x, [1] keep_dimensions : tensor<?x8xf32> -> tensor<?x1xf32>
  %c = graph.subtract %x, %m : tensor<?x8xf32>, tensor<?x1xf32> -> tensor<?x8xf32>
  %q = graph.multiply %c, %c : tensor<?x8xf32>
  %v = graph.mean %q, [1] keep_dimensions : tensor<?x8xf32> -> tensor<?x1xf32>
  %a = graph.add %v, %eps : tensor<?x1xf32>, tensor<f32> -> tensor<?x1xf32>
  %r = graph.sqrt %a : tensor<?x1xf32>
  %n = graph.divide %c, %r : tensor<?x8xf32>, tensor<?x1xf32> -> tensor<?x8xf32>
  %s = graph.multiply %n, %scale : tensor<?x8xf32>, tensor<1x8xf32> -> tensor<?x8xf32>
  %y = graph.add %s, %bias : tensor<?x8xf32>, tensor<8xf32> -> tensor<?x8xf32>
  func.return %y : tensor<?x8xf32>
}

// Between casts: computed in f32 anyway.
// CHECK-LABEL: func.func @rms_norm_of_halves
func.func @rms_norm_of_halves(%h: tensor<4x8xf16>, %scale: tensor<8xf16>) -> tensor<4x8xf16> {
  %eps = graph.constant dense<0.5> : tensor<f32>
  // CHECK-NEXT: %[[Y:.*]] = graph.rms_norm %h, %scale, axis = 1, epsilon = 5.000000e-01
  // CHECK-NEXT: func.return %[[Y]]
  %x = graph.cast %h : tensor<4x8xf16> -> tensor<4x8xf32>
  %q = graph.multiply %x, %x : tensor<4x8xf32>
  %v = graph.mean %q, [1] keep_dimensions : tensor<4x8xf32> -> tensor<4x1xf32>
  %a = graph.add %v, %eps : tensor<4x1xf32>, tensor<f32> -> tensor<4x1xf32>
  %r = graph.rsqrt %a : tensor<4x1xf32>
  %n = graph.multiply %x, %r : tensor<4x8xf32>, tensor<4x1xf32> -> tensor<4x8xf32>
  %b = graph.cast %n : tensor<4x8xf32> -> tensor<4x8xf16>
  %y = graph.multiply %scale, %b : tensor<8xf16>, tensor<4x8xf16> -> tensor<4x8xf16>
  func.return %y : tensor<4x8xf16>
}

// A scale for each element of x is no scale of the norm; without one it is 1.
// CHECK-LABEL: func.func @norm_then_product
func.func @norm_then_product(%x: tensor<4x8xf32>, %z: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %eps = graph.constant dense<0.5> : tensor<f32>
  // CHECK: %[[ONE:.*]] = graph.constant dense<1.000000e+00> : tensor<1xf32>
  // CHECK-NEXT: %[[N:.*]] = graph.rms_norm %x, %[[ONE]], axis = 1
  // CHECK-NEXT: graph.multiply %[[N]], %z
  %q = graph.multiply %x, %x : tensor<4x8xf32>
  %v = graph.mean %q, [1] keep_dimensions : tensor<4x8xf32> -> tensor<4x1xf32>
  %a = graph.add %v, %eps : tensor<4x1xf32>, tensor<f32> -> tensor<4x1xf32>
  %r = graph.rsqrt %a : tensor<4x1xf32>
  %n = graph.multiply %x, %r : tensor<4x8xf32>, tensor<4x1xf32> -> tensor<4x8xf32>
  %y = graph.multiply %n, %z : tensor<4x8xf32>
  func.return %y : tensor<4x8xf32>
}
