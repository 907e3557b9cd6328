// RUN: lamina-opt %s -p vectorize-loops --split-input-file | filecheck %s
// RUN: lamina-opt %s -p vectorize-loops --split-input-file --print-op-generic | lamina-opt --split-input-file | filecheck %s

// A sum of exponentials, stored on the way: four vectors at a time would not fit the registers, two do; the rest is masked.
// CHECK-LABEL: func.func @sum_of_exponentials
// CHECK-SAME:    lamina.optimized
// CHECK:         %[[SUMS:.*]] = scf.for %[[I:.*]] = %{{.*}} to %{{.*}} step %{{.*}} iter_args(%[[S:.*]] = %{{.*}}) -> (vector<32xf32>) {
// CHECK-NEXT:      %[[V:.*]] = vector.transfer_read %{{.*}}[%[[I]]], %{{.*}} {in_bounds = [true]} : memref<100xf32>, vector<32xf32>
// CHECK-NEXT:      %[[D:.*]] = arith.subf %[[V]], %{{.*}} : vector<32xf32>
// CHECK-NEXT:      %[[E:.*]] = math.exp %[[D]] : vector<32xf32>
// CHECK-NEXT:      vector.transfer_write %[[E]], %{{.*}}[%[[I]]] {in_bounds = [true]} : vector<32xf32>, memref<100xf32>
// CHECK-NEXT:      %[[N:.*]] = arith.addf %[[S]], %[[E]] fastmath<reassoc> : vector<32xf32>
// CHECK-NEXT:      scf.yield %[[N]] : vector<32xf32>
// CHECK:         %[[PART:.*]] = vector.reduction <add>, %[[SUMS]] fastmath<reassoc> : vector<32xf32> into f32
// CHECK-NEXT:    %[[SUM:.*]] = arith.addf %{{.*}}, %[[PART]] fastmath<reassoc> : f32
// CHECK:         %[[MASK:.*]] = vector.constant_mask [4] : vector<16xi1>
// CHECK:         vector.transfer_read %{{.*}}[%{{.*}}], %{{.*}}, %[[MASK]]
// CHECK:         %[[MORE:.*]] = arith.addf %{{.*}}, %{{.*}} fastmath<reassoc> : vector<16xf32>
// CHECK-NEXT:    arith.select %[[MASK]], %[[MORE]], %{{.*}} : vector<16xi1>, vector<16xf32>
// CHECK:         vector.reduction <add>
module attributes {lamina.target = {vector_bits = 512 : i64}} {
  func.func @sum_of_exponentials(%x: memref<100xf32>, %m: memref<f32>, %y: memref<100xf32>, %total: memref<f32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c100 = arith.constant 100 : index
    %zero = arith.constant 0.0 : f32
    %sum = scf.for %i = %c0 to %c100 step %c1 iter_args(%s = %zero) -> (f32) {
      %v = memref.load %x[%i] : memref<100xf32>
      %most = memref.load %m[] : memref<f32>
      %d = arith.subf %v, %most : f32
      %e = math.exp %d : f32
      memref.store %e, %y[%i] : memref<100xf32>
      %n = arith.addf %s, %e fastmath<reassoc> : f32
      scf.yield %n : f32
    }
    memref.store %sum, %total[] : memref<f32>
    func.return
  }
}

// -----

// A dynamic length: whole vectors, then masked ones.
// CHECK-LABEL: func.func @dynamic
// CHECK:         scf.for %{{.*}} = %{{.*}} to %[[END:.*]] step
// CHECK:           math.tanh %{{.*}} : vector<16xf32>
// CHECK:         scf.for %[[I:.*]] = %[[END]] to %[[SIZE:.*]] step
// CHECK:           %[[LEFT:.*]] = arith.subi %[[SIZE]], %[[I]] : index
// CHECK-NEXT:      %[[MASK:.*]] = vector.create_mask %[[LEFT]] : vector<8xi1>
// CHECK:           vector.transfer_write %{{.*}}, %{{.*}}[%[[I]]], %[[MASK]]
module attributes {lamina.target = {vector_bits = 256 : i64}} {
  func.func @dynamic(%x: memref<?xf32>, %y: memref<?xf32>, %size: index) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    scf.for %i = %c0 to %size step %c1 {
      %v = memref.load %x[%i] : memref<?xf32>
      %t = math.tanh %v : f32
      memref.store %t, %y[%i] : memref<?xf32>
    }
    func.return
  }
}

// -----

