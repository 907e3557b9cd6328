// RUN: lamina-opt %s | lamina-opt | filecheck %s
// RUN: lamina-opt %s --print-op-generic | lamina-opt | filecheck %s
// RUN: %if mlir-opt %{ lamina-opt %s | %mlir_opt | filecheck %s --check-prefix=UPSTREAM %}
// RUN: %if mlir-opt %{ lamina-opt %s --print-op-generic | %mlir_opt | filecheck %s --check-prefix=UPSTREAM %}

// UPSTREAM:      amdgpu.mfma 32x32x8 %{{.*}} * %{{.*}} + %{{.*}} blgp = none : vector<4xf16>, vector<4xf16>, vector<16xf32>
// UPSTREAM:      amdgpu.mfma 16x16x16 %{{.*}} * %{{.*}} + %{{.*}} {note = 1 : i64} blgp = none : vector<4xbf16>
// UPSTREAM:      amdgpu.mfma 16x16x4 %{{.*}} * %{{.*}} + %{{.*}} blgp = none : f64, f64, vector<4xf64>
// UPSTREAM:      amdgpu.wmma 16x16x16 %{{.*}} * %{{.*}} + %{{.*}} : vector<16xf16>, vector<16xf16>, vector<8xf32>

// CHECK-LABEL: func.func @cdna
func.func @cdna(%a: vector<4xf16>, %b: vector<4xbf16>, %c: vector<16xf32>, %d: vector<4xf32>, %x: f32, %y: f64, %z: vector<4xf64>) {
  // CHECK-NEXT: %0 = amdgpu.mfma 32x32x8 %a * %a + %c blgp = none : vector<4xf16>, vector<4xf16>, vector<16xf32>
  %0 = amdgpu.mfma 32x32x8 %a * %a + %c blgp = none : vector<4xf16>, vector<4xf16>, vector<16xf32>
  // CHECK-NEXT: %1 = amdgpu.mfma 16x16x16 %b * %b + %d {note = 1 : i64} blgp = none : vector<4xbf16>, vector<4xbf16>, vector<4xf32>
  %1 = amdgpu.mfma 16x16x16 %b * %b + %d {note = 1 : i64} blgp = none : vector<4xbf16>, vector<4xbf16>, vector<4xf32>
  // CHECK-NEXT: %2 = amdgpu.mfma 16x16x4 %x * %x + %d blgp = none : f32, f32, vector<4xf32>
  %2 = amdgpu.mfma 16x16x4 %x * %x + %d blgp = none : f32, f32, vector<4xf32>
  // CHECK-NEXT: %3 = amdgpu.mfma 32x32x2 %x * %x + %c blgp = none : f32, f32, vector<16xf32>
  %3 = amdgpu.mfma 32x32x2 %x * %x + %c blgp = none : f32, f32, vector<16xf32>
  // CHECK-NEXT: %4 = amdgpu.mfma 16x16x4 %y * %y + %z blgp = none : f64, f64, vector<4xf64>
  %4 = amdgpu.mfma 16x16x4 %y * %y + %z blgp = none : f64, f64, vector<4xf64>
  func.return
}

// CHECK-LABEL: func.func @rdna
func.func @rdna(%a: vector<16xf16>, %b: vector<16xbf16>, %c: vector<8xf32>) {
  // CHECK-NEXT: %0 = amdgpu.wmma 16x16x16 %a * %a + %c : vector<16xf16>, vector<16xf16>, vector<8xf32>
  %0 = amdgpu.wmma 16x16x16 %a * %a + %c : vector<16xf16>, vector<16xf16>, vector<8xf32>
  // CHECK-NEXT: %1 = amdgpu.wmma 16x16x16 %b * %b + %c {note = 1 : i64} : vector<16xbf16>, vector<16xbf16>, vector<8xf32>
  %1 = amdgpu.wmma 16x16x16 %b * %b + %c {note = 1 : i64} : vector<16xbf16>, vector<16xbf16>, vector<8xf32>
  func.return
}
