// RUN: lamina-opt %s -t llvm-text | filecheck %s

// The body of a parallel loop is a function of a range; what it captures lies in a closure on the stack.
// CHECK-LABEL: define internal void @parallel.1.range(ptr %context, i64 %begin, i64 %end, ptr %captured0,
// CHECK:         phi i64 [ %begin, %entry ]
// CHECK:         load float, ptr
// CHECK-LABEL: define internal void @parallel.1(ptr %context, ptr %closure, i64 %begin, i64 %end)
// CHECK:         call void @parallel.1.range(ptr %context, i64 %begin, i64 %end, ptr %captured0,
// CHECK-LABEL: define internal void @function.parallel
// CHECK:         alloca { ptr,
// CHECK:         getelementptr inbounds i8, ptr %context, i64 24
// CHECK:         call void %{{.*}}(ptr %context, ptr @parallel.1, ptr %{{.*}}, i64 0, i64 %a0.1, i64 4)

// CHECK-LABEL: define internal void @function.checked
// CHECK:         br i1 %{{.*}}, label %holds[[A:[0-9]+]], label %fails[[A]]
// CHECK:       fails[[A]]:
// CHECK-NEXT:    call void @lamina.fail(ptr %context, i32 1, ptr @message.0)
// CHECK-NEXT:    ret void
// CHECK:       fails[[B:[0-9]+]]:
// CHECK-NEXT:    call void @lamina.fail(ptr %context, i32 1, ptr @message.1)
// CHECK-NEXT:    br label %holds[[B]]

// Dynamic stack memory in a loop is freed with the iteration; a static one is allocated once, at the entry.
// CHECK-LABEL: define internal void @function.stack
// CHECK-NEXT:  entry:
// CHECK-NEXT:    alloca [16 x float], align 64
// CHECK:         call ptr @llvm.stacksave.p0()
// CHECK:         alloca float, i64
// CHECK:         call void @llvm.stackrestore.p0(ptr

func.func private @parallel(%x: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %n = memref.dim %x, %c0 : memref<?xf32>
  cpu.parallel_for %i = %c0 to %n grain 4 {
    %v = memref.load %x[%i] : memref<?xf32>
    memref.store %v, %x[%i] : memref<?xf32>
  }
  func.return
}

func.func private @checked(%p: i1, %q: i1, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  cf.assert %p, "first"
  scf.for %i = %c0 to %n step %c1 {
    cf.assert %q, "second"
  }
  func.return
}

func.func private @stack(%n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %z = arith.constant 0.0 : f32
  scf.for %i = %c0 to %n step %c1 {
    %a = memref.alloca() : memref<16xf32>
    %b = memref.alloca(%i) : memref<?xf32>
    memref.store %z, %a[%c0] : memref<16xf32>
    memref.store %z, %b[%c0] : memref<?xf32>
  }
  func.return
}
