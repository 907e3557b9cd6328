// RUN: python %S/Inputs/opt_with_test_passes.py %s -p "test-options{size=4 label=x shape=3,4 flag=true}" --print-pipeline 2>&1 | filecheck %s
// RUN: not python %S/Inputs/opt_with_test_passes.py %s -p "test-options{size=big}" 2>&1 | filecheck %s --check-prefix TYPE
// RUN: not python %S/Inputs/opt_with_test_passes.py %s -p "test-options{syze=4}" 2>&1 | filecheck %s --check-prefix NAME
// RUN: not python %S/Inputs/opt_with_test_passes.py %s -p test-options 2>&1 | filecheck %s --check-prefix MISSING
// RUN: python %S/Inputs/opt_with_test_passes.py --help-pass test-options | filecheck %s --check-prefix HELP

// CHECK: test-options{size=4 label="x" shape=3,4 flag=true}
// CHECK: test.options = "4 x (3, 4) True"

// TYPE: error: pass 'test-options': option 'size' takes int, given big
// TYPE-NEXT: see --help-pass test-options

// NAME: error: pass 'test-options' has no option 'syze'
// NAME-NEXT: did you mean size?
// NAME-NEXT: its options are size, label, shape, flag

// MISSING: error: pass 'test-options': test-options requires argument "size"

// HELP: test-options
// HELP: Sets an attribute from its options.
// HELP: It changes the module
// HELP: options:
// HELP-NEXT: size: int {{ +}}(required) How large, in elements.
// HELP-NEXT: label: str {{ +}}(default none) What to write.
// HELP-NEXT: shape: {{.*}}(default (1, 2))
// HELP-NEXT: flag: bool {{ +}}(default False)
// HELP: requires: nothing
builtin.module {}
