// RUN: lamina-opt %s -p canonicalize | filecheck %s

// CHECK-LABEL: func.func @unpack_of_pack
func.func @unpack_of_pack(%x: tensor<4x100xf32>) -> tensor<4x100xf32> {
  // CHECK-NEXT: func.return %x
  %p = graph.pack %x dimension 1 tile 48 : tensor<4x100xf32> -> tensor<3x4x48xf32>
  %y = graph.unpack %p dimension 1 size 100 : tensor<3x4x48xf32> -> tensor<4x100xf32>
  func.return %y : tensor<4x100xf32>
}

// CHECK-LABEL: func.func @other_size
func.func @other_size(%x: tensor<4x100xf32>) -> tensor<4x99xf32> {
  // CHECK-NEXT: graph.pack
  // CHECK-NEXT: graph.unpack
  %p = graph.pack %x dimension 1 tile 48 : tensor<4x100xf32> -> tensor<3x4x48xf32>
  %y = graph.unpack %p dimension 1 size 99 : tensor<3x4x48xf32> -> tensor<4x99xf32>
  func.return %y : tensor<4x99xf32>
}

// CHECK-LABEL: func.func @other_axis
func.func @other_axis(%x: tensor<8x8xf32>) -> tensor<8x8xf32> {
  // CHECK-NEXT: graph.pack
  // CHECK-NEXT: graph.unpack
  %p = graph.pack %x dimension 1 tile 4 : tensor<8x8xf32> -> tensor<2x8x4xf32>
  %y = graph.unpack %p dimension 0 size 8 : tensor<2x8x4xf32> -> tensor<8x8xf32>
  func.return %y : tensor<8x8xf32>
}