// What one step writes and another reads, sums in a fixed order, steps in memory: the function stays.
// CHECK-LABEL: func.func @recurrence
// CHECK-NOT:     vector.transfer
// CHECK-LABEL: func.func @ordered
// CHECK-NOT:     vector.transfer
// CHECK-LABEL: func.func @strided
// CHECK-NOT:     vector.transfer
module attributes {lamina.target = {vector_bits = 512 : i64}} {
  func.func @recurrence(%y: memref<100xf32>) {
    %c1 = arith.constant 1 : index
    %before = arith.constant -1 : index
    %c100 = arith.constant 100 : index
    scf.for %i = %c1 to %c100 step %c1 {
      %j = arith.addi %i, %before : index
      %v = memref.load %y[%j] : memref<100xf32>
      %e = math.exp %v : f32
      memref.store %e, %y[%i] : memref<100xf32>
    }
    func.return
  }
  func.func @ordered(%x: memref<100xf32>, %y: memref<f32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c100 = arith.constant 100 : index
    %zero = arith.constant 0.0 : f32
    %sum = scf.for %i = %c0 to %c100 step %c1 iter_args(%s = %zero) -> (f32) {
      %v = memref.load %x[%i] : memref<100xf32>
      %e = math.exp %v : f32
      %n = arith.addf %s, %e : f32
      scf.yield %n : f32
    }
    memref.store %sum, %y[] : memref<f32>
    func.return
  }
  func.func @strided(%x: memref<100xf32, strided<[3]>>, %y: memref<100xf32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c100 = arith.constant 100 : index
    scf.for %i = %c0 to %c100 step %c1 {
      %v = memref.load %x[%i] : memref<100xf32, strided<[3]>>
      %e = math.exp %v : f32
      memref.store %e, %y[%i] : memref<100xf32>
    }
    func.return
  }
}

// -----

// Several passes over rows of a large argument: each asks for its share of the next row, the one with the exponentials for
// half of it. What goes past the caches is stored there.
// CHECK-LABEL: func.func @rows
// CHECK:         scf.for %[[I:.*]] = %{{.*}} to %{{.*}} step
// CHECK:           memref.prefetch %{{.*}}, read, locality<2>, data
// CHECK:           arith.maximumf
// CHECK:         scf.for
// CHECK:           memref.prefetch
// CHECK:           math.exp
// CHECK:         scf.for
// CHECK:           vector.store %{{.*}}, %{{.*}}[%{{.*}}] {alignment = 64 : i64, nontemporal = true}
// CHECK-NOT:     memref.copy
module attributes {lamina.target = {vector_bits = 512 : i64, l3 = 32768 : i64}} {
  func.func @rows(%x: memref<64x1024xf32>, %y: memref<64x1024xf32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c128 = arith.constant 128 : index
    %c1024 = arith.constant 1024 : index
    %least = arith.constant 0xff800000 : f32
    scf.forall (%r) in (64) {
      %row = memref.subview %x[%r, 0] [1, 1024] [1, 1] : memref<64x1024xf32> to memref<1024xf32, strided<[1], offset: ?>>
      %most = scf.for %i = %c0 to %c1024 step %c1 iter_args(%m = %least) -> (f32) {
        %v = memref.load %row[%i] : memref<1024xf32, strided<[1], offset: ?>>
        %n = arith.maximumf %m, %v fastmath<reassoc,nsz> : f32
        scf.yield %n : f32
      }
      %t = memref.alloca() {alignment = 64 : i64} : memref<1024xf32>
      scf.for %i = %c0 to %c1024 step %c1 {
        %v = memref.load %row[%i] : memref<1024xf32, strided<[1], offset: ?>>
        %d = arith.subf %v, %most : f32
        %e = math.exp %d : f32
        memref.store %e, %t[%i] : memref<1024xf32>
      }
      %out = memref.subview %y[%r, 0] [1, 1024] [1, 1] : memref<64x1024xf32> to memref<1024xf32, strided<[1], offset: ?>>
      %piece = memref.alloca() {alignment = 64 : i64} : memref<128xf32>
      scf.for %b = %c0 to %c1024 step %c128 {
        scf.for %j = %c0 to %c128 step %c1 {
          %at = arith.addi %b, %j : index
          %e = memref.load %t[%at] : memref<1024xf32>
          %h = arith.mulf %e, %e : f32
          memref.store %h, %piece[%j] : memref<128xf32>
        }
        %lines = memref.subview %out[%b] [128] [1] : memref<1024xf32, strided<[1], offset: ?>> to memref<128xf32, strided<[1], offset: ?>>
        memref.copy %piece, %lines {lamina.streamed = "lines"} : memref<128xf32> to memref<128xf32, strided<[1], offset: ?>>
      }
    }
    func.return
  }
}

// -----

