// RUN: lamina-opt %s -p expand-math --split-input-file | filecheck %s

// Vectors of 512 bits: coefficients are looked up by where the argument lies.
// CHECK-LABEL: func.func @tables
// CHECK:         cpu.lookup %{{.*}} : vector<32xi32> -> vector<32xf32>
// CHECK:         math.copysign
// CHECK-NOT:     math.erf
// CHECK-NOT:     math.tanh
// CHECK:         cpu.scale
// CHECK-NOT:     math.exp
module attributes {lamina.target = {features = "+avx512f", vector_bits = 512 : i64}} {
  func.func @tables(%x: vector<32xf32>) -> (vector<32xf32>, vector<32xf32>, vector<32xf32>) {
    %erf = math.erf %x : vector<32xf32>
    %tanh = math.tanh %x : vector<32xf32>
    %exp = math.exp %x : vector<32xf32>
    func.return %erf, %tanh, %exp : vector<32xf32>, vector<32xf32>, vector<32xf32>
  }
}

// -----

// Scalars, parts of a register, and other targets: no tables.
// CHECK-LABEL: func.func @scalar
// CHECK-NOT:     cpu.lookup
// CHECK-LABEL: func.func @short
// CHECK-NOT:     cpu.lookup
module attributes {lamina.target = {features = "+avx512f", vector_bits = 512 : i64}} {
  func.func @scalar(%x: f32) -> f32 {
    %tanh = math.tanh %x : f32
    func.return %tanh : f32
  }
  func.func @short(%x: vector<8xf32>) -> vector<8xf32> {
    %tanh = math.tanh %x : vector<8xf32>
    func.return %tanh : vector<8xf32>
  }
}

// -----

// CHECK-LABEL: func.func @other_target
// CHECK-NOT:     cpu.lookup
module attributes {lamina.target = {features = "+avx2,+fma", vector_bits = 256 : i64}} {
  func.func @other_target(%x: vector<16xf32>) -> vector<16xf32> {
    %tanh = math.tanh %x : vector<16xf32>
    func.return %tanh : vector<16xf32>
  }
}
