// RUN: lamina-opt %s -p expand-gpu-communication -t ptx{arch=sm_80} | filecheck %s --check-prefix=PTX
// RUN: lamina-opt %s -t amdgcn{arch=gfx90a} | filecheck %s --check-prefix=AMD

builtin.module attributes {lamina.target = {kind = "ptx", architecture = "sm_80"}} {
  gpu.module @kernels {
    // PTX: .entry exchange
    // AMD: exchange:
    gpu.func @exchange(%x: memref<64xf32>, %y: memref<64xi32>, %z: memref<64xf64>) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
      %c1 = arith.constant 1 : i32
      %c32 = arith.constant 32 : i32
      %i = gpu.lane_id
      %v = memref.load %x[%i] : memref<64xf32>
      %w = memref.load %y[%i] : memref<64xi32>
      %d = memref.load %z[%i] : memref<64xf64>
      // PTX: shfl.sync.bfly.b32 {{.*}}, 1, 31, -1;
      // AMD: ds_bpermute_b32
      %a, %p = gpu.shuffle xor %v, %c1, %c32 : f32
      // PTX: shfl.sync.up.b32 {{.*}}, 1, 0, -1;
      // AMD: ds_bpermute_b32
      %b, %q = gpu.shuffle up %w, %c1, %c32 : i32
      // Two words.
      // PTX-COUNT-2: shfl.sync.idx.b32
      %e, %s = gpu.shuffle idx %d, %c1, %c32 : f64
      // PTX: atom.global.add.f32
      %0 = memref.atomic_rmw addf %a, %x[%i] : (f32, memref<64xf32>) -> f32
      // PTX: atom.global.max.s32
      // AMD: global_atomic_smax
      %1 = memref.atomic_rmw maxs %b, %y[%i] : (i32, memref<64xi32>) -> i32
      // PTX: atom.{{.*}}cas.b64
      // AMD: global_atomic_cmpswap_x2
      %2 = memref.generic_atomic_rmw %z[%i] : memref<64xf64> {
      ^bb0(%old: f64):
        %n = arith.mulf %old, %e : f64
        memref.atomic_yield %n : f64
      }
      gpu.return
    }
  }
}
