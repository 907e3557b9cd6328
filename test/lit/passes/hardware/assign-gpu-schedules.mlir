// RUN: lamina-opt %s -p assign-gpu-schedules | filecheck %s

builtin.module attributes {lamina.target = {kind = "ptx", architecture = "sm_80"}} {
  // CHECK-LABEL: func.func @product
  // A small result: small blocks, and no split of so short a sum.
  // CHECK: lamina.schedule = {kind = "gpu-product", rows = ["m"], columns = ["n"], depth = ["k"], block = {m = 32 : i64, n = 32 : i64, k = 16 : i64}, tile = {m = 2 : i64, n = 2 : i64}, vector = {a = 2 : i64, b = 2 : i64}, row_padding = 4 : i64, stages = 2 : i64}
  func.func @product(%a: tensor<100x50xf32>, %b: tensor<50x70xf32>, %c: tensor<100x70xf32>) -> tensor<100x70xf32> {
    %r = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>], iterator_types = ["parallel", "parallel", "reduction"]} ins(%a, %b : tensor<100x50xf32>, tensor<50x70xf32>) outs(%c : tensor<100x70xf32>) attrs = {lamina.axes = ["m", "n", "k"]} {
    ^bb0(%x: f32, %y: f32, %s: f32):
      %p = arith.mulf %x, %y : f32
      %t = arith.addf %s, %p : f32
      linalg.yield %t : f32
    } -> tensor<100x70xf32>
    func.return %r : tensor<100x70xf32>
  }

  // Fragments and asynchronous copies, where the target has them for the type.
  // CHECK-LABEL: func.func @half_product
  // CHECK: lamina.schedule = {kind = "gpu-product", rows = ["m"], columns = ["n"], depth = ["k"], block = {m = 128 : i64, n = 128 : i64, k = 32 : i64}, warp = {m = 64 : i64, n = 32 : i64}, fragment = {m = 16 : i64, n = 8 : i64, k = 16 : i64}, vector = {a = 8 : i64, b = 8 : i64}, row_padding = 0 : i64, stages = 4 : i64, copies = "asynchronous", swizzle}
  func.func @half_product(%a: tensor<4096x512xf16>, %b: tensor<512x4096xf16>, %c: tensor<4096x4096xf32>) -> tensor<4096x4096xf32> {
    %r = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>], iterator_types = ["parallel", "parallel", "reduction"]} ins(%a, %b : tensor<4096x512xf16>, tensor<512x4096xf16>) outs(%c : tensor<4096x4096xf32>) attrs = {lamina.axes = ["m", "n", "k"]} {
    ^bb0(%x: f16, %y: f16, %s: f32):
      %u = arith.extf %x : f16 to f32
      %v = arith.extf %y : f16 to f32
      %p = arith.mulf %u, %v : f32
      %t = arith.addf %s, %p : f32
      linalg.yield %t : f32
    } -> tensor<4096x4096xf32>
    func.return %r : tensor<4096x4096xf32>
  }

  // A convolution: positions are rows, taps and channels the depth. A long sum of few positions is split.
  // CHECK-LABEL: func.func @convolution
  // CHECK: lamina.schedule = {kind = "gpu-product", rows = ["n", "h", "w"], columns = ["o"], depth = ["kh", "kw", "c"], block = {{.*}}, split = {{[0-9]+}} : i64}
  func.func @convolution(%a: tensor<1x9x9x256xf32>, %b: tensor<3x3x256x64xf32>, %c: tensor<1x7x7x64xf32>) -> tensor<1x7x7x64xf32> {
    %r = linalg.generic {indexing_maps = [affine_map<(n, h, w, kh, kw, c, o) -> (n, h + kh, w + kw, c)>, affine_map<(n, h, w, kh, kw, c, o) -> (kh, kw, c, o)>, affine_map<(n, h, w, kh, kw, c, o) -> (n, h, w, o)>], iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction", "reduction", "parallel"]} ins(%a, %b : tensor<1x9x9x256xf32>, tensor<3x3x256x64xf32>) outs(%c : tensor<1x7x7x64xf32>) attrs = {lamina.axes = ["n", "h", "w", "kh", "kw", "c", "o"]} {
    ^bb0(%x: f32, %y: f32, %s: f32):
      %p = arith.mulf %x, %y : f32
      %t = arith.addf %s, %p : f32
      linalg.yield %t : f32
    } -> tensor<1x7x7x64xf32>
    func.return %r : tensor<1x7x7x64xf32>
  }

  // Groups of few features: what a thread has of them, at how many neighboring positions, and of a group at a time.
  // CHECK-LABEL: func.func @narrow_groups
  // CHECK: lamina.schedule = {kind = "gpu-direct", tile = {positions = 1 : i64, features = 4 : i64, depth = 4 : i64}}
  func.func @narrow_groups(%a: tensor<1x9x9x32xf32>, %b: tensor<3x3x4x64xf32>, %c: tensor<1x7x7x64xf32>) -> tensor<1x7x7x64xf32> {
    %r = linalg.generic {indexing_maps = [affine_map<(n, h, w, kh, kw, c, o) -> (n, h + kh, w + kw, o floordiv 8 * 4 + c)>, affine_map<(n, h, w, kh, kw, c, o) -> (kh, kw, c, o)>, affine_map<(n, h, w, kh, kw, c, o) -> (n, h, w, o)>], iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction", "reduction", "parallel"]} ins(%a, %b : tensor<1x9x9x32xf32>, tensor<3x3x4x64xf32>) outs(%c : tensor<1x7x7x64xf32>) attrs = {lamina.axes = ["n", "h", "w", "kh", "kw", "c", "o"]} {
    ^bb0(%x: f32, %y: f32, %s: f32):
      %p = arith.mulf %x, %y : f32
      %t = arith.addf %s, %p : f32
      linalg.yield %t : f32
    } -> tensor<1x7x7x64xf32>
    func.return %r : tensor<1x7x7x64xf32>
  }

  // Wide ones: a product with as many batches.
  // CHECK-LABEL: func.func @wide_groups
  // CHECK: lamina.schedule = {kind = "gpu-product", rows = ["n", "h", "w"], columns = ["o"], depth = ["c"], block = {m = 128 : i64, n = 32 : i64, k = 32 : i64}, warp = {{.*}}, fragment = {m = 16 : i64, n = 8 : i64, k = 16 : i64}, vector = {a = 8 : i64, b = 8 : i64}
  func.func @wide_groups(%a: tensor<8x12x12x64xf16>, %b: tensor<32x64xf16>, %c: tensor<8x12x12x64xf32>) -> tensor<8x12x12x64xf32> {
    %r = linalg.generic {indexing_maps = [affine_map<(n, h, w, c, o) -> (n, h, w, o floordiv 32 * 32 + c)>, affine_map<(n, h, w, c, o) -> (c, o)>, affine_map<(n, h, w, c, o) -> (n, h, w, o)>], iterator_types = ["parallel", "parallel", "parallel", "reduction", "parallel"]} ins(%a, %b : tensor<8x12x12x64xf16>, tensor<32x64xf16>) outs(%c : tensor<8x12x12x64xf32>) attrs = {lamina.axes = ["n", "h", "w", "c", "o"]} {
    ^bb0(%x: f16, %y: f16, %s: f32):
      %u = arith.extf %x : f16 to f32
      %v = arith.extf %y : f16 to f32
      %p = arith.mulf %u, %v : f32
      %t = arith.addf %s, %p : f32
      linalg.yield %t : f32
    } -> tensor<8x12x12x64xf32>
    func.return %r : tensor<8x12x12x64xf32>
  }

  // The last group has fewer columns: no blocks of groups.
  // CHECK-LABEL: func.func @groups_that_are_not_whole
  // CHECK-NOT: lamina.schedule = {kind = "gpu-
  func.func @groups_that_are_not_whole(%a: tensor<9x6xf32>, %b: tensor<3x48xf32>, %c: tensor<9x48xf32>) -> tensor<9x48xf32> {
    %r = linalg.generic {indexing_maps = [affine_map<(n, c, o) -> (n, o floordiv 32 * 3 + c)>, affine_map<(n, c, o) -> (c, o)>, affine_map<(n, c, o) -> (n, o)>], iterator_types = ["parallel", "reduction", "parallel"]} ins(%a, %b : tensor<9x6xf32>, tensor<3x48xf32>) outs(%c : tensor<9x48xf32>) attrs = {lamina.axes = ["n", "c", "o"]} {
    ^bb0(%x: f32, %y: f32, %s: f32):
      %p = arith.mulf %x, %y : f32
      %t = arith.addf %s, %p : f32
      linalg.yield %t : f32
    } -> tensor<9x48xf32>
    func.return %r : tensor<9x48xf32>
  }

  // CHECK-LABEL: func.func @double_product
  // CHECK: block = {m = 16 : i64, n = 32 : i64, k = 16 : i64}, warp = {m = 8 : i64, n = 16 : i64}, fragment = {m = 8 : i64, n = 8 : i64, k = 4 : i64}, vector = {a = 2 : i64, b = 2 : i64}, row_padding = 4 : i64
  func.func @double_product(%a: tensor<100x50xf64>, %b: tensor<50x70xf64>, %c: tensor<100x70xf64>) -> tensor<100x70xf64> {
    %r = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>], iterator_types = ["parallel", "parallel", "reduction"]} ins(%a, %b : tensor<100x50xf64>, tensor<50x70xf64>) outs(%c : tensor<100x70xf64>) attrs = {lamina.axes = ["m", "n", "k"]} {
    ^bb0(%x: f64, %y: f64, %s: f64):
      %p = arith.mulf %x, %y : f64
      %t = arith.addf %s, %p : f64
      linalg.yield %t : f64
    } -> tensor<100x70xf64>
    func.return %r : tensor<100x70xf64>
  }

  // CHECK-LABEL: func.func @sum
  // CHECK: lamina.schedule = {kind = "rows", parallel = ["i"],
  func.func @sum(%a: tensor<100x50xf32>, %c: tensor<100xf32>) -> tensor<100xf32> {
    %r = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]} ins(%a : tensor<100x50xf32>) outs(%c : tensor<100xf32>) attrs = {lamina.axes = ["i", "j"]} {
    ^bb0(%x: f32, %s: f32):
      %t = arith.addf %s, %x fastmath<reassoc> : f32
      linalg.yield %t : f32
    } -> tensor<100xf32>
    func.return %r : tensor<100xf32>
  }
}
