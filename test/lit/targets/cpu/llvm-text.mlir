// RUN: lamina-opt %s -t llvm-text | filecheck %s
// RUN: lamina-opt %s -t "llvm-text{partitions=2}" | filecheck %s --check-prefix PARTS

// Explicit vectors are compiled as they stand, all else goes through LLVM's pipeline; the entry has an exported wrapper.
// CHECK:      ; module explicit0: code generation only
// CHECK:      target triple = "x86_64-unknown-linux-gnu"
// CHECK:      define internal void @function.row(ptr %context, ptr %a0)
// CHECK:      ; module scalar0: optimize
// CHECK:      define internal void @function.main(ptr %context, ptr %a0)
// CHECK:      call void @function.twice(ptr %context, ptr %a0)
// CHECK:      define i32 @lamina.main(ptr %context, ptr %arguments, ptr %sizes, ptr %results)
// CHECK:      define internal void @function.twice(ptr %context, ptr noalias %a0)

// What another module calls is seen there, and nowhere else.
// PARTS:      ; module explicit0: code generation only
// PARTS:      ; module scalar0: optimize
// PARTS:      define hidden void @function.twice(ptr %context, ptr noalias %a0)
// PARTS:      ; module scalar1: optimize
// PARTS:      declare void @function.twice(ptr, ptr)
// PARTS:      define internal void @function.main(ptr %context, ptr %a0)

module attributes {lamina.target = {vector_bits = 256 : i64, triple = "x86_64-unknown-linux-gnu"}} {
  func.func @main(%x: memref<4xf32>) attributes {llvm.emit_c_interface} {
    func.call @twice(%x) : (memref<4xf32>) -> ()
    func.return
  }
  func.func private @twice(%x: memref<4xf32>) attributes {lamina.kernel} {
    %c0 = arith.constant 0 : index
    %v = memref.load %x[%c0] : memref<4xf32>
    %t = arith.addf %v, %v : f32
    memref.store %t, %x[%c0] : memref<4xf32>
    func.return
  }
  func.func private @row(%x: memref<8xf32>) attributes {lamina.kernel} {
    %c0 = arith.constant 0 : index
    %v = vector.load %x[%c0] : memref<8xf32>, vector<8xf32>
    vector.store %v, %x[%c0] : memref<8xf32>, vector<8xf32>
    func.return
  }
}
