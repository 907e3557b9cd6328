// RUN: rm -rf %t && lamina-opt %s -p "canonicalize,func(cse,canonicalize)" --print-ir-tree-dir %t
// RUN: filecheck %s < %t/builtin_module_no-symbol-name/0_canonicalize.mlir
// RUN: filecheck %s --check-prefix NESTED < %t/builtin_module_no-symbol-name/func_func_f/1_0_cse.mlir
// RUN: lamina-opt %t/builtin_module_no-symbol-name/func_func_f/1_1_canonicalize.mlir
// RUN: rm -rf %t && lamina-opt %s -p "canonicalize,cse" --print-ir-tree-dir %t --print-ir-before=cse
// RUN: ls %t/builtin_module_no-symbol-name | filecheck %s --check-prefix BEFORE
// Every chunk of a split input has its folder; an input of one chunk has none.
// RUN: rm -rf %t && not lamina-opt %S/split-input-file.mlir --split-input-file -p canonicalize,cse --print-ir-tree-dir %t
// RUN: ls %t | filecheck %s --check-prefix CHUNKS
// RUN: rm -rf %t && lamina-opt %s --split-input-file -p cse --print-ir-tree-dir %t
// RUN: ls %t | filecheck %s --check-prefix ONE

// Constants are whole in files.
// CHECK: // -----// IR Dump After CanonicalizePass (canonicalize) //----- //
// CHECK: dense<[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]>
// NESTED: // -----// IR Dump After CommonSubexpressionElimination (cse) ('func.func' operation: @f) //----- //
// NESTED-NEXT: func.func @f(
// BEFORE: 1_cse_before.mlir
// BEFORE-NOT: canonicalize
// CHUNKS:      {{^0$}}
// CHUNKS-NEXT: {{^2$}}
// ONE: {{^builtin_module_no-symbol-name$}}
func.func @f() -> tensor<17xi32> {
  %0 = graph.constant dense<[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]> : tensor<17xi32>
  func.return %0 : tensor<17xi32>
}
