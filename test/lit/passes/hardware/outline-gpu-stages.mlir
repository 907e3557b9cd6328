// RUN: lamina-opt %s --split-input-file -p outline-gpu-kernels | filecheck %s
// RUN: lamina-opt %s --split-input-file -p outline-gpu-kernels | mlir-opt-22 --split-input-file

// A long sum: parts by 488 blocks, and what they have together by one; the fill is the start of the second.
builtin.module attributes {lamina.target = {kind = "ptx", architecture = "sm_80"}} {
  // CHECK-LABEL: func.func @main
  // CHECK:      %[[PARTS:.*]] = memref.alloc() {alignment = 64 : i64} : memref<488xf32>
  // CHECK-NEXT: gpu.launch_func @kernels::@sum blocks in
  // CHECK-SAME: args(%x : memref<1000000xf32>, %[[PARTS]] : memref<488xf32>)
  // CHECK:      gpu.launch_func @kernels::@sum__1 blocks in
  // CHECK-SAME: args(%[[PARTS]] : memref<488xf32>, %y : memref<f32>)
  // CHECK-NEXT: memref.dealloc %[[PARTS]]
  func.func @main(%x: memref<1000000xf32>, %y: memref<f32>) {
    func.call @sum(%x, %y) : (memref<1000000xf32>, memref<f32>) -> ()
    func.return
  }
  // CHECK:      gpu.func @sum(
  // CHECK:        gpu.all_reduce  add
  // CHECK:      gpu.func @sum__1(
  // CHECK:        gpu.all_reduce  add
  func.func private @sum(%x: memref<1000000xf32>, %y: memref<f32>) attributes {lamina.kernel} {
    %zero = arith.constant 0.0 : f32
    linalg.fill ins(%zero : f32) outs(%y : memref<f32>)
    linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> ()>], iterator_types = ["reduction"]} ins(%x : memref<1000000xf32>) outs(%y : memref<f32>) {
    ^bb0(%e: f32, %s: f32):
      %t = arith.addf %s, %e fastmath<reassoc> : f32
      linalg.yield %t : f32
    }
    func.return
  }
}

// -----

// Columns: 32 of them and 8 rows at a time, whose sums meet in shared memory.
builtin.module attributes {lamina.target = {kind = "ptx", architecture = "sm_80"}} {
  // CHECK-LABEL: func.func @main
  func.func @main(%x: memref<60x100000xf32>, %y: memref<100000xf32>) {
    func.call @sum(%x, %y) : (memref<60x100000xf32>, memref<100000xf32>) -> ()
    func.return
  }
  // CHECK:      gpu.func @sum(%0: memref<60x100000xf32>, %1: memref<100000xf32>) workgroup(%2 : memref<256xf32
  // CHECK:        gpu.barrier
  func.func private @sum(%x: memref<60x100000xf32>, %y: memref<100000xf32>) attributes {lamina.kernel} {
    linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>], iterator_types = ["reduction", "parallel"]} ins(%x : memref<60x100000xf32>) outs(%y : memref<100000xf32>) {
    ^bb0(%e: f32, %s: f32):
      %t = arith.addf %s, %e fastmath<reassoc> : f32
      linalg.yield %t : f32
    }
    func.return
  }
}

// -----

// A running sum: shuffles within a warp, shared memory between warps, one loop over what the threads have at a time.
builtin.module attributes {lamina.target = {kind = "ptx", architecture = "sm_80"}} {
  // CHECK-LABEL: func.func @main
  func.func @main(%x: memref<7x3000xf32>, %y: memref<7x3000xf32>) {
    func.call @scan(%x, %y) : (memref<7x3000xf32>, memref<7x3000xf32>) -> ()
    func.return
  }
  // CHECK:      gpu.func @scan(%0: memref<7x3000xf32>, %1: memref<7x3000xf32>) workgroup(%2 : memref<8xf32, #gpu.address_space<workgroup>>) kernel attributes {known_block_size = array<i32: 256, 1, 1>} {
  // CHECK:        scf.for
  // CHECK-COUNT-6:  gpu.shuffle  up
  // CHECK:          gpu.shuffle  idx
  func.func private @scan(%x: memref<7x3000xf32>, %y: memref<7x3000xf32>) attributes {lamina.kernel} {
    %zero = arith.constant 0.0 : f32
    %r = memref.alloc() : memref<7xf32>
    linalg.fill ins(%zero : f32) outs(%r : memref<7xf32>)
    linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "reduction"]} ins(%x : memref<7x3000xf32>) outs(%r, %y : memref<7xf32>, memref<7x3000xf32>) {
    ^bb0(%e: f32, %s: f32, %old: f32):
      %t = arith.addf %s, %e : f32
      linalg.yield %t, %t : f32, f32
    }
    memref.dealloc %r : memref<7xf32>
    func.return
  }
}

