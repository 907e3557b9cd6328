// RUN: lamina-opt %s -p infer-types,form-kernels,share-kernels --remarks --verify-diagnostics
// RUN: lamina-opt %s -p infer-types,form-kernels,share-kernels --remarks 2>&1 >/dev/null | filecheck %s
// RUN: lamina-opt %s -p infer-types,form-kernels,share-kernels 2>&1 >/dev/null | filecheck %s --check-prefix QUIET --allow-empty

// CHECK: remark: kernel @exp_1 is the same as @exp: merged
// QUIET-NOT: remark
func.func @main(%x: tensor<8x8xf32>, %y: tensor<8x8xf32>) -> (tensor<8x8xf32>, tensor<8x8xf32>) {
  %a = graph.exp %x : tensor<8x8xf32>
  %b = graph.exp %y : tensor<8x8xf32> // expected-remark {{kernel @exp_1 is the same as @exp: merged}}
  func.return %a, %b : tensor<8x8xf32>, tensor<8x8xf32>
}
