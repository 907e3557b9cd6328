// RUN: lamina-opt %s -p lower-parallel | filecheck %s

// CHECK-LABEL: func.func @one_axis
func.func @one_axis(%x: memref<?xf32>, %n: index) {
  // CHECK:      cpu.parallel_for %i = %{{[0-9]+}} to %n grain 8 {
  // CHECK-NEXT:   %v = memref.load %x[%i] : memref<?xf32>
  // CHECK-NEXT:   memref.store %v, %x[%i] : memref<?xf32>
  // CHECK-NEXT: }
  // CHECK-NEXT: func.return
  scf.forall (%i) in (%n) {
    %v = memref.load %x[%i] : memref<?xf32>
    memref.store %v, %x[%i] : memref<?xf32>
  } {lamina.grain = 8 : i64}
  func.return
}

// The last index varies fastest; an axis of one iteration costs nothing; the grain is 1 when none is given.
// CHECK-LABEL: func.func @steps_and_bounds
func.func @steps_and_bounds(%x: memref<?x7xindex>, %l: index, %m: index) {
  // CHECK:      %[[EXTENT:[0-9]+]] = arith.subi %m, %l : index
  // CHECK:      %[[SOME:[0-9]+]] = arith.maxsi %[[EXTENT]], %{{.*}} : index
  // CHECK:      %[[ROWS:[0-9]+]] = arith.divui %{{[0-9]+}}, %{{[0-9]+}} : index
  // CHECK:      %[[TOTAL:[0-9]+]] = arith.muli %[[ROWS]], %{{[0-9]+}} : index
  // CHECK-NEXT: cpu.parallel_for %[[FLAT:[0-9]+]] = %{{.*}} to %[[TOTAL]] grain 1 {
  // CHECK-NEXT:   %[[COLUMN:[0-9]+]] = arith.remui %[[FLAT]], %{{[0-9]+}} : index
  // CHECK-NEXT:   %[[ROW:[0-9]+]] = arith.divui %[[FLAT]], %{{[0-9]+}} : index
  // CHECK-NEXT:   %[[SCALED:[0-9]+]] = arith.muli %[[ROW]], %{{[0-9]+}} : index
  // CHECK-NEXT:   %i = arith.addi %l, %[[SCALED]] : index
  // CHECK-NEXT:   %j = arith.muli %[[COLUMN]], %{{[0-9]+}} : index
  // CHECK-NEXT:   memref.store %i, %x[%i, %j] : memref<?x7xindex>
  scf.forall (%i, %j, %k) = (%l, 0, 0) to (%m, 7, 1) step (2, 3, 1) {
    memref.store %i, %x[%i, %j] : memref<?x7xindex>
  }
  func.return
}

// CHECK-LABEL: func.func @inner_loops_stay_sequential
func.func @inner_loops_stay_sequential(%n: index) {
  // CHECK: cpu.parallel_for
  // CHECK: scf.forall (%j) in (4) {
  scf.forall (%i) in (%n) {
    scf.forall (%j) in (4) {
    }
  }
  func.return
}

// CHECK-LABEL: func.func @finds_nested_loops
func.func @finds_nested_loops(%n: index, %c: i1) {
  // CHECK:      scf.if %c {
  // CHECK-NEXT:   cpu.parallel_for
  scf.if %c {
    scf.forall (%i) in (%n) {
    }
  }
  func.return
}
