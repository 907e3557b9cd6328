// RUN: lamina-opt %s | lamina-opt | filecheck %s
// RUN: lamina-opt %s --print-op-generic | filecheck %s --check-prefix GENERIC

// CHECK-LABEL: func.func @doubles
func.func @doubles(%x: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %n = memref.dim %x, %c0 : memref<?xf32>
  // CHECK:      cpu.parallel_for %i = %c0 to %n grain 4 {
  // CHECK-NEXT:   %v = memref.load %x[%i] : memref<?xf32>
  // CHECK:      }
  // GENERIC: "cpu.parallel_for"(%c0, %n) <{grain = 4 : i64}> ({
  // GENERIC-NEXT: ^bb{{[0-9]+}}(%i: index):
  cpu.parallel_for %i = %c0 to %n grain 4 {
    %v = memref.load %x[%i] : memref<?xf32>
    %w = arith.addf %v, %v : f32
    memref.store %w, %x[%i] : memref<?xf32>
  }
  func.return
}

// CHECK-LABEL: func.func @carries_attributes
func.func @carries_attributes(%n: index) {
  // CHECK:      cpu.parallel_for %i = %n to %n grain 1 {
  // CHECK-NEXT: } {note = "empty"}
  cpu.parallel_for %i = %n to %n grain 1 {
  } {note = "empty"}
  func.return
}

// CHECK-LABEL: func.func @scales
func.func @scales(%x: vector<2x32xf32>, %n: vector<2x32xf32>) -> vector<2x32xf32> {
  // CHECK: cpu.scale %x, %n : vector<2x32xf32>
  %y = cpu.scale %x, %n : vector<2x32xf32>
  func.return %y : vector<2x32xf32>
}

// CHECK-LABEL: func.func @looks_up
func.func @looks_up(%i: vector<2x16xi32>) -> vector<2x16xf32> {
  // CHECK: cpu.lookup %i, dense<[{{.*}}]> : tensor<16xf32> : vector<2x16xi32> -> vector<2x16xf32>
  %y = cpu.lookup %i, dense<[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0]> : tensor<16xf32> : vector<2x16xi32> -> vector<2x16xf32>
  func.return %y : vector<2x16xf32>
}
