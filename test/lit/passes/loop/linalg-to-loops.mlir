// RUN: lamina-opt %s -p linalg-to-loops | filecheck %s

// The innermost reductions carry what they accumulate, with the combiner's flags.
// CHECK-LABEL: func.func @sum
func.func @sum(%x: memref<4x?x3xf32>, %y: memref<4xf32>) {
  // CHECK: scf.for [[I:%.*]] = {{.*}} {
  // CHECK-NEXT: [[START:%.*]] = memref.load %y[[[I]]]
  // CHECK-NEXT: [[OUTER:%.*]] = scf.for [[J:%.*]] = {{.*}} iter_args([[A:%.*]] = [[START]]) -> (f32) {
  // CHECK-NEXT: [[INNER:%.*]] = scf.for [[K:%.*]] = {{.*}} iter_args([[B:%.*]] = [[A]]) -> (f32) {
  // CHECK-NEXT: [[X:%.*]] = memref.load %x[[[I]], [[J]], [[K]]]
  // CHECK-NEXT: [[S:%.*]] = arith.addf [[B]], [[X]] fastmath<reassoc> : f32
  // CHECK-NEXT: scf.yield [[S]] : f32
  // CHECK-NEXT: }
  // CHECK-NEXT: scf.yield [[INNER]] : f32
  // CHECK-NEXT: }
  // CHECK-NEXT: memref.store [[OUTER]], %y[[[I]]]
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, j, k)>, affine_map<(i, j, k) -> (i)>],
    iterator_types = ["parallel", "reduction", "reduction"]} ins(%x : memref<4x?x3xf32>) outs(%y : memref<4xf32>) {
  ^bb0(%a: f32, %b: f32):
    %s = arith.addf %b, %a fastmath<reassoc> : f32
    linalg.yield %s : f32
  }
  func.return
}

// Positions are affine functions of the induction variables; so are indices in the body.
// CHECK-LABEL: func.func @positions
func.func @positions(%x: memref<9xi64>, %y: memref<3xi64>) {
  // CHECK: scf.for [[I:%.*]] = {{.*}} {
  // CHECK-NEXT: [[TWICE:%.*]] = arith.muli [[I]], {{%.*}}
  // CHECK-NEXT: [[P:%.*]] = arith.addi [[TWICE]], {{%.*}}
  // CHECK-NEXT: [[X:%.*]] = memref.load %x[[[P]]]
  // CHECK-NEXT: [[C:%.*]] = arith.index_cast [[I]] : index to i64
  // CHECK-NEXT: [[S:%.*]] = arith.addi [[X]], [[C]] : i64
  // CHECK-NEXT: memref.store [[S]], %y[[[I]]]
  linalg.generic {indexing_maps = [affine_map<(i) -> (i * 2 + 1)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
    ins(%x : memref<9xi64>) outs(%y : memref<3xi64>) {
  ^bb0(%a: i64, %b: i64):
    %i = linalg.index 0 : index
    %c = arith.index_cast %i : index to i64
    %s = arith.addi %a, %c : i64
    linalg.yield %s : i64
  }
  func.return
}

// CHECK-LABEL: func.func @fill
// CHECK: scf.for [[I:%.*]] =
// CHECK-NEXT: memref.store %v, %y[[[I]]]
func.func @fill(%v: f32, %y: memref<?xf32>) {
  linalg.fill ins(%v : f32) outs(%y : memref<?xf32>)
  func.return
}

// A short reduction outside the contiguous axis comes innermost, and is carried.
// CHECK-LABEL: func.func @window
// CHECK: scf.for [[I:%.*]] =
// CHECK-NEXT: [[START:%.*]] = memref.load %y[[[I]]]
// CHECK-NEXT: [[R:%.*]] = scf.for [[K:%.*]] = {{.*}} iter_args([[A:%.*]] = [[START]])
// CHECK: memref.store [[R]], %y[[[I]]]
func.func @window(%x: memref<2x8xf32>, %y: memref<8xf32>) {
  linalg.generic {indexing_maps = [affine_map<(k, i) -> (k, i)>, affine_map<(k, i) -> (i)>],
    iterator_types = ["reduction", "parallel"]} ins(%x : memref<2x8xf32>) outs(%y : memref<8xf32>) {
  ^bb0(%a: f32, %b: f32):
    %m = arith.maximumf %a, %b : f32
    linalg.yield %m : f32
  }
  func.return
}

// A block of four rows times a vector: one loop with a sum for each.
// CHECK-LABEL: func.func private @rows_together
// CHECK:       [[S:%.*]], {{%.*}}, {{%.*}}, {{%.*}} = scf.for {{.*}} -> (f32, f32, f32, f32) {
// CHECK-COUNT-4: arith.addf
// CHECK:         scf.yield {{%.*}}, {{%.*}}, {{%.*}}, {{%.*}} : f32, f32, f32, f32
// CHECK-COUNT-4: memref.store
func.func private @rows_together(%v: memref<64xf32>, %x: memref<4x64xf32>, %y: memref<4xf32>) attributes {lamina.kernel} {
  linalg.generic {indexing_maps = [affine_map<(n, k) -> (k)>, affine_map<(n, k) -> (n, k)>, affine_map<(n, k) -> (n)>],
    iterator_types = ["parallel", "reduction"]} ins(%v, %x : memref<64xf32>, memref<4x64xf32>) outs(%y : memref<4xf32>)
    attrs = {lamina.axes = ["n", "k"], lamina.schedule = {kind = "rows", block = {n = 4}}} {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %p = arith.mulf %a, %b fastmath<reassoc> : f32
    %t = arith.addf %s, %p fastmath<reassoc> : f32
    linalg.yield %t : f32
  }
  func.return
}

// An axis of size 1 goes, and its name with it: the block is still the one of n.
// CHECK-LABEL: func.func private @rows_behind_a_unit_axis
// CHECK:       [[S:%.*]], {{%.*}}, {{%.*}}, {{%.*}} = scf.for {{.*}} -> (f32, f32, f32, f32) {
// CHECK-COUNT-4: memref.store
func.func private @rows_behind_a_unit_axis(%v: memref<64xf32>, %x: memref<1x4x64xf32>, %y: memref<1x4xf32>)
    attributes {lamina.kernel} {
  linalg.generic {indexing_maps = [affine_map<(b, n, k) -> (k)>, affine_map<(b, n, k) -> (b, n, k)>,
                                   affine_map<(b, n, k) -> (b, n)>],
    iterator_types = ["parallel", "parallel", "reduction"]}
    ins(%v, %x : memref<64xf32>, memref<1x4x64xf32>) outs(%y : memref<1x4xf32>)
    attrs = {lamina.axes = ["b", "n", "k"], lamina.schedule = {kind = "rows", block = {n = 4}}} {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %p = arith.mulf %a, %b fastmath<reassoc> : f32
    %t = arith.addf %s, %p fastmath<reassoc> : f32
    linalg.yield %t : f32
  }
  func.return
}
