// RUN: lamina-opt %s -t llvm-text | filecheck %s

// Functions with explicit vectors come first, and are not optimized.
// CHECK-LABEL: ; module explicit0: code generation only
// CHECK:       define hidden void @function.vectors(ptr %context, ptr noalias %a0) #0 {
// CHECK:       attributes #0 = { nounwind "prefer-vector-width"="256" }

// CHECK-LABEL: ; module scalar0: optimize
// CHECK:       declare void @function.vectors(ptr, ptr)
// CHECK:       define internal { i64, i64 } @function.sizes(ptr %context, ptr noalias %a0, i64 %a0.1) #0 {
// CHECK:       define internal i64 @function.main(ptr %context, ptr %a0, i64 %a0.1, ptr %a1) #0 {
// CHECK:         call { i64, i64 } @function.sizes(ptr %context, ptr %a0, i64 %a0.1)
// CHECK:         call void @function.vectors(ptr %context, ptr %a1)

// The exported wrapper opens the arrays of pointers and sizes, and returns the error code.
// CHECK:       define i32 @lamina.main(ptr %context, ptr %arguments, ptr %sizes, ptr %results) #0 {
// CHECK:         store i32 0, ptr %error
// CHECK:         %returned = call i64 @function.main(ptr %context, ptr %arguments.v0, i64 %sizes.v0, ptr %arguments.v1)
// CHECK:         store i64 %returned, ptr %results.0
// CHECK:         ret i32 %code

module attributes {lamina.target = {vector_bits = 256 : i64}} {
  func.func private @vectors(%x: memref<8xf32>) {
    %c0 = arith.constant 0 : index
    %v = vector.load %x[%c0] : memref<8xf32>, vector<8xf32>
    vector.store %v, %x[%c0] : memref<8xf32>, vector<8xf32>
    func.return
  }
  func.func private @sizes(%x: memref<?x4xf32>) -> (index, index) {
    %c0 = arith.constant 0 : index
    %c4 = arith.constant 4 : index
    %n = memref.dim %x, %c0 : memref<?x4xf32>
    func.return %n, %c4 : index, index
  }
  func.func @main(%x: memref<?x4xf32>, %y: memref<8xf32>) -> index attributes {llvm.emit_c_interface} {
    %m, %n = func.call @sizes(%x) : (memref<?x4xf32>) -> (index, index)
    func.call @vectors(%y) : (memref<8xf32>) -> ()
    func.return %m : index
  }
}
