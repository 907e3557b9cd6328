// RUN: not lamina-opt %s -p cse,kernels --reproducer %t.mlir 2>&1 | filecheck %s
// RUN: not lamina-opt %s --to kernels --reproducer %t.mlir 2>&1 | filecheck %s --check-prefix GRAPH
// RUN: not lamina-opt --run-reproducer %t.mlir 2>&1 | filecheck %s --check-prefix GRAPH
// RUN: lamina-opt %s -p cse,decompose

// The contract of a phase is checked where it ends.
// CHECK: phase-contract.mlir:14:3: error: 'arith.addf' is left after phase 'kernels', which allows builtin, func, graph
// CHECK-NEXT: %y = arith.addf
// CHECK-NEXT: {{ +}}^
// CHECK: note: after phase 'kernels'
// GRAPH: phase-contract.mlir:14:3: error: 'arith.addf' is left after phase 'graph'

func.func @main(%x: f32) -> f32 {
  %y = arith.addf %x, %x : f32
  func.return %y : f32
}
