// RUN: lamina-opt %s -p "func(cse,canonicalize),canonicalize" --print-pipeline --print-ir-after-all 2>&1 >/dev/null | filecheck %s
// RUN: lamina-opt %s -p "builtin.module(func.func(cse))" --print-pipeline 2>&1 | filecheck %s --check-prefix MLIR
// RUN: not python %S/Inputs/opt_with_test_passes.py %s -p "func(test-options{size=1})" --reproducer %t.mlir 2>&1 | filecheck %s --check-prefix MODULE

// All passes run on one function, then on the next; the rest of the pipeline on the module.
// CHECK: func(cse,canonicalize),canonicalize
// CHECK: // -----// IR Dump After CommonSubexpressionElimination (cse) ('func.func' operation: @f) //----- //
// CHECK-NEXT: func.func @f(
// CHECK-NOT: @g
// CHECK: // -----// IR Dump After CanonicalizePass (canonicalize) ('func.func' operation: @f) //----- //
// CHECK: // -----// IR Dump After CommonSubexpressionElimination (cse) ('func.func' operation: @g) //----- //
// CHECK-NEXT: func.func @g(
// CHECK: // -----// IR Dump After CanonicalizePass (canonicalize) //----- //
// CHECK-NEXT: builtin.module {

// MLIR: func(cse)
// MLIR: %0 = arith.addi %a, %a : i32
// MLIR-NEXT: %1 = arith.muli %0, %0 : i32
// MLIR: func.func @g(

// MODULE: error: a pass in 'func.func(…)' changed the module's attributes
// MODULE-NEXT: run it on the module, outside the parentheses

func.func @f(%a: i32) -> i32 {
  %0 = arith.addi %a, %a : i32
  %1 = arith.addi %a, %a : i32
  %2 = arith.muli %0, %1 : i32
  func.return %2 : i32
}
func.func @g(%a: i32) -> i32 {
  func.return %a : i32
}
