// RUN: lamina-opt %s -p plan-arena | filecheck %s

func.func private @k(%x: memref<?xf32>, %d: memref<?xf32>) {
  func.return
}

// CHECK-LABEL: func.func @main
func.func @main(%arena: memref<?xi8>, %x: memref<?xf32>, %y: memref<?xf32> {lamina.output}) attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  // The two dynamic buffers live at once; the static one and the second dynamic one take turns.
  // CHECK: [[N:%.*]] = memref.dim %x
  // CHECK-NEXT: [[BYTES:%.*]] = arith.muli [[N]], {{%.*}}
  // CHECK-NEXT: [[MORE:%.*]] = arith.addi [[BYTES]], {{%.*}}
  // CHECK-NEXT: [[LINES:%.*]] = arith.divui [[MORE]], {{%.*}}
  // CHECK-NEXT: [[SECOND:%.*]] = arith.muli [[LINES]], {{%.*}}
  %n = memref.dim %x, %c0 : memref<?xf32>
  %s = memref.alloc() {alignment = 64 : i64} : memref<5xf32>
  %sd = memref.cast %s : memref<5xf32> to memref<?xf32>
  // CHECK: memref.view %arena[[[SECOND]]][] : memref<?xi8> to memref<5xf32>
  // CHECK: [[A:%.*]] = memref.view %arena[%c0][%n] : memref<?xi8> to memref<?xf32>
  // CHECK: [[B:%.*]] = memref.view %arena[[[SECOND]]][%n] : memref<?xi8> to memref<?xf32>
  %a = memref.alloc(%n) {alignment = 64 : i64} : memref<?xf32>
  %b = memref.alloc(%n) {alignment = 64 : i64} : memref<?xf32>
  func.call @k(%x, %sd) : (memref<?xf32>, memref<?xf32>) -> ()
  func.call @k(%sd, %a) : (memref<?xf32>, memref<?xf32>) -> ()
  func.call @k(%a, %b) : (memref<?xf32>, memref<?xf32>) -> ()
  func.call @k(%b, %y) : (memref<?xf32>, memref<?xf32>) -> ()
  // CHECK-NOT: memref.dealloc
  memref.dealloc %s : memref<5xf32>
  memref.dealloc %a : memref<?xf32>
  memref.dealloc %b : memref<?xf32>
  func.return
}

// CHECK-LABEL: func.func @main.plan
// CHECK-SAME: ([[SIZE:%.*]]: index) -> (index, index)
// CHECK-NOT: arith.constant 0 : index
// CHECK: arith.muli [[SIZE]], {{%.*}}
// CHECK: [[ALL:%.*]] = arith.maxsi {{%.*}}, {{%.*}} : index
// CHECK: func.return [[ALL]], [[SIZE]] : index, index
func.func @main.plan(%n: index) -> (index, index) attributes {llvm.emit_c_interface} {
  %zero = arith.constant 0 : index
  func.return %zero, %n : index, index
}

// Buffers made in the body of a loop take turns there; what the body uses from outside lives as long as the loop.
// CHECK-LABEL: func.func @loop
func.func @loop(%arena: memref<?xi8>, %x: memref<16xf32>, %y: memref<16xf32> {lamina.output}) attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  // CHECK: memref.view %arena[%c0][] : memref<?xi8> to memref<16xf32>
  %outside = memref.alloc() : memref<16xf32>
  func.call @fixed(%x, %outside) : (memref<16xf32>, memref<16xf32>) -> ()
  scf.for %i = %c0 to %c4 step %c1 {
    // CHECK: [[FIRST:%.*]] = memref.view %arena[[[LINE:%.*]]][] : memref<?xi8> to memref<16xf32>
    // CHECK: [[SECOND:%.*]] = memref.view %arena[[[OTHER:%.*]]][] : memref<?xi8> to memref<16xf32>
    // CHECK: [[THIRD:%.*]] = memref.view %arena[[[LINE]]][] : memref<?xi8> to memref<16xf32>
    %a = memref.alloc() : memref<16xf32>
    %b = memref.alloc() : memref<16xf32>
    %c = memref.alloc() : memref<16xf32>
    func.call @fixed(%x, %a) : (memref<16xf32>, memref<16xf32>) -> ()
    func.call @fixed(%a, %b) : (memref<16xf32>, memref<16xf32>) -> ()
    func.call @fixed(%b, %c) : (memref<16xf32>, memref<16xf32>) -> ()
    func.call @fixed(%c, %y) : (memref<16xf32>, memref<16xf32>) -> ()
    func.call @fixed(%outside, %y) : (memref<16xf32>, memref<16xf32>) -> ()
  }
  func.return
}

// CHECK-LABEL: func.func @loop.plan
// CHECK: [[ALL:%.*]] = arith.constant 192 : index
// CHECK-NEXT: func.return [[ALL]]
func.func @loop.plan() -> index attributes {llvm.emit_c_interface} {
  %zero = arith.constant 0 : index
  func.return %zero : index
}

func.func private @fixed(%x: memref<16xf32>, %d: memref<16xf32>) {
  func.return
}
