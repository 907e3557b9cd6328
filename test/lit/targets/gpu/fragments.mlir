// RUN: lamina-opt %s -t ptx{arch=sm_90} | filecheck %s --check-prefix=PTX

// PTX-LABEL: .visible .entry fragments(
// PTX:      cp.async.cg.shared.global [%r{{[0-9]+}}], [%rd{{[0-9]+}}], 16;
// PTX:      cp.async.cg.shared.global [%r{{[0-9]+}}+16], [%rd{{[0-9]+}}+16], 16, %r{{[0-9]+}};
// PTX:      cp.async.commit_group;
// PTX:      cp.async.wait_group 0;
// PTX:      bar.sync
// PTX:      ldmatrix.sync.aligned.m8n8.x4.shared.b16
// PTX:      ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16
// PTX:      mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32
// PTX:      mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32
// PTX:      mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32
builtin.module attributes {lamina.target = {kind = "ptx", architecture = "sm_90"}} {
  gpu.module @kernels {
    gpu.func @fragments(%x: memref<64x64xf16>, %n: index, %y: memref<32x2x2xf32>) workgroup(%s : memref<64x40xf16, #gpu.address_space<workgroup>>) kernel attributes {known_block_size = array<i32: 32, 1, 1>} {
      %t = gpu.thread_id x
      %0 = arith.constant 0 : index
      %1 = arith.constant 1 : index
      %8 = arith.constant 8 : index
      %c = nvgpu.device_async_copy %x[%t, %0], %s[%t, %0], 8 {bypassL1} : memref<64x64xf16> to memref<64x40xf16, #gpu.address_space<workgroup>>
      %d = nvgpu.device_async_copy %x[%t, %8], %s[%t, %8], 8, %n {bypassL1} : memref<64x64xf16> to memref<64x40xf16, #gpu.address_space<workgroup>>
      %g = nvgpu.device_async_create_group %c, %d
      nvgpu.device_async_wait %g {numGroups = 0 : i32}
      gpu.barrier
      %a = nvgpu.ldmatrix %s[%t, %0] {numTiles = 4 : i32, transpose = false} : memref<64x40xf16, #gpu.address_space<workgroup>> -> vector<4x2xf16>
      %b = nvgpu.ldmatrix %s[%t, %8] {numTiles = 2 : i32, transpose = true} : memref<64x40xf16, #gpu.address_space<workgroup>> -> vector<2x2xf16>
      %z = arith.constant dense<0.000000e+00> : vector<2x2xf32>
      %p = nvgpu.mma.sync(%a, %b, %z) {mmaShape = [16, 8, 16]} : (vector<4x2xf16>, vector<2x2xf16>, vector<2x2xf32>) -> vector<2x2xf32>
      %h = vector.bitcast %a : vector<4x2xf16> to vector<4x2xbf16>
      %i = vector.bitcast %b : vector<2x2xf16> to vector<2x2xbf16>
      %q = nvgpu.mma.sync(%h, %i, %p) {mmaShape = [16, 8, 16]} : (vector<4x2xbf16>, vector<2x2xbf16>, vector<2x2xf32>) -> vector<2x2xf32>
      %k = vector.bitcast %a : vector<4x2xf16> to vector<4x1xf32>
      %l = vector.bitcast %b : vector<2x2xf16> to vector<2x1xf32>
      %r = nvgpu.mma.sync(%k, %l, %q) {mmaShape = [16, 8, 8], tf32Enabled} : (vector<4x1xf32>, vector<2x1xf32>, vector<2x2xf32>) -> vector<2x2xf32>
      %e = vector.extract %r[0, 0] : f32 from vector<2x2xf32>
      memref.store %e, %y[%t, %0, %0] : memref<32x2x2xf32>
      %f = vector.extract %r[1, 1] : f32 from vector<2x2xf32>
      memref.store %f, %y[%t, %1, %1] : memref<32x2x2xf32>
      gpu.return
    }
  }
}
