// RUN: lamina-opt %s -p outline-gpu-kernels --split-input-file | filecheck %s
// RUN: %if mlir-opt %{ lamina-opt %s -p outline-gpu-kernels --split-input-file | %mlir_opt --split-input-file | filecheck %s --check-prefix=UPSTREAM %}

// UPSTREAM: gpu.func @convolution

// A thread has 4 features of a group at 2 positions: 4 columns of the input serve 3 taps of both, on the padding they are
// zeros. 7 rows of 4 pairs and 16 chunks of features are 448 threads in 4 blocks, the last of which is not full.
builtin.module attributes {lamina.target = {kind = "spirv"}} {
  // CHECK-LABEL: func.func @main
  // CHECK-NEXT:  %[[THREADS:.*]] = arith.constant 128 : index
  // CHECK-NEXT:  %[[BLOCKS:.*]] = arith.constant 4 : index
  // CHECK:       gpu.launch_func @kernels::@convolution blocks in (%[[BLOCKS]], {{.*}}) threads in (%[[THREADS]], {{.*}}) args(%a : memref<1x7x7x32xf32>, %b : memref<3x3x4x64xf32>, %c : memref<1x7x7x64xf32>)
  // CHECK-NEXT:  func.return
  func.func @main(%a: memref<1x7x7x32xf32>, %b: memref<3x3x4x64xf32>, %c: memref<1x7x7x64xf32>) {
    func.call @convolution(%a, %b, %c) : (memref<1x7x7x32xf32>, memref<3x3x4x64xf32>, memref<1x7x7x64xf32>) -> ()
    func.return
  }
  // CHECK:       gpu.func @convolution(%[[X:.*]]: memref<1x7x7x32xf32>, %[[W:.*]]: memref<3x3x4x64xf32>, %[[Y:.*]]: memref<1x7x7x64xf32>) kernel
  // CHECK:         scf.if
  // CHECK:           scf.for %{{.*}} iter_args({{.*}}) -> (vector<4xf32>, vector<4xf32>) {
  // CHECK:             vector.load %[[W]][{{.*}}] {alignment = 16 : i64} : memref<3x3x4x64xf32>, vector<4xf32>
  // CHECK:             vector.load %[[X]][{{.*}}] {alignment = 16 : i64} : memref<1x7x7x32xf32>, vector<4xf32>
  // CHECK:             arith.select %{{.*}} : vector<4xf32>
  // CHECK:             vector.extract %{{.*}}[0] : f32 from vector<4xf32>
  // CHECK:             vector.broadcast %{{.*}} : f32 to vector<4xf32>
  // CHECK:             arith.mulf %{{.*}}fastmath<reassoc,contract> : vector<4xf32>
  // CHECK:             scf.yield
  // CHECK:           arith.maximumf
  // CHECK:           vector.store %{{.*}}, %[[Y]][{{.*}}] {alignment = 16 : i64} : memref<1x7x7x64xf32>, vector<4xf32>
  func.func private @convolution(%a: memref<1x7x7x32xf32>, %b: memref<3x3x4x64xf32>, %c: memref<1x7x7x64xf32>) attributes {lamina.kernel} {
    %minus = arith.constant -1 : index
    %zero = arith.constant 0 : index
    %size = arith.constant 7 : index
    %last = arith.constant 6 : index
    %none = arith.constant 0.000000e+00 : f32
    %padded = memref.alloc() : memref<1x9x9x32xf32>
    linalg.generic {indexing_maps = [affine_map<(n, h, w, f) -> (n, h, w, f)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} outs(%padded : memref<1x9x9x32xf32>) attrs = {lamina.border = array<i64: 0, 1, 1, 0, 0, 1, 1, 0>} {
    ^bb0(%o: f32):
      %n = linalg.index 0 : index
      %h = linalg.index 1 : index
      %w = linalg.index 2 : index
      %f = linalg.index 3 : index
      %y = arith.addi %h, %minus : index
      %x = arith.addi %w, %minus : index
      %yl = arith.cmpi sge, %y, %zero : index
      %yh = arith.cmpi slt, %y, %size : index
      %yi = arith.andi %yl, %yh : i1
      %xl = arith.cmpi sge, %x, %zero : index
      %xh = arith.cmpi slt, %x, %size : index
      %xi = arith.andi %xl, %xh : i1
      %inside = arith.andi %yi, %xi : i1
      %ym = arith.minsi %y, %last : index
      %yc = arith.maxsi %ym, %zero : index
      %xm = arith.minsi %x, %last : index
      %xc = arith.maxsi %xm, %zero : index
      %v = memref.load %a[%n, %yc, %xc, %f] : memref<1x7x7x32xf32>
      %r = arith.select %inside, %v, %none : f32
      linalg.yield %r : f32
    }
    %sums = memref.alloc() : memref<1x7x7x64xf32>
    linalg.fill ins(%none : f32) outs(%sums : memref<1x7x7x64xf32>)
    linalg.generic {indexing_maps = [affine_map<(n, h, w, kh, kw, c, o) -> (n, h + kh, w + kw, o floordiv 8 * 4 + c)>, affine_map<(n, h, w, kh, kw, c, o) -> (kh, kw, c, o)>, affine_map<(n, h, w, kh, kw, c, o) -> (n, h, w, o)>], iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction", "reduction", "parallel"]} ins(%padded, %b : memref<1x9x9x32xf32>, memref<3x3x4x64xf32>) outs(%sums : memref<1x7x7x64xf32>) attrs = {lamina.axes = ["n", "h", "w", "kh", "kw", "c", "o"], lamina.schedule = {kind = "gpu-direct", tile = {positions = 2, features = 4, depth = 4}}} {
    ^bb0(%x: f32, %w: f32, %s: f32):
      %p = arith.mulf %x, %w fastmath<reassoc,contract> : f32
      %t = arith.addf %s, %p fastmath<reassoc,contract> : f32
      linalg.yield %t : f32
    }
    linalg.generic {indexing_maps = [affine_map<(n, h, w, o) -> (n, h, w, o)>, affine_map<(n, h, w, o) -> (n, h, w, o)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%sums : memref<1x7x7x64xf32>) outs(%c : memref<1x7x7x64xf32>) {
    ^bb0(%s: f32, %o: f32):
      %v = arith.maximumf %s, %none : f32
      linalg.yield %v : f32
    }
    memref.dealloc %padded : memref<1x9x9x32xf32>
    memref.dealloc %sums : memref<1x7x7x64xf32>
    func.return
  }
}

// -----

// Weights stay padded: their loads check nothing. Groups that begin at any feature are read one neighbor at a time.
builtin.module attributes {lamina.target = {kind = "spirv"}} {
  func.func @main(%a: memref<7x8xf32>, %b: memref<3x2x3x32xf32>, %c: memref<5x32xf32>) {
    func.call @weights(%a, %b, %c) : (memref<7x8xf32>, memref<3x2x3x32xf32>, memref<5x32xf32>) -> ()
    func.return
  }
  // CHECK-LABEL: gpu.func @weights(
  // CHECK-SAME:    %[[X:[^:]*]]: memref<7x8xf32>, %[[W:[^:]*]]: memref<3x2x4x32xf32>) kernel
  // CHECK:         vector.load %[[W]][{{.*}}] {alignment = 16 : i64} : memref<3x2x4x32xf32>, vector<4xf32>
  // CHECK:         %[[FIRST:.*]] = memref.load %[[X]]
  // CHECK:         %[[SECOND:.*]] = memref.load %[[X]]
  // CHECK-NEXT:    vector.from_elements %[[FIRST]], %[[SECOND]] : vector<2xf32>
  // CHECK-LABEL: gpu.func @weights__1(
  // CHECK:         memref.store %{{.*}} : memref<3x2x4x32xf32>
  func.func private @weights(%a: memref<7x8xf32>, %b: memref<3x2x3x32xf32>, %c: memref<5x32xf32>) attributes {lamina.kernel} {
    %zero = arith.constant 0 : index
    %one = arith.constant 1 : index
    %none = arith.constant 0.000000e+00 : f32
    %padded = memref.alloc() : memref<3x2x4x32xf32>
    linalg.generic {indexing_maps = [affine_map<(k, c, d, o) -> (k, c, d, o)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} outs(%padded : memref<3x2x4x32xf32>) attrs = {lamina.border = array<i64: 0, 0, 1, 0, 0, 0, 0, 0>} {
    ^bb0(%p: f32):
      %k = linalg.index 0 : index
      %f = linalg.index 1 : index
      %d = linalg.index 2 : index
      %o = linalg.index 3 : index
      %y = arith.subi %d, %one : index
      %inside = arith.cmpi sge, %y, %zero : index
      %yc = arith.maxsi %y, %zero : index
      %v = memref.load %b[%k, %f, %yc, %o] : memref<3x2x3x32xf32>
      %r = arith.select %inside, %v, %none : f32
      linalg.yield %r : f32
    }
    linalg.fill ins(%none : f32) outs(%c : memref<5x32xf32>)
    linalg.generic {indexing_maps = [affine_map<(h, k, c, o) -> (h + k, o floordiv 8 + c)>, affine_map<(h, k, c, o) -> (k, c, k + c, o)>, affine_map<(h, k, c, o) -> (h, o)>], iterator_types = ["parallel", "reduction", "reduction", "parallel"]} ins(%a, %padded : memref<7x8xf32>, memref<3x2x4x32xf32>) outs(%c : memref<5x32xf32>) attrs = {lamina.axes = ["h", "k", "c", "o"], lamina.schedule = {kind = "gpu-direct", tile = {positions = 1, features = 4, depth = 2}}} {
    ^bb0(%x: f32, %w: f32, %s: f32):
      %p = arith.mulf %x, %w : f32
      %t = arith.addf %s, %p : f32
      linalg.yield %t : f32
    }
    memref.dealloc %padded : memref<3x2x4x32xf32>
    func.return
  }
}
