// RUN: not lamina-opt %s -p "cse,canonicalise" 2>&1 | filecheck %s --check-prefix PASS
// RUN: not lamina-opt %s -p "func(cse,canonicalise)" 2>&1 | filecheck %s --check-prefix PASS
// RUN: not lamina-opt %s --to krnels 2>&1 | filecheck %s --check-prefix PHASE
// RUN: not lamina-opt %s --from krnels --to tensor 2>&1 | filecheck %s --check-prefix PHASE
// RUN: not lamina-opt %s --print-ir-aftr=cse 2>&1 | filecheck %s --check-prefix OPTION
// RUN: not lamina-opt %s --cse 2>&1 | filecheck %s --check-prefix FLAG
// RUN: not lamina-opt %s --print-ir-after=cze -p cse 2>&1 | filecheck %s --check-prefix OBSERVED
// RUN: not lamina-opt %s -p "cse,func(canonicalize" 2>&1 | filecheck %s --check-prefix OPEN
// RUN: not lamina-opt %s -p "cse)" 2>&1 | filecheck %s --check-prefix CLOSE
// RUN: not lamina-opt %s -p "cse,,dce" 2>&1 | filecheck %s --check-prefix EMPTY
// RUN: not lamina-opt %s -p "decompose{only}x" 2>&1 | filecheck %s --check-prefix AFTER
// RUN: not lamina-opt %s -p "fun(cse)" 2>&1 | filecheck %s --check-prefix NEST
// RUN: not lamina-opt %s --from kernels 2>&1 | filecheck %s --check-prefix FROM
// RUN: not lamina-opt --help-pass canonicalise 2>&1 | filecheck %s --check-prefix PASS

// PASS: error: unknown pass 'canonicalise'
// PASS-NEXT: did you mean canonicalize
// PHASE: error: unknown phase 'krnels'
// PHASE-NEXT: did you mean kernels?
// OPTION: error: unknown option '--print-ir-aftr'
// OPTION-NEXT: did you mean --print-ir-after
// FLAG: error: unknown option '--cse'
// FLAG-NEXT: a pass is run with -p cse
// OBSERVED: error: --print-ir-after: unknown pass 'cze'
// OBSERVED-NEXT: did you mean {{.*}}cse
// OPEN: error: pipeline: expected ')'
// OPEN-NEXT: cse,func(canonicalize
// CLOSE: error: pipeline: unexpected ')'
// EMPTY: error: pipeline: expected the name of a pass
// AFTER: error: pipeline:
// NEST: error: unknown nesting 'fun(…)'
// NEST-NEXT: did you mean func
// FROM: error: --from needs --to or -p
builtin.module {}