// -----

// A transpose: through a tile in shared memory.
builtin.module attributes {lamina.target = {kind = "ptx", architecture = "sm_80"}} {
  // CHECK-LABEL: func.func @main
  func.func @main(%x: memref<100x50xf32>, %y: memref<50x100xf32>) {
    func.call @turn(%x, %y) : (memref<100x50xf32>, memref<50x100xf32>) -> ()
    func.return
  }
  // CHECK:      gpu.func @turn(%0: memref<100x50xf32>, %1: memref<50x100xf32>) workgroup(%2 : memref<1056xf32, #gpu.address_space<workgroup>>) kernel attributes {known_block_size = array<i32: 256, 1, 1>} {
  // CHECK:        memref.load %0
  // CHECK:        memref.store %{{.*}}, %{{.*}} : memref<1056xf32
  // CHECK:        gpu.barrier
  // CHECK:        memref.load %{{.*}} : memref<1056xf32
  // CHECK:        memref.store %{{.*}}, %1
  func.func private @turn(%x: memref<100x50xf32>, %y: memref<50x100xf32>) attributes {lamina.kernel} {
    linalg.generic {indexing_maps = [affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} ins(%x : memref<100x50xf32>) outs(%y : memref<50x100xf32>) {
    ^bb0(%e: f32, %old: f32):
      linalg.yield %e : f32
    }
    func.return
  }
}

// -----

// A scatter: all updates at once.
builtin.module attributes {lamina.target = {kind = "ptx", architecture = "sm_80"}} {
  // CHECK-LABEL: func.func @main
  // CHECK-NOT:  scf.for
  // CHECK:      gpu.launch_func @kernels::@scatter
  func.func @main(%p: memref<8xi64>, %u: memref<8x9xf32>, %y: memref<40x9xf32>) {
    func.call @scatter(%p, %u, %y) : (memref<8xi64>, memref<8x9xf32>, memref<40x9xf32>) -> ()
    func.return
  }
  // CHECK:      gpu.func @scatter
  // CHECK:        scf.if
  // CHECK:          memref.atomic_rmw addf
  func.func private @scatter(%p: memref<8xi64>, %u: memref<8x9xf32>, %y: memref<40x9xf32>) attributes {lamina.kernel} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c8 = arith.constant 8 : index
    %c39 = arith.constant 39 : index
    scf.for %i = %c0 to %c8 step %c1 {
      %a = memref.load %p[%i] : memref<8xi64>
      %b = arith.index_cast %a : i64 to index
      %c = arith.minsi %b, %c39 : index
      %d = arith.maxsi %c, %c0 : index
      %hit = arith.cmpi eq, %b, %d : index
      %row = memref.subview %y[%d, 0] [1, 9] [1, 1] : memref<40x9xf32> to memref<9xf32, strided<[1], offset: ?>>
      %new = memref.subview %u[%i, 0] [1, 9] [1, 1] : memref<8x9xf32> to memref<9xf32, strided<[1], offset: ?>>
      linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]} ins(%row, %new : memref<9xf32, strided<[1], offset: ?>>, memref<9xf32, strided<[1], offset: ?>>) outs(%row : memref<9xf32, strided<[1], offset: ?>>) {
      ^bb0(%e: f32, %f: f32, %old: f32):
        %t = arith.addf %e, %f : f32
        %s = arith.select %hit, %t, %e : f32
        linalg.yield %s : f32
      }
    }
    func.return
  }
}
