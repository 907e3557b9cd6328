// RUN: lamina-opt %s -t ptx{arch=sm_90} | filecheck %s --check-prefix=PTX
// RUN: lamina-opt %s -t amdgcn | filecheck %s --check-prefix=AMDGCN
// RUN: lamina-opt %s -t spirv | filecheck %s --check-prefix=SPIRV

// PTX:      .target sm_90
// PTX:      .visible .entry reverse(
// PTX:      .maxntid 32
// PTX-NEXT: .minnctapersm 3
// PTX:      .shared .align 16 .b8 reverse__shared1[128];
// PTX:      bar.sync
// AMDGCN:   gfx90a
// AMDGCN:   reverse:
// AMDGCN:   ds_write_b32
// SPIRV:    OpEntryPoint Kernel %{{[0-9]+}} "reverse"
// SPIRV:    OpExecutionMode %{{[0-9]+}} LocalSize 32 1 1
// SPIRV:    OpControlBarrier
builtin.module {
  gpu.module @kernels {
    gpu.func @reverse(%a: memref<32xf32>) workgroup(%s : memref<32xf32, #gpu.address_space<workgroup>>) kernel attributes {known_block_size = array<i32: 32, 1, 1>, nvvm.minctasm = 3 : i32} {
      %t = gpu.thread_id x
      %last = arith.constant 31 : index
      %r = arith.subi %last, %t : index
      %v = memref.load %a[%t] : memref<32xf32>
      memref.store %v, %s[%t] : memref<32xf32, #gpu.address_space<workgroup>>
      gpu.barrier
      %w = memref.load %s[%r] : memref<32xf32, #gpu.address_space<workgroup>>
      memref.store %w, %a[%t] : memref<32xf32>
      gpu.return
    }
  }
}
