"""Models written by hand in LLVM IR against the ABI of docs/architecture.md: what the runtime is tested with."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from lamina.artefact import Artefact, Manifest, TensorInfo
from lamina.resources import content_key
from lamina.targets.cpu import host, jit

CONTEXT = "%lamina.context = type { i32, i32, ptr, ptr, ptr, ptr, ptr, i32, i32, ptr, ptr }\n"
F32, I64 = np.dtype(np.float32), np.dtype(np.int64)


def artefact(text, inputs, outputs, constants=(), more_text=()):
    """An artefact of one LLVM module (and more), compiled for this machine."""
    description = host.host_description()
    modules = [jit.LlvmModule(f"part{i}", CONTEXT + part, True) for i, part in enumerate((text, *more_text))]
    objects = jit.compile_modules(modules, description.llvm_options())
    keys = tuple(content_key(constant) for constant in constants)
    manifest = Manifest(
        tuple(inputs),
        tuple(outputs),
        keys,
        tuple((module.name, len(image)) for module, image in zip(modules, objects, strict=True)),
        asdict(description),
        {"lamina": "test"},
    )
    return Artefact(manifest, tuple(objects), dict(zip(keys, constants, strict=True)))


SCALE_ADD = r"""
%closure = type { ptr, ptr, ptr, ptr, i64, float }
@message = private constant [17 x i8] c"thirteen columns\00"

define i32 @lamina.main.plan(ptr %context, ptr %arguments, ptr %sizes, ptr %results) {
  %batch = load i64, ptr %sizes
  %columns.at = getelementptr i64, ptr %sizes, i64 1
  %columns = load i64, ptr %columns.at
  %elements = mul i64 %batch, %columns
  %bytes = mul i64 %elements, 4
  store i64 %bytes, ptr %results
  %batch.at = getelementptr i64, ptr %results, i64 1
  store i64 %batch, ptr %batch.at
  %columns.out = getelementptr i64, ptr %results, i64 2
  store i64 %columns, ptr %columns.out
  ret i32 0
}

define internal void @rows(ptr %context, ptr %closure, i64 %begin, i64 %end, i1 %second) {
entry:
  %x = load ptr, ptr %closure
  %y.at = getelementptr %closure, ptr %closure, i64 0, i32 1
  %y = load ptr, ptr %y.at
  %z.at = getelementptr %closure, ptr %closure, i64 0, i32 2
  %z = load ptr, ptr %z.at
  %arena.at = getelementptr %closure, ptr %closure, i64 0, i32 3
  %arena = load ptr, ptr %arena.at
  %columns.at = getelementptr %closure, ptr %closure, i64 0, i32 4
  %columns = load i64, ptr %columns.at
  %scale.at = getelementptr %closure, ptr %closure, i64 0, i32 5
  %scale = load float, ptr %scale.at
  %first = mul i64 %begin, %columns
  %last = mul i64 %end, %columns
  br label %test
test:
  %i = phi i64 [ %first, %entry ], [ %i.next, %next ]
  %more = icmp slt i64 %i, %last
  br i1 %more, label %loop, label %done
loop:
  %t.at = getelementptr float, ptr %arena, i64 %i
  br i1 %second, label %add, label %multiply
multiply:
  %yi.at = getelementptr float, ptr %y, i64 %i
  %yi = load float, ptr %yi.at
  %product = fmul float %yi, %scale
  store float %product, ptr %t.at
  br label %next
add:
  %xi.at = getelementptr float, ptr %x, i64 %i
  %xi = load float, ptr %xi.at
  %t = load float, ptr %t.at
  %sum = fadd float %xi, %t
  %zi.at = getelementptr float, ptr %z, i64 %i
  store float %sum, ptr %zi.at
  br label %next
next:
  %i.next = add i64 %i, 1
  br label %test
done:
  ret void
}

define internal void @first_rows(ptr %context, ptr %closure, i64 %begin, i64 %end) {
  call void @rows(ptr %context, ptr %closure, i64 %begin, i64 %end, i1 false)
  ret void
}

define internal void @second_rows(ptr %context, ptr %closure, i64 %begin, i64 %end) {
  call void @rows(ptr %context, ptr %closure, i64 %begin, i64 %end, i1 true)
  ret void
}

