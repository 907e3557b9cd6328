// RUN: lamina-opt %s -p graph-to-linalg | filecheck %s
// RUN: %if mlir-opt %{ lamina-opt %s -p graph-to-linalg | %mlir_opt %}

func.func private @exp(%x: tensor<?xf32> {lamina.dims = ["d0"]}) -> tensor<?xf32> attributes {lamina.kernel} {
  %0 = graph.exp %x : tensor<?xf32>
  func.return %0 : tensor<?xf32>
}

// CHECK-LABEL: func.func @branch
// CHECK:       %[[P:.*]] = tensor.extract %p[] : tensor<i1>
// CHECK:       scf.if %[[P]] -> (tensor<?xf32>) {
// CHECK:         func.call @exp(%x, %{{.*}})
// CHECK:       } else {
// CHECK-NEXT:    scf.yield %x : tensor<?xf32>
func.func @branch(%p: tensor<i1>, %x: tensor<?xf32> {lamina.dims = ["n"]}) -> tensor<?xf32> {
  %0 = graph.if %p -> (tensor<?xf32>) {
    %1 = func.call @exp(%x) : (tensor<?xf32>) -> tensor<?xf32>
    graph.yield %1 : tensor<?xf32>
  } else {
    graph.yield %x : tensor<?xf32>
  }
  func.return %0 : tensor<?xf32>
}

// CHECK-LABEL: func.func @loop
// CHECK:       scf.while (%[[P:.*]] = %p, %[[X:.*]] = %x) : (tensor<i1>, tensor<?xf32>) -> (tensor<i1>, tensor<?xf32>) {
// CHECK-NEXT:    %[[C:.*]] = tensor.extract %[[P]][] : tensor<i1>
// CHECK-NEXT:    scf.condition(%[[C]]) %[[P]], %[[X]] : tensor<i1>, tensor<?xf32>
// CHECK:       } do {
// CHECK:         %[[Y:.*]] = func.call @exp
// CHECK-NEXT:    scf.yield %{{.*}}, %[[Y]] : tensor<i1>, tensor<?xf32>
func.func @loop(%p: tensor<i1>, %x: tensor<?xf32> {lamina.dims = ["n"]}) -> tensor<?xf32> {
  %0, %1 = graph.while (%a = %p, %b = %x) : (tensor<i1>, tensor<?xf32>) -> (tensor<i1>, tensor<?xf32>) {
    graph.yield %a : tensor<i1>
  } do (%c, %d) {
    %2 = func.call @exp(%d) : (tensor<?xf32>) -> tensor<?xf32>
    graph.yield %c, %2 : tensor<i1>, tensor<?xf32>
  }
  func.return %1 : tensor<?xf32>
}

// CHECK-LABEL: func.func @scan
// CHECK:       %[[N:.*]] = tensor.dim %x
// CHECK:       %[[STACK:.*]] = tensor.empty
// CHECK:       scf.for %[[I:.*]] = %{{.*}} to %[[N]] step %{{.*}} iter_args(%{{.*}} = %h, %[[S:.*]] = %[[STACK]])
// CHECK:         %[[LAST:.*]] = arith.subi %[[N]]
// CHECK:         %[[P:.*]] = arith.subi %[[LAST]], %[[I]]
// CHECK:         %[[ROW:.*]] = tensor.extract_slice %x[%[[P]], 0] [1, 4] [1, 1] : tensor<?x4xf32> to tensor<4xf32>
// CHECK:         %[[Y:.*]] = func.call @exp4(%[[ROW]]
// CHECK:         %[[NEXT:.*]] = tensor.insert_slice %[[Y]] into %[[S]][%[[P]], 0] [1, 4] [1, 1]
// CHECK-NEXT:    scf.yield %[[Y]], %[[NEXT]]
func.func private @exp4(%x: tensor<4xf32>) -> tensor<4xf32> attributes {lamina.kernel} {
  %0 = graph.exp %x : tensor<4xf32>
  func.return %0 : tensor<4xf32>
}

func.func @scan(%x: tensor<?x4xf32> {lamina.dims = ["n", "4"]}, %h: tensor<4xf32>) -> (tensor<4xf32>, tensor<?x4xf32>) {
  %0, %1 = graph.scan %i, (%c = %h) over (%row = %x) reverse
    : (tensor<4xf32>, tensor<?x4xf32>) -> (tensor<4xf32>, tensor<?x4xf32>) {
    %2 = func.call @exp4(%row) : (tensor<4xf32>) -> tensor<4xf32>
    graph.yield %2, %2 : tensor<4xf32>, tensor<4xf32>
  }
  func.return %0, %1 : tensor<4xf32>, tensor<?x4xf32>
}
