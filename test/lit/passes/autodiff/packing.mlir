// RUN: lamina-opt %s -p "differentiate{mode=reverse},differentiate{mode=forward},canonicalize,cse" | filecheck %s

// The derivatives of packing: @NAME.vjp and @NAME.jvp for every rule.

// CHECK-LABEL: func.func @pack(
// CHECK-SAME:      %[[X:.*]]: tensor<7x5xf32>) -> tensor<2x7x3xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.pack %[[X]] dimension 1 tile 3 : tensor<7x5xf32> -> tensor<2x7x3xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x7x3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @pack.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<7x5xf32>, %[[R_COTANGENT:.*]]: tensor<2x7x3xf32>) -> (tensor<2x7x3xf32>, tensor<7x5xf32>) attributes {lamina.derivative = "vjp of pack wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.pack %[[X]] dimension 1 tile 3 : tensor<7x5xf32> -> tensor<2x7x3xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.unpack %[[R_COTANGENT]] dimension 1 size 5 : tensor<2x7x3xf32> -> tensor<7x5xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<2x7x3xf32>, tensor<7x5xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @pack.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<7x5xf32>, %[[X_TANGENT:.*]]: tensor<7x5xf32>) -> (tensor<2x7x3xf32>, tensor<2x7x3xf32>) attributes {lamina.derivative = "jvp of pack wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.pack %[[X]] dimension 1 tile 3 : tensor<7x5xf32> -> tensor<2x7x3xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.pack %[[X_TANGENT]] dimension 1 tile 3 : tensor<7x5xf32> -> tensor<2x7x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<2x7x3xf32>, tensor<2x7x3xf32>
// CHECK-NEXT:  }
func.func @pack(%x: tensor<7x5xf32>) -> tensor<2x7x3xf32> {
  %r = graph.pack %x dimension 1 tile 3 : tensor<7x5xf32> -> tensor<2x7x3xf32>
  func.return %r : tensor<2x7x3xf32>
}

// CHECK-LABEL: func.func @unpack(
// CHECK-SAME:      %[[X:.*]]: tensor<2x7x3xf32>) -> tensor<7x5xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.unpack %[[X]] dimension 1 size 5 : tensor<2x7x3xf32> -> tensor<7x5xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<7x5xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @unpack.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x7x3xf32>, %[[R_COTANGENT:.*]]: tensor<7x5xf32>) -> (tensor<7x5xf32>, tensor<2x7x3xf32>) attributes {lamina.derivative = "vjp of unpack wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.unpack %[[X]] dimension 1 size 5 : tensor<2x7x3xf32> -> tensor<7x5xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.pack %[[R_COTANGENT]] dimension 1 tile 3 : tensor<7x5xf32> -> tensor<2x7x3xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<7x5xf32>, tensor<2x7x3xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @unpack.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x7x3xf32>, %[[X_TANGENT:.*]]: tensor<2x7x3xf32>) -> (tensor<7x5xf32>, tensor<7x5xf32>) attributes {lamina.derivative = "jvp of unpack wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.unpack %[[X]] dimension 1 size 5 : tensor<2x7x3xf32> -> tensor<7x5xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.unpack %[[X_TANGENT]] dimension 1 size 5 : tensor<2x7x3xf32> -> tensor<7x5xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<7x5xf32>, tensor<7x5xf32>
// CHECK-NEXT:  }
func.func @unpack(%x: tensor<2x7x3xf32>) -> tensor<7x5xf32> {
  %r = graph.unpack %x dimension 1 size 5 : tensor<2x7x3xf32> -> tensor<7x5xf32>
  func.return %r : tensor<7x5xf32>
}
