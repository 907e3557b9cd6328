// RUN: lamina-opt %s | lamina-opt | filecheck %s
// RUN: %if mlir-opt %{ lamina-opt %s | %mlir_opt | filecheck %s --check-prefix=UPSTREAM %}

// UPSTREAM: gpu.launch_func

builtin.module attributes {gpu.container_module} {
  // CHECK:      gpu.module @kernels {
  gpu.module @kernels {
    // CHECK-NEXT: gpu.func @k(%a: memref<4xf32>, %n: index) workgroup(%s : memref<32xf32, #gpu.address_space<workgroup>>) kernel attributes {known_block_size = array<i32: 32, 1, 1>} {
    gpu.func @k(%a: memref<4xf32>, %n: index) workgroup(%s : memref<32xf32, #gpu.address_space<workgroup>>) kernel attributes {known_block_size = array<i32: 32, 1, 1>} {
      // CHECK-NEXT: %t = gpu.thread_id  x
      %t = gpu.thread_id x
      // CHECK-NEXT: %b = gpu.block_id  y
      %b = gpu.block_id y
      // CHECK-NEXT: gpu.barrier
      gpu.barrier
      // CHECK-NEXT: gpu.return
      gpu.return
    }
  }
  func.func @main(%a: memref<4xf32>, %n: index) {
    // CHECK: gpu.launch_func @kernels::@k blocks in (%n, %n, %n) threads in (%n, %n, %n) args(%a : memref<4xf32>, %n : index)
    gpu.launch_func @kernels::@k blocks in (%n, %n, %n) threads in (%n, %n, %n) args(%a : memref<4xf32>, %n : index)
    func.return
  }
}
