// RUN: lamina-opt %s | lamina-opt | filecheck %s
// RUN: lamina-opt %s --print-op-generic | lamina-opt | filecheck %s

// Packing and its inverse, in custom and in generic syntax.

func.func @ops(%x: tensor<4x100xf32>, %d: tensor<?x8xf64>, %p: tensor<?x4x48xf32>) {
  // CHECK: = graph.pack %x dimension 1 tile 48 : tensor<4x100xf32> -> tensor<3x4x48xf32>
  %0 = graph.pack %x dimension 1 tile 48 : tensor<4x100xf32> -> tensor<3x4x48xf32>
  // CHECK: = graph.pack %d dimension 0 tile 16 : tensor<?x8xf64> -> tensor<?x8x16xf64>
  %1 = graph.pack %d dimension 0 tile 16 : tensor<?x8xf64> -> tensor<?x8x16xf64>
  // CHECK: = graph.unpack %0 dimension 1 size 100 : tensor<3x4x48xf32> -> tensor<4x100xf32>
  %2 = graph.unpack %0 dimension 1 size 100 : tensor<3x4x48xf32> -> tensor<4x100xf32>
  // CHECK: = graph.unpack %p dimension 0 size 50 : tensor<?x4x48xf32> -> tensor<50x4xf32>
  %3 = graph.unpack %p dimension 0 size 50 : tensor<?x4x48xf32> -> tensor<50x4xf32>
  func.return
}
