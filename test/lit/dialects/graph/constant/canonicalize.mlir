// RUN: lamina-opt %s -p canonicalize | filecheck %s

// Constants that nobody uses go; others stay as they are.

// CHECK-LABEL: func.func @keeps
func.func @keeps() -> tensor<2xf32> {
  // CHECK-NEXT: %used = graph.constant dense<[0x7fc00000, -0.000000e+00]> : tensor<2xf32>
  // CHECK-NEXT: func.return %used
  %unused = graph.constant dense<1> : tensor<2xi64>
  %used = graph.constant dense<[0x7fc00000, -0.0]> : tensor<2xf32>
  func.return %used : tensor<2xf32>
}
