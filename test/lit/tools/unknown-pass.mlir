// RUN: not lamina-opt %s -p canonicalise 2>&1 | filecheck %s
// CHECK: error: unknown pass 'canonicalise'
// CHECK-NEXT: did you mean canonicalize
builtin.module {}
