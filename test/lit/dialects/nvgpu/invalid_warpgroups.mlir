// RUN: lamina-opt %s --split-input-file --verify-diagnostics

func.func @f(%m: !nvgpu.tensormap.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none>, %b: !nvgpu.mbarrier.group<memorySpace = #gpu.address_space<workgroup>, num_barriers = 2>, %s: memref<32x64xf16, #gpu.address_space<workgroup>>, %i: index) {
  // expected-error @below {{expected a buffer of shape [64, 64], found [32, 64]}}
  nvgpu.tma.async.load %m[%i, %i], %b[%i] to %s : !nvgpu.tensormap.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none>, !nvgpu.mbarrier.group<memorySpace = #gpu.address_space<workgroup>, num_barriers = 2> -> memref<32x64xf16, #gpu.address_space<workgroup>>
  func.return
}

// -----

func.func @f(%m: !nvgpu.tensormap.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none>, %b: !nvgpu.mbarrier.group<memorySpace = #gpu.address_space<workgroup>, num_barriers = 2>, %s: memref<64x64xbf16, #gpu.address_space<workgroup>>, %i: index) {
  // expected-error @below {{cannot copy f16 as bf16}}
  nvgpu.tma.async.load %m[%i, %i], %b[%i] to %s : !nvgpu.tensormap.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none>, !nvgpu.mbarrier.group<memorySpace = #gpu.address_space<workgroup>, num_barriers = 2> -> memref<64x64xbf16, #gpu.address_space<workgroup>>
  func.return
}

// -----

func.func @f(%m: !nvgpu.tensormap.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none>, %b: !nvgpu.mbarrier.group<memorySpace = #gpu.address_space<workgroup>, num_barriers = 2>, %s: memref<64x64xf16, #gpu.address_space<workgroup>>, %i: index) {
  // expected-error @below {{expected 2 coordinates, found 1}}
  nvgpu.tma.async.load %m[%i], %b[%i] to %s : !nvgpu.tensormap.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none>, !nvgpu.mbarrier.group<memorySpace = #gpu.address_space<workgroup>, num_barriers = 2> -> memref<64x64xf16, #gpu.address_space<workgroup>>
  func.return
}

// -----

func.func @f(%m: !nvgpu.tensormap.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none>, %b: !nvgpu.mbarrier.group<memorySpace = #gpu.address_space<workgroup>, num_barriers = 2>, %s: memref<64x64xf16>, %i: index) {
  // expected-error @below {{expected a buffer in memory space #gpu.address_space<workgroup>, found memref<64x64xf16>}}
  nvgpu.tma.async.load %m[%i, %i], %b[%i] to %s : !nvgpu.tensormap.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none>, !nvgpu.mbarrier.group<memorySpace = #gpu.address_space<workgroup>, num_barriers = 2> -> memref<64x64xf16>
  func.return
}

// -----

func.func @f(%m: !nvgpu.tensormap.descriptor<tensor = memref<64x128xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none>, %b: !nvgpu.mbarrier.group<memorySpace = #gpu.address_space<workgroup>, num_barriers = 2>, %s: memref<64x128xf16, #gpu.address_space<workgroup>>, %i: index) {
  // expected-error @below {{expected lines of 128 bytes with swizzle_128b, found 256}}
  nvgpu.tma.async.load %m[%i, %i], %b[%i] to %s : !nvgpu.tensormap.descriptor<tensor = memref<64x128xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none>, !nvgpu.mbarrier.group<memorySpace = #gpu.address_space<workgroup>, num_barriers = 2> -> memref<64x128xf16, #gpu.address_space<workgroup>>
  func.return
}

// -----

func.func @f(%m: !nvgpu.tensormap.descriptor<tensor = memref<64x4xf16, #gpu.address_space<workgroup>>, swizzle = none, l2promo = none, oob = zero, interleave = none>, %b: !nvgpu.mbarrier.group<memorySpace = #gpu.address_space<workgroup>, num_barriers = 2>, %s: memref<64x4xf16, #gpu.address_space<workgroup>>, %i: index) {
  // expected-error @below {{expected lines of a multiple of 16 bytes, found 8}}
  nvgpu.tma.async.load %m[%i, %i], %b[%i] to %s : !nvgpu.tensormap.descriptor<tensor = memref<64x4xf16, #gpu.address_space<workgroup>>, swizzle = none, l2promo = none, oob = zero, interleave = none>, !nvgpu.mbarrier.group<memorySpace = #gpu.address_space<workgroup>, num_barriers = 2> -> memref<64x4xf16, #gpu.address_space<workgroup>>
  func.return
}

// -----

