// RUN: not python %S/Inputs/opt_with_test_passes.py %s -p cse,test-invalidate,dce --reproducer %t.mlir 2>&1 | filecheck %s
// RUN: not python %S/Inputs/opt_with_test_passes.py %s -p test-invalidate,canonicalize --verify-each=0 --reproducer %t.mlir 2>&1 | filecheck %s --check-prefix END
// RUN: not python %S/Inputs/opt_with_test_passes.py %s -p "func(test-invalidate)" --reproducer %t.mlir 2>&1 | filecheck %s --check-prefix NESTED
// RUN: python %S/Inputs/opt_with_test_passes.py %s -p test-invalidate --disable-verify | filecheck %s --check-prefix DISABLED
// RUN: not python %S/Inputs/opt_with_test_passes.py %s -p test-invalidate --debug --reproducer %t.mlir 2>&1 | filecheck %s --check-prefix DEBUG

// One diagnostic: where, what, the op, the pass after which it is so.
// CHECK-NOT: Traceback
// CHECK: verify-each.mlir:28:3: error: 'arith.muli' op result 'result' at position 0 does not verify:
// CHECK: {{^}}  %1 = arith.muli %0, %0 : i32
// CHECK-NEXT: {{^}}  ^
// CHECK-NEXT: verify-each.mlir:28:3: note: see current operation: %1 = "arith.muli"(%0, %0) {{.*}} : (i32, i32) -> i64
// CHECK-NEXT: note: after pass 'test-invalidate'
// CHECK-NEXT: note: to make it fail again: lamina-opt --run-reproducer {{.*}}.mlir
// CHECK-NOT: {{.}}

// END: error: 'arith.muli' op
// END: note: after pass 'canonicalize'

// NESTED: note: after pass 'test-invalidate' on 'func.func' operation: @f

// DISABLED: arith.muli %0, %0 : i64

// DEBUG: Traceback
// DEBUG: error: 'arith.muli' op
func.func @f(%a: i32) -> i32 {
  %0 = arith.addi %a, %a : i32
  %1 = arith.muli %0, %0 : i32
  func.return %1 : i32
}
