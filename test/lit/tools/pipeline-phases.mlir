// RUN: lamina-opt %s --to kernels --print-pipeline 2>&1 >/dev/null | filecheck %s --check-prefix EXPANDED
// RUN: lamina-opt %s -p graph,kernels --print-pipeline 2>&1 >/dev/null | filecheck %s --check-prefix EXPANDED
// RUN: lamina-opt %s -p graph,kernels -o %t.phases.mlir
// RUN: lamina-opt %s --to kernels -o %t.to.mlir
// RUN: diff %t.phases.mlir %t.to.mlir
// RUN: lamina-opt %t.to.mlir --from kernels --to hardware | filecheck %s --check-prefix HARDWARE

// EXPANDED: assign-target,{{.*}}infer-types,canonicalize,{{.*}},form-kernels,remove-barriers,share-kernels,decompose,canonicalize

// HARDWARE: func.func @main(%arena


func.func @main(%x: tensor<?x8xf32> {lamina.dims = ["n", "8"]}) -> tensor<?x8xf32> {
  %y = graph.exp %x : tensor<?x8xf32>
  func.return %y : tensor<?x8xf32>
}
