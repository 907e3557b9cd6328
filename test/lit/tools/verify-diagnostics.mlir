// RUN: python %S/Inputs/opt_with_test_passes.py %s -p test-warn --verify-diagnostics --split-input-file

// expected-note @below {{in this function}}
func.func @f(%a: i32) -> i32 {
  %0 = arith.muli %a, %a : i32 // expected-warning {{multiplication}}
  func.return %0 : i32
}

// -----

func.func @f(%a: i32, %b: i64) {
  // expected-error @+2 {{'arith.addi' op operand}}

  %1 = "arith.addi"(%a, %b) : (i32, i64) -> i32
  func.return
}

// -----

func.func @f(%a: i32) -> i32 {
  func.return %missing : i32
  // expected-error-re @above {{value %{{[a-z]+}} is used but not defined}}
}

// -----

// expected-note @below {{in this function}}
func.func @f(%a: i32) -> i32 {
  %0 = arith.muli %a, %a : i32
  // expected-warning @-1 {{multiplication is slow}}
  func.return %0 : i32
}
