// RUN: lamina-opt %s -p expand-gpu-fragments --split-input-file | filecheck %s

// A target without fragments: threads exchange them through shared memory.
builtin.module attributes {lamina.target = {kind = "spirv"}} {
  // CHECK:      gpu.func @products(%a: memref<32x8xf16>, %c: memref<32x4xf32>) workgroup(%{{.*}} : memref<32x8xf16, #gpu.address_space<workgroup>>, %{{.*}} : memref<32x4xf16, #gpu.address_space<workgroup>>) kernel
  // CHECK-NOT:  nvgpu
  // CHECK:      memref.store %{{.*}}, %[[A:.*]][%{{.*}}, %{{.*}}] : memref<32x8xf16, #gpu.address_space<workgroup>>
  // CHECK:      gpu.barrier
  // CHECK:      scf.for %{{.*}} = %{{.*}} to %{{.*}} step %{{.*}} iter_args(%{{.*}}) -> (f32, f32, f32, f32) {
  // CHECK:        math.fma
  // CHECK:      gpu.barrier
  // CHECK:      vector.from_elements %{{.*}} : vector<2x2xf32>
  gpu.module @kernels {
    gpu.func @products(%a: memref<32x8xf16>, %c: memref<32x4xf32>) kernel attributes {known_block_size = array<i32: 32, 1, 1>} {
      %t = gpu.thread_id x
      %0 = arith.constant 0 : index
      %1 = arith.constant 1 : index
      %u = memref.load %a[%t, %0] : memref<32x8xf16>
      %v = memref.load %a[%t, %1] : memref<32x8xf16>
      %l = vector.from_elements %u, %v, %u, %v, %u, %v, %u, %v : vector<4x2xf16>
      %r = vector.from_elements %u, %v, %u, %v : vector<2x2xf16>
      %z = arith.constant dense<0.000000e+00> : vector<2x2xf32>
      %d = nvgpu.mma.sync(%l, %r, %z) {mmaShape = [16, 8, 16]} : (vector<4x2xf16>, vector<2x2xf16>, vector<2x2xf32>) -> vector<2x2xf32>
      %e = vector.extract %d[0, 0] : f32 from vector<2x2xf32>
      memref.store %e, %c[%t, %0] : memref<32x4xf32>
      gpu.return
    }
  }
}

// -----

// Rows of tiles come from the addresses that other threads give; copies are done at once, tokens are nothing.
builtin.module attributes {lamina.target = {kind = "spirv"}} {
  // CHECK-LABEL: gpu.func @copies
  // CHECK-NOT:  nvgpu
  // CHECK:      scf.for
  // CHECK:        scf.if
  // CHECK:          memref.load %x
  // CHECK:        } else {
  // CHECK:          memref.store %{{.*}}, %s
  // CHECK:      scf.for %{{.*}} = %{{.*}} to %{{.*}} step %{{.*}} iter_args(%{{.*}} = %{{.*}}) -> (i32) {
  // CHECK:      memref.store %{{.*}}, %[[ROWS:.*]][%{{.*}}, %{{.*}}] : memref<32x1xindex, #gpu.address_space<workgroup>>
  // CHECK:      gpu.barrier
  // CHECK:      vector.from_elements %{{.*}} : vector<2x2xf16>
  gpu.module @kernels {
    gpu.func @copies(%x: memref<128x64xf16>, %n: index) workgroup(%s : memref<64x40xf16, #gpu.address_space<workgroup>>) kernel attributes {known_block_size = array<i32: 32, 1, 1>} {
      %t = gpu.thread_id x
      %0 = arith.constant 0 : index
      %1 = arith.constant 1 : index
      %8 = arith.constant 8 : index
      %c = nvgpu.device_async_copy %x[%t, %0], %s[%t, %0], 8, %n {bypassL1} : memref<128x64xf16> to memref<64x40xf16, #gpu.address_space<workgroup>>
      %g = nvgpu.device_async_create_group %c
      %h = scf.for %i = %0 to %8 step %1 iter_args(%p = %g) -> (!nvgpu.device.async.token) {
        nvgpu.device_async_wait %p {numGroups = 0 : i32}
        gpu.barrier
        %q = nvgpu.device_async_create_group
        scf.yield %q : !nvgpu.device.async.token
      }
      nvgpu.device_async_wait %h
      %m = nvgpu.ldmatrix %s[%t, %0] {numTiles = 2 : i32, transpose = true} : memref<64x40xf16, #gpu.address_space<workgroup>> -> vector<2x2xf16>
      %e = vector.extract %m[0, 0] : f16 from vector<2x2xf16>
      memref.store %e, %x[%t, %0] : memref<128x64xf16>
      gpu.return
    }
  }
}

