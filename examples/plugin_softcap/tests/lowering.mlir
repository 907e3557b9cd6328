// RUN: %opt %s --to kernels | filecheck %s --check-prefix=KERNELS
// RUN: %opt %s --to tensor | filecheck %s --check-prefix=TENSOR

// The op joins the kernel of the contraction that it follows.
// KERNELS-COUNT-1: attributes {lamina.kernel}
// KERNELS-NEXT: graph.dot_general
// KERNELS-NEXT: softcap.softcap

// TENSOR: linalg.generic
// TENSOR: arith.divf
// TENSOR-NEXT: math.tanh
// TENSOR-NEXT: arith.mulf
func.func @main(%x: tensor<?x8xf32> {lamina.name = "x"}, %w: tensor<8x4xf32> {lamina.name = "w"}) -> (tensor<?x4xf32> {lamina.name = "y"}) {
  %p = graph.dot_general %x, %w, contract = [1] x [0] : tensor<?x8xf32>, tensor<8x4xf32> -> tensor<?x4xf32>
  %y = softcap.softcap %p {cap = 30.0 : f64} : tensor<?x4xf32>
  func.return %y : tensor<?x4xf32>
}
