// A plugin's dialect, pass, target and place in the pipeline; what can be wrong with it is said in one line.

// RUN: lamina-opt --load %S/Inputs/example_plugin.py %s -p example-pass | filecheck %s --check-prefix=IR
// RUN: lamina-opt --load=%S/Inputs/example_plugin.py %s --to tensor | filecheck %s --check-prefix=TENSOR
// RUN: lamina-opt --load %S/Inputs/example_plugin.py %s -t op-count | filecheck %s --check-prefix=TARGET
// RUN: lamina-opt --load %S/Inputs/example_plugin.py --list-phases | filecheck %s --check-prefix=PHASES
// RUN: lamina-opt --load %S/Inputs/example_plugin.py --list-passes | filecheck %s --check-prefix=PASSES
// RUN: lamina run --load %S/Inputs/example_plugin.py %s --no-cache | filecheck %s --check-prefix=EXECUTED
// RUN: not lamina-opt %s 2>&1 | filecheck %s --check-prefix=WITHOUT
// RUN: not lamina-opt --load no.such.module %s 2>&1 | filecheck %s --check-prefix=MISSING
// RUN: not lamina-opt --load %S/Inputs/lacking_plugin.py %s 2>&1 | filecheck %s --check-prefix=NOFILE
// RUN: not lamina-opt --load json %s 2>&1 | filecheck %s --check-prefix=NOPLUGIN
// RUN: not lamina-opt --load %S/Inputs/example_plugin.py --load %S/Inputs/rival_plugin.py %s 2>&1 | filecheck %s --check-prefix=RIVAL

// IR: example.twice %{{.*}} : tensor<3xf32> -> tensor<3xf32>
// TENSOR: linalg.generic
// TENSOR: arith.addf
// TARGET: 4 ops
// PHASES: infer-types,example-pass,canonicalize
// PHASES: dialects at its end: builtin, example, func, graph
// PASSES: example-pass{{ +}}Does nothing.
// EXECUTED: y: 3 float32
// WITHOUT: unknown op 'example.twice'
// MISSING: error: plugin 'no.such.module' cannot be imported: ModuleNotFoundError: No module named 'no'
// NOFILE: error: plugin '{{.*}}lacking_plugin.py' cannot be imported: FileNotFoundError: there is no file
// NOPLUGIN: error: module 'json' has no plugin
// RIVAL: error: pass 'example-pass' is defined by plugin 'example' and by plugin 'rival'
func.func @main(%x: tensor<3xf32> {lamina.name = "x"}) -> (tensor<3xf32> {lamina.name = "y"}) {
  %y = example.twice %x : tensor<3xf32> -> tensor<3xf32>
  func.return %y : tensor<3xf32>
}
