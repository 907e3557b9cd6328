// RUN: rm -f %t.* && cp %s %t.mlir && lamina-opt %s -p canonicalize -o %t.with.mlir
// RUN: not python %S/Inputs/opt_with_test_passes.py %s -p "canonicalize,cse,func(test-raise),dce" --reproducer %t.again.mlir 2>&1 | filecheck %s
// RUN: filecheck %s --check-prefix FILE < %t.again.mlir
// RUN: not python %S/Inputs/opt_with_test_passes.py --run-reproducer %t.again.mlir 2>&1 | filecheck %s --check-prefix AGAIN
// RUN: not python %S/Inputs/opt_with_test_passes.py < %s -p "cse,test-raise" --reproducer %t.stdin.mlir 2>&1 | filecheck %s
// RUN: not python %S/Inputs/opt_with_test_passes.py --run-reproducer %t.stdin.mlir 2>&1 | filecheck %s --check-prefix AGAIN
// RUN: not lamina-opt --run-reproducer %s 2>&1 | filecheck %s --check-prefix NONE
// RUN: not python %S/Inputs/opt_with_test_passes.py %s -p test-raise 2>&1 | filecheck %s --check-prefix DEFAULT
// RUN: %if mlir-opt %{ sed s/test-raise/canonicalize/ %t.again.mlir > %t.mlir-opt.mlir && %mlir_opt --run-reproducer %t.mlir-opt.mlir --mlir-print-local-scope %}

// CHECK: error: ZeroDivisionError
// CHECK: note: to make it fail again: lamina-opt --run-reproducer {{.*}}.mlir

// The IR before the pass that failed, with the locations that it had; and that pass.
// FILE: // lamina-opt --run-reproducer {{.*}}again.mlir
// FILE-NEXT: // {{.*}}error: ZeroDivisionError
// FILE: "builtin.module"() ({
// FILE: "arith.addi"(%a, %a) {{.*}}loc("{{.*}}reproducer.mlir":33:3)
// FILE-NOT: "arith.addi"
// FILE: {-#
// FILE-NEXT: external_resources: {
// FILE-NEXT: mlir_reproducer: {
// FILE-NEXT: pipeline: "builtin.module(func(test-raise))"
// FILE: verify_each: true

// AGAIN: error: ZeroDivisionError
// AGAIN: note: in pass 'test-raise'
// AGAIN: note: this is the reproducer

// NONE: reproducer.mlir: error: is no reproducer
// DEFAULT: --run-reproducer {{.*}}lamina-reproducer-{{.*}}/reproducer.mlir
func.func @f(%a: i32) -> i32 {
  %0 = arith.addi %a, %a : i32
  %1 = arith.addi %a, %a : i32
  %2 = arith.muli %0, %1 : i32
  func.return %2 : i32
}