define i32 @lamina.main(ptr %context, ptr %arguments, ptr %sizes, ptr %results) {
  %arena = load ptr, ptr %arguments
  %x.at = getelementptr ptr, ptr %arguments, i64 1
  %x = load ptr, ptr %x.at
  %y.at = getelementptr ptr, ptr %arguments, i64 2
  %y = load ptr, ptr %y.at
  %z.at = getelementptr ptr, ptr %arguments, i64 3
  %z = load ptr, ptr %z.at
  %batch.at = getelementptr i64, ptr %sizes, i64 5
  %batch = load i64, ptr %batch.at
  %columns.at = getelementptr i64, ptr %sizes, i64 6
  %columns = load i64, ptr %columns.at
  %constants.at = getelementptr %lamina.context, ptr %context, i64 0, i32 2
  %constants = load ptr, ptr %constants.at
  %scale.at = load ptr, ptr %constants
  %scale = load float, ptr %scale.at
  %bad = icmp eq i64 %columns, 13
  br i1 %bad, label %fail, label %run
fail:
  %code.at = getelementptr %lamina.context, ptr %context, i64 0, i32 7
  store i32 7, ptr %code.at
  %message.at = getelementptr %lamina.context, ptr %context, i64 0, i32 9
  store ptr @message, ptr %message.at
  ret i32 7
run:
  %closure = alloca %closure
  store ptr %x, ptr %closure
  %c1 = getelementptr %closure, ptr %closure, i64 0, i32 1
  store ptr %y, ptr %c1
  %c2 = getelementptr %closure, ptr %closure, i64 0, i32 2
  store ptr %z, ptr %c2
  %c3 = getelementptr %closure, ptr %closure, i64 0, i32 3
  store ptr %arena, ptr %c3
  %c4 = getelementptr %closure, ptr %closure, i64 0, i32 4
  store i64 %columns, ptr %c4
  %c5 = getelementptr %closure, ptr %closure, i64 0, i32 5
  store float %scale, ptr %c5
  %parallel.at = getelementptr %lamina.context, ptr %context, i64 0, i32 4
  %parallel = load ptr, ptr %parallel.at
  call void %parallel(ptr %context, ptr @first_rows, ptr %closure, i64 0, i64 %batch, i64 3)
  call void %parallel(ptr %context, ptr @second_rows, ptr %closure, i64 0, i64 %batch, i64 2)
  ret i32 0
}
"""


def scale_add(scale=2.0):
    """z = x + scale * y for f32[batch, columns], in two parallel loops through the arena; 13 columns are an error."""
    shape = ("batch", "columns")
    return artefact(
        SCALE_ADD,
        [TensorInfo("x", shape, F32), TensorInfo("y", shape, F32)],
        [TensorInfo("z", shape, F32)],
        [np.array([scale], np.float32)],
    )


INCREMENT = r"""
define i32 @lamina.main.plan(ptr %context, ptr %arguments, ptr %sizes, ptr %results) {
  store i64 0, ptr %results
  ret i32 0
}

define i32 @lamina.main(ptr %context, ptr %arguments, ptr %sizes, ptr %results) {
entry:
  %counter.at = getelementptr ptr, ptr %arguments, i64 1
  %counter = load ptr, ptr %counter.at
  %step.at = getelementptr ptr, ptr %arguments, i64 2
  %step.pointer = load ptr, ptr %step.at
  %step = load i64, ptr %step.pointer
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %at = getelementptr i64, ptr %counter, i64 %i
  %old = load i64, ptr %at
  %new = add i64 %old, %step
  store i64 %new, ptr %at
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, 4
  br i1 %more, label %loop, label %done
done:
  ret i32 0
}
"""


def increment():
    """counter (i64[4], donated) += step (i64[])."""
    inputs = [TensorInfo("counter", (4,), I64), TensorInfo("step", (), I64)]
    return artefact(INCREMENT, inputs, [TensorInfo("updated", (4,), I64, alias=0)])


COPY = r"""
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare hidden ptr @allocated_copy(ptr, ptr, i64)

define i32 @lamina.main.plan(ptr %context, ptr %arguments, ptr %sizes, ptr %results) {
  %n = load i64, ptr %sizes
  store i64 0, ptr %results
  %n.at = getelementptr i64, ptr %results, i64 1
  store i64 %n, ptr %n.at
  ret i32 0
}

