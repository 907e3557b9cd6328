// RUN: lamina-opt %s | lamina-opt | filecheck %s
// RUN: %if mlir-opt %{ lamina-opt %s | %mlir_opt | filecheck %s --check-prefix=UPSTREAM %}

!barriers = !nvgpu.mbarrier.group<memorySpace = #gpu.address_space<workgroup>, num_barriers = 4>
!one = !nvgpu.mbarrier.group<memorySpace = #gpu.address_space<workgroup>>
!map = !nvgpu.tensormap.descriptor<tensor = memref<128x64xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b, l2promo = l2promo_128b, oob = zero, interleave = none>
!left = !nvgpu.warpgroup.descriptor<tensor = memref<128x64xf16, #gpu.address_space<workgroup>>>
!right = !nvgpu.warpgroup.descriptor<tensor = memref<64x128xf16, #gpu.address_space<workgroup>>>
!sums = !nvgpu.warpgroup.accumulator<fragmented = vector<128x128xf32>>

// UPSTREAM: nvgpu.mbarrier.init %{{.*}}[%{{.*}}], %{{.*}}, predicate = %{{.*}} : <memorySpace = #gpu.address_space<workgroup>, num_barriers = 4>
// UPSTREAM: nvgpu.tma.async.load %{{.*}}[%{{.*}}, %{{.*}}], %{{.*}}[%{{.*}}] to %{{.*}}, predicate = %{{.*}} : <tensor = memref<128x64xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b, l2promo = l2promo_128b, oob = zero, interleave = none>
// UPSTREAM: nvgpu.warpgroup.mma %{{.*}}, %{{.*}}, %{{.*}} {transposeB, waitGroup = 0 : i64}

// CHECK-LABEL: func.func @barriers
func.func @barriers(%i: index, %p: i1, %q: i1) -> i1 {
  // CHECK-NEXT: %b = nvgpu.mbarrier.create -> !nvgpu.mbarrier.group<memorySpace = #gpu.address_space<workgroup>, num_barriers = 4>
  %b = nvgpu.mbarrier.create -> !barriers
  // CHECK-NEXT: nvgpu.mbarrier.create -> !nvgpu.mbarrier.group<memorySpace = #gpu.address_space<workgroup>>
  %o = nvgpu.mbarrier.create -> !one
  nvgpu.mbarrier.init %o[%i], %i : !one
  // CHECK: nvgpu.mbarrier.init %b[%i], %i, predicate = %p : !nvgpu.mbarrier.group<memorySpace = #gpu.address_space<workgroup>, num_barriers = 4>
  nvgpu.mbarrier.init %b[%i], %i, predicate = %p : !barriers
  // CHECK-NEXT: nvgpu.mbarrier.arrive.expect_tx %b[%i], %i : !nvgpu.mbarrier.group<memorySpace = #gpu.address_space<workgroup>, num_barriers = 4>
  nvgpu.mbarrier.arrive.expect_tx %b[%i], %i : !barriers
  // CHECK-NEXT: nvgpu.mbarrier.arrive.expect_tx %b[%i], %i, predicate = %p
  nvgpu.mbarrier.arrive.expect_tx %b[%i], %i, predicate = %p : !barriers
  // CHECK-NEXT: nvgpu.mbarrier.try_wait.parity %b[%i], %q, %i
  nvgpu.mbarrier.try_wait.parity %b[%i], %q, %i : !barriers
  // CHECK-NEXT: %t = nvgpu.mbarrier.arrive %b[%i] : !nvgpu.mbarrier.group<memorySpace = #gpu.address_space<workgroup>, num_barriers = 4> -> !nvgpu.mbarrier.token
  %t = nvgpu.mbarrier.arrive %b[%i] : !barriers -> !nvgpu.mbarrier.token
  // CHECK-NEXT: %w = nvgpu.mbarrier.test.wait %b[%i], %t
  %w = nvgpu.mbarrier.test.wait %b[%i], %t : !barriers, !nvgpu.mbarrier.token
  func.return %w : i1
}

// CHECK-LABEL: func.func @copies
func.func @copies(%m: !map, %b: !barriers, %s: memref<128x64xf16, #gpu.address_space<workgroup>>, %i: index, %p: i1) {
  nvgpu.tma.fence.descriptor %m : !map
  // CHECK: nvgpu.tma.prefetch.descriptor %m, predicate = %p : !nvgpu.tensormap.descriptor<tensor = memref<128x64xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b, l2promo = l2promo_128b, oob = zero, interleave = none>
  nvgpu.tma.prefetch.descriptor %m, predicate = %p : !map
  // CHECK-NEXT: nvgpu.tma.async.load %m[%i, %i], %b[%i] to %s, predicate = %p :
  nvgpu.tma.async.load %m[%i, %i], %b[%i] to %s, predicate = %p : !map, !barriers -> memref<128x64xf16, #gpu.address_space<workgroup>>
  // CHECK-NEXT: nvgpu.tma.async.store %s to %m[%i, %i] :
  nvgpu.tma.async.store %s to %m[%i, %i] : memref<128x64xf16, #gpu.address_space<workgroup>> -> !map
  func.return
}

// CHECK-LABEL: func.func @host
func.func @host(%x: memref<*xf16>, %m: index, %k: index) -> !map {
  // CHECK-NEXT: nvgpu.tma.create.descriptor %x box[%m, %k] : memref<*xf16> -> !nvgpu.tensormap.descriptor<
  %0 = nvgpu.tma.create.descriptor %x box[%m, %k] : memref<*xf16> -> !map
  func.return %0 : !map
}

// CHECK-LABEL: func.func @products
func.func @products(%m: !map, %a: memref<128x64xf16, #gpu.address_space<workgroup>>, %b: memref<2x64x64xf16, strided<[4096, 64, 1], offset: ?>, #gpu.address_space<workgroup>>, %y: memref<128x128xf32>) {
  // CHECK-NEXT: %l = nvgpu.warpgroup.generate.descriptor %a, %m :
  %l = nvgpu.warpgroup.generate.descriptor %a, %m : memref<128x64xf16, #gpu.address_space<workgroup>>, !map -> !left
  %r = nvgpu.warpgroup.generate.descriptor %b, %m : memref<2x64x64xf16, strided<[4096, 64, 1], offset: ?>, #gpu.address_space<workgroup>>, !map -> !right
  // CHECK: %c = nvgpu.warpgroup.mma.init.accumulator -> !nvgpu.warpgroup.accumulator<fragmented = vector<128x128xf32>>
  %c = nvgpu.warpgroup.mma.init.accumulator -> !sums
  // CHECK-NEXT: %d = nvgpu.warpgroup.mma %l, %r, %c {waitGroup = 0 : i64, transposeB} :
  %d = nvgpu.warpgroup.mma %l, %r, %c {waitGroup = 0 : i64, transposeB} : !left, !right, !sums -> !sums
  // CHECK-NEXT: nvgpu.warpgroup.mma.store %d, %y : !nvgpu.warpgroup.accumulator<fragmented = vector<128x128xf32>> to memref<128x128xf32>
  nvgpu.warpgroup.mma.store %d, %y : !sums to memref<128x128xf32>
  func.return
}
