// RUN: not python %S/Inputs/opt_with_test_passes.py %s -p test-warn --verify-diagnostics --split-input-file 2>&1 | filecheck %s --check-prefix REPORT
// RUN: lamina-opt %s --split-input-file -p canonicalize > %t

// REPORT: verify-diagnostics-fails.mlir:12:3: error: unexpected warning: multiplication is slow
// REPORT: verify-diagnostics-fails.mlir:10:1: error: unexpected note: in this function
// REPORT: verify-diagnostics-fails.mlir:11:1: error: expected error "something else" was not produced
// REPORT: verify-diagnostics-fails.mlir:19:1: error: expected remark "never" was not produced
// REPORT: verify-diagnostics-fails.mlir:25:1: error: not an expectation
// REPORT-NOT: error:
func.func @f(%a: i32) -> i32 {
  // expected-error @below {{something else}}
  %0 = arith.muli %a, %a : i32
  func.return %0 : i32
}

// -----

func.func @f() {
  // expected-remark {{never}}
  func.return
}

// -----

func.func @g() { // expected-error missing braces
  func.return
}
