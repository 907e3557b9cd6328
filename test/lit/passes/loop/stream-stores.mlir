// RUN: lamina-opt %s -p stream-stores --split-input-file | filecheck %s

// Up to the first whole line of the target, pieces of whole lines, the rest; the scratch buffer is gone.
// CHECK-LABEL: func.func @copy
func.func @copy(%x: memref<1000xf32>, %y: memref<1000xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c1000 = arith.constant 1000 : index
  %t = memref.alloca() {alignment = 64 : i64} : memref<1000xf32>
  // CHECK: [[PIECE:%.*]] = memref.alloca() {alignment = 64 : i64} : memref<128xf32>
  // CHECK: "memref.extract_aligned_pointer_as_index"(%y)
  // CHECK: scf.for [[I:%.*]] = %c0 to [[FIRST:%.*]] step %c1 {
  // CHECK-NEXT: [[A:%.*]] = memref.load %x[[[I]]]
  // CHECK-NEXT: memref.store [[A]], %y[[[I]]]
  // CHECK-NEXT: }
  // CHECK-NEXT: scf.for [[B:%.*]] = [[FIRST]] to [[LAST:%.*]] step
  // CHECK-NEXT: scf.for [[J:%.*]] = %c0 to
  // CHECK-NEXT: [[K:%.*]] = arith.addi [[B]], [[J]]
  // CHECK-NEXT: [[C:%.*]] = memref.load %x[[[K]]]
  // CHECK-NEXT: memref.store [[C]], [[PIECE]][[[J]]]
  // CHECK-NEXT: }
  // CHECK-NEXT: [[LINES:%.*]] = memref.subview %y[[[B]]] [128] [1]
  // CHECK-NEXT: memref.copy [[PIECE]], [[LINES]] {lamina.streamed = "lines"}
  // CHECK-NEXT: }
  // CHECK-NEXT: scf.for [[M:%.*]] = [[LAST]] to %c1000 step %c1 {
  // CHECK: memref.store {{.*}}, %y[[[M]]]
  // CHECK-NOT: memref.copy
  // CHECK: func.return
  scf.for %i = %c0 to %c1000 step %c1 {
    %a = memref.load %x[%i] : memref<1000xf32>
    memref.store %a, %t[%i] : memref<1000xf32>
  }
  memref.copy %t, %y {lamina.streamed} : memref<1000xf32> to memref<1000xf32>
  func.return
}

// A loop that writes only a part leaves the scratch buffer in place.
// CHECK-LABEL: func.func @part
func.func @part(%x: memref<1000xf32>, %y: memref<1000xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c999 = arith.constant 999 : index
  %t = memref.alloca() {alignment = 64 : i64} : memref<1000xf32>
  // CHECK: memref.store {{.*}}, %t
  // CHECK: memref.copy %t, %y {lamina.streamed}
  scf.for %i = %c0 to %c999 step %c1 {
    %a = memref.load %x[%i] : memref<1000xf32>
    memref.store %a, %t[%i] : memref<1000xf32>
  }
  memref.copy %t, %y {lamina.streamed} : memref<1000xf32> to memref<1000xf32>
  func.return
}

// Both sides of a branch fill the scratch buffer: each streams.
// CHECK-LABEL: func.func @sides
func.func @sides(%x: memref<1000xf32>, %z: memref<1000xf32>, %first: i1, %y: memref<1000xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c1000 = arith.constant 1000 : index
  %t = memref.alloca() {alignment = 64 : i64} : memref<1000xf32>
  // CHECK: scf.if %first {
  // CHECK: memref.load %x
  // CHECK: memref.copy {{.*}} {lamina.streamed = "lines"}
  // CHECK: } else {
  // CHECK: memref.load %z
  // CHECK: memref.copy {{.*}} {lamina.streamed = "lines"}
  // CHECK-NOT: {lamina.streamed}
  // CHECK: func.return
  scf.if %first {
    scf.for %i = %c0 to %c1000 step %c1 {
      %a = memref.load %x[%i] : memref<1000xf32>
      memref.store %a, %t[%i] : memref<1000xf32>
    }
  } else {
    scf.for %j = %c0 to %c1000 step %c1 {
      %b = memref.load %z[%j] : memref<1000xf32>
      memref.store %b, %t[%j] : memref<1000xf32>
    }
  }
  memref.copy %t, %y {lamina.streamed} : memref<1000xf32> to memref<1000xf32>
  func.return
}

// -----

// A loop that writes rows of a large argument itself does so line by line, if nothing else has the argument.
module attributes {lamina.target = {vector_bits = 512 : i64, l3 = 8192 : i64}} {
  // CHECK-LABEL: func.func @rows
  // CHECK: memref.subview %block[%i, 0] [1, 2048] [1, 1]
  // CHECK: memref.copy {{.*}} {lamina.streamed = "lines"}
  // CHECK: func.return
  func.func @rows(%x: memref<4x8x2048xf32>, %y: memref<4x8x2048xf32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c8 = arith.constant 8 : index
    %c2048 = arith.constant 2048 : index
    scf.forall (%n) in (4) {
      %block = memref.subview %y[%n, 0, 0] [1, 8, 2048] [1, 1, 1] : memref<4x8x2048xf32> to memref<8x2048xf32, strided<[2048, 1], offset: ?>>
      scf.for %i = %c0 to %c8 step %c1 {
        scf.for %j = %c0 to %c2048 step %c1 {
          %a = memref.load %x[%n, %i, %j] : memref<4x8x2048xf32>
          memref.store %a, %block[%i, %j] : memref<8x2048xf32, strided<[2048, 1], offset: ?>>
        }
      }
    }
    func.return
  }

  // CHECK-LABEL: func.func @read_again
  // CHECK-NOT: memref.copy
  // CHECK: func.return
  func.func @read_again(%x: memref<4x2048xf32>, %y: memref<4x2048xf32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c2048 = arith.constant 2048 : index
    scf.forall (%n) in (4) {
      scf.for %j = %c0 to %c2048 step %c1 {
        %a = memref.load %x[%n, %j] : memref<4x2048xf32>
        %b = memref.load %y[%n, %j] : memref<4x2048xf32>
        %c = arith.addf %a, %b : f32
        memref.store %c, %y[%n, %j] : memref<4x2048xf32>
      }
    }
    func.return
  }
}
