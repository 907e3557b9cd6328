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

// Whether the row is inside is asked once, ahead of the loops; the two tensors behind one another are two copies.
// CHECK-LABEL: func.func @fixed_condition
func.func @fixed_condition(%x: memref<?x5xf32>, %z: memref<?x3xf32>, %row: index, %y: memref<8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c5 = arith.constant 5 : index
  %c8 = arith.constant 8 : index
  %zero = arith.constant 0.0 : f32
  // CHECK: [[INSIDE:%.*]] = arith.cmpi slt, %row, %c4
  // CHECK-NEXT: scf.if [[INSIDE]] {
  // CHECK-NEXT: scf.for [[I:%.*]] = %c0 to %c5 step %c1 {
  // CHECK-NEXT: [[A:%.*]] = memref.load %x[%row, [[I]]]
  // CHECK-NEXT: memref.store [[A]], %y[[[I]]]
  // CHECK-NEXT: }
  // CHECK-NEXT: scf.for [[K:%.*]] = %c5 to %c8 step %c1 {
  // CHECK-NEXT: [[L:%.*]] = arith.subi [[K]], %c5
  // CHECK-NEXT: [[B:%.*]] = memref.load %z[%row, [[L]]]
  // CHECK-NEXT: memref.store [[B]], %y[[[K]]]
  // CHECK-NEXT: }
  // CHECK-NEXT: } else {
  // CHECK-NEXT: scf.for [[J:%.*]] = %c0 to %c8 step %c1 {
  // CHECK-NEXT: memref.store %zero, %y[[[J]]]
  // CHECK-NEXT: }
  // CHECK-NEXT: }
  // CHECK-NEXT: func.return
  scf.for %i = %c0 to %c8 step %c1 {
    %inside = arith.cmpi slt, %row, %c4 : index
    %v = scf.if %inside -> (f32) {
      %first = arith.cmpi slt, %i, %c5 : index
      %j = arith.minsi %i, %c4 : index
      %a = memref.load %x[%row, %j] : memref<?x5xf32>
      %k = arith.subi %i, %c5 : index
      %l = arith.maxsi %k, %c0 : index
      %b = memref.load %z[%row, %l] : memref<?x3xf32>
      %c = arith.select %first, %a, %b : f32
      scf.yield %c : f32
    } else {
      scf.yield %zero : f32
    }
    memref.store %v, %y[%i] : memref<8xf32>
  }
  func.return
}

// A condition on the position, or on what is loaded, stays in the loop.
// CHECK-LABEL: func.func @other_conditions
func.func @other_conditions(%x: memref<8xf32>, %mask: memref<8xi1>, %y: memref<8xf32>, %size: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  // CHECK: scf.for
  // CHECK-NEXT: memref.load %mask
  // CHECK-NEXT: scf.if
  scf.for %i = %c0 to %size step %c1 {
    %m = memref.load %mask[%i] : memref<8xi1>
    scf.if %m {
      %a = memref.load %x[%i] : memref<8xf32>
      memref.store %a, %y[%i] : memref<8xf32>
    }
  }
  func.return
}

// A store under a fixed condition: the loop for the other answer is empty of it.
// CHECK-LABEL: func.func @stores
func.func @stores(%x: memref<?xf32>, %y: memref<?xf32>, %on: i1, %size: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  // CHECK: scf.if %on {
  // CHECK-NEXT: scf.for
  // CHECK: memref.store
  // CHECK: memref.store
  // CHECK: } else {
  // CHECK-NEXT: scf.for
  // CHECK-COUNT-1: memref.store
  // CHECK: func.return
  scf.for %i = %c0 to %size step %c1 {
    %a = memref.load %x[%i] : memref<?xf32>
    scf.if %on {
      memref.store %a, %y[%i] : memref<?xf32>
    }
    memref.store %a, %x[%i] : memref<?xf32>
  }
  func.return
}

// Work under a condition on the position is done in the part where it holds.
// CHECK-LABEL: func.func @computed_parts
func.func @computed_parts(%x: memref<5xf32>, %z: memref<3xf32>, %y: memref<8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c5 = arith.constant 5 : index
  %c8 = arith.constant 8 : index
  // CHECK: scf.for [[I:%.*]] = %c0 to %c5 step %c1 {
  // CHECK-NEXT: [[A:%.*]] = memref.load %x[[[I]]]
  // CHECK-NEXT: [[S:%.*]] = arith.addf [[A]], [[A]]
  // CHECK-NEXT: [[N:%.*]] = arith.negf [[S]]
  // CHECK-NEXT: memref.store [[N]], %y[[[I]]]
  // CHECK-NEXT: }
  // CHECK-NEXT: scf.for [[K:%.*]] = %c5 to %c8 step %c1 {
  // CHECK-NEXT: [[L:%.*]] = arith.subi [[K]], %c5
  // CHECK-NEXT: [[B:%.*]] = memref.load %z[[[L]]]
  // CHECK-NEXT: [[M:%.*]] = arith.negf [[B]]
  // CHECK-NEXT: memref.store [[M]], %y[[[K]]]
  // CHECK-NEXT: }
  // CHECK-NEXT: func.return
  scf.for %i = %c0 to %c8 step %c1 {
    %first = arith.cmpi slt, %i, %c5 : index
    %v = scf.if %first -> (f32) {
      %a = memref.load %x[%i] : memref<5xf32>
      %s = arith.addf %a, %a : f32
      scf.yield %s : f32
    } else {
      %l = arith.subi %i, %c5 : index
      %b = memref.load %z[%l] : memref<3xf32>
      scf.yield %b : f32
    }
    %n = arith.negf %v : f32
    memref.store %n, %y[%i] : memref<8xf32>
  }
  func.return
}

