// RUN: lamina-opt %s -p expand-gpu-fragments -t ptx{arch=sm_90a} | filecheck %s

// CHECK:      .target sm_90a
// CHECK:      .visible .entry square(
// CHECK-NEXT:   .param .align 64 .b8 square_param_0[128]
// CHECK:      .shared .align 1024 .b8 square__shared
// CHECK:      mbarrier.init.shared::cta.b64 [%r{{[0-9]+}}], %r{{[0-9]+}};
// CHECK:      fence.mbarrier_init.release.cluster;
// CHECK:      bar.sync
// A box of 64 × 64 elements of 2 bytes: 8192.
// CHECK:      mov.b32 [[BYTES:%r[0-9]+]], 8192;
// CHECK:      mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r{{[0-9]+}}], [[BYTES]];
// CHECK:      cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r{{[0-9]+}}], [%rd{{[0-9]+}}, {%r{{[0-9]+}}, %r{{[0-9]+}}}], [%r{{[0-9]+}}];
// CHECK:      mbarrier.try_wait.parity.shared::cta.b64

// PTX ISA, "Matrix descriptor format" of wgmma: bits 13-0 the address, 29-16 the leading dimension's byte offset,
// 45-32 the stride dimension's byte offset, each without its last four bits; 63-62 the swizzle, 1: 128 bytes.
// Eight lines of 128 bytes are 1024, 64 units of 16. A leading offset that is not used is 1 unit:
// 1 << 62 | 64 << 32 | 1 << 16 = 4611686293305360384.
// CHECK:      or.b64 [[FACTOR:%rd[0-9]+]], %rd{{[0-9]+}}, 4611686293305360384;
// CHECK:      bar.warp.sync 0xffffffff;
// CHECK-NEXT: wgmma.fence.sync.aligned;
// 16 elements along a line are 32 bytes, 2 units; 16 lines are 2048 bytes, 128 units.
// CHECK-NEXT: add.s64 b, [[FACTOR]], 0;
// CHECK-NEXT: add.s64 a, [[FACTOR]], 0;
// CHECK-NEXT: wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {{.*}}, a, b, p, 1, 1, 0, 1;
// CHECK-NEXT: add.s64 b, [[FACTOR]], 128;
// CHECK-NEXT: add.s64 a, [[FACTOR]], 2;
// CHECK-NEXT: wgmma
// CHECK-NEXT: add.s64 b, [[FACTOR]], 256;
// CHECK-NEXT: add.s64 a, [[FACTOR]], 4;
// CHECK-NEXT: wgmma
// CHECK-NEXT: add.s64 b, [[FACTOR]], 384;
// CHECK-NEXT: add.s64 a, [[FACTOR]], 6;
// CHECK-NEXT: wgmma
// CHECK-NEXT: wgmma.commit_group.sync.aligned;
// CHECK-NEXT: wgmma.wait_group.sync.aligned 0;
// CHECK:      st.global
// CHECK:      mbarrier.arrive.shared::cta.b64 _,
// CHECK:      {{^}}fence.proxy.async.shared::cta;
// CHECK:      {{^}}barrier.sync 0;
// CHECK:      cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group

// CHECK:      .visible .entry panels(
// Three boxes: 24576.
// CHECK:      mov.b32 [[BYTES:%r[0-9]+]], 24576;
// CHECK:      mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r{{[0-9]+}}], [[BYTES]];
// CHECK-DAG:  or.b64 [[LEFT:%rd[0-9]+]], %rd{{[0-9]+}}, 4611686293305360384;
// From a panel of 64 lines to the next are 8192 bytes, 512 units: 1 << 62 | 64 << 32 | 512 << 16.
// CHECK-DAG:  or.b64 [[RIGHT:%rd[0-9]+]], %rd{{[0-9]+}}, 4611686293338849280;
// CHECK:      add.s64 b, [[RIGHT]], 128;
// CHECK-NEXT: add.s64 a, [[LEFT]], 2;
// CHECK-NEXT: wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {{.*}}, a, b, p, 1, 1, 0, 1;
// The lines of both factors go along the depth.
// CHECK:      add.s64 b, [[LEFT]], 2;
// CHECK-NEXT: add.s64 a, [[LEFT]], 2;
// CHECK-NEXT: wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {{.*}}, a, b, p, 1, 1, 0, 0;

!barriers = !nvgpu.mbarrier.group<memorySpace = #gpu.address_space<workgroup>, num_barriers = 2>
!map = !nvgpu.tensormap.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b, l2promo = l2promo_128b, oob = zero, interleave = none>
!factor = !nvgpu.warpgroup.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>>
!sums = !nvgpu.warpgroup.accumulator<fragmented = vector<64x64xf32>>
!wide = !nvgpu.warpgroup.descriptor<tensor = memref<64x128xf16, #gpu.address_space<workgroup>>>
!wide_sums = !nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf32>>

