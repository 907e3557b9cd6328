// RUN: lamina-opt %s -p graph-to-linalg | filecheck %s
// RUN: %if mlir-opt %{ lamina-opt %s -p graph-to-linalg | %mlir_opt %}

// A chain is one generic; a bias is read through its map.
// CHECK-LABEL: func.func private @fuse
// CHECK:       linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>, affine_map<(d0, d1) -> (d0, d1)>]
// CHECK-NEXT:  ^bb0(%[[X:.*]]: f32, %[[B:.*]]: f32, %{{.*}}: f32):
// CHECK-NEXT:    %[[SUM:.*]] = arith.addf %[[X]], %[[B]] : f32
// CHECK-NEXT:    %[[EXP:.*]] = math.exp %[[SUM]] : f32
// CHECK-NEXT:    linalg.yield %[[EXP]] : f32
// CHECK-NOT:   linalg.generic
func.func private @fuse(%x: tensor<?x4xf32>, %b: tensor<4xf32>) -> tensor<?x4xf32> attributes {lamina.kernel} {
  %0 = graph.add %x, %b : tensor<?x4xf32>, tensor<4xf32> -> tensor<?x4xf32>
  %1 = graph.exp %0 : tensor<?x4xf32>
  func.return %1 : tensor<?x4xf32>
}

// bf16 is computed in f32.
// CHECK-LABEL: func.func private @narrow
// CHECK:       arith.extf %{{.*}} : bf16 to f32
// CHECK-NEXT:  math.tanh
// CHECK-NEXT:  arith.truncf %{{.*}} : f32 to bf16
func.func private @narrow(%x: tensor<8xbf16>) -> tensor<8xbf16> attributes {lamina.kernel} {
  %0 = graph.tanh %x : tensor<8xbf16>
  func.return %0 : tensor<8xbf16>
}

// Unsigned integers are signless, the ops are not; division by zero is defined.
// CHECK-LABEL: func.func private @unsigned(%x: tensor<8xi8>
// CHECK:       arith.divui
// CHECK:       arith.cmpi ult
func.func private @unsigned(%x: tensor<8xui8>, %y: tensor<8xui8>) -> tensor<8xi1> attributes {lamina.kernel} {
  %0 = graph.divide %x, %y : tensor<8xui8>
  %1 = graph.compare LT, %0, %y : tensor<8xui8>, tensor<8xui8> -> tensor<8xi1>
  func.return %1 : tensor<8xi1>
}

// An expensive value that is stretched is stored: exp runs 4 times, not 4 n times.
// CHECK-LABEL: func.func private @stored
// CHECK:       math.exp
// CHECK:       linalg.generic
// CHECK-NOT:   math.exp
func.func private @stored(%x: tensor<?x4xf32>, %b: tensor<4xf32>) -> tensor<?x4xf32> attributes {lamina.kernel} {
  %0 = graph.exp %b : tensor<4xf32>
  %1 = graph.add %x, %0 : tensor<?x4xf32>, tensor<4xf32> -> tensor<?x4xf32>
  func.return %1 : tensor<?x4xf32>
}