define i32 @lamina.main(ptr %context, ptr %arguments, ptr %sizes, ptr %results) {
  %x.at = getelementptr ptr, ptr %arguments, i64 1
  %x = load ptr, ptr %x.at
  %z.at = getelementptr ptr, ptr %arguments, i64 2
  %z = load ptr, ptr %z.at
  %n.at = getelementptr i64, ptr %sizes, i64 1
  %n = load i64, ptr %n.at
  %bytes = mul i64 %n, {ITEMSIZE}
  %copy = call ptr @allocated_copy(ptr %context, ptr %x, i64 %bytes)
  call void @llvm.memcpy.p0.p0.i64(ptr %z, ptr %copy, i64 %bytes, i1 false)
  %release.at = getelementptr %lamina.context, ptr %context, i64 0, i32 6
  %release = load ptr, ptr %release.at
  call void %release(ptr %context, ptr %copy)
  ret i32 0
}
"""

ALLOCATED_COPY = r"""
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

define hidden ptr @allocated_copy(ptr %context, ptr %x, i64 %bytes) {
  %allocate.at = getelementptr %lamina.context, ptr %context, i64 0, i32 5
  %allocate = load ptr, ptr %allocate.at
  %copy = call ptr %allocate(ptr %context, i64 %bytes, i64 64)
  call void @llvm.memcpy.p0.p0.i64(ptr %copy, ptr %x, i64 %bytes, i1 false)
  ret ptr %copy
}
"""


def copy(dtype):
    """z = x for dtype[n], through memory from the context's allocator; two LLVM modules that call each other."""
    dtype = np.dtype(dtype)
    text = COPY.replace("{ITEMSIZE}", str(dtype.itemsize))
    return artefact(
        text, [TensorInfo("x", ("n",), dtype)], [TensorInfo("z", ("n",), dtype)], more_text=[ALLOCATED_COPY]
    )


CHUNKS = r"""
define i32 @lamina.main.plan(ptr %context, ptr %arguments, ptr %sizes, ptr %results) {
  store i64 0, ptr %results
  ret i32 0
}

define internal void @inner(ptr %context, ptr %z, i64 %begin, i64 %end) {
entry:
  br label %loop
loop:
  %i = phi i64 [ %begin, %entry ], [ %next, %loop ]
  %at = getelementptr i64, ptr %z, i64 %i
  %scaled = mul i64 %begin, 1000
  %value = add i64 %scaled, %end
  %old = load i64, ptr %at
  %new = add i64 %old, %value
  store i64 %new, ptr %at
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %end
  br i1 %more, label %loop, label %done
done:
  ret void
}

define internal void @outer(ptr %context, ptr %z, i64 %begin, i64 %end) {
  %parallel.at = getelementptr %lamina.context, ptr %context, i64 0, i32 4
  %parallel = load ptr, ptr %parallel.at
  call void %parallel(ptr %context, ptr @inner, ptr %z, i64 %begin, i64 %end, i64 3)
  ret void
}

define i32 @lamina.main(ptr %context, ptr %arguments, ptr %sizes, ptr %results) {
  %x.at = getelementptr ptr, ptr %arguments, i64 1
  %x = load ptr, ptr %x.at
  %grain = load i64, ptr %x
  %z.at = getelementptr ptr, ptr %arguments, i64 2
  %z = load ptr, ptr %z.at
  %n.at = getelementptr i64, ptr %sizes, i64 1
  %n = load i64, ptr %n.at
  %parallel.at = getelementptr %lamina.context, ptr %context, i64 0, i32 4
  %parallel = load ptr, ptr %parallel.at
  call void %parallel(ptr %context, ptr @outer, ptr %z, i64 0, i64 %n, i64 %grain)
  ret i32 0
}
"""


def chunks():
    """Adds begin * 1000 + end of the chunk that an element is in: an outer loop of the given grain, an inner of 3."""
    inputs = [TensorInfo("grain", (), I64), TensorInfo("start", ("n",), I64)]
    return artefact(CHUNKS, inputs, [TensorInfo("updated", ("n",), I64, alias=1)])


def expected_chunks(n, grain):
    """What `chunks` computes from zeros."""
    grain = min(max(grain, 1), n)
    values = np.zeros(n, np.int64)
    for begin in range(0, n, grain):
        end = min(begin + grain, n)
        for first in range(begin, end, 3):
            last = min(first + 3, end)
            values[first:last] = first * 1000 + last
    return values
