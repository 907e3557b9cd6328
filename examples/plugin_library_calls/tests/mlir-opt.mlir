// REQUIRES: mlir-opt
// RUN: %opt %s --to tensor | %mlir_opt | filecheck %s
// RUN: %opt %s --to loop | %mlir_opt | filecheck %s

// CHECK: call @library.sort.int8x1.int8x1
// CHECK: func.func private @library.sort.int8x1.int8x1
func.func @main(%x: tensor<5xi8> {lamina.name = "x"}) -> (tensor<5xi8> {lamina.name = "y"}) {
  %y = library.sort %x : tensor<5xi8> -> tensor<5xi8>
  func.return %y : tensor<5xi8>
}