// Only the last panel reaches the end: whether this is the last one is asked once.
// CHECK-LABEL: func.func @all_panels_but_the_last
func.func @all_panels_but_the_last(%x: memref<5x100xf32>, %y: memref<3x5x48xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c48 = arith.constant 48 : index
  %c99 = arith.constant 99 : index
  %c100 = arith.constant 100 : index
  %zero = arith.constant 0.0 : f32
  // CHECK: scf.forall ([[P:%.*]], [[R:%.*]]) in (3, 5) {
  // CHECK-NEXT: [[BASE:%.*]] = arith.muli [[P]], %c48
  // CHECK-NEXT: [[INSIDE:%.*]] = arith.cmpi sle, [[BASE]], %{{.*}} : index
  // CHECK-NEXT: scf.if [[INSIDE]] {
  // CHECK-NEXT: scf.for [[I:%.*]] = %c0 to %c48 step %c1 {
  // CHECK-NEXT: arith.muli
  // CHECK-NEXT: [[J:%.*]] = arith.addi {{.*}}, [[I]]
  // CHECK-NEXT: [[A:%.*]] = memref.load %x[[[R]], [[J]]]
  // CHECK-NEXT: memref.store [[A]], %y[[[P]], [[R]], [[I]]]
  // CHECK-NEXT: }
  // CHECK-NEXT: } else {
  // CHECK-NEXT: scf.for
  // CHECK: arith.select
  scf.forall (%p, %r) in (3, 5) {
    scf.for %i = %c0 to %c48 step %c1 {
      %base = arith.muli %p, %c48 : index
      %j = arith.addi %base, %i : index
      %inside = arith.cmpi slt, %j, %c100 : index
      %below = arith.minsi %j, %c99 : index
      %k = arith.maxsi %below, %c0 : index
      %a = memref.load %x[%r, %k] : memref<5x100xf32>
      %b = arith.select %inside, %a, %zero : f32
      memref.store %b, %y[%p, %r, %i] : memref<3x5x48xf32>
    }
  }
  func.return
}

// The rows may begin anywhere: nothing is known of them.
// CHECK-LABEL: func.func @unknown_start
func.func @unknown_start(%x: memref<?xf32>, %y: memref<48xf32>, %base: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c48 = arith.constant 48 : index
  %c99 = arith.constant 99 : index
  %c100 = arith.constant 100 : index
  %zero = arith.constant 0.0 : f32
  // CHECK-NOT: scf.if
  // CHECK: arith.select
  scf.for %i = %c0 to %c48 step %c1 {
    %j = arith.addi %base, %i : index
    %inside = arith.cmpi slt, %j, %c100 : index
    %k = arith.minsi %j, %c99 : index
    %a = memref.load %x[%k] : memref<?xf32>
    %b = arith.select %inside, %a, %zero : f32
    memref.store %b, %y[%i] : memref<48xf32>
  }
  func.return
}

// Which of three operands has the row is asked once a row, not once an element.
// CHECK-LABEL: func.func @rows
func.func @rows(%x: memref<2x8xf32>, %z: memref<3x8xf32>, %w: memref<1x8xf32>, %y: memref<6x8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c5 = arith.constant 5 : index
  %c8 = arith.constant 8 : index
  // CHECK: scf.forall ([[R:%.*]]) in (6) {
  // CHECK-NEXT: [[FIRST:%.*]] = arith.cmpi slt, [[R]], %c2
  // CHECK: scf.if [[FIRST]] {
  // CHECK-NEXT: scf.for [[I:%.*]] = %c0 to %c8 step %c1 {
  // CHECK-NEXT: [[A:%.*]] = memref.load %x
  // CHECK-NEXT: memref.store [[A]], %y[[[R]], [[I]]]
  // CHECK-NEXT: }
  // CHECK-NEXT: } else {
  // CHECK-NEXT: scf.if [[SECOND:%.*]] {
  // CHECK-NEXT: scf.for [[J:%.*]] = %c0 to %c8 step %c1 {
  // CHECK-NEXT: [[B:%.*]] = memref.load %z
  // CHECK-NEXT: memref.store [[B]], %y[[[R]], [[J]]]
  // CHECK-NEXT: }
  // CHECK-NEXT: } else {
  // CHECK-NEXT: scf.for [[K:%.*]] = %c0 to %c8 step %c1 {
  // CHECK-NEXT: [[C:%.*]] = memref.load %w
  // CHECK-NEXT: memref.store [[C]], %y[[[R]], [[K]]]
  // CHECK-NEXT: }
  // CHECK-NOT: arith.select
  // CHECK: func.return
  scf.forall (%r) in (6) {
    scf.for %i = %c0 to %c8 step %c1 {
      %first = arith.cmpi slt, %r, %c2 : index
      %p = arith.minsi %r, %c1 : index
      %a = memref.load %x[%p, %i] : memref<2x8xf32>
      %second = arith.cmpi slt, %r, %c5 : index
      %q0 = arith.subi %r, %c2 : index
      %q1 = arith.maxsi %q0, %c0 : index
      %q = arith.minsi %q1, %c2 : index
      %b = memref.load %z[%q, %i] : memref<3x8xf32>
      %c = memref.load %w[%c0, %i] : memref<1x8xf32>
      %rest = arith.select %second, %b, %c : f32
      %d = arith.select %first, %a, %rest : f32
      memref.store %d, %y[%r, %i] : memref<6x8xf32>
    }
  }
  func.return
}
