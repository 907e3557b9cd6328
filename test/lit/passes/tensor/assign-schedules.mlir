// RUN: lamina-opt %s -p graph-to-linalg,assign-schedules | filecheck %s
// RUN: %if mlir-opt %{ lamina-opt %s -p graph-to-linalg,assign-schedules | %mlir_opt %}

builtin.module attributes {lamina.target = {vector_bits = 512 : i64}} {

// 8 x 3 vectors of 16, the sum in two blocks, and the epilogue by rows.
// CHECK-LABEL: func.func private @contraction
// CHECK:       lamina.schedule = {kind = "contraction", row = "m0", column = "n0", tile = {m0 = 8 : i64, n0 = 48 : i64}, block = {m0 = 64 : i64, k0 = 384 : i64}, unroll = 2 : i64, parallel = ["n0", "m0"], grain = 1 : i64}
// CHECK:       lamina.axes = ["m0", "n0"], lamina.schedule = {kind = "rows", parallel = ["m0"]
func.func private @contraction(%x: tensor<128x768xf32>, %w: tensor<768x384xf32>, %b: tensor<384xf32>) -> tensor<128x384xf32> attributes {lamina.kernel} {
  %0 = graph.dot_general %x, %w, contract = [1] x [0] : tensor<128x768xf32>, tensor<768x384xf32> -> tensor<128x384xf32>
  %1 = graph.add %0, %b : tensor<128x384xf32>, tensor<384xf32> -> tensor<128x384xf32>
  func.return %1 : tensor<128x384xf32>
}

// f64: half as many lanes. 64 columns are two panels of four vectors.
// CHECK-LABEL: func.func private @narrow
// CHECK:       tile = {m0 = 6 : i64, n0 = 32 : i64}, block = {m0 = 60 : i64, k0 = 384 : i64}
func.func private @narrow(%x: tensor<?x768xf64>, %w: tensor<768x64xf64>) -> tensor<?x64xf64> attributes {lamina.kernel} {
  %0 = graph.dot_general %x, %w, contract = [1] x [0] : tensor<?x768xf64>, tensor<768x64xf64> -> tensor<?x64xf64>
  func.return %0 : tensor<?x64xf64>
}

// One row: a wide panel of columns.
// CHECK-LABEL: func.func private @vector
// CHECK:       tile = {m0 = 1 : i64, n0 = 128 : i64}, block = {m0 = 1 : i64, k0 = 384 : i64}
func.func private @vector(%x: tensor<1x768xf32>, %w: tensor<768x384xf32>) -> tensor<1x384xf32> attributes {lamina.kernel} {
  %0 = graph.dot_general %x, %w, contract = [1] x [0] : tensor<1x768xf32>, tensor<768x384xf32> -> tensor<1x384xf32>
  func.return %0 : tensor<1x384xf32>
}

// Panels of a packed operand say how wide the tile is; with one row, two tiles take turns.
// CHECK-LABEL: func.func private @panels
// CHECK:       affine_map<(d0, d1, d2) -> ((d2 floordiv 48), d1, (d2 mod 48))>
// CHECK-SAME:  tile = {m0 = 8 : i64, n0 = 48 : i64}
// CHECK:       affine_map<(d0, d1, d2) -> ((d2 floordiv 80), d1, (d2 mod 80))>
// CHECK-NOT:   kind = "contraction"
// CHECK:       affine_map<(d0, d1, d2) -> ((d2 floordiv 48), d1, (d2 mod 48))>
// CHECK-SAME:  tile = {m0 = 1 : i64, n0 = 48 : i64}, block = {m0 = 1 : i64}, unroll = 3 : i64, accumulators = 3 : i64
func.func private @panels(%x: tensor<?x64xf32>, %w: tensor<3x64x48xf32>) -> tensor<?x100xf32> attributes {lamina.kernel} {
  %0 = graph.unpack %w dimension 1 size 100 : tensor<3x64x48xf32> -> tensor<64x100xf32>
  %1 = graph.dot_general %x, %0, contract = [1] x [0] : tensor<?x64xf32>, tensor<64x100xf32> -> tensor<?x100xf32>
  func.return %1 : tensor<?x100xf32>
}
func.func private @too_wide(%x: tensor<?x64xf32>, %w: tensor<2x64x80xf32>) -> tensor<?x100xf32> attributes {lamina.kernel} {
  %0 = graph.unpack %w dimension 1 size 100 : tensor<2x64x80xf32> -> tensor<64x100xf32>
  %1 = graph.dot_general %x, %0, contract = [1] x [0] : tensor<?x64xf32>, tensor<64x100xf32> -> tensor<?x100xf32>
  func.return %1 : tensor<?x100xf32>
}
func.func private @one_row(%x: tensor<1x64xf32>, %w: tensor<3x64x48xf32>) -> tensor<1x100xf32> attributes {lamina.kernel} {
  %0 = graph.unpack %w dimension 1 size 100 : tensor<3x64x48xf32> -> tensor<64x100xf32>
  %1 = graph.dot_general %x, %0, contract = [1] x [0] : tensor<1x64xf32>, tensor<64x100xf32> -> tensor<1x100xf32>
  func.return %1 : tensor<1x100xf32>
}

// One sum for each element of a row: it is taken up again after 256 products at most.
// CHECK-LABEL: func.func private @long_row
// CHECK:       tile = {m0 = 1 : i64, n0 = 128 : i64}, block = {m0 = 1 : i64, k0 = 256 : i64}, unroll = 2 : i64
func.func private @long_row(%x: tensor<1x2000xf32>, %w: tensor<3x2000x128xf32>) -> tensor<1x300xf32> attributes {lamina.kernel} {
  %0 = graph.unpack %w dimension 1 size 300 : tensor<3x2000x128xf32> -> tensor<2000x300xf32>
  %1 = graph.dot_general %x, %0, contract = [1] x [0] : tensor<1x2000xf32>, tensor<2000x300xf32> -> tensor<1x300xf32>
  func.return %1 : tensor<1x300xf32>
}

// Rows of pixels by output features, several lines of the image in one piece of work. The weights are small: a piece has
// all features.
// CHECK-LABEL: func.func private @convolution
// CHECK:       lamina.schedule = {kind = "contraction", row = "w", column = "o", tile = {w = 6 : i64, o = 64 : i64}
// CHECK-SAME:  block = {h = 1 : i64, w = 24 : i64}, unroll = 2 : i64, parallel = ["n", "h", "w", "o"]
func.func private @convolution(%x: tensor<1x26x26x8xf32>, %w: tensor<3x3x8x64xf32>) -> tensor<1x24x24x64xf32> attributes {lamina.kernel} {
  %0 = graph.convolution %x, %w, [b, 0, 1, f] x [0, 1, i, o] -> [b, 0, 1, f], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<1x26x26x8xf32>, tensor<3x3x8x64xf32> -> tensor<1x24x24x64xf32>
  func.return %0 : tensor<1x24x24x64xf32>
}

// A panel of large weights is read once for several lines; the next block of it is asked for while one is summed.
// CHECK-LABEL: func.func private @deep_convolution
// CHECK:       tile = {w = 7 : i64, o = 48 : i64}, block = {h = 3 : i64, w = 7 : i64, c = 64 : i64}, unroll = 2 : i64, prefetch = 1 : i64, parallel = ["n", "o", "h", "w"]
func.func private @deep_convolution(%x: tensor<1x9x9x512xf32>, %w: tensor<11x3x3x512x48xf32>) -> tensor<1x7x7x512xf32> attributes {lamina.kernel} {
  %0 = graph.unpack %w dimension 3 size 512 : tensor<11x3x3x512x48xf32> -> tensor<3x3x512x512xf32>
  %1 = graph.convolution %x, %0, [b, 0, 1, f] x [0, 1, i, o] -> [b, 0, 1, f], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 1 : tensor<1x9x9x512xf32>, tensor<3x3x512x512xf32> -> tensor<1x7x7x512xf32>
  func.return %1 : tensor<1x7x7x512xf32>
}

// Every channel over its own taps, those of the last axis written out; work is handed out by lines.
// CHECK-LABEL: func.func private @depthwise
// CHECK:       lamina.schedule = {kind = "contraction", row = "w", column = "g", tile = {w = 8 : i64, g = 32 : i64}
// CHECK-SAME:  unroll = 3 : i64, parallel = ["n", "h"]
func.func private @depthwise(%x: tensor<1x14x26x64xf32>, %w: tensor<3x3x1x64xf32>) -> tensor<1x12x24x64xf32> attributes {lamina.kernel} {
  %0 = graph.convolution %x, %w, [b, 0, 1, f] x [0, 1, i, o] -> [b, 0, 1, f], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 64 : tensor<1x14x26x64xf32>, tensor<3x3x1x64xf32> -> tensor<1x12x24x64xf32>
  func.return %0 : tensor<1x12x24x64xf32>
}

// Groups of four outputs: a vector has four of them.
// CHECK-LABEL: func.func private @narrow_groups
// CHECK:       lamina.schedule = {kind = "contraction", row = "w", column = "o", tile = {w = 12 : i64, o = 16 : i64}, block = {o = 16 : i64}
// CHECK-SAME:  parallel = ["n", "h", "o"]
func.func private @narrow_groups(%x: tensor<1x14x26x64xf32>, %w: tensor<3x3x4x64xf32>) -> tensor<1x12x24x64xf32> attributes {lamina.kernel} {
  %0 = graph.convolution %x, %w, [b, 0, 1, f] x [0, 1, i, o] -> [b, 0, 1, f], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 16 : tensor<1x14x26x64xf32>, tensor<3x3x4x64xf32> -> tensor<1x12x24x64xf32>
  func.return %0 : tensor<1x12x24x64xf32>
}

// Groups of 56 outputs: each is a contraction, whose columns are a block.
// CHECK-LABEL: func.func private @wide_groups
// CHECK:       lamina.schedule = {kind = "contraction", row = "w", column = "o", tile = {w = 6 : i64, o = 64 : i64}, block = {{{.*}}o = 56 : i64}
func.func private @wide_groups(%x: tensor<1x14x26x112xf32>, %w: tensor<3x3x56x112xf32>) -> tensor<1x12x24x112xf32> attributes {lamina.kernel} {
  %0 = graph.convolution %x, %w, [b, 0, 1, f] x [0, 1, i, o] -> [b, 0, 1, f], strides = [1, 1], padding = [0, 0, 0, 0], lhs_dilation = [1, 1], rhs_dilation = [1, 1], groups = 2 : tensor<1x14x26x112xf32>, tensor<3x3x56x112xf32> -> tensor<1x12x24x112xf32>
  func.return %0 : tensor<1x12x24x112xf32>
}

// All stages share the rows, and so one parallel loop.
// CHECK-LABEL: func.func private @softmax
// CHECK:       lamina.axes = ["i0", "i1", "i2", "r2"], lamina.schedule = {kind = "rows", parallel = ["i0", "i1"], grain = [[G:[0-9]+]] : i64}
// CHECK:       lamina.axes = ["i0", "i1", "i2"], lamina.schedule = {kind = "rows", parallel = ["i0", "i1"], grain = [[G]] : i64}
// CHECK:       parallel = ["i0", "i1"], grain = [[G]] : i64}
// CHECK:       parallel = ["i0", "i1"], grain = [[G]] : i64}
func.func private @softmax(%x: tensor<2x?x128xf32>) -> tensor<2x?x128xf32> attributes {lamina.kernel} {
  %0 = graph.reduce maximum %x, [2] keep_dimensions : tensor<2x?x128xf32> -> tensor<2x?x1xf32>
  %1 = graph.subtract %x, %0 : tensor<2x?x128xf32>, tensor<2x?x1xf32> -> tensor<2x?x128xf32>
  %2 = graph.exp %1 : tensor<2x?x128xf32>
  %3 = graph.reduce add %2, [2] keep_dimensions : tensor<2x?x128xf32> -> tensor<2x?x1xf32>
  %4 = graph.divide %2, %3 : tensor<2x?x128xf32>, tensor<2x?x1xf32> -> tensor<2x?x128xf32>
  func.return %4 : tensor<2x?x128xf32>
}

// A reduction over the leading axis shares no rows with what reads it.
// CHECK-LABEL: func.func private @columns
// CHECK:       lamina.axes = ["r0", "i1"], lamina.schedule = {kind = "rows", parallel = []}
// CHECK:       lamina.axes = ["i0", "i1"], lamina.schedule = {kind = "rows", parallel = ["i0"]
func.func private @columns(%x: tensor<64x128xf32>) -> tensor<64x128xf32> attributes {lamina.kernel} {
  %0 = graph.reduce add %x, [0] : tensor<64x128xf32> -> tensor<128xf32>
  %1 = graph.add %x, %0 : tensor<64x128xf32>, tensor<128xf32> -> tensor<64x128xf32>
  func.return %1 : tensor<64x128xf32>
}

// Read along the channels, written along the positions, which are one axis.
// CHECK-LABEL: func.func private @positions_last
// CHECK:       lamina.schedule = {kind = "transpose", row = "i1", column = "i3", merge = {{\[}}["i2", "i3"]], tile = {i1 = 16 : i64, i3 = 16 : i64}, block = {i1 = 48 : i64, i3 = 208 : i64}, parallel = ["i0", "i1", "i3"], grain = 2 : i64}
func.func private @positions_last(%x: tensor<1x14x14x96xf32>) -> tensor<1x96x14x14xf32> attributes {lamina.kernel} {
  %0 = graph.transpose %x, [0, 3, 1, 2] : tensor<1x14x14x96xf32> -> tensor<1x96x14x14xf32>
  %1 = graph.negate %0 : tensor<1x96x14x14xf32>
  func.return %1 : tensor<1x96x14x14xf32>
}

// Large and of whole lines: blocks begin where lines do, and ask for what is read next.
// CHECK-LABEL: func.func private @large
// CHECK:       lamina.schedule = {kind = "transpose", row = "i0", column = "i1", merge = [], tile = {i0 = 16 : i64, i1 = 16 : i64}, block = {i0 = 1024 : i64, i1 = 64 : i64}, lines = ["i0", "i1"], prefetch = 4 : i64, parallel = ["i0", "i1"], grain = 1 : i64}
func.func private @large(%x: tensor<4096x4096xf32>) -> tensor<4096x4096xf32> attributes {lamina.kernel} {
  %0 = graph.transpose %x, [1, 0] : tensor<4096x4096xf32> -> tensor<4096x4096xf32>
  func.return %0 : tensor<4096x4096xf32>
}

// In the caches the long side of a block is along the longer axis.
// CHECK-LABEL: func.func private @long_rows
// CHECK:       block = {i0 = 256 : i64, i1 = 64 : i64}, lines = ["i0", "i1"], parallel
func.func private @long_rows(%x: tensor<128x1024xf32>) -> tensor<1024x128xf32> attributes {lamina.kernel} {
  %0 = graph.transpose %x, [1, 0] : tensor<128x1024xf32> -> tensor<1024x128xf32>
  func.return %0 : tensor<1024x128xf32>
}

// One row times a large matrix that is not packed: whole rows of the matrix, columns in pieces of an even number.
// CHECK-LABEL: func.func private @large_matrix
// CHECK:       lamina.schedule = {kind = "rows", block = {n0 = 1408 : i64}, parallel = ["n0"], grain = 1 : i64}
func.func private @large_matrix(%x: tensor<1x2048xf32>, %w: tensor<2048x5632xf32>) -> tensor<1x5632xf32> attributes {lamina.kernel} {
  %0 = graph.dot_general %x, %w, contract = [1] x [0] : tensor<1x2048xf32>, tensor<2048x5632xf32> -> tensor<1x5632xf32>
  func.return %0 : tensor<1x5632xf32>
}

// Three channels are too few to turn blocks.
// CHECK-LABEL: func.func private @image
// CHECK:       kind = "rows"
func.func private @image(%x: tensor<1x3x32x32xf32>) -> tensor<1x32x32x3xf32> attributes {lamina.kernel} {
  %0 = graph.transpose %x, [0, 2, 3, 1] : tensor<1x3x32x32xf32> -> tensor<1x32x32x3xf32>
  func.return %0 : tensor<1x32x32x3xf32>
}

// Rows that change places: pieces of some that are neighbors in the result, in the operand's order.
// CHECK-LABEL: func.func private @heads
// CHECK:       lamina.schedule = {kind = "rows", block = {i2 = 32 : i64}, parallel = ["i0", "i2", "i1"], grain = 8 : i64}
func.func private @heads(%x: tensor<1x128x16x64xf32>) -> tensor<1x16x128x64xf32> attributes {lamina.kernel} {
  %0 = graph.transpose %x, [0, 2, 1, 3] : tensor<1x128x16x64xf32> -> tensor<1x16x128x64xf32>
  func.return %0 : tensor<1x16x128x64xf32>
}

// A row that is long enough is a piece.
// CHECK-LABEL: func.func private @long_heads
// CHECK:       lamina.schedule = {kind = "rows", parallel = ["i0", "i1"]
func.func private @long_heads(%x: tensor<128x16x2048xf32>) -> tensor<16x128x2048xf32> attributes {lamina.kernel} {
  %0 = graph.transpose %x, [1, 0, 2] : tensor<128x16x2048xf32> -> tensor<16x128x2048xf32>
  func.return %0 : tensor<16x128x2048xf32>
}

// A row of two elements would be too short: a row is the last two axes.
// CHECK-LABEL: func.func private @repeated
// CHECK:       lamina.schedule = {kind = "rows", parallel = ["i0", "i1", "i2"], grain
func.func private @repeated(%x: tensor<4x20x1x20x1xf32>) -> tensor<4x20x2x20x2xf32> attributes {lamina.kernel} {
  %0 = graph.broadcast %x, [4, 20, 2, 20, 2] : tensor<4x20x1x20x1xf32> -> tensor<4x20x2x20x2xf32>
  func.return %0 : tensor<4x20x2x20x2xf32>
}

}
