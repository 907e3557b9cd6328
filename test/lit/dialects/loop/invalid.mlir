// RUN: lamina-opt %s --split-input-file --verify-diagnostics

func.func @bounds(%m: index) {
  // expected-error @below {{expected 2 upper bounds, found 1}}
  "scf.forall"(%m) <{operandSegmentSizes = array<i32: 0, 1, 0, 0>, staticLowerBound = array<i64: 0, 0>, staticUpperBound = array<i64: -9223372036854775808>, staticStep = array<i64: 1, 1>}> ({
  ^bb0(%i: index, %j: index):
    scf.forall.in_parallel {}
  }) : (index) -> ()
  func.return
}

// -----

func.func @prefetch(%x: memref<4x4xf32>, %i: index) {
  // expected-error @below {{expected 2 indices, found 1}}
  memref.prefetch %x[%i], read, locality<3>, data : memref<4x4xf32>
  func.return
}

// -----

func.func @locality(%x: memref<4xf32>, %i: index) {
  // expected-error @below {{locality must be 0 to 3, found 4}}
  memref.prefetch %x[%i], read, locality<4>, data : memref<4xf32>
  func.return
}

// -----

func.func @copy(%x: memref<4xf32>, %y: memref<5xf32>) {
  // expected-error @below {{cannot copy memref<4xf32> to memref<5xf32>}}
  memref.copy %x, %y : memref<4xf32> to memref<5xf32>
  func.return
}

// -----

// expected-error @below {{expected an initial value of type tensor<2xf32>, found tensor<3xf32>}}
"memref.global"() <{sym_name = "g", type = memref<2xf32>, initial_value = dense<1.0> : tensor<3xf32>}> : () -> ()

// -----

func.func @compare(%v: vector<4xf32>) {
  // expected-error @below {{expected result type vector<4xi1>, found i1}}
  %c = "arith.cmpf"(%v, %v) <{predicate = 1 : i64}> : (vector<4xf32>, vector<4xf32>) -> i1
  func.return
}

// -----

func.func @truncate(%x: i32) {
  // expected-error @below {{expected a narrower result, found i32 to i64}}
  %y = arith.trunci %x : i32 to i64
  func.return
}
