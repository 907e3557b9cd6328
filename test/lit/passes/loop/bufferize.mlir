// RUN: lamina-opt %s -p bufferize | filecheck %s
// RUN: lamina-opt %s -p bufferize | lamina-opt | filecheck %s

// The destination's buffer is written, and a temporary is released at the end.
// CHECK-LABEL: func.func private @kernel
// CHECK-SAME: (%x: memref<?xf32>, %d: memref<?xf32>) attributes {lamina.kernel} {
func.func private @kernel(%x: tensor<?xf32>, %d: tensor<?xf32>) -> tensor<?xf32> attributes {lamina.kernel} {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?xf32>
  // CHECK: [[SIZE:%.*]] = memref.dim %x
  // CHECK: [[T:%.*]] = memref.alloc([[SIZE]]) {alignment = 64 : i64} : memref<?xf32>
  %e = tensor.empty(%n) : tensor<?xf32>
  // CHECK: ins(%x : memref<?xf32>) outs([[T]] : memref<?xf32>)
  %t = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
    ins(%x : tensor<?xf32>) outs(%e : tensor<?xf32>) {
  ^bb0(%a: f32, %o: f32):
    %y = math.exp %a : f32
    linalg.yield %y : f32
  } -> tensor<?xf32>
  // CHECK: ins([[T]] : memref<?xf32>) outs(%d : memref<?xf32>)
  %r = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
    ins(%t : tensor<?xf32>) outs(%d : tensor<?xf32>) {
  ^bb0(%b: f32, %p: f32):
    %z = arith.negf %b : f32
    linalg.yield %z : f32
  } -> tensor<?xf32>
  // CHECK: memref.dealloc [[T]]
  // CHECK-NEXT: func.return
  func.return %r : tensor<?xf32>
}

// CHECK-LABEL: func.func @main
// CHECK-SAME: (%arena: memref<?xi8>, %x: memref<?xf32> {lamina.name = "x"}, [[OUT:%.*]]: memref<?xf32> {lamina.name = "y", lamina.output})
// CHECK-SAME: attributes {llvm.emit_c_interface}
func.func @main(%x: tensor<?xf32> {lamina.name = "x"}) -> (tensor<?xf32> {lamina.name = "y"}) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?xf32>
  %e = tensor.empty(%n) : tensor<?xf32>
  // CHECK: func.call @kernel(%x, [[OUT]]) : (memref<?xf32>, memref<?xf32>) -> ()
  // CHECK-NEXT: func.return
  %y = func.call @kernel(%x, %e) : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>
  func.return %y : tensor<?xf32>
}

// The bytes of the arena, not planned yet, and the size of the output.
// CHECK-LABEL: func.func @main.plan
// CHECK-SAME: ([[N:%.*]]: index) -> (index, index) attributes {llvm.emit_c_interface} {
// CHECK-NEXT: [[ZERO:%.*]] = arith.constant 0 : index
// CHECK-NEXT: func.return [[ZERO]], [[N]] : index, index
