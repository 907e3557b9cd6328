// RUN: lamina-opt %s -p fuse-loops | filecheck %s

// The exponentials are summed where they are computed; what stands between the loops moves ahead.
// CHECK-LABEL: func.func @sum_of_exponentials
func.func @sum_of_exponentials(%x: memref<8xf32>, %y: memref<8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %zero = arith.constant 0.0 : f32
  %t = memref.alloca() : memref<8xf32>
  %s = memref.alloca() : memref<1xf32>
  // CHECK: memref.store %zero, %s[%c0]
  // CHECK-NEXT: [[START:%.*]] = memref.load %s[%c0]
  // CHECK-NEXT: scf.for [[I:%.*]] = %c0 to %c8 step %c1 iter_args([[SUM:%.*]] = [[START]]) -> (f32) {
  // CHECK-NEXT: [[X:%.*]] = memref.load %x[[[I]]]
  // CHECK-NEXT: [[E:%.*]] = math.exp [[X]]
  // CHECK-NEXT: memref.store [[E]], %t[[[I]]]
  // CHECK-NEXT: [[NEXT:%.*]] = arith.addf [[SUM]], [[E]]
  // CHECK-NEXT: scf.yield [[NEXT]]
  // CHECK-NEXT: }
  // CHECK: scf.for
  // CHECK: memref.load %t
  scf.for %i = %c0 to %c8 step %c1 {
    %a = memref.load %x[%i] : memref<8xf32>
    %e = math.exp %a : f32
    memref.store %e, %t[%i] : memref<8xf32>
  }
  memref.store %zero, %s[%c0] : memref<1xf32>
  %start = memref.load %s[%c0] : memref<1xf32>
  %sum = scf.for %i = %c0 to %c8 step %c1 iter_args(%acc = %start) -> (f32) {
    %b = memref.load %t[%i] : memref<8xf32>
    %next = arith.addf %acc, %b : f32
    scf.yield %next : f32
  }
  memref.store %sum, %s[%c0] : memref<1xf32>
  scf.for %i = %c0 to %c8 step %c1 {
    %b = memref.load %t[%i] : memref<8xf32>
    %w = memref.load %s[%c0] : memref<1xf32>
    %v = arith.mulf %b, %w : f32
    memref.store %v, %y[%i] : memref<8xf32>
  }
  func.return
}

// A reduction that reads the other end of the temporary needs all of it.
// CHECK-LABEL: func.func @reversed
func.func @reversed(%x: memref<8xf32>, %zero: f32) -> f32 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c7 = arith.constant 7 : index
  %c8 = arith.constant 8 : index
  %t = memref.alloca() : memref<8xf32>
  // CHECK: scf.for
  // CHECK: memref.store {{.*}}, %t
  // CHECK: scf.for
  scf.for %i = %c0 to %c8 step %c1 {
    %a = memref.load %x[%i] : memref<8xf32>
    memref.store %a, %t[%i] : memref<8xf32>
  }
  %sum = scf.for %i = %c0 to %c8 step %c1 iter_args(%acc = %zero) -> (f32) {
    %j = arith.subi %c7, %i : index
    %b = memref.load %t[%j] : memref<8xf32>
    %next = arith.addf %acc, %b : f32
    scf.yield %next : f32
  }
  func.return %sum : f32
}

// What is written between the loops is read in the first one: nothing moves.
// CHECK-LABEL: func.func @written_between
func.func @written_between(%zero: f32) -> f32 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %x = memref.alloca() : memref<8xf32>
  %t = memref.alloca() : memref<8xf32>
  // CHECK: scf.for
  // CHECK: memref.store %zero, %x[%c0]
  // CHECK: scf.for
  scf.for %i = %c0 to %c8 step %c1 {
    %a = memref.load %x[%i] : memref<8xf32>
    memref.store %a, %t[%i] : memref<8xf32>
  }
  memref.store %zero, %x[%c0] : memref<8xf32>
  %sum = scf.for %i = %c0 to %c8 step %c1 iter_args(%acc = %zero) -> (f32) {
    %b = memref.load %t[%i] : memref<8xf32>
    %next = arith.addf %acc, %b : f32
    scf.yield %next : f32
  }
  func.return %sum : f32
}
