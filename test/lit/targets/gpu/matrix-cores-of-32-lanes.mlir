// RUN: lamina-opt %s -t amdgcn{arch=gfx1100} | filecheck %s

// CHECK:     v_wmma_f32_16x16x16_f16
// CHECK:     v_wmma_f32_16x16x16_bf16
builtin.module {
  gpu.module @kernels {
    gpu.func @halves(%a: memref<32x16xf16>, %c: memref<32x8xf32>) kernel attributes {known_block_size = array<i32: 32, 1, 1>} {
      %t = gpu.thread_id x
      %0 = arith.constant 0 : index
      %u = vector.load %a[%t, %0] : memref<32x16xf16>, vector<16xf16>
      %z = vector.load %c[%t, %0] : memref<32x8xf32>, vector<8xf32>
      %d = amdgpu.wmma 16x16x16 %u * %u + %z : vector<16xf16>, vector<16xf16>, vector<8xf32>
      vector.store %d, %c[%t, %0] : memref<32x8xf32>, vector<8xf32>
      gpu.return
    }
    gpu.func @bfloats(%a: memref<32x16xbf16>, %c: memref<32x8xf32>) kernel attributes {known_block_size = array<i32: 32, 1, 1>} {
      %t = gpu.thread_id x
      %0 = arith.constant 0 : index
      %u = vector.load %a[%t, %0] : memref<32x16xbf16>, vector<16xbf16>
      %z = vector.load %c[%t, %0] : memref<32x8xf32>, vector<8xf32>
      %d = amdgpu.wmma 16x16x16 %u * %u + %z : vector<16xbf16>, vector<16xbf16>, vector<8xf32>
      vector.store %d, %c[%t, %0] : memref<32x8xf32>, vector<8xf32>
      gpu.return
    }
  }
}
