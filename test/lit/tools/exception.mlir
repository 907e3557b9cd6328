// RUN: rm -f %t.out.mlir
// RUN: not python %S/Inputs/opt_with_test_passes.py %s -p cse,test-raise --reproducer %t.mlir -o %t.out.mlir 2>&1 | filecheck %s
// RUN: not ls %t.out.mlir
// RUN: not python %S/Inputs/opt_with_test_passes.py %s -p test-refuse --reproducer %t.mlir 2>&1 | filecheck %s --check-prefix REFUSE
// RUN: not python %S/Inputs/opt_with_test_passes.py %s -p test-raise --reproducer %t.mlir --debug 2>&1 | filecheck %s --check-prefix DEBUG

// CHECK-NOT: Traceback
// CHECK: exception.mlir:23:3: error: ZeroDivisionError: integer division or modulo by zero
// CHECK-NEXT: %1 = arith.muli %0, %0 : i32
// CHECK-NEXT: ^
// CHECK-NEXT: note: see current operation: %1 = "arith.muli"
// CHECK-NEXT: note: raised at {{.*}}opt_with_test_passes.py:{{[0-9]+}} in match_and_rewrite: print(1 // 0)
// CHECK-NEXT: note: this is a bug in the pass; --debug shows the traceback
// CHECK-NEXT: note: in pass 'test-raise'
// CHECK-NEXT: note: to make it fail again: lamina-opt --run-reproducer

// REFUSE: exception.mlir:23:3: error: 'arith.muli' op cannot be multiplied
// REFUSE: note: in pass 'test-refuse'
// DEBUG: Traceback
// DEBUG: ZeroDivisionError
func.func @f(%a: i32) -> i32 {
  %0 = arith.addi %a, %a : i32
  %1 = arith.muli %0, %0 : i32
  func.return %1 : i32
}
