// RUN: lamina-opt %s -p pipeline-rows | filecheck %s

module attributes {lamina.target = {triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v4", features = "", vector_bits = 512 : i64, l1 = 32768 : i64}} {
  // Maxima, sums of exponentials and quotients of different rows in one loop, reads first, then writes.
  // CHECK-LABEL: func.func @softmax
  func.func @softmax(%x: memref<64x1024xf32>, %y: memref<64x1024xf32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c1024 = arith.constant 1024 : index
    %least = arith.constant 0xff800000 : f32
    %zero = arith.constant 0.0 : f32
    // CHECK: scf.forall ([[BLOCK:%.*]]) in (8) {
    // CHECK-NEXT: [[T:%.*]] = memref.alloca() : memref<1024xf32>
    // CHECK: scf.for [[ROW:%.*]] = {{%.*}} to {{%.*}} step %c1 iter_args([[MAX:%.*]] = {{%.*}}, [[SUM:%.*]] = {{%.*}}) -> (f32, f32) {
    // CHECK-NEXT: [[X:%.*]] = memref.subview %x[[[ROW]], 0]
    // CHECK-NEXT: [[BEFORE:%.*]] = arith.subi [[ROW]], %c1
    // CHECK-NEXT: [[XB:%.*]] = memref.subview %x[[[BEFORE]], 0]
    // CHECK-NEXT: [[LAST:%.*]] = arith.subi [[ROW]], {{%.*}}
    // CHECK-NEXT: [[Y:%.*]] = memref.subview %y[[[LAST]], 0]
    // CHECK: scf.for {{%.*}} = %c0 to [[FIRST:%.*]] step %c1 {
    // CHECK: } {lamina.short}
    // CHECK-NEXT: {{%.*}}, {{%.*}} = scf.for [[J:%.*]] = %c0 to {{%.*}} step %c1 iter_args({{%.*}} = %least, {{%.*}} = %zero)
    // CHECK-NEXT: [[AT:%.*]] = arith.addi [[J]], [[FIRST]]
    // CHECK-NEXT: [[C:%.*]] = memref.load [[T]][[[AT]]]
    // CHECK-NEXT: [[B:%.*]] = memref.load [[XB]][[[J]]]
    // CHECK-NEXT: [[A:%.*]] = memref.load [[X]][[[J]]] {lamina.ahead = 4096 : i64}
    // CHECK-NEXT: [[Q:%.*]] = arith.divf [[C]], [[SUM]]
    // CHECK-NEXT: [[D:%.*]] = arith.subf [[B]], [[MAX]]
    // CHECK-NEXT: [[E:%.*]] = math.exp [[D]]
    // CHECK: arith.maximumf
    // CHECK-NEXT: memref.store [[Q]], [[Y]][[[AT]]] {lamina.streamed = "lines"}
    // CHECK-NEXT: memref.store [[E]], [[T]][[[J]]]
    // CHECK: } {lamina.independent}
    // CHECK: memref.copy
    // CHECK: func.return
    scf.forall (%r) in (64) {
      %m = memref.alloca() : memref<1xf32>
      %t = memref.alloca() : memref<1024xf32>
      %u = memref.alloca() : memref<1024xf32>
      %row = memref.subview %x[%r, 0] [1, 1024] [1, 1] : memref<64x1024xf32> to memref<1024xf32, strided<[1], offset: ?>>
      %max = scf.for %i = %c0 to %c1024 step %c1 iter_args(%s = %least) -> (f32) {
        %a = memref.load %row[%i] : memref<1024xf32, strided<[1], offset: ?>>
        %n = arith.maximumf %s, %a fastmath<reassoc,nsz> : f32
        scf.yield %n : f32
      }
      memref.store %max, %m[%c0] : memref<1xf32>
      %sum = scf.for %i = %c0 to %c1024 step %c1 iter_args(%s = %zero) -> (f32) {
        %b = memref.load %row[%i] : memref<1024xf32, strided<[1], offset: ?>>
        %k = memref.load %m[%c0] : memref<1xf32>
        %d = arith.subf %b, %k : f32
        %e = math.exp %d : f32
        memref.store %e, %t[%i] : memref<1024xf32>
        %n = arith.addf %s, %e fastmath<reassoc> : f32
        scf.yield %n : f32
      }
      scf.for %i = %c0 to %c1024 step %c1 {
        %c = memref.load %t[%i] : memref<1024xf32>
        %q = arith.divf %c, %sum : f32
        memref.store %q, %u[%i] : memref<1024xf32>
      }
      %z = memref.subview %y[%r, 0] [1, 1024] [1, 1] : memref<64x1024xf32> to memref<1024xf32, strided<[1], offset: ?>>
      memref.copy %u, %z {lamina.streamed} : memref<1024xf32> to memref<1024xf32, strided<[1], offset: ?>>
    }
    func.return
  }

  // The last pass reads what the first one wrote two rows ago: not written over by then only with two temporaries.
  // CHECK-LABEL: func.func @far
  // CHECK: scf.forall ({{%.*}}) in (64)
  // CHECK: func.return
  func.func @far(%x: memref<64x1024xf32>, %y: memref<64x1024xf32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c1024 = arith.constant 1024 : index
    %zero = arith.constant 0.0 : f32
    scf.forall (%r) in (64) {
      %t = memref.alloca() : memref<1024xf32>
      %u = memref.alloca() : memref<1024xf32>
      %row = memref.subview %x[%r, 0] [1, 1024] [1, 1] : memref<64x1024xf32> to memref<1024xf32, strided<[1], offset: ?>>
      %first = scf.for %i = %c0 to %c1024 step %c1 iter_args(%s = %zero) -> (f32) {
        %a = memref.load %row[%i] : memref<1024xf32, strided<[1], offset: ?>>
        %e = math.exp %a : f32
        memref.store %e, %t[%i] : memref<1024xf32>
        %n = arith.addf %s, %e fastmath<reassoc> : f32
        scf.yield %n : f32
      }
      %second = scf.for %i = %c0 to %c1024 step %c1 iter_args(%s = %zero) -> (f32) {
        %a = memref.load %row[%i] : memref<1024xf32, strided<[1], offset: ?>>
        %b = arith.mulf %a, %first : f32
        %n = arith.addf %s, %b fastmath<reassoc> : f32
        scf.yield %n : f32
      }
      scf.for %i = %c0 to %c1024 step %c1 {
        %c = memref.load %t[%i] : memref<1024xf32>
        %q = arith.mulf %c, %second : f32
        memref.store %q, %u[%i] : memref<1024xf32>
      }
      %z = memref.subview %y[%r, 0] [1, 1024] [1, 1] : memref<64x1024xf32> to memref<1024xf32, strided<[1], offset: ?>>
      memref.copy %u, %z {lamina.streamed} : memref<1024xf32> to memref<1024xf32, strided<[1], offset: ?>>
    }
    func.return
  }
}
