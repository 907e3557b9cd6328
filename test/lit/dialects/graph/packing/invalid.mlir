// RUN: lamina-opt %s --split-input-file --verify-diagnostics

func.func @f(%x: tensor<4x100xf32>) {
  // expected-error @below {{graph.pack: dimension: expected axes within [0, 2), found [2]}}
  %0 = graph.pack %x dimension 2 tile 48 : tensor<4x100xf32> -> tensor<3x4x48xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x100xf32>) {
  // expected-error @below {{graph.pack: tile: expected values of at least 1, found [0]}}
  %0 = graph.pack %x dimension 1 tile 0 : tensor<4x100xf32> -> tensor<3x4x48xf32>
  func.return
}

// -----

func.func @f(%x: tensor<3x4x48xf32>) {
  // expected-error @below {{graph.unpack: size: 50 elements make 2 panels of 48, found 3}}
  %0 = graph.unpack %x dimension 1 size 50 : tensor<3x4x48xf32> -> tensor<4x50xf32>
  func.return
}

// -----

func.func @f(%x: tensor<3x4x48xf32>) {
  // expected-error @below {{graph.unpack: dimension: expected axes within [0, 2), found [2]}}
  %0 = graph.unpack %x dimension 2 size 144 : tensor<3x4x48xf32> -> tensor<4x144xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x0xf32>) {
  // expected-error @below {{graph.unpack: expected panels of at least 1 element, found tensor<4x0xf32>}}
  %0 = graph.unpack %x dimension 0 size 12 : tensor<4x0xf32> -> tensor<12xf32>
  func.return
}
