// RUN: lamina-opt %s --split-input-file --verify-diagnostics

func.func @kind(%x: memref<4xf32>, %v: f32, %i: index) {
  // expected-error @below {{expected one of addf, addi, assign}}
  %0 = memref.atomic_rmw divide %v, %x[%i] : (f32, memref<4xf32>) -> f32
  func.return
}

// -----

func.func @float_kind(%x: memref<4xf32>, %v: f32, %i: index) {
  // expected-error @below {{'addi' does not combine f32}}
  %0 = memref.atomic_rmw addi %v, %x[%i] : (f32, memref<4xf32>) -> f32
  func.return
}

// -----

func.func @value(%x: memref<4xf32>, %v: f64, %i: index) {
  // expected-error @below {{expected a value of type f32, found f64}}
  %0 = memref.atomic_rmw addf %v, %x[%i] : (f64, memref<4xf32>) -> f64
  func.return
}

// -----

func.func @indices(%x: memref<4x4xf32>, %v: f32, %i: index) {
  // expected-error @below {{expected 2 indices, found 1}}
  %0 = memref.atomic_rmw addf %v, %x[%i] : (f32, memref<4x4xf32>) -> f32
  func.return
}

// -----

func.func @body(%x: memref<4xf32>, %v: f64, %i: index) {
  // expected-error @below {{expected the body to give f32, found f64}}
  %0 = memref.generic_atomic_rmw %x[%i] : memref<4xf32> {
  ^bb0(%old: f32):
    memref.atomic_yield %v : f64
  }
  func.return
}
