// RUN: lamina-opt %s -p "cse,func(dce)" --time-passes --print-between-passes | filecheck %s
// RUN: lamina-opt -p cse --parsing-diagnostics -f mlir < %S/Inputs/unparsable.txt | filecheck %s --check-prefix PARSING

// xDSL's own options mean what they mean there.
// CHECK: Pass cse took {{.*}} seconds
// CHECK: IR after cse:
// CHECK: Pass nest took
// PARSING: in block definition
builtin.module {}
