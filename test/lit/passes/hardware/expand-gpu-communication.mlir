// RUN: lamina-opt %s --split-input-file -p expand-gpu-communication | filecheck %s
// RUN: lamina-opt %s --split-input-file -p expand-gpu-communication | mlir-opt-22 --split-input-file

// A block of 64 threads is two warps: shuffles in each, then two parts in shared memory.
builtin.module attributes {lamina.target = {kind = "ptx", architecture = "sm_80"}} {
  gpu.module @kernels {
    // CHECK-LABEL: gpu.func @sum(%x: memref<64xf32>) workgroup(%{{.*}} : memref<2xf32, #gpu.address_space<workgroup>>)
    gpu.func @sum(%x: memref<64xf32>) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
      %i = gpu.thread_id x
      %v = memref.load %x[%i] : memref<64xf32>
      // CHECK:      %[[V:.*]] = memref.load %x
      // CHECK-NEXT: %[[O:.*]], %{{.*}} = gpu.shuffle  xor %[[V]], %[[C16:.*]], %{{.*}} : f32
      // CHECK-NEXT: arith.addf %[[V]], %[[O]] : f32
      // CHECK-COUNT-4: gpu.shuffle  xor
      // CHECK:      %[[FIRST:.*]] = arith.cmpi eq
      // CHECK-NEXT: scf.if %[[FIRST]] {
      // CHECK-NEXT:   memref.store
      // CHECK:      gpu.barrier
      // CHECK:      memref.load
      // CHECK-NEXT: gpu.shuffle  xor
      // CHECK-NOT:  gpu.shuffle
      %s = gpu.all_reduce add %v uniform {} : (f32) -> f32
      memref.store %s, %x[%i] : memref<64xf32>
      gpu.return
    }
  }
}

// -----

builtin.module attributes {lamina.target = {kind = "amdgcn", architecture = "gfx90a"}} {
  gpu.module @kernels {
    // CHECK-LABEL: gpu.func @cluster(%x: memref<64xf32>) kernel
    gpu.func @cluster(%x: memref<64xf32>) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
      %i = gpu.lane_id
      %v = memref.load %x[%i] : memref<64xf32>
      // CHECK:     gpu.shuffle  xor
      // CHECK:     gpu.shuffle  xor
      // CHECK-NOT: gpu.shuffle
      // CHECK:     arith.maximumf
      %s = gpu.subgroup_reduce maximumf %v cluster(size = 4) : (f32) -> f32
      memref.store %s, %x[%i] : memref<64xf32>
      gpu.return
    }
  }
}

// -----

// No shuffles: through shared memory, with barriers on both sides of the load.
builtin.module attributes {lamina.target = {kind = "spirv", architecture = "spirv64"}} {
  gpu.module @kernels {
    // CHECK-LABEL: gpu.func @shuffle(%x: memref<64xf32>, %n: i32, %w: i32) workgroup(%{{.*}} : memref<64xf32, #gpu.address_space<workgroup>>)
    gpu.func @shuffle(%x: memref<64xf32>, %n: i32, %w: i32) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
      %i = gpu.lane_id
      %v = memref.load %x[%i] : memref<64xf32>
      // CHECK:      memref.store %v, %{{.*}}
      // CHECK-NEXT: gpu.barrier
      // CHECK-NEXT: arith.addi
      // CHECK-NEXT: memref.load %{{.*}}
      // CHECK-NEXT: gpu.barrier
      %s, %p = gpu.shuffle down %v, %n, %w : f32
      memref.store %s, %x[%i] : memref<64xf32>
      gpu.return
    }
  }
}