func.func @f(%x: memref<*xf32>, %i: index) {
  // expected-error @below {{cannot describe f32 as f16}}
  %0 = nvgpu.tma.create.descriptor %x box[%i, %i] : memref<*xf32> -> !nvgpu.tensormap.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none>
  func.return
}

// -----

func.func @f(%x: memref<*xf16>, %i: index) {
  // expected-error @below {{expected a box of 2 axes, found 1}}
  %0 = nvgpu.tma.create.descriptor %x box[%i] : memref<*xf16> -> !nvgpu.tensormap.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none>
  func.return
}

// -----

func.func @f(%m: !nvgpu.tensormap.descriptor<tensor = memref<64x32xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_64b, l2promo = none, oob = zero, interleave = none>, %s: memref<64x32xf16, #gpu.address_space<workgroup>>) {
  // expected-error @below {{expected a tensor map with swizzle_128b, found swizzle_64b}}
  %0 = nvgpu.warpgroup.generate.descriptor %s, %m : memref<64x32xf16, #gpu.address_space<workgroup>>, !nvgpu.tensormap.descriptor<tensor = memref<64x32xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_64b, l2promo = none, oob = zero, interleave = none> -> !nvgpu.warpgroup.descriptor<tensor = memref<64x32xf16, #gpu.address_space<workgroup>>>
  func.return
}

// -----

func.func @f(%m: !nvgpu.tensormap.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none>, %s: memref<64x32xf16, #gpu.address_space<workgroup>>) {
  // expected-error @below {{expected lines of 128 bytes, found 32 elements}}
  %0 = nvgpu.warpgroup.generate.descriptor %s, %m : memref<64x32xf16, #gpu.address_space<workgroup>>, !nvgpu.tensormap.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none> -> !nvgpu.warpgroup.descriptor<tensor = memref<64x32xf16, #gpu.address_space<workgroup>>>
  func.return
}

// -----

func.func @f(%m: !nvgpu.tensormap.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none>, %s: memref<2x64x64xf16, #gpu.address_space<workgroup>>) {
  // expected-error @below {{2 panels of 64 lines are no matrix of shape [64, 64]}}
  %0 = nvgpu.warpgroup.generate.descriptor %s, %m : memref<2x64x64xf16, #gpu.address_space<workgroup>>, !nvgpu.tensormap.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none> -> !nvgpu.warpgroup.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>>
  func.return
}

// -----

func.func @f(%m: !nvgpu.tensormap.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none>, %s: memref<64x64xf16, #gpu.address_space<workgroup>>) {
  // expected-error @below {{cannot multiply f16 as bf16}}
  %0 = nvgpu.warpgroup.generate.descriptor %s, %m : memref<64x64xf16, #gpu.address_space<workgroup>>, !nvgpu.tensormap.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none> -> !nvgpu.warpgroup.descriptor<tensor = memref<64x64xbf16, #gpu.address_space<workgroup>>>
  func.return
}

// -----

func.func @f(%a: !nvgpu.warpgroup.descriptor<tensor = memref<64x64xbf16, #gpu.address_space<workgroup>>>, %b: !nvgpu.warpgroup.descriptor<tensor = memref<64x128xf16, #gpu.address_space<workgroup>>>, %c: !nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf32>>) {
  // expected-error @below {{expected factors of one type, found bf16 and f16}}
  %0 = nvgpu.warpgroup.mma %a, %b, %c : !nvgpu.warpgroup.descriptor<tensor = memref<64x64xbf16, #gpu.address_space<workgroup>>>, !nvgpu.warpgroup.descriptor<tensor = memref<64x128xf16, #gpu.address_space<workgroup>>>, !nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf32>> -> !nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf32>>
  func.return
}

// -----

func.func @f(%a: !nvgpu.warpgroup.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>>, %b: !nvgpu.warpgroup.descriptor<tensor = memref<64x128xf16, #gpu.address_space<workgroup>>>, %c: !nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf16>>) {
  // expected-error @below {{there is no product of f16 with sums of f16}}
  %0 = nvgpu.warpgroup.mma %a, %b, %c : !nvgpu.warpgroup.descriptor<tensor = memref<64x64xf16, #gpu.address_space<workgroup>>>, !nvgpu.warpgroup.descriptor<tensor = memref<64x128xf16, #gpu.address_space<workgroup>>>, !nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf16>> -> !nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf16>>
  func.return
}

// -----

func.func @f(%a: !nvgpu.warpgroup.descriptor<tensor = memref<64x32xf32, #gpu.address_space<workgroup>>>, %b: !nvgpu.warpgroup.descriptor<tensor = memref<32x128xf32, #gpu.address_space<workgroup>>>, %c: !nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf32>>) {
  // expected-error @below {{there is no product of f32 with sums of f32}}
  %0 = nvgpu.warpgroup.mma %a, %b, %c : !nvgpu.warpgroup.descriptor<tensor = memref<64x32xf32, #gpu.address_space<workgroup>>>, !nvgpu.warpgroup.descriptor<tensor = memref<32x128xf32, #gpu.address_space<workgroup>>>, !nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf32>> -> !nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf32>>
  func.return
}

