// RUN: lamina-opt %s -p infer-types,form-kernels,share-kernels --print-debuginfo | filecheck %s

// CHECK-LABEL: func.func @main
func.func @main(%x: tensor<?x8xf32> {lamina.dims = ["n", "8"]}, %w: tensor<8x8xf32>) -> tensor<?x8xf32> {
  // The calls keep their own locations.
  // CHECK-NEXT: %a = func.call @dot_general(%x, %w) {{.*}} loc("{{.*}}share-kernels.mlir":9:3)
  // CHECK-NEXT: %b = func.call @dot_general(%a, %w) {{.*}} loc("{{.*}}share-kernels.mlir":10:3)
  // CHECK-NEXT: %c = func.call @dot_general_2(%b, %w)
  %a = graph.dot_general %x, %w, contract = [1] x [0] : tensor<?x8xf32>, tensor<8x8xf32> -> tensor<?x8xf32>
  %b = graph.dot_general %a, %w, contract = [1] x [0] : tensor<?x8xf32>, tensor<8x8xf32> -> tensor<?x8xf32>
  %c = graph.dot_general %b, %w, contract = [1] x [1] : tensor<?x8xf32>, tensor<8x8xf32> -> tensor<?x8xf32>
  func.return %c : tensor<?x8xf32>
}
// CHECK: func.func private @dot_general(
// CHECK-NEXT: graph.dot_general {{.*}} loc(fused["{{.*}}":9:3, "{{.*}}":10:3])
// CHECK-NOT: func.func private @dot_general_1
// CHECK: func.func private @dot_general_2