// A constant inside of the loop is one in all lanes.
// CHECK-LABEL: func.func @constant_inside
// CHECK-DAG:     %[[TWO:.*]] = arith.constant dense<2.{{.*}}> : vector<16xf32>
// CHECK:         arith.mulf %{{.*}}, %[[TWO]] : vector<16xf32>
module attributes {lamina.target = {vector_bits = 256 : i64}} {
  func.func @constant_inside(%x: memref<64xf32>, %y: memref<64xf32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c64 = arith.constant 64 : index
    scf.for %i = %c0 to %c64 step %c1 {
      %v = memref.load %x[%i] : memref<64xf32>
      %two = arith.constant 2.0 : f32
      %e = math.exp %v : f32
      %d = arith.mulf %e, %two : f32
      memref.store %d, %y[%i] : memref<64xf32>
    }
    func.return
  }
}

// -----

// The piece that is copied is not what the loop fills: the copy stays.
// CHECK-LABEL: func.func @another_piece
// CHECK:         memref.copy
module attributes {lamina.target = {vector_bits = 512 : i64}} {
  func.func @another_piece(%x: memref<128xf32>, %y: memref<128xf32>, %out: memref<1024xf32>, %at: index) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c128 = arith.constant 128 : index
    scf.for %i = %c0 to %c128 step %c1 {
      %v = memref.load %x[%i] : memref<128xf32>
      %e = math.exp %v : f32
      memref.store %e, %y[%i] : memref<128xf32>
    }
    %lines = memref.subview %out[%at] [128] [1] : memref<1024xf32> to memref<128xf32, strided<[1], offset: ?>>
    memref.copy %x, %lines {lamina.streamed = "lines"} : memref<128xf32> to memref<128xf32, strided<[1], offset: ?>>
    func.return
  }
}

// -----

// Registers of a whole line: a masked vector up to the first line of what is written, whole vectors, a masked one.
// CHECK-LABEL: func.func @from_line_to_line
// CHECK:         %[[FIRST:.*]] = arith.divui
// CHECK-NEXT:    %[[MASK:.*]] = vector.create_mask %[[FIRST]] : vector<16xi1>
// CHECK:         vector.transfer_write %{{.*}}, %{{.*}}[%{{.*}}], %[[MASK]]
// CHECK:         vector.transfer_read %{{.*}}[%[[FIRST]]]{{.*}} vector<48xf32>
// CHECK:         vector.transfer_write %{{.*}}, %{{.*}}[%[[FIRST]]] {in_bounds = [true]} : vector<48xf32>
// CHECK:         %[[REST:.*]] = vector.create_mask %{{.*}} : vector<16xi1>
// CHECK:         vector.transfer_write %{{.*}}, %{{.*}}[%{{.*}}], %[[REST]]
// CHECK-NOT:     memref.store
//
// A sum begins at the line in which its first element lies, and keeps the order of each lane.
// CHECK-LABEL: func.func @sum_from_line_to_line
// CHECK:         arith.xori %{{.*}}, %{{.*}} : vector<64xi1>
// CHECK:         %[[SUMS:.*]] = scf.for
// CHECK:           arith.addf %{{[^ ]*}}, %{{[^ ]*}} : vector<64xf32>
// CHECK:         arith.select %{{.*}}, %{{.*}}, %[[SUMS]] : vector<64xi1>, vector<64xf32>
// CHECK:         vector.reduction <add>, %{{.*}} fastmath<reassoc> : vector<64xf32> into f32
//
// What is short, and buffers of our own, stay.
// CHECK-LABEL: func.func @short
// CHECK-NOT:     vector.transfer
module attributes {lamina.target = {vector_bits = 512 : i64}} {
  func.func @from_line_to_line(%x: memref<64xf32>, %y: memref<64xf32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c64 = arith.constant 64 : index
    scf.for %i = %c0 to %c64 step %c1 {
      %v = memref.load %x[%i] : memref<64xf32>
      memref.store %v, %y[%i] : memref<64xf32>
    }
    func.return
  }
  func.func @sum_from_line_to_line(%x: memref<1024xf32>, %y: memref<f32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c1024 = arith.constant 1024 : index
    %zero = arith.constant 0.0 : f32
    %sum = scf.for %i = %c0 to %c1024 step %c1 iter_args(%s = %zero) -> (f32) {
      %v = memref.load %x[%i] : memref<1024xf32>
      %n = arith.addf %s, %v fastmath<reassoc> : f32
      scf.yield %n : f32
    }
    memref.store %sum, %y[] : memref<f32>
    func.return
  }
  func.func @short(%x: memref<64xf32>, %y: memref<64xf32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c48 = arith.constant 48 : index
    %c64 = arith.constant 64 : index
    %own = memref.alloca() {alignment = 64 : i64} : memref<64xf32>
    scf.for %i = %c0 to %c64 step %c1 {
      %v = memref.load %x[%i] : memref<64xf32>
      memref.store %v, %own[%i] : memref<64xf32>
    }
    scf.for %i = %c0 to %c48 step %c1 {
      %v = memref.load %own[%i] : memref<64xf32>
      memref.store %v, %y[%i] : memref<64xf32>
    }
    func.return
  }
}
