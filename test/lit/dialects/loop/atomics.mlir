// RUN: lamina-opt %s | lamina-opt | filecheck %s
// RUN: lamina-opt %s | mlir-opt-22

// CHECK-LABEL: func.func @updates
func.func @updates(%x: memref<4x8xf32>, %y: memref<8xi32>, %v: f32, %w: i32, %i: index) {
  // CHECK-NEXT: %0 = memref.atomic_rmw addf %v, %x[%i, %i] : (f32, memref<4x8xf32>) -> f32
  %0 = memref.atomic_rmw addf %v, %x[%i, %i] : (f32, memref<4x8xf32>) -> f32
  // CHECK-NEXT: %1 = memref.atomic_rmw maxs %w, %y[%i] : (i32, memref<8xi32>) -> i32
  %1 = memref.atomic_rmw maxs %w, %y[%i] : (i32, memref<8xi32>) -> i32
  // CHECK-NEXT: %2 = memref.atomic_rmw assign %w, %y[%i] : (i32, memref<8xi32>) -> i32
  %2 = memref.atomic_rmw assign %w, %y[%i] : (i32, memref<8xi32>) -> i32
  // CHECK-NEXT: %3 = memref.generic_atomic_rmw %x[%i, %i] : memref<4x8xf32> {
  // CHECK-NEXT: ^bb0(%old: f32):
  // CHECK-NEXT:   %new = arith.mulf %old, %v : f32
  // CHECK-NEXT:   memref.atomic_yield %new : f32
  // CHECK-NEXT: }
  %3 = memref.generic_atomic_rmw %x[%i, %i] : memref<4x8xf32> {
  ^bb0(%old: f32):
    %new = arith.mulf %old, %v : f32
    memref.atomic_yield %new : f32
  }
  func.return
}
