// RUN: rm -rf %t && mkdir %t && echo kept > %t/out.mlir
// RUN: not python %S/Inputs/opt_with_test_passes.py %s -p test-raise -o %t/out.mlir --reproducer %t.r.mlir 2>/dev/null
// RUN: not python %S/Inputs/opt_with_test_passes.py %s -p test-invalidate -o %t/new.mlir --reproducer %t.r.mlir 2>/dev/null
// RUN: not lamina-opt %s -p cse -o %t/no-such-folder/out.mlir 2>&1 | filecheck %s --check-prefix FOLDER
// RUN: ls -A %t | filecheck %s --check-prefix FILES
// RUN: filecheck %s --check-prefix KEPT < %t/out.mlir
// RUN: lamina-opt %s -p fold-constants -o %t/out.mlir && ls -A %t | filecheck %s --check-prefix STORE
// RUN: lamina-opt %t/out.mlir -p fold-constants -o - | filecheck %s
// RUN: lamina-opt %t/out.mlir -p fold-constants -o /dev/null && test -c /dev/null
// RUN: lamina-opt %s -p fold-constants 2>&1 >/dev/null | filecheck %s --check-prefix QUIET --allow-empty
// RUN: rm %t/out.safetensors && lamina-opt %t/out.mlir -o %t/again.mlir 2>&1 | filecheck %s --check-prefix MISSING

// FOLDER: no-such-folder/out.mlir: error: cannot be written: No such file or directory
// FILES: out.mlir
// FILES-NOT: {{.}}
// KEPT: kept
// STORE: out.mlir
// STORE-NEXT: out.safetensors
// CHECK: dense_resource<[[KEY:c[0-9a-f]+]]>
// QUIET-NOT: {{.}}
// MISSING: out.mlir:{{.*}}: warning: constant 'c{{[0-9a-f]+}}' has no data: it is written by name only
func.func @f() -> tensor<65xi8> {
  %0 = graph.constant dense<"0x000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F202122232425262728292A2B2C2D2E2F303132333435363738393A3B3C3D3E3F40"> : tensor<65xi8>
  %2 = graph.reverse %0, [0] : tensor<65xi8> -> tensor<65xi8>
  func.return %2 : tensor<65xi8>
}
func.func @g(%a: i32) -> i32 {
  %0 = arith.muli %a, %a : i32
  func.return %0 : i32
}
