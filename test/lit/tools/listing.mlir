// RUN: lamina-opt --list-passes | filecheck %s --check-prefix PASSES
// RUN: lamina-opt --list-phases | filecheck %s --check-prefix PHASES
// RUN: lamina-opt --list-dialects | filecheck %s --check-prefix DIALECTS
// RUN: lamina-opt --help-pass form-kernels | filecheck %s --check-prefix PASS
// RUN: lamina-opt --help | filecheck %s --check-prefix HELP

// PASSES: Lamina's passes:
// PASSES: form-kernels {{ +}}Outline the graph ops of each function
// PASSES: other passes:
// PASSES: cse
// PHASES: kernels: main calls kernels
// PHASES-NEXT: passes: form-kernels,remove-barriers,share-kernels,decompose,canonicalize
// PHASES-NEXT: dialects at its end: builtin, func, graph
// DIALECTS: arith (Lamina)
// DIALECTS: graph (Lamina)
// DIALECTS: scf
// PASS: form-kernels
// PASS: Outline the graph ops
// PASS: requires: types-inferred
// PASS: ensures: kernels-formed
// PASS: counters:
// PASS-NEXT: kernels {{ +}}kernels outlined
// HELP: func(canonicalize,cse) {{ +}}nesting: the passes run on each function
