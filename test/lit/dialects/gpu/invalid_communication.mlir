// RUN: lamina-opt %s --split-input-file --verify-diagnostics

func.func @mode(%x: f32, %n: i32) {
  // expected-error @below {{expected xor, up, down or idx}}
  %a, %p = gpu.shuffle swap %x, %n, %n : f32
  func.return
}

// -----

func.func @types(%x: f32, %n: i32) {
  // expected-error @below {{expected a result of type f32, found f64}}
  %a, %p = "gpu.shuffle"(%x, %n, %n) <{mode = #gpu<shuffle_mode xor>}> : (f32, i32, i32) -> (f64, i1)
  func.return
}

// -----

func.func @shuffled(%x: memref<4xf32>, %n: i32) {
  // expected-error @below {{expected a number, found memref<4xf32>}}
  %a, %p = gpu.shuffle xor %x, %n, %n : memref<4xf32>
  func.return
}

// -----

func.func @kind(%x: f32) {
  // expected-error @below {{'maxsi' does not combine f32}}
  %a = gpu.all_reduce maxsi %x {} : (f32) -> f32
  func.return
}

// -----

func.func @integers(%x: i32) {
  // expected-error @below {{'minimumf' does not combine i32}}
  %a = gpu.subgroup_reduce minimumf %x : (i32) -> i32
  func.return
}

// -----

func.func @cluster(%x: i32) {
  // expected-error @below {{expected a power of two as the size of a cluster, found 6}}
  %a = gpu.subgroup_reduce add %x cluster(size = 6) : (i32) -> i32
  func.return
}
