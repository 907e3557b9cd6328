// RUN: lamina-opt %s | lamina-opt | filecheck %s
// RUN: %if mlir-opt %{ lamina-opt %s | %mlir_opt | filecheck %s --check-prefix=UPSTREAM %}

// UPSTREAM: nvgpu.mma.sync(%{{.*}}, %{{.*}}, %{{.*}}) {mmaShape = [16, 8, 16]} : (vector<4x2xf16>, vector<2x2xf16>, vector<2x2xf32>) -> vector<2x2xf32>
// UPSTREAM: nvgpu.device_async_copy %{{.*}}[%{{.*}}, %{{.*}}], %{{.*}}[%{{.*}}, %{{.*}}], 8, %{{.*}} {bypassL1}

// CHECK-LABEL: func.func @fragments
func.func @fragments(%a: vector<4x2xf16>, %b: vector<2x2xf16>, %c: vector<2x2xf32>, %h: vector<2x2xf16>, %s: memref<64x40xf16, #gpu.address_space<workgroup>>, %i: index) {
  // CHECK-NEXT: %0 = nvgpu.mma.sync(%a, %b, %c) {mmaShape = [16 : i64, 8 : i64, 16 : i64]} : (vector<4x2xf16>, vector<2x2xf16>, vector<2x2xf32>) -> vector<2x2xf32>
  %0 = nvgpu.mma.sync(%a, %b, %c) {mmaShape = [16, 8, 16]} : (vector<4x2xf16>, vector<2x2xf16>, vector<2x2xf32>) -> vector<2x2xf32>
  %1 = nvgpu.mma.sync(%a, %b, %h) {mmaShape = [16, 8, 16]} : (vector<4x2xf16>, vector<2x2xf16>, vector<2x2xf16>) -> vector<2x2xf16>
  // CHECK: %2 = nvgpu.ldmatrix %s[%i, %i] {numTiles = 4 : i32, transpose = false} : memref<64x40xf16, #gpu.address_space<workgroup>> -> vector<4x2xf16>
  %2 = nvgpu.ldmatrix %s[%i, %i] {numTiles = 4 : i32, transpose = false} : memref<64x40xf16, #gpu.address_space<workgroup>> -> vector<4x2xf16>
  %3 = nvgpu.ldmatrix %s[%i, %i] {numTiles = 1 : i32, transpose = true} : memref<64x40xf16, #gpu.address_space<workgroup>> -> vector<1x2xf16>
  func.return
}

// CHECK-LABEL: func.func @other_types
func.func @other_types(%a: vector<2x2xbf16>, %b: vector<1x2xbf16>, %c: vector<2x2xf32>, %at: vector<4x1xf32>, %bt: vector<2x1xf32>, %d: vector<1x1xf64>, %e: vector<1x2xf64>) {
  %0 = nvgpu.mma.sync(%a, %b, %c) {mmaShape = [16, 8, 8]} : (vector<2x2xbf16>, vector<1x2xbf16>, vector<2x2xf32>) -> vector<2x2xf32>
  // CHECK: {mmaShape = [16 : i64, 8 : i64, 8 : i64], tf32Enabled} : (vector<4x1xf32>, vector<2x1xf32>, vector<2x2xf32>) -> vector<2x2xf32>
  %1 = nvgpu.mma.sync(%at, %bt, %c) {mmaShape = [16, 8, 8], tf32Enabled} : (vector<4x1xf32>, vector<2x1xf32>, vector<2x2xf32>) -> vector<2x2xf32>
  %2 = nvgpu.mma.sync(%d, %d, %e) {mmaShape = [8, 8, 4]} : (vector<1x1xf64>, vector<1x1xf64>, vector<1x2xf64>) -> vector<1x2xf64>
  func.return
}

// CHECK-LABEL: func.func @copies
func.func @copies(%x: memref<128x64xf16>, %s: memref<64x40xf16, #gpu.address_space<workgroup>>, %i: index, %n: index) {
  // CHECK-NEXT: %0 = nvgpu.device_async_copy %x[%i, %i], %s[%i, %i], 8 {bypassL1} : memref<128x64xf16> to memref<64x40xf16, #gpu.address_space<workgroup>>
  %0 = nvgpu.device_async_copy %x[%i, %i], %s[%i, %i], 8 {bypassL1} : memref<128x64xf16> to memref<64x40xf16, #gpu.address_space<workgroup>>
  // CHECK-NEXT: %1 = nvgpu.device_async_copy %x[%i, %i], %s[%i, %i], 8, %n {bypassL1} : memref<128x64xf16> to memref<64x40xf16, #gpu.address_space<workgroup>>
  %1 = nvgpu.device_async_copy %x[%i, %i], %s[%i, %i], 8, %n {bypassL1} : memref<128x64xf16> to memref<64x40xf16, #gpu.address_space<workgroup>>
  // CHECK-NEXT: %2 = nvgpu.device_async_copy %x[%i, %i], %s[%i, %i], 2 : memref<128x64xf16> to memref<64x40xf16, #gpu.address_space<workgroup>>
  %2 = nvgpu.device_async_copy %x[%i, %i], %s[%i, %i], 2 : memref<128x64xf16> to memref<64x40xf16, #gpu.address_space<workgroup>>
  // CHECK-NEXT: %3 = nvgpu.device_async_create_group %0, %1, %2
  %3 = nvgpu.device_async_create_group %0, %1, %2
  // CHECK-NEXT: nvgpu.device_async_wait %3 {numGroups = 1 : i32}
  nvgpu.device_async_wait %3 {numGroups = 1 : i32}
  // CHECK-NEXT: nvgpu.device_async_wait %3
  nvgpu.device_async_wait %3
  func.return
}
