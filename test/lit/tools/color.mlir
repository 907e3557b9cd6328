// RUN: lamina-opt %s --color=always | cat -v | filecheck %s
// RUN: lamina-opt %s | cat -v | filecheck %s --check-prefix PLAIN
// RUN: lamina-opt %s --color=always -o %t.mlir && cat -v %t.mlir | filecheck %s --check-prefix PLAIN
// RUN: not lamina-opt %s --color=always -p form-kernels,infer-types 2>&1 | cat -v | filecheck %s --check-prefix PLAIN-ERROR
// RUN: lamina-opt %s --color=always -p cse --print-diff --print-ir-after-all 2>&1 >/dev/null | cat -v | filecheck %s --check-prefix DUMP

// CHECK: [95m%0{{.*}}[0m = arith.addi
// PLAIN-NOT: 95m
// PLAIN-ERROR: error: pass
// DUMP: [96m// -----// IR Dump After
// DUMP: [31m-    %1 = arith.addi
func.func @f(%a: i32) -> i32 {
  %0 = arith.addi %a, %a : i32
  %1 = arith.addi %a, %a : i32
  %2 = arith.muli %0, %1 : i32
  func.return %2 : i32
}
