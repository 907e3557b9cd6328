// RUN: lamina-opt %s --split-input-file --verify-diagnostics

func.func @f(%a: vector<4xf16>, %c: vector<16xf32>) {
  // expected-error @below {{there is no mfma of shape 32x32x16 for f16 and sums of f32}}
  %0 = amdgpu.mfma 32x32x16 %a * %a + %c blgp = none : vector<4xf16>, vector<4xf16>, vector<16xf32>
  func.return
}

// -----

func.func @f(%a: vector<4xf16>, %b: vector<4xbf16>, %c: vector<16xf32>) {
  // expected-error @below {{expected factors of one type, found vector<4xf16> and vector<4xbf16>}}
  %0 = amdgpu.mfma 32x32x8 %a * %b + %c blgp = none : vector<4xf16>, vector<4xbf16>, vector<16xf32>
  func.return
}

// -----

func.func @f(%a: vector<8xf16>, %c: vector<16xf32>) {
  // expected-error @below {{expected matrix a of type vector<4xf16>, found vector<8xf16>}}
  %0 = amdgpu.mfma 32x32x8 %a * %a + %c blgp = none : vector<8xf16>, vector<8xf16>, vector<16xf32>
  func.return
}

// -----

func.func @f(%a: f32, %c: vector<16xf32>) {
  // expected-error @below {{expected matrix c of type vector<4xf32>, found vector<16xf32>}}
  %0 = amdgpu.mfma 16x16x4 %a * %a + %c blgp = none : f32, f32, vector<16xf32>
  func.return
}

// -----

func.func @f(%a: vector<16xf16>, %c: vector<8xf16>) {
  // expected-error @below {{there is no wmma of shape 16x16x16 for f16 and sums of f16}}
  %0 = amdgpu.wmma 16x16x16 %a * %a + %c : vector<16xf16>, vector<16xf16>, vector<8xf16>
  func.return
}

// -----

func.func @f(%a: vector<4xf16>, %c: vector<16xf32>) {
  // expected-error @below {{'blgp' other than #amdgpu<mfma_perm_b none> is not supported}}
  %0 = amdgpu.mfma 32x32x8 %a * %a + %c blgp = bcast_first_32 : vector<4xf16>, vector<4xf16>, vector<16xf32>
  func.return
}

// -----

func.func @f(%a: vector<4xf16>, %c: vector<16xf32>) {
  // expected-error @below {{'cbsz' other than 0 : i32 is not supported}}
  %0 = amdgpu.mfma 32x32x8 %a * %a + %c {cbsz = 1 : i32} blgp = none : vector<4xf16>, vector<4xf16>, vector<16xf32>
  func.return
}

// -----

func.func @f(%a: vector<4xf16>, %c: vector<16xf32>) {
  // expected-error @below {{expected a shape m x n x k}}
  %0 = amdgpu.mfma 32x32 %a * %a + %c blgp = none : vector<4xf16>, vector<4xf16>, vector<16xf32>
  func.return
}
