// RUN: not lamina-opt %s --split-input-file -p cse > %t.out 2> %t.err
// RUN: filecheck %s < %t.out
// RUN: filecheck %s --check-prefix ERROR < %t.err

// CHECK: func.func @first
// CHECK: // -----
// CHECK-NOT: @second
// CHECK: // -----
// CHECK: func.func @third
func.func @first() {
  func.return
}

// -----

// ERROR: split-input-file.mlir:19:15: error: value %missing
// ERROR-NEXT: func.return %missing
func.func @second() -> i32 {
  func.return %missing : i32
}

// -----

// -----// IR Dump After CSE (cse) //----- //
func.func @third() {
  func.return
}
// -----
// ERROR: split-input-file.mlir:31:3: error: 'func.return' op
func.func @fourth() -> i32 {
  func.return
}