// -----

func.func @f(%a: !nvgpu.warpgroup.descriptor<tensor = memref<64x64xbf16, #gpu.address_space<workgroup>>>, %b: !nvgpu.warpgroup.descriptor<tensor = memref<32x128xbf16, #gpu.address_space<workgroup>>>, %c: !nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf32>>) {
  // expected-error @below {{expected factors of one depth, found 64 and 32}}
  %0 = nvgpu.warpgroup.mma %a, %b, %c : !nvgpu.warpgroup.descriptor<tensor = memref<64x64xbf16, #gpu.address_space<workgroup>>>, !nvgpu.warpgroup.descriptor<tensor = memref<32x128xbf16, #gpu.address_space<workgroup>>>, !nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf32>> -> !nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf32>>
  func.return
}

// -----

func.func @f(%a: !nvgpu.warpgroup.descriptor<tensor = memref<64x64xbf16, #gpu.address_space<workgroup>>>, %b: !nvgpu.warpgroup.descriptor<tensor = memref<64x128xbf16, #gpu.address_space<workgroup>>>, %c: !nvgpu.warpgroup.accumulator<fragmented = vector<64x64xf32>>) {
  // expected-error @below {{expected sums of shape [64, 128], found [64, 64]}}
  %0 = nvgpu.warpgroup.mma %a, %b, %c : !nvgpu.warpgroup.descriptor<tensor = memref<64x64xbf16, #gpu.address_space<workgroup>>>, !nvgpu.warpgroup.descriptor<tensor = memref<64x128xbf16, #gpu.address_space<workgroup>>>, !nvgpu.warpgroup.accumulator<fragmented = vector<64x64xf32>> -> !nvgpu.warpgroup.accumulator<fragmented = vector<64x64xf32>>
  func.return
}

// -----

func.func @f(%a: !nvgpu.warpgroup.descriptor<tensor = memref<64x24xbf16, #gpu.address_space<workgroup>>>, %b: !nvgpu.warpgroup.descriptor<tensor = memref<24x128xbf16, #gpu.address_space<workgroup>>>, %c: !nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf32>>) {
  // expected-error @below {{expected a depth of a multiple of 16, found 24}}
  %0 = nvgpu.warpgroup.mma %a, %b, %c : !nvgpu.warpgroup.descriptor<tensor = memref<64x24xbf16, #gpu.address_space<workgroup>>>, !nvgpu.warpgroup.descriptor<tensor = memref<24x128xbf16, #gpu.address_space<workgroup>>>, !nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf32>> -> !nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf32>>
  func.return
}

// -----

func.func @f(%a: !nvgpu.warpgroup.descriptor<tensor = memref<64x64xbf16, #gpu.address_space<workgroup>>>, %b: !nvgpu.warpgroup.descriptor<tensor = memref<64x128xbf16, #gpu.address_space<workgroup>>>, %c: !nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf32>>) {
  // expected-error @below {{a left factor with its columns as lines is not supported}}
  %0 = nvgpu.warpgroup.mma %a, %b, %c {transposeA} : !nvgpu.warpgroup.descriptor<tensor = memref<64x64xbf16, #gpu.address_space<workgroup>>>, !nvgpu.warpgroup.descriptor<tensor = memref<64x128xbf16, #gpu.address_space<workgroup>>>, !nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf32>> -> !nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf32>>
  func.return
}

// -----

func.func @f(%a: !nvgpu.warpgroup.descriptor<tensor = memref<64x32xtf32, #gpu.address_space<workgroup>>>, %b: !nvgpu.warpgroup.descriptor<tensor = memref<32x128xtf32, #gpu.address_space<workgroup>>>, %c: !nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf32>>) {
  // expected-error @below {{only factors of 16-bit elements can come transposed}}
  %0 = nvgpu.warpgroup.mma %a, %b, %c {transposeB} : !nvgpu.warpgroup.descriptor<tensor = memref<64x32xtf32, #gpu.address_space<workgroup>>>, !nvgpu.warpgroup.descriptor<tensor = memref<32x128xtf32, #gpu.address_space<workgroup>>>, !nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf32>> -> !nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf32>>
  func.return
}

// -----

func.func @f(%c: !nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf32>>, %y: memref<64x64xf32>) {
  // expected-error @below {{expected a buffer of shape [64, 128], found memref<64x64xf32>}}
  nvgpu.warpgroup.mma.store %c, %y : !nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf32>> to memref<64x64xf32>
  func.return
}
