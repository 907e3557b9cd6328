// RUN: lamina-opt %s -p expand-gpu-fragments | filecheck %s

// A target without tensor maps: the kernel gets the buffer, all threads copy, and barriers in memory are barriers.
// CHECK-LABEL: func.func @main
// CHECK-NOT:     nvgpu
// CHECK:         gpu.launch_func @kernels::@square {{.*}} args(%x : memref<100x72xf16>, %y : memref<64x64xf32>)
// CHECK:       gpu.func @square(%m: memref<100x72xf16>, %y: memref<64x64xf32>)
// CHECK-NOT:     nvgpu
// CHECK:         gpu.barrier
// CHECK-NEXT:    %[[T:.*]] = gpu.thread_id  x
// CHECK-NEXT:    scf.for %{{.*}} = %[[T]] to %{{.*}} step %{{.*}} {
// CHECK:           %[[PLACE:.*]] = arith.xori
// CHECK:           scf.if
// CHECK-NEXT:        %[[E:.*]] = memref.load %m[
// CHECK-NEXT:        memref.store %[[E]], %s[%{{.*}}, %[[PLACE]]]
// CHECK:           } else {
// CHECK:         gpu.barrier
// CHECK:         scf.for {{.*}} -> (f32, f32
// CHECK:           math.fma
// CHECK:         memref.store %{{.*}}, %y[
// CHECK:         gpu.barrier
// CHECK:         memref.store %{{.*}}, %m[

!barriers = !nvgpu.mbarrier.group<memorySpace = #gpu.address_space<workgroup>, num_barriers = 2>
!map = !nvgpu.tensormap.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b, l2promo = l2promo_128b, oob = zero, interleave = none>
!factor = !nvgpu.warpgroup.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>>
!sums = !nvgpu.warpgroup.accumulator<fragmented = vector<64x64xf32>>

builtin.module attributes {gpu.container_module, lamina.target = {kind = "spirv"}} {
  func.func @main(%x: memref<100x72xf16>, %y: memref<64x64xf32>) {
    %1 = arith.constant 1 : index
    %64 = arith.constant 64 : index
    %128 = arith.constant 128 : index
    %u = memref.cast %x : memref<100x72xf16> to memref<*xf16>
    %m = nvgpu.tma.create.descriptor %u box[%64, %64] : memref<*xf16> -> !map
    gpu.launch_func @kernels::@square blocks in (%1, %1, %1) threads in (%128, %1, %1) args(%m : !map, %y : memref<64x64xf32>)
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
  }
}
