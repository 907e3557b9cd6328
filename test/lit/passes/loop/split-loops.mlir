// RUN: lamina-opt %s -p split-loops | filecheck %s

// Two tensors behind one another are two copies.
// CHECK-LABEL: func.func @concatenation
func.func @concatenation(%x: memref<5xf32>, %z: memref<3xf32>, %y: memref<8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c5 = arith.constant 5 : index
  %c8 = arith.constant 8 : index
  // CHECK: scf.for [[I:%.*]] = %c0 to %c5 step %c1 {
  // CHECK-NEXT: [[A:%.*]] = memref.load %x[[[I]]]
  // CHECK-NEXT: memref.store [[A]], %y[[[I]]]
  // CHECK-NEXT: }
  // CHECK-NEXT: scf.for [[K:%.*]] = %c5 to %c8 step %c1 {
  // CHECK-NEXT: [[L:%.*]] = arith.subi [[K]], %c5
  // CHECK-NEXT: [[B:%.*]] = memref.load %z[[[L]]]
  // CHECK-NEXT: memref.store [[B]], %y[[[K]]]
  // CHECK-NEXT: }
  // CHECK-NEXT: func.return
  scf.for %i = %c0 to %c8 step %c1 {
    %first = arith.cmpi slt, %i, %c5 : index
    %j = arith.minsi %i, %c4 : index
    %a = memref.load %x[%j] : memref<5xf32>
    %k = arith.subi %i, %c5 : index
    %l = arith.maxsi %k, %c0 : index
    %b = memref.load %z[%l] : memref<3xf32>
    %c = arith.select %first, %a, %b : f32
    memref.store %c, %y[%i] : memref<8xf32>
  }
  func.return
}

// A border on both sides; whether the row is inside is known at run time only, the load stays where it may be needed.
// CHECK-LABEL: func.func @padding
func.func @padding(%x: memref<4xf32>, %inside: i1, %y: memref<6xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %c4 = arith.constant 4 : index
  %c6 = arith.constant 6 : index
  %zero = arith.constant 0.0 : f32
  // CHECK: scf.for [[I:%.*]] = %c0 to %c1 step %c1 {
  // CHECK-NEXT: memref.store %zero, %y[[[I]]]
  // CHECK: scf.for [[J:%.*]] = %c1 to {{%.*}} step %c1 {
  // CHECK-NEXT: [[P:%.*]] = arith.subi [[J]], %c1
  // CHECK-NEXT: [[A:%.*]] = memref.load %x[[[P]]]
  // CHECK-NEXT: [[B:%.*]] = arith.select %inside, [[A]], %zero
  // CHECK-NEXT: memref.store [[B]], %y[[[J]]]
  // CHECK: scf.for [[K:%.*]] = {{%.*}} to %c6 step %c1 {
  // CHECK-NEXT: memref.store %zero, %y[[[K]]]
  // CHECK-NEXT: }
  // CHECK-NEXT: func.return
  scf.for %i = %c0 to %c6 step %c1 {
    %p = arith.subi %i, %c1 : index
    %low = arith.cmpi sge, %p, %c0 : index
    %high = arith.cmpi slt, %p, %c4 : index
    %both = arith.andi %low, %high : i1
    %all = arith.andi %inside, %both : i1
    %m = arith.minsi %p, %c3 : index
    %n = arith.maxsi %m, %c0 : index
    %a = memref.load %x[%n] : memref<4xf32>
    %b = arith.select %all, %a, %zero : f32
    memref.store %b, %y[%i] : memref<6xf32>
  }
  func.return
}

// Bounds that only the run knows, and loops that carry something, stay.
// CHECK-LABEL: func.func @stays
func.func @stays(%x: memref<?xf32>, %n: index, %y: memref<?xf32>) -> f32 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c5 = arith.constant 5 : index
  %c8 = arith.constant 8 : index
  %zero = arith.constant 0.0 : f32
  // CHECK: scf.for {{%.*}} = %c0 to %n step %c1 {
  // CHECK-NEXT: arith.cmpi
  scf.for %i = %c0 to %n step %c1 {
    %first = arith.cmpi slt, %i, %c5 : index
    %a = memref.load %x[%i] : memref<?xf32>
    %c = arith.select %first, %a, %zero : f32
    memref.store %c, %y[%i] : memref<?xf32>
  }
  // CHECK: scf.for {{%.*}} = %c0 to %c8 step %c1 iter_args
  // CHECK-NEXT: arith.cmpi
  %s = scf.for %i = %c0 to %c8 step %c1 iter_args(%sum = %zero) -> (f32) {
    %first = arith.cmpi slt, %i, %c5 : index
    %a = memref.load %x[%i] : memref<?xf32>
    %c = arith.select %first, %a, %zero : f32
    %next = arith.addf %sum, %c : f32
    scf.yield %next : f32
  }
  func.return %s : f32
}
