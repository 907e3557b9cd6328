// RUN: lamina-opt %s -p bufferize --split-input-file | filecheck %s

// The result is written into the input: the kernel that only writes the window is called, the other one is dropped.
// CHECK-NOT: @update(
// CHECK-LABEL: func.func private @update_in_place
// CHECK: [[WINDOW:%.*]] = memref.subview %d[0, %at, 0] [4, 1, 8] [1, 1, 1] : memref<4x16x8xf32> to memref<4x1x8xf32, strided<[128, 8, 1], offset: ?>>
// CHECK-NEXT: linalg.generic
// CHECK-SAME: ins(%u : memref<4x1x8xf32>) outs([[WINDOW]] : memref<4x1x8xf32, strided<[128, 8, 1], offset: ?>>)
// CHECK: func.return
// CHECK-LABEL: func.func @main
// CHECK: func.call @update_in_place(%x, %u, {{%.*}}, %x)
// CHECK-NEXT: func.return
func.func private @update(%x: tensor<4x16x8xf32>, %u: tensor<4x1x8xf32>, %at: index, %d: tensor<4x16x8xf32>)
    -> tensor<4x16x8xf32> attributes {lamina.kernel, lamina.in_place = @update_in_place} {
  %r = linalg.generic {
    indexing_maps = [affine_map<(i, j, k) -> (i, j, k)>, affine_map<(i, j, k) -> (i, j, k)>],
    iterator_types = ["parallel", "parallel", "parallel"]
  } ins(%x : tensor<4x16x8xf32>) outs(%d : tensor<4x16x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %k = linalg.index 2 : index
    %zero = arith.constant 0 : index
    %new = tensor.extract %u[%i, %zero, %k] : tensor<4x1x8xf32>
    %here = arith.cmpi eq, %j, %at : index
    %v = arith.select %here, %new, %a : f32
    linalg.yield %v : f32
  } -> tensor<4x16x8xf32>
  func.return %r : tensor<4x16x8xf32>
}
func.func private @update_in_place(%x: tensor<4x16x8xf32>, %u: tensor<4x1x8xf32>, %at: index, %d: tensor<4x16x8xf32>)
    -> tensor<4x16x8xf32> attributes {lamina.kernel} {
  %r = tensor.insert_slice %u into %d[0, %at, 0] [4, 1, 8] [1, 1, 1] : tensor<4x1x8xf32> into tensor<4x16x8xf32>
  func.return %r : tensor<4x16x8xf32>
}
func.func @main(%x: tensor<4x16x8xf32>, %u: tensor<4x1x8xf32>) -> (tensor<4x16x8xf32> {lamina.alias = 0 : i64}) {
  %three = arith.constant 3 : index
  %e = tensor.empty() : tensor<4x16x8xf32>
  %r = func.call @update(%x, %u, %three, %e)
    : (tensor<4x16x8xf32>, tensor<4x1x8xf32>, index, tensor<4x16x8xf32>) -> tensor<4x16x8xf32>
  func.return %r : tensor<4x16x8xf32>
}

// -----

// A loop computes the next value in the buffer that it carries where that is read by then; the other one is copied.
func.func private @negate(%x: tensor<8xf32>, %d: tensor<8xf32>) -> tensor<8xf32> attributes {lamina.kernel} {
  %r = linalg.generic {
    indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]
  } ins(%x : tensor<8xf32>) outs(%d : tensor<8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %v = arith.negf %a : f32
    linalg.yield %v : f32
  } -> tensor<8xf32>
  func.return %r : tensor<8xf32>
}
// CHECK-LABEL: func.func @main
// CHECK: [[A:%.*]] = memref.alloc() {{.*}} : memref<8xf32>
// CHECK-NEXT: memref.copy %x, [[A]]
// CHECK: [[B:%.*]] = memref.alloc() {{.*}} : memref<8xf32>
// CHECK-NEXT: memref.copy %x, [[B]]
// CHECK: scf.while
// CHECK: } do {
// CHECK: func.call @negate([[A]], [[A]])
// CHECK-NEXT: memref.copy %x, [[B]]
// CHECK-NEXT: scf.yield
func.func @main(%x: tensor<8xf32>, %c: i1) -> (tensor<8xf32>, tensor<8xf32>) {
  %a, %b = scf.while (%p = %x, %q = %x) : (tensor<8xf32>, tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
    scf.condition(%c) %p, %q : tensor<8xf32>, tensor<8xf32>
  } do {
  ^bb0(%p: tensor<8xf32>, %q: tensor<8xf32>):
    %e = tensor.empty() : tensor<8xf32>
    %n = func.call @negate(%p, %e) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
    scf.yield %n, %x : tensor<8xf32>, tensor<8xf32>
  }
  func.return %a, %b : tensor<8xf32>, tensor<8xf32>
}
