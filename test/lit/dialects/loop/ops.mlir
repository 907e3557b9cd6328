// RUN: lamina-opt %s | lamina-opt | filecheck %s

// CHECK: memref.global "private" constant @small : memref<2xf32> = dense<[1.000000e+00, 2.000000e+00]>
memref.global "private" constant @small : memref<2xf32> = dense<[1.0, 2.0]>
// CHECK-NEXT: memref.global "private" constant @large : memref<1024xf32> = dense_resource<large> {alignment = 64 : i64}
memref.global "private" constant @large : memref<1024xf32> = dense_resource<large> {alignment = 64 : i64}

// CHECK-LABEL: func.func @buffers
func.func @buffers(%m: index, %x: memref<?x4xf32>, %y: memref<?x4xf32>) {
  // CHECK: memref.get_global @small : memref<2xf32>
  %g = memref.get_global @small : memref<2xf32>
  // CHECK-NEXT: memref.copy %x, %y : memref<?x4xf32> to memref<?x4xf32>
  memref.copy %x, %y : memref<?x4xf32> to memref<?x4xf32>
  // CHECK-NEXT: memref.prefetch %x[%m, %m], read, locality<2>, data : memref<?x4xf32>
  memref.prefetch %x[%m, %m], read, locality<2>, data : memref<?x4xf32>
  // CHECK-NEXT: memref.prefetch %y[%m, %m], write, locality<0>, instr {why = "a test"} : memref<?x4xf32>
  memref.prefetch %y[%m, %m], write, locality<0>, instr {why = "a test"} : memref<?x4xf32>
  // CHECK-NEXT: memref.cast %x : memref<?x4xf32> to memref<8x4xf32>
  %c = memref.cast %x : memref<?x4xf32> to memref<8x4xf32>
  // CHECK-NEXT: scf.forall (%i, %j) in (%m, 4) {
  scf.forall (%i, %j) in (%m, 4) {
    // CHECK-NEXT: memref.load %x[%i, %j]
    %v = memref.load %x[%i, %j] : memref<?x4xf32>
    memref.store %v, %y[%i, %j] : memref<?x4xf32>
  // CHECK: } {lamina.grain = 8 : i64}
  } {lamina.grain = 8 : i64}
  // CHECK-NEXT: scf.forall (%k) = (%m) to (64) step (8) {
  scf.forall (%k) = (%m) to (64) step (8) {
  }
  func.return
}

// CHECK-LABEL: func.func @vectors
func.func @vectors(%a: vector<8xf32>, %b: vector<16xf32>, %c: vector<8x16xf32>, %n: index, %i: vector<16xi8>) {
  // CHECK: vector.outerproduct %a, %b, %c : vector<8xf32>, vector<16xf32>
  %o = vector.outerproduct %a, %b, %c : vector<8xf32>, vector<16xf32>
  // CHECK-NEXT: vector.constant_mask [8, 12] : vector<8x16xi1>
  %s = vector.constant_mask [8, 12] : vector<8x16xi1>
  // CHECK-NEXT: vector.multi_reduction <add>, %c, %a [1] : vector<8x16xf32> to vector<8xf32>
  %r = vector.multi_reduction <add>, %c, %a [1] : vector<8x16xf32> to vector<8xf32>
  // CHECK-NEXT: vector.shape_cast %c : vector<8x16xf32> to vector<128xf32>
  %f = vector.shape_cast %c : vector<8x16xf32> to vector<128xf32>
  // CHECK-NEXT: vector.transpose %c, [1, 0] : vector<8x16xf32> to vector<16x8xf32>
  %t = vector.transpose %c, [1, 0] : vector<8x16xf32> to vector<16x8xf32>
  // CHECK-NEXT: [[LESS:%.*]] = arith.cmpf olt, %b, %b : vector<16xf32>
  %l = arith.cmpf olt, %b, %b : vector<16xf32>
  // CHECK-NEXT: arith.select [[LESS]], %b, %b : vector<16xi1>, vector<16xf32>
  %w = arith.select %l, %b, %b : vector<16xi1>, vector<16xf32>
  // CHECK-NEXT: arith.sitofp %i : vector<16xi8> to vector<16xf32>
  %u = arith.sitofp %i : vector<16xi8> to vector<16xf32>
  func.return
}
