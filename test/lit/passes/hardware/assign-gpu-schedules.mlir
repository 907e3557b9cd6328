// RUN: lamina-opt %s -p assign-gpu-schedules | filecheck %s

builtin.module attributes {lamina.target = {kind = "ptx", architecture = "sm_80"}} {
  // CHECK-LABEL: func.func @product
  // CHECK: lamina.schedule = {kind = "gpu-product", row = "m", column = "n", tile = {m = 4 : i64, n = 4 : i64}, block = {m = 64 : i64, n = 64 : i64, k = 16 : i64}}
  func.func @product(%a: tensor<100x50xf32>, %b: tensor<50x70xf32>, %c: tensor<100x70xf32>) -> tensor<100x70xf32> {
    %r = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>], iterator_types = ["parallel", "parallel", "reduction"]} ins(%a, %b : tensor<100x50xf32>, tensor<50x70xf32>) outs(%c : tensor<100x70xf32>) attrs = {lamina.axes = ["m", "n", "k"]} {
    ^bb0(%x: f32, %y: f32, %s: f32):
      %p = arith.mulf %x, %y : f32
      %t = arith.addf %s, %p : f32
      linalg.yield %t : f32
    } -> tensor<100x70xf32>
    func.return %r : tensor<100x70xf32>
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
