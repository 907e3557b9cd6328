// RUN: lamina-opt %s --split-input-file --verify-diagnostics

func.func @f(%a: vector<4x2xf16>, %b: vector<2x2xf16>, %c: vector<2x2xf32>) {
  // expected-error @below {{there is no fragment of shape [16, 8, 32] for f16 and sums of f32}}
  %0 = nvgpu.mma.sync(%a, %b, %c) {mmaShape = [16, 8, 32]} : (vector<4x2xf16>, vector<2x2xf16>, vector<2x2xf32>) -> vector<2x2xf32>
  func.return
}

// -----

func.func @f(%a: vector<4x2xf16>, %b: vector<2x2xbf16>, %c: vector<2x2xf32>) {
  // expected-error @below {{expected factors of one type, found f16 and bf16}}
  %0 = nvgpu.mma.sync(%a, %b, %c) {mmaShape = [16, 8, 16]} : (vector<4x2xf16>, vector<2x2xbf16>, vector<2x2xf32>) -> vector<2x2xf32>
  func.return
}

// -----

func.func @f(%a: vector<2x2xf16>, %b: vector<2x2xf16>, %c: vector<2x2xf32>) {
  // expected-error @below {{expected matrix a of type vector<4x2xf16>, found vector<2x2xf16>}}
  %0 = nvgpu.mma.sync(%a, %b, %c) {mmaShape = [16, 8, 16]} : (vector<2x2xf16>, vector<2x2xf16>, vector<2x2xf32>) -> vector<2x2xf32>
  func.return
}

// -----

func.func @f(%a: vector<4x2xf16>, %b: vector<4x2xf16>, %c: vector<2x2xf32>) {
  // expected-error @below {{expected matrix b of type vector<2x2xf16>, found vector<4x2xf16>}}
  %0 = nvgpu.mma.sync(%a, %b, %c) {mmaShape = [16, 8, 16]} : (vector<4x2xf16>, vector<4x2xf16>, vector<2x2xf32>) -> vector<2x2xf32>
  func.return
}

// -----

func.func @f(%a: vector<4x2xbf16>, %b: vector<2x2xbf16>, %c: vector<2x2xbf16>) {
  // expected-error @below {{there is no fragment of shape [16, 8, 16] for bf16 and sums of bf16}}
  %0 = nvgpu.mma.sync(%a, %b, %c) {mmaShape = [16, 8, 16]} : (vector<4x2xbf16>, vector<2x2xbf16>, vector<2x2xbf16>) -> vector<2x2xbf16>
  func.return
}

// -----

func.func @f(%a: vector<4x1xf32>, %b: vector<2x1xf32>, %c: vector<2x2xf32>) {
  // expected-error @below {{expected tf32Enabled with f32 factors, and only with them}}
  %0 = nvgpu.mma.sync(%a, %b, %c) {mmaShape = [16, 8, 8]} : (vector<4x1xf32>, vector<2x1xf32>, vector<2x2xf32>) -> vector<2x2xf32>
  func.return
}

// -----

func.func @f(%a: vector<4x2xf16>, %b: vector<2x2xf16>, %c: vector<2x2xf32>) {
  // expected-error @below {{expected a result of type vector<2x2xf32>, found vector<2x2xf16>}}
  %0 = nvgpu.mma.sync(%a, %b, %c) {mmaShape = [16, 8, 16]} : (vector<4x2xf16>, vector<2x2xf16>, vector<2x2xf32>) -> vector<2x2xf16>
  func.return
}

// -----

func.func @f(%s: memref<64x40xf16>, %i: index) {
  // expected-error @below {{expected a buffer in memory space #gpu.address_space<workgroup>, found memref<64x40xf16>}}
  %0 = nvgpu.ldmatrix %s[%i, %i] {numTiles = 4 : i32, transpose = false} : memref<64x40xf16> -> vector<4x2xf16>
  func.return
}

// -----

func.func @f(%s: memref<64x40xf16, #gpu.address_space<workgroup>>, %i: index) {
  // expected-error @below {{expected 2 indices, found 1}}
  %0 = nvgpu.ldmatrix %s[%i] {numTiles = 4 : i32, transpose = false} : memref<64x40xf16, #gpu.address_space<workgroup>> -> vector<4x2xf16>
  func.return
}

// -----

