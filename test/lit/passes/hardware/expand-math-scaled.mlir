// RUN: lamina-opt %s -p expand-math --split-input-file | filecheck %s

// A target with an instruction for x · 2ⁿ: one operation, subnormal and infinite results included.
builtin.module attributes {lamina.target = {features = "+avx2,+avx512f"}} {
  // CHECK-LABEL: func.func @scaled
  func.func @scaled(%x: f32) -> f32 {
    // CHECK: arith.minimumf
    // CHECK: arith.maximumf
    // CHECK: [[N:%.*]] = arith.subi
    // CHECK: cpu.ldexp %{{.*}}, [[N]] : f32, i32
    %y = math.exp %x : f32
    func.return %y : f32
  }

  // What is never above 0 need not be kept from overflowing.
  // CHECK-LABEL: func.func @non_positive
  func.func @non_positive(%x: vector<4x16xf32>) -> vector<4x16xf32> {
    // CHECK-NOT: arith.minimumf
    // CHECK: arith.maximumf
    // CHECK: cpu.ldexp %{{.*}} : vector<4x16xf32>, vector<4x16xi32>
    %y = math.exp %x {lamina.non_positive} : vector<4x16xf32>
    func.return %y : vector<4x16xf32>
  }
}

// -----

// Without it, two factors.
builtin.module attributes {lamina.target = {features = "+avx2,-avx512f"}} {
  // CHECK-LABEL: func.func @two_factors
  func.func @two_factors(%x: f32) -> f32 {
    // CHECK-NOT: cpu.ldexp
    // CHECK: arith.shrsi
    // CHECK: arith.mulf
    // CHECK: arith.mulf
    %y = math.exp %x : f32
    func.return %y : f32
  }
}

// -----

// On vectors of 512 bits half the operations, elsewhere as above.
builtin.module attributes {lamina.target = {features = "+avx2,+avx512f", vector_bits = 512 : i64}} {
  // CHECK-LABEL: func.func @weights
  func.func @weights(%x: vector<4x32xf32>, %y: vector<8xf32>) -> (vector<4x32xf32>, vector<8xf32>) {
    // CHECK-NOT: arith.maximumf
    // CHECK: [[LOWEST:%.*]] = arith.constant dense<-8.000000e+01> : vector<4x32xf32>
    // CHECK: [[VANISHES:%.*]] = arith.cmpf olt
    // CHECK-NEXT: [[S:%.*]] = math.fma
    // CHECK-NEXT: [[K:%.*]] = arith.subf [[S]],
    // CHECK-COUNT-6: math.fma
    // CHECK-NEXT: [[POWER:%.*]] = cpu.scale %{{.*}}, [[K]] : vector<4x32xf32>
    // CHECK-NEXT: arith.select [[VANISHES]], %{{.*}}, [[POWER]]
    %v = math.exp %x {lamina.non_positive} : vector<4x32xf32>
    // CHECK: arith.cmpf olt, %v, [[LOWEST]] : vector<4x32xf32>
    %u = math.exp %v {lamina.non_positive, lamina.vanishes_below = -80.0 : f64} : vector<4x32xf32>
    // CHECK: arith.maximumf
    // CHECK: cpu.ldexp %{{.*}} : vector<8xf32>, vector<8xi32>
    %w = math.exp %y {lamina.non_positive} : vector<8xf32>
    func.return %u, %w : vector<4x32xf32>, vector<8xf32>
  }
}
