// RUN: lamina-opt %s -t amdgcn{arch=gfx90a} | filecheck %s --check-prefix=CDNA2
// RUN: lamina-opt %s -t amdgcn{arch=gfx942} | filecheck %s --check-prefix=CDNA3

// CDNA2:     v_mfma_f32_16x16x16f16
// CDNA2:     v_mfma_f32_32x32x8bf16_1k
// CDNA2:     v_mfma_f32_16x16x4f32
// CDNA2:     v_mfma_f64_16x16x4f64
// CDNA3:     v_mfma_f32_16x16x16_f16
// CDNA3:     v_mfma_f32_32x32x8_bf16
// CDNA3:     v_mfma_f32_16x16x4_f32
// CDNA3:     v_mfma_f64_16x16x4_f64
builtin.module {
  gpu.module @kernels {
    gpu.func @halves(%a: memref<64x4xf16>, %c: memref<64x4xf32>) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
      %t = gpu.thread_id x
      %0 = arith.constant 0 : index
      %u = vector.load %a[%t, %0] : memref<64x4xf16>, vector<4xf16>
      %z = vector.load %c[%t, %0] : memref<64x4xf32>, vector<4xf32>
      %d = amdgpu.mfma 16x16x16 %u * %u + %z blgp = none : vector<4xf16>, vector<4xf16>, vector<4xf32>
      vector.store %d, %c[%t, %0] : memref<64x4xf32>, vector<4xf32>
      gpu.return
    }
    gpu.func @bfloats(%a: memref<64x4xbf16>, %c: memref<64x16xf32>) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
      %t = gpu.thread_id x
      %0 = arith.constant 0 : index
      %u = vector.load %a[%t, %0] : memref<64x4xbf16>, vector<4xbf16>
      %z = vector.load %c[%t, %0] : memref<64x16xf32>, vector<16xf32>
      %d = amdgpu.mfma 32x32x8 %u * %u + %z blgp = none : vector<4xbf16>, vector<4xbf16>, vector<16xf32>
      vector.store %d, %c[%t, %0] : memref<64x16xf32>, vector<16xf32>
      gpu.return
    }
    gpu.func @singles(%a: memref<64xf32>, %c: memref<64x4xf32>) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
      %t = gpu.thread_id x
      %0 = arith.constant 0 : index
      %u = memref.load %a[%t] : memref<64xf32>
      %z = vector.load %c[%t, %0] : memref<64x4xf32>, vector<4xf32>
      %d = amdgpu.mfma 16x16x4 %u * %u + %z blgp = none : f32, f32, vector<4xf32>
      vector.store %d, %c[%t, %0] : memref<64x4xf32>, vector<4xf32>
      gpu.return
    }
    gpu.func @doubles(%a: memref<64xf64>, %c: memref<64x4xf64>) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
      %t = gpu.thread_id x
      %0 = arith.constant 0 : index
      %u = memref.load %a[%t] : memref<64xf64>
      %z = vector.load %c[%t, %0] : memref<64x4xf64>, vector<4xf64>
      %d = amdgpu.mfma 16x16x4 %u * %u + %z blgp = none : f64, f64, vector<4xf64>
      vector.store %d, %c[%t, %0] : memref<64x4xf64>, vector<4xf64>
      gpu.return
    }
  }
}
