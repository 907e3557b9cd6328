// RUN: not lamina-opt %s -p form-kernels,infer-types 2>&1 | filecheck %s --check-prefix ORDER
// RUN: lamina-opt %s -p form-kernels,infer-types --assume types-inferred | filecheck %s
// RUN: lamina-opt %s -p form-kernels | filecheck %s
// RUN: not lamina-opt %s --to import -p form-kernels 2>&1 | filecheck %s --check-prefix MISSING
// RUN: not lamina-opt %s --from import -p form-kernels 2>&1 | filecheck %s --check-prefix MISSING
// RUN: lamina-opt %s --from graph -p form-kernels | filecheck %s
// RUN: not python %S/Inputs/opt_with_test_passes.py %s -p "func(test-needs-thing),test-gives-thing" 2>&1 | filecheck %s --check-prefix NESTED
// RUN: not lamina-opt %s -p lower-parallel,plan-arena 2>&1 | filecheck %s --check-prefix ARENA
// RUN: not lamina-opt %s --to graph -p expand-math 2>&1 | filecheck %s --check-prefix MATH

// ORDER: error: pass 'form-kernels' requires types-inferred, which no earlier pass ensures; 'infer-types' ensures it only later
// ORDER-NEXT: run 'infer-types' before it

// MISSING: error: pass 'form-kernels' requires types-inferred, which no earlier pass ensures
// MISSING-NEXT: run 'infer-types' before it

// NESTED: error: pass 'test-needs-thing' requires thing, {{.*}}'test-gives-thing' ensures it only later

// ARENA: error: pass 'lower-parallel' requires {{.*}}; 'plan-arena' ensures it only later
// MATH: error: pass 'expand-math' requires linalg, which no earlier pass ensures
// MATH-NEXT: run 'graph-to-linalg' before it

// CHECK: func.call @exp
func.func @main(%x: tensor<8xf32>) -> tensor<8xf32> {
  %y = graph.exp %x : tensor<8xf32>
  func.return %y : tensor<8xf32>
}