// -----

// What the target has stays, and only that.
builtin.module attributes {lamina.target = {kind = "ptx", architecture = "sm_80"}} {
  // CHECK-LABEL: gpu.func @native
  // CHECK:      nvgpu.mma.sync
  gpu.module @kernels {
    gpu.func @native(%c: memref<32x4xf32>) kernel attributes {known_block_size = array<i32: 32, 1, 1>} {
      %t = gpu.thread_id x
      %0 = arith.constant 0 : index
      %l = arith.constant dense<1.000000e+00> : vector<4x2xbf16>
      %r = arith.constant dense<1.000000e+00> : vector<2x2xbf16>
      %z = arith.constant dense<0.000000e+00> : vector<2x2xf32>
      %d = nvgpu.mma.sync(%l, %r, %z) {mmaShape = [16, 8, 16]} : (vector<4x2xbf16>, vector<2x2xbf16>, vector<2x2xf32>) -> vector<2x2xf32>
      %e = vector.extract %d[0, 0] : f32 from vector<2x2xf32>
      memref.store %e, %c[%t, %0] : memref<32x4xf32>
      gpu.return
    }
  }
}

// -----

builtin.module attributes {lamina.target = {kind = "ptx", architecture = "sm_75"}} {
  // CHECK-LABEL: gpu.func @emulated
  // CHECK-NOT:  nvgpu.mma.sync
  // CHECK:      math.fma
  gpu.module @kernels {
    gpu.func @emulated(%c: memref<32x4xf32>) kernel attributes {known_block_size = array<i32: 32, 1, 1>} {
      %t = gpu.thread_id x
      %0 = arith.constant 0 : index
      %l = arith.constant dense<1.000000e+00> : vector<4x2xbf16>
      %r = arith.constant dense<1.000000e+00> : vector<2x2xbf16>
      %z = arith.constant dense<0.000000e+00> : vector<2x2xf32>
      %d = nvgpu.mma.sync(%l, %r, %z) {mmaShape = [16, 8, 16]} : (vector<4x2xbf16>, vector<2x2xbf16>, vector<2x2xf32>) -> vector<2x2xf32>
      %e = vector.extract %d[0, 0] : f32 from vector<2x2xf32>
      memref.store %e, %c[%t, %0] : memref<32x4xf32>
      gpu.return
    }
  }
}

// -----

// Matrix cores of AMD's GPUs, on a target that has none.
builtin.module attributes {lamina.target = {kind = "spirv"}} {
  // CHECK-LABEL: gpu.func @waves
  // CHECK-SAME:  workgroup(%{{.*}} : memref<64x4xf16, #gpu.address_space<workgroup>>, %{{.*}} : memref<64x4xf16, #gpu.address_space<workgroup>>)
  // CHECK-NOT:   amdgpu
  // CHECK:       gpu.barrier
  // CHECK:       scf.for %{{.*}} = %{{.*}} to %{{.*}} step %{{.*}} iter_args(%{{.*}}) -> (f32, f32, f32, f32) {
  // CHECK:         math.fma
  // CHECK:       gpu.barrier
  // CHECK:       vector.from_elements %{{.*}} : vector<4xf32>
  gpu.module @kernels {
    gpu.func @waves(%a: memref<64x4xf16>, %c: memref<64x4xf32>) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
      %t = gpu.thread_id x
      %0 = arith.constant 0 : index
      %u = vector.load %a[%t, %0] : memref<64x4xf16>, vector<4xf16>
      %z = vector.load %c[%t, %0] : memref<64x4xf32>, vector<4xf32>
      %d = amdgpu.mfma 16x16x16 %u * %u + %z blgp = none : vector<4xf16>, vector<4xf16>, vector<4xf32>
      vector.store %d, %c[%t, %0] : memref<64x4xf32>, vector<4xf32>
      gpu.return
    }
  }
}

// -----

// A target that has them keeps them.
builtin.module attributes {lamina.target = {kind = "amdgcn", architecture = "gfx942"}} {
  // CHECK-LABEL: gpu.func @native
  // CHECK:       amdgpu.mfma 16x16x4
  gpu.module @kernels {
    gpu.func @native(%a: memref<64xf32>, %c: memref<64x4xf32>) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
      %t = gpu.thread_id x
      %0 = arith.constant 0 : index
      %u = memref.load %a[%t] : memref<64xf32>
      %z = vector.load %c[%t, %0] : memref<64x4xf32>, vector<4xf32>
      %d = amdgpu.mfma 16x16x4 %u * %u + %z blgp = none : f32, f32, vector<4xf32>
      vector.store %d, %c[%t, %0] : memref<64x4xf32>, vector<4xf32>
      gpu.return
    }
  }
}
