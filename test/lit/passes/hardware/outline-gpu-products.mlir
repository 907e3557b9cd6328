// RUN: lamina-opt %s -p outline-gpu-kernels --split-input-file | filecheck %s
// RUN: %if mlir-opt %{ lamina-opt %s -p outline-gpu-kernels --split-input-file | %mlir_opt --split-input-file | filecheck %s --check-prefix=UPSTREAM %}

// UPSTREAM: nvgpu.mma.sync

// Fill, product, bias and activation are one kernel; the sizes are those of the schedule: 4 warps of 32 × 16, 3 stages.
builtin.module attributes {lamina.target = {kind = "ptx", architecture = "sm_80"}} {
  // CHECK-LABEL: func.func @main
  // CHECK-NEXT:  arith.constant 128 : index
  // CHECK:       gpu.launch_func @kernels::@product blocks in (%{{.*}}) threads in (%{{.*}}) args(%a : memref<128x64xf16>, %b : memref<64x96xf16>, %c : memref<96xf16>, %y : memref<128x96xf16>)
  // CHECK-NEXT:  func.return
  func.func @main(%a: memref<128x64xf16>, %b: memref<64x96xf16>, %c: memref<96xf16>, %y: memref<128x96xf16>) {
    func.call @product(%a, %b, %c, %y) : (memref<128x64xf16>, memref<64x96xf16>, memref<96xf16>, memref<128x96xf16>) -> ()
    func.return
  }
  // CHECK:       gpu.func @product(%{{.*}}) workgroup(%[[A:.*]] : memref<3x64x40xf16, #gpu.address_space<workgroup>>, %[[B:.*]] : memref<3x32x40xf16, #gpu.address_space<workgroup>>) kernel attributes {known_block_size = array<i32: 128, 1, 1>} {
  // CHECK:         nvgpu.device_async_copy %{{.*}}, %[[A]][%{{.*}}], 8
  // CHECK:         nvgpu.device_async_create_group
  // CHECK:         scf.for %{{.*}} iter_args({{.*}}) -> ({{.*}}!nvgpu.device.async.token) {
  // CHECK-NEXT:      nvgpu.device_async_wait %{{.*}} {numGroups = 1 : i32}
  // CHECK-NEXT:      gpu.barrier
  // CHECK:           nvgpu.device_async_copy
  // CHECK:           nvgpu.ldmatrix %[[A]][%{{.*}}] {numTiles = 4 : i32, transpose = false}
  // CHECK:           nvgpu.ldmatrix %[[B]][%{{.*}}] {numTiles = 4 : i32, transpose = true}
  // CHECK:           nvgpu.mma.sync(%{{.*}}) {mmaShape = [16 : i64, 8 : i64, 16 : i64]} : (vector<4x2xf16>, vector<2x2xf16>, vector<2x2xf32>) -> vector<2x2xf32>
  // CHECK:         nvgpu.device_async_wait %{{.*}} {numGroups = 0 : i32}
  // CHECK:         arith.truncf %{{.*}} : vector<2x2xf32> to vector<2x2xf16>
  // CHECK:         arith.maximumf
  // CHECK:         vector.store %{{.*}} {alignment = 4 : i64} : memref<128x96xf16>, vector<2xf16>
  func.func private @product(%a: memref<128x64xf16>, %b: memref<64x96xf16>, %c: memref<96xf16>, %y: memref<128x96xf16>) attributes {lamina.kernel} {
    %zero = arith.constant 0.000000e+00 : f32
    %least = arith.constant 0.000000e+00 : f16
    %sums = memref.alloc() : memref<128x96xf32>
    linalg.fill ins(%zero : f32) outs(%sums : memref<128x96xf32>)
    linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>], iterator_types = ["parallel", "parallel", "reduction"]} ins(%a, %b : memref<128x64xf16>, memref<64x96xf16>) outs(%sums : memref<128x96xf32>) attrs = {lamina.axes = ["m", "n", "k"], lamina.schedule = {kind = "gpu-product", rows = ["m"], columns = ["n"], depth = ["k"], block = {m = 64, n = 32, k = 32}, warp = {m = 32, n = 16}, fragment = {m = 16, n = 8, k = 16}, vector = {a = 8, b = 8}, row_padding = 8, stages = 3, copies = "asynchronous"}} {
    ^bb0(%x: f16, %w: f16, %s: f32):
      %u = arith.extf %x : f16 to f32
      %v = arith.extf %w : f16 to f32
      %p = arith.mulf %u, %v : f32
      %t = arith.addf %s, %p : f32
      linalg.yield %t : f32
    }
    linalg.generic {indexing_maps = [affine_map<(m, n) -> (m, n)>, affine_map<(m, n) -> (n)>, affine_map<(m, n) -> (m, n)>], iterator_types = ["parallel", "parallel"]} ins(%sums, %c : memref<128x96xf32>, memref<96xf16>) outs(%y : memref<128x96xf16>) attrs = {lamina.axes = ["m", "n"]} {
    ^bb0(%s: f32, %d: f16, %o: f16):
      %t = arith.truncf %s : f32 to f16
      %u = arith.addf %t, %d : f16
      %v = arith.maximumf %u, %least : f16
      linalg.yield %v : f16
    }
    memref.dealloc %sums : memref<128x96xf32>
    func.return
  }
}

// -----

// Four parts of the sum go to a workspace, a second kernel adds them up. The last block of the depth is not full.
builtin.module attributes {lamina.target = {kind = "ptx", architecture = "sm_80"}} {
  // CHECK-LABEL: func.func @main
  // CHECK:       %[[PARTS:.*]] = memref.alloc() : memref<4x1x16x32xf32>
  // CHECK:       gpu.launch_func @kernels::@product {{.*}}%[[PARTS]] : memref<4x1x16x32xf32>
  // CHECK:       gpu.launch_func @kernels::@product__1 {{.*}}%[[PARTS]] : memref<4x1x16x32xf32>
  // CHECK:       memref.dealloc %[[PARTS]]
  func.func @main(%a: memref<9x100xf32>, %b: memref<100x20xf32>, %y: memref<9x20xf32>) {
    func.call @product(%a, %b, %y) : (memref<9x100xf32>, memref<100x20xf32>, memref<9x20xf32>) -> ()
    func.return
  }
  // CHECK:       gpu.func @product(
  // CHECK:         arith.select
  // CHECK:         vector.outerproduct
  // CHECK:         vector.store %{{.*}} {alignment = 16 : i64} : memref<4x1x16x32xf32>, vector<4xf32>
  // CHECK:       gpu.func @product__1(
  // CHECK-COUNT-4: vector.load
  func.func private @product(%a: memref<9x100xf32>, %b: memref<100x20xf32>, %y: memref<9x20xf32>) attributes {lamina.kernel} {
    %zero = arith.constant 0.000000e+00 : f32
    linalg.fill ins(%zero : f32) outs(%y : memref<9x20xf32>)
    linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>], iterator_types = ["parallel", "parallel", "reduction"]} ins(%a, %b : memref<9x100xf32>, memref<100x20xf32>) outs(%y : memref<9x20xf32>) attrs = {lamina.axes = ["m", "n", "k"], lamina.schedule = {kind = "gpu-product", rows = ["m"], columns = ["n"], depth = ["k"], block = {m = 16, n = 32, k = 16}, tile = {m = 2, n = 4}, vector = {a = 4, b = 4}, stages = 2, split = 4}} {
    ^bb0(%x: f32, %w: f32, %s: f32):
      %p = arith.mulf %x, %w : f32
      %t = arith.addf %s, %p : f32
      linalg.yield %t : f32
    }
    func.return
  }
}
