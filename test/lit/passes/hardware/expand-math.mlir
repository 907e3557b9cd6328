// RUN: lamina-opt %s -p expand-math | filecheck %s

// Cody and Waite's reduction, a polynomial of degree 6, and 2^k in two factors; NaN passes through the clamp.
// CHECK-LABEL: func.func @exp
// CHECK-NOT:   math.exp
// CHECK:       arith.minimumf %x
// CHECK:       arith.maximumf
// CHECK:       arith.bitcast %{{.*}} : f32 to i32
// CHECK:       arith.shli
// CHECK:       %y = arith.mulf
// CHECK-NEXT:  func.return %y : f32
func.func @exp(%x: f32) -> f32 {
  %y = math.exp %x : f32
  func.return %y : f32
}

// Any shape; equal constants of a function are one op.
// CHECK-LABEL: func.func @vectors
// CHECK-COUNT-1: arith.constant dense<4.000000e+00> : vector<8x48xf32>
// CHECK-NOT:   arith.constant dense<4.000000e+00>
// CHECK-NOT:   math.erf
// CHECK:       arith.bitcast %{{.*}} : vector<8x48xf32> to vector<8x48xi32>
// CHECK:       arith.cmpf ole, %{{.*}}, %{{.*}} : vector<8x48xf32>
// CHECK:       arith.select %{{.*}}, %{{.*}}, %{{.*}} : vector<8x48xi1>, vector<8x48xf32>
func.func @vectors(%x: vector<8x48xf32>) -> vector<8x48xf32> {
  %y = math.erf %x : vector<8x48xf32>
  %z = math.erf %y : vector<8x48xf32>
  func.return %z : vector<8x48xf32>
}

// CHECK-LABEL: func.func @small_floats
// CHECK:       arith.extf %x : bf16 to f32
// CHECK:       %y = arith.truncf %{{.*}} : f32 to bf16
func.func @small_floats(%x: bf16) -> bf16 {
  %y = math.tanh %x : bf16
  func.return %y : bf16
}

// The C library computes what has no rule in a format.
// CHECK-LABEL: func.func @double
// CHECK:       math.erf %x : f64
// CHECK-NOT:   math.log
func.func @double(%x: f64) -> f64 {
  %y = math.erf %x : f64
  %z = math.log %y : f64
  func.return %z : f64
}
