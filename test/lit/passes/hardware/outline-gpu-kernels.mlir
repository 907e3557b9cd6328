// RUN: lamina-opt %s -p outline-gpu-kernels | filecheck %s

// Rows: a team of threads per row.
builtin.module attributes {lamina.target = {kind = "ptx", architecture = "sm_80"}} {
  // CHECK-LABEL: func.func @main
  // CHECK:      gpu.launch_func @kernels::@sum blocks in (%[[ROWS:.*]], %[[ONE:.*]], %[[ONE]]) threads in (%[[THREADS:.*]], %[[ONE]], %[[ONE]]) args(%x : memref<100x50xf32>, %y : memref<100xf32>)
  // CHECK:      gpu.launch_func @kernels::@add blocks in
  func.func @main(%x: memref<100x50xf32>, %y: memref<100xf32>) {
    func.call @sum(%x, %y) : (memref<100x50xf32>, memref<100xf32>) -> ()
    func.call @add(%y) : (memref<100xf32>) -> ()
    func.return
  }
  // CHECK-NOT: func.func
  // CHECK:      gpu.module @kernels {
  // 16 threads per row, 8 rows per block; what they have meets in shuffles, and the first of them stores it.
  // CHECK-NEXT:   gpu.func @sum(%0: memref<100x50xf32>, %1: memref<100xf32>) kernel attributes {known_block_size = array<i32: 128, 1, 1>} {
  // CHECK:          gpu.block_id  x
  // CHECK:          gpu.thread_id  x
  // CHECK:          vector.load %{{.*}} : memref<50xf32, strided<[1], offset: ?>>, vector<2xf32>
  // CHECK:          gpu.subgroup_reduce  add %{{.*}} uniform cluster(size = 16) : (f32) -> f32
  // CHECK:          scf.if
  // CHECK-NEXT:       memref.store
  // CHECK:          gpu.return
  func.func private @sum(%a: memref<100x50xf32>, %c: memref<100xf32>) attributes {lamina.kernel} {
    linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]} ins(%a : memref<100x50xf32>) outs(%c : memref<100xf32>) attrs = {lamina.axes = ["i", "j"], lamina.schedule = {kind = "rows", parallel = ["i"]}} {
    ^bb0(%x: f32, %s: f32):
      %t = arith.addf %s, %x fastmath<reassoc> : f32
      linalg.yield %t : f32
    }
    func.return
  }

  // Four elements per thread, at once.
  // CHECK:        gpu.func @add(%0: memref<100xf32>) kernel attributes {known_block_size = array<i32: 32, 1, 1>} {
  // CHECK:          %[[INSIDE:.*]] = arith.cmpi ult, %{{.*}}, %{{.*}} : index
  // CHECK-NEXT:     scf.if %[[INSIDE]] {
  // CHECK:            vector.load %0[%{{.*}}] {alignment = 16 : i64} : memref<100xf32>, vector<4xf32>
  // CHECK:            vector.store
  // CHECK:          gpu.return
  func.func private @add(%c: memref<100xf32>) attributes {lamina.kernel} {
    linalg.generic {indexing_maps = [affine_map<(i) -> (i)>], iterator_types = ["parallel"]} outs(%c : memref<100xf32>) attrs = {lamina.axes = ["i"], lamina.schedule = {kind = "rows", parallel = ["i"]}} {
    ^bb0(%s: f32):
      %t = arith.addf %s, %s : f32
      linalg.yield %t : f32
    }
    func.return
  }
}
