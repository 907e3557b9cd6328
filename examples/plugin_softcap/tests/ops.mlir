// RUN: %opt %s | %opt | filecheck %s
// RUN: %opt %s --print-op-generic | %opt | filecheck %s

// CHECK-LABEL: func.func @main
func.func @main(%x: tensor<?x4xf32>, %y: tensor<bf16>) -> (tensor<?x4xf32>, tensor<bf16>) {
  // CHECK: softcap.softcap %{{.*}} {cap = 3.000000e+01 : f64} : tensor<?x4xf32>
  %a = softcap.softcap %x {cap = 30.0 : f64} : tensor<?x4xf32>
  // CHECK: softcap.softcap %{{.*}} {cap = 5.000000e-01 : f64} : tensor<bf16>
  %b = softcap.softcap %y {cap = 0.5 : f64} : tensor<bf16>
  func.return %a, %b : tensor<?x4xf32>, tensor<bf16>
}