builtin.module attributes {gpu.container_module, lamina.target = {kind = "ptx", architecture = "sm_90a"}} {
  func.func @main(%x: memref<100x72xf16>, %y: memref<64x64xf32>, %z: memref<64x128xf32>) {
    %1 = arith.constant 1 : index
    %64 = arith.constant 64 : index
    %128 = arith.constant 128 : index
    %u = memref.cast %x : memref<100x72xf16> to memref<*xf16>
    %m = nvgpu.tma.create.descriptor %u box[%64, %64] : memref<*xf16> -> !map
    gpu.launch_func @kernels::@square blocks in (%1, %1, %1) threads in (%128, %1, %1) args(%m : !map, %y : memref<64x64xf32>)
    gpu.launch_func @kernels::@panels blocks in (%1, %1, %1) threads in (%128, %1, %1) args(%m : !map, %y : memref<64x64xf32>, %z : memref<64x128xf32>)
    func.return
  }
  gpu.module @kernels {
    gpu.func @square(%m: !map, %y: memref<64x64xf32>) workgroup(%s: memref<64x64xf16, #gpu.address_space<workgroup>>) kernel attributes {known_block_size = array<i32: 128, 1, 1>} {
      %0 = arith.constant 0 : index
      %1 = arith.constant 1 : index
      %n = arith.constant 8192 : index
      %ticks = arith.constant 1000 : index
      %no = arith.constant false
      %t = gpu.thread_id x
      %p = arith.cmpi eq, %t, %0 : index
      %b = nvgpu.mbarrier.create -> !barriers
      %e = nvgpu.mbarrier.create -> !barriers
      nvgpu.mbarrier.init %b[%0], %1, predicate = %p : !barriers
      gpu.barrier
      nvgpu.mbarrier.arrive.expect_tx %b[%0], %n, predicate = %p : !barriers
      nvgpu.tma.async.load %m[%0, %0], %b[%0] to %s, predicate = %p : !map, !barriers -> memref<64x64xf16, #gpu.address_space<workgroup>>
      nvgpu.mbarrier.try_wait.parity %b[%0], %no, %ticks : !barriers
      %d = nvgpu.warpgroup.generate.descriptor %s, %m : memref<64x64xf16, #gpu.address_space<workgroup>>, !map -> !factor
      %c = nvgpu.warpgroup.mma.init.accumulator -> !sums
      %r = nvgpu.warpgroup.mma %d, %d, %c {waitGroup = 0 : i64, transposeB} : !factor, !factor, !sums -> !sums
      nvgpu.warpgroup.mma.store %r, %y : !sums to memref<64x64xf32>
      nvgpu.mbarrier.arrive.expect_tx %e[%1], %0, predicate = %p : !barriers
      nvgpu.tma.async.store %s to %m[%0, %0], predicate = %p : memref<64x64xf16, #gpu.address_space<workgroup>> -> !map
      gpu.return
    }
    gpu.func @panels(%m: !map, %y: memref<64x64xf32>, %z: memref<64x128xf32>) workgroup(%s: memref<64x64xf16, #gpu.address_space<workgroup>>, %u: memref<2x64x64xf16, #gpu.address_space<workgroup>>) kernel attributes {known_block_size = array<i32: 128, 1, 1>} {
      %0 = arith.constant 0 : index
      %1 = arith.constant 1 : index
      %64 = arith.constant 64 : index
      %n = arith.constant 24576 : index
      %ticks = arith.constant 1000 : index
      %no = arith.constant false
      %t = gpu.thread_id x
      %p = arith.cmpi eq, %t, %0 : index
      %b = nvgpu.mbarrier.create -> !barriers
      nvgpu.mbarrier.init %b[%0], %1, predicate = %p : !barriers
      gpu.barrier
      nvgpu.mbarrier.arrive.expect_tx %b[%0], %n, predicate = %p : !barriers
      %u0 = memref.subview %u[0, 0, 0] [1, 64, 64] [1, 1, 1] : memref<2x64x64xf16, #gpu.address_space<workgroup>> to memref<64x64xf16, strided<[64, 1]>, #gpu.address_space<workgroup>>
      %u1 = memref.subview %u[1, 0, 0] [1, 64, 64] [1, 1, 1] : memref<2x64x64xf16, #gpu.address_space<workgroup>> to memref<64x64xf16, strided<[64, 1], offset: 4096>, #gpu.address_space<workgroup>>
      nvgpu.tma.async.load %m[%0, %0], %b[%0] to %s, predicate = %p : !map, !barriers -> memref<64x64xf16, #gpu.address_space<workgroup>>
      nvgpu.tma.async.load %m[%0, %0], %b[%0] to %u0, predicate = %p : !map, !barriers -> memref<64x64xf16, strided<[64, 1]>, #gpu.address_space<workgroup>>
      nvgpu.tma.async.load %m[%64, %0], %b[%0] to %u1, predicate = %p : !map, !barriers -> memref<64x64xf16, strided<[64, 1], offset: 4096>, #gpu.address_space<workgroup>>
      nvgpu.mbarrier.try_wait.parity %b[%0], %no, %ticks : !barriers
      %l = nvgpu.warpgroup.generate.descriptor %s, %m : memref<64x64xf16, #gpu.address_space<workgroup>>, !map -> !factor
      %r = nvgpu.warpgroup.generate.descriptor %u, %m : memref<2x64x64xf16, #gpu.address_space<workgroup>>, !map -> !wide
      %c = nvgpu.warpgroup.mma.init.accumulator -> !wide_sums
      %d = nvgpu.warpgroup.mma %l, %r, %c {waitGroup = 0 : i64, transposeB} : !factor, !wide, !wide_sums -> !wide_sums
      nvgpu.warpgroup.mma.store %d, %z : !wide_sums to memref<64x128xf32>
      %e = nvgpu.warpgroup.mma.init.accumulator -> !sums
      %f = nvgpu.warpgroup.mma %l, %l, %e {waitGroup = 0 : i64} : !factor, !factor, !sums -> !sums
      nvgpu.warpgroup.mma.store %f, %y : !sums to memref<64x64xf32>
      gpu.return
    }
  }
}
