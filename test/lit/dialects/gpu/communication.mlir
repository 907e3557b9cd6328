// RUN: lamina-opt %s | lamina-opt | filecheck %s
// RUN: lamina-opt %s | mlir-opt-22 | filecheck %s --check-prefix=UPSTREAM

// CHECK-LABEL: gpu.func @exchange
// UPSTREAM-LABEL: gpu.func @exchange
gpu.module @kernels {
  gpu.func @exchange(%x: memref<64xf32>, %n: i32, %w: i32) kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    // CHECK-NEXT: %lane = gpu.lane_id
    %lane = gpu.lane_id
    // CHECK-NEXT: %warp = gpu.subgroup_id : index
    %warp = gpu.subgroup_id : index
    %v = memref.load %x[%lane] : memref<64xf32>
    // CHECK: %a, %p = gpu.shuffle  xor %v, %n, %w : f32
    // UPSTREAM: gpu.shuffle {{ *}}xor %{{.*}}, %{{.*}}, %{{.*}} : f32
    %a, %p = gpu.shuffle xor %v, %n, %w : f32
    // CHECK-NEXT: gpu.shuffle  up %a, %n, %w : f32
    %b, %q = gpu.shuffle up %a, %n, %w : f32
    // CHECK-NEXT: gpu.shuffle  down %b, %n, %w : f32
    %c, %r = gpu.shuffle down %b, %n, %w : f32
    // CHECK-NEXT: gpu.shuffle  idx %c, %n, %w : f32
    %d, %s = gpu.shuffle idx %c, %n, %w : f32
    // CHECK-NEXT: gpu.all_reduce  add %d uniform {
    // CHECK-NEXT: } : (f32) -> f32
    %e = gpu.all_reduce add %d uniform {} : (f32) -> f32
    // CHECK-NEXT: gpu.all_reduce  maximumf %e {
    %f = gpu.all_reduce maximumf %e {} : (f32) -> f32
    // CHECK: gpu.subgroup_reduce  mul %f uniform : (f32) -> f32
    // UPSTREAM: gpu.subgroup_reduce {{ *}}mul %{{.*}} uniform : (f32) -> f32
    %g = gpu.subgroup_reduce mul %f uniform : (f32) -> f32
    // CHECK-NEXT: gpu.subgroup_reduce  minimumf %g cluster(size = 8) : (f32) -> f32
    // UPSTREAM: gpu.subgroup_reduce {{ *}}minimumf %{{.*}} cluster(size = 8) : (f32) -> f32
    %h = gpu.subgroup_reduce minimumf %g cluster(size = 8) : (f32) -> f32
    memref.store %h, %x[%warp] : memref<64xf32>
    gpu.return
  }
}