func.func @f(%s: memref<64x40xf16, #gpu.address_space<workgroup>>, %i: index) {
  // expected-error @below {{expected 1, 2 or 4 tiles, found 3}}
  %0 = nvgpu.ldmatrix %s[%i, %i] {numTiles = 3 : i32, transpose = false} : memref<64x40xf16, #gpu.address_space<workgroup>> -> vector<3x2xf16>
  func.return
}

// -----

func.func @f(%s: memref<64x40xf16, #gpu.address_space<workgroup>>, %i: index) {
  // expected-error @below {{expected a result of type vector<4x2xf16>, found vector<2x2xf16>}}
  %0 = nvgpu.ldmatrix %s[%i, %i] {numTiles = 4 : i32, transpose = false} : memref<64x40xf16, #gpu.address_space<workgroup>> -> vector<2x2xf16>
  func.return
}

// -----

func.func @f(%s: memref<64x40xf32, #gpu.address_space<workgroup>>, %i: index) {
  // expected-error @below {{only tiles of 16-bit elements can come transposed}}
  %0 = nvgpu.ldmatrix %s[%i, %i] {numTiles = 2 : i32, transpose = true} : memref<64x40xf32, #gpu.address_space<workgroup>> -> vector<2x1xf32>
  func.return
}

// -----

func.func @f(%s: memref<64x40xf64, #gpu.address_space<workgroup>>, %i: index) {
  // expected-error @below {{expected elements of 16 or 32 bits, found f64}}
  %0 = nvgpu.ldmatrix %s[%i, %i] {numTiles = 2 : i32, transpose = false} : memref<64x40xf64, #gpu.address_space<workgroup>> -> vector<2x1xf64>
  func.return
}

// -----

func.func @f(%x: memref<128x64xf16>, %s: memref<128x64xf16>, %i: index) {
  // expected-error @below {{expected a buffer in memory space #gpu.address_space<workgroup>, found memref<128x64xf16>}}
  %0 = nvgpu.device_async_copy %x[%i, %i], %s[%i, %i], 8 : memref<128x64xf16> to memref<128x64xf16>
  func.return
}

// -----

func.func @f(%x: memref<64x40xf16, #gpu.address_space<workgroup>>, %s: memref<64x40xf16, #gpu.address_space<workgroup>>, %i: index) {
  // expected-error @below {{expected a buffer in global memory, found memref<64x40xf16, #gpu.address_space<workgroup>>}}
  %0 = nvgpu.device_async_copy %x[%i, %i], %s[%i, %i], 8 : memref<64x40xf16, #gpu.address_space<workgroup>> to memref<64x40xf16, #gpu.address_space<workgroup>>
  func.return
}

// -----

func.func @f(%x: memref<128x64xf16>, %s: memref<64x40xf16, #gpu.address_space<workgroup>>, %i: index) {
  // expected-error @below {{expected to copy 4, 8 or 16 bytes, found 6}}
  %0 = nvgpu.device_async_copy %x[%i, %i], %s[%i, %i], 3 : memref<128x64xf16> to memref<64x40xf16, #gpu.address_space<workgroup>>
  func.return
}

// -----

func.func @f(%x: memref<128x64xf16>, %s: memref<64x40xf16, #gpu.address_space<workgroup>>, %i: index) {
  // expected-error @below {{bypassL1 needs copies of 16 bytes}}
  %0 = nvgpu.device_async_copy %x[%i, %i], %s[%i, %i], 2 {bypassL1} : memref<128x64xf16> to memref<64x40xf16, #gpu.address_space<workgroup>>
  func.return
}

// -----

func.func @f(%x: memref<128x64xf16>, %s: memref<64x40xf32, #gpu.address_space<workgroup>>, %i: index) {
  // expected-error @below {{cannot copy f16 to f32}}
  %0 = nvgpu.device_async_copy %x[%i, %i], %s[%i, %i], 2 : memref<128x64xf16> to memref<64x40xf32, #gpu.address_space<workgroup>>
  func.return
}

// -----

func.func @f(%x: memref<128x64xf16>, %s: memref<64x40xf16, #gpu.address_space<workgroup>>, %i: index) {
  // expected-error @below {{expected 2 indices, found 1}}
  %0 = nvgpu.device_async_copy %x[%i, %i], %s[%i], 8 : memref<128x64xf16> to memref<64x40xf16, #gpu.address_space<workgroup>>
  func.return
}
