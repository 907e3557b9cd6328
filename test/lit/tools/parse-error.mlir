// RUN: not lamina-opt %s 2>&1 | filecheck %s

// An undefined value is reported at its use, not at the end of the file.
// CHECK: parse-error.mlir:9:23: error: value %missing is used but not defined
// CHECK-NEXT: %0 = arith.addi %a, %missing : i32
// CHECK-NEXT: {{^}}                      ^
// CHECK-NOT: {{.}}
func.func @f(%a: i32) -> i32 {
  %0 = arith.addi %a, %missing : i32
  func.return %0 : i32
}
