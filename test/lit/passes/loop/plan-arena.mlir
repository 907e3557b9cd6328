// RUN: lamina-opt %s -p plan-arena | filecheck %s

func.func private @k(%x: memref<?xf32>, %d: memref<?xf32>) {
  func.return
}

// CHECK-LABEL: func.func @main
func.func @main(%arena: memref<?xi8>, %x: memref<?xf32>, %y: memref<?xf32> {lamina.output}) attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  // The two dynamic buffers live at once; the static one comes first.
  // CHECK: [[N:%.*]] = memref.dim %x
  // CHECK-NEXT: [[BYTES:%.*]] = arith.muli [[N]], {{%.*}}
  // CHECK-NEXT: [[MORE:%.*]] = arith.addi [[BYTES]], {{%.*}}
  // CHECK-NEXT: [[LINES:%.*]] = arith.divui [[MORE]], {{%.*}}
  // CHECK-NEXT: [[ALIGNED:%.*]] = arith.muli [[LINES]], {{%.*}}
  // CHECK-NEXT: [[SECOND:%.*]] = arith.addi [[FIRST:%.*]], [[ALIGNED]]
  %n = memref.dim %x, %c0 : memref<?xf32>
  %s = memref.alloc() {alignment = 64 : i64} : memref<5xf32>
  %sd = memref.cast %s : memref<5xf32> to memref<?xf32>
  // CHECK: memref.view %arena[%c0][] : memref<?xi8> to memref<5xf32>
  // CHECK: [[A:%.*]] = memref.view %arena[[[FIRST]]][%n] : memref<?xi8> to memref<?xf32>
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
// CHECK: func.return [[ALL:%.*]], [[SIZE]] : index, index
func.func @main.plan(%n: index) -> (index, index) attributes {llvm.emit_c_interface} {
  %zero = arith.constant 0 : index
  func.return %zero, %n : index, index
}
