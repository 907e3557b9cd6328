// RUN: lamina-opt %s -p cse,cse --print-diff 2>&1 >/dev/null | filecheck %s
// RUN: lamina-opt %s -p cse --print-diff 2>/dev/null | lamina-opt | filecheck %s --check-prefix STDOUT

// Values keep their names: only what changed is shown.
// CHECK: // -----// IR Diff After CommonSubexpressionElimination (cse) //----- //
// CHECK-NEXT: @@ {{.*}} @@
// CHECK-NEXT: builtin.module
// CHECK-NEXT:   func.func @f
// CHECK-NEXT:     %0 = arith.addi %a, %a : i32
// CHECK-NEXT: -    %1 = arith.addi %a, %a : i32
// CHECK-NEXT: -    %2 = arith.muli %0, %1 : i32
// CHECK-NEXT: +    %2 = arith.muli %0, %0 : i32
// CHECK-NEXT:      %3 = arith.subi %2, %a : i32
// CHECK: // -----// No Diff After CommonSubexpressionElimination (cse) //----- //
// STDOUT: arith.subi
func.func @f(%a: i32) -> i32 {
  %0 = arith.addi %a, %a : i32
  %1 = arith.addi %a, %a : i32
  %2 = arith.muli %0, %1 : i32
  %3 = arith.subi %2, %a : i32
  func.return %3 : i32
}
