// RUN: %opt %s | %opt | filecheck %s
// RUN: %opt %s --to hardware | filecheck %s --check-prefix=CALLS

// CHECK: library.calendar %{{.*}} : tensor<i64> -> tensor<14xi32>
// CHECK: library.sort %{{.*}} : tensor<?x4xf32> -> tensor<?x4xf32>

// A C function has the types that it was declared with, a Python callable those of the call, every size dynamic.
// CALLS-DAG: call @library.calendar(%{{.*}}, %{{.*}}) : (memref<i64>, memref<14xi32>) -> ()
// CALLS-DAG: call @library.sort.float32x2.float32x2(%{{.*}}, %{{.*}}) : (memref<?x?xf32>, memref<?x?xf32>) -> ()
// CALLS-DAG: func.func private @library.calendar(memref<i64>, memref<14xi32>)
// CALLS-DAG: func.func private @library.sort.float32x2.float32x2(memref<?x?xf32>, memref<?x?xf32>)
func.func @main(%t: tensor<i64> {lamina.name = "t"}, %x: tensor<?x4xf32> {lamina.name = "x"}) -> (tensor<14xi32> {lamina.name = "c"}, tensor<?x4xf32> {lamina.name = "y"}) {
  %c = library.calendar %t : tensor<i64> -> tensor<14xi32>
  %s = library.sort %x : tensor<?x4xf32> -> tensor<?x4xf32>
  func.return %c, %s : tensor<14xi32>, tensor<?x4xf32>
}
