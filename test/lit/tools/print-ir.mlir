// RUN: lamina-opt %s -p cse,canonicalize --print-ir-before=cse,canonicalize --print-ir-after=cse 2>&1 >/dev/null | filecheck %s
// RUN: lamina-opt %s -p cse,canonicalize --print-ir-before-all 2>&1 >/dev/null | filecheck %s --check-prefix BEFORE
// RUN: lamina-opt %s -p cse,cse --print-ir-after-all 2>/dev/null | filecheck %s --check-prefix STDOUT
// RUN: lamina-opt %s -p cse,cse,canonicalize --print-ir-after-change 2>&1 >/dev/null | filecheck %s --check-prefix CHANGE
// RUN: lamina-opt %s -p cse --print-ir-after=cse --print-op-generic --print-debuginfo 2>&1 >/dev/null | filecheck %s --check-prefix GENERIC
// RUN: not python %S/Inputs/opt_with_test_passes.py %s -p cse,test-invalidate --print-ir-after-failure --reproducer %t.mlir 2>&1 | filecheck %s --check-prefix FAILURE
// RUN: lamina-opt %s -p cse --print-ir-after=canonicalize 2>&1 | filecheck %s --check-prefix UNUSED
// RUN: lamina-opt %s -p cse --mlir-print-ir-after-all 2>&1 >/dev/null | filecheck %s --check-prefix CHANGE

// CHECK: // -----// IR Dump Before CommonSubexpressionElimination (cse) //----- //
// CHECK-NEXT: builtin.module {
// CHECK: arith.addi
// CHECK-NEXT: arith.addi
// CHECK: // -----// IR Dump After CommonSubexpressionElimination (cse) //----- //
// CHECK: arith.addi
// CHECK-NEXT: arith.muli
// CHECK: // -----// IR Dump Before CanonicalizePass (canonicalize) //----- //
// CHECK-NOT: IR Dump

// BEFORE: IR Dump Before CommonSubexpressionElimination (cse)
// BEFORE: IR Dump Before CanonicalizePass (canonicalize)

// STDOUT-NOT: IR Dump
// STDOUT: builtin.module
// STDOUT-NOT: IR Dump

// CHANGE: // -----// IR Dump After CommonSubexpressionElimination (cse) //----- //
// CHANGE-NOT: IR Dump

// GENERIC: IR Dump After
// GENERIC-NEXT: "builtin.module"() ({
// GENERIC: "arith.addi"{{.*}} loc("{{.*}}print-ir.mlir":42:3)

// FAILURE-NOT: After CommonSubexpressionElimination
// FAILURE: // -----// IR Dump After InvalidatePass Failed (test-invalidate) //----- //
// FAILURE: arith.muli {{.*}} : i64
// FAILURE: error: 'arith.muli' op

// UNUSED: warning: --print-ir-after: pass 'canonicalize' is not in the pipeline

func.func @f(%a: i32) -> i32 {
  %0 = arith.addi %a, %a : i32
  %1 = arith.addi %a, %a : i32
  %2 = arith.muli %0, %1 : i32
  func.return %2 : i32
}
