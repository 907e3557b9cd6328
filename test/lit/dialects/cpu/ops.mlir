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
