// RUN: lamina-opt %s -p graph-to-linalg,merge-rows | filecheck %s
// RUN: %if mlir-opt %{ lamina-opt %s -p graph-to-linalg,merge-rows | %mlir_opt %}

// Between the two kernels the views cancel; the epilogue goes with its contraction.
// CHECK-LABEL: func.func @main
// CHECK:       [[X:%.*]] = tensor.collapse_shape %x {{\[\[}}0 : i64, 1 : i64], [2 : i64]] : tensor<?x?x64xf32> into tensor<?x64xf32>
// CHECK:       [[C:%.*]] = func.call @dot([[X]], %w, {{%.*}}) : (tensor<?x64xf32>, tensor<64x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
// CHECK-NOT:   collapse_shape {{.*}}[[C]]
// CHECK:       [[D:%.*]] = func.call @dot([[C]], %w, {{%.*}})
// CHECK:       [[Y:%.*]] = tensor.expand_shape [[D]] {{.*}} : tensor<?x64xf32> into tensor<?x?x64xf32>
// CHECK:       func.call @heads(%x, %w, {{%.*}}) : (tensor<?x?x64xf32>
// CHECK:       func.return [[Y]]
func.func @main(%x: tensor<?x?x64xf32> {lamina.name = "x", lamina.dims = ["b", "s", "64"]}, %w: tensor<64x64xf32> {lamina.name = "w", lamina.dims = ["64", "64"]}) -> (tensor<?x?x64xf32> {lamina.name = "y", lamina.dims = ["b", "s", "64"]}, tensor<?x64x?xf32> {lamina.name = "z", lamina.dims = ["b", "64", "s"]}) {
  %0 = func.call @dot(%x, %w) : (tensor<?x?x64xf32>, tensor<64x64xf32>) -> tensor<?x?x64xf32>
  %1 = func.call @dot(%0, %w) : (tensor<?x?x64xf32>, tensor<64x64xf32>) -> tensor<?x?x64xf32>
  %2 = func.call @heads(%x, %w) : (tensor<?x?x64xf32>, tensor<64x64xf32>) -> tensor<?x64x?xf32>
  func.return %1, %2 : tensor<?x?x64xf32>, tensor<?x64x?xf32>
}

// CHECK-LABEL: func.func private @dot
// CHECK-SAME:  (%x: tensor<?x64xf32> {lamina.dims = ["d0*d1", "64"]}
// CHECK:       iterator_types = ["parallel", "reduction", "parallel"]
// CHECK-SAME:  lamina.axes = ["m0", "k0", "n0"]
// CHECK:       iterator_types = ["parallel", "parallel"]
func.func private @dot(%x: tensor<?x?x64xf32> {lamina.dims = ["d0", "d1", "64"]}, %w: tensor<64x64xf32>) -> tensor<?x?x64xf32> attributes {lamina.kernel} {
  %0 = graph.dot_general %x, %w, contract = [2] x [0] : tensor<?x?x64xf32>, tensor<64x64xf32> -> tensor<?x?x64xf32>
  %1 = graph.tanh %0 : tensor<?x?x64xf32> -> tensor<?x?x64xf32>
  func.return %1 : tensor<?x?x64xf32>
}

// The result has the two axes apart: nothing is merged.
// CHECK-LABEL: func.func private @heads
// CHECK-SAME:  (%x: tensor<?x?x64xf32>
func.func private @heads(%x: tensor<?x?x64xf32> {lamina.dims = ["d0", "d1", "64"]}, %w: tensor<64x64xf32>) -> tensor<?x64x?xf32> attributes {lamina.kernel} {
  %0 = graph.dot_general %x, %w, contract = [2] x [0] : tensor<?x?x64xf32>, tensor<64x64xf32> -> tensor<?x?x64xf32>
  %1 = graph.transpose %0, [0, 2, 1] : tensor<?x?x64xf32> -> tensor<?x64x?xf32>
  func.return %1 : tensor<?x64x?xf32>
}
