"""The runtime's native part as LLVM IR text: the thread pool's `parallel_for`, and the allocator of a call context.

Protocol of the pool. One parallel loop runs on it at a time: `busy` is taken by the caller with a single try, and a
caller that fails (another thread is using the pool, or this is a loop inside a loop) runs its own loop alone. So
nothing ever waits for the pool, and nothing can deadlock on it.

`ticket` is one 64-bit word: generation (32 bits) | caller waits (1) | open places (15) | threads at work (16). The
caller writes the loop down and publishes a new generation with places; a worker takes a place by compare-and-swap, so
it never touches a loop that is over; the caller closes the places when the chunks are handed out, and waits for those
at work. Workers that come too late find no place and go back to waiting: the caller never waits for a sleeping thread.

A waiting thread first spins, then sleeps on a futex: workers on the generation, the caller on the ticket's low half.
The chunks are always `[begin + i * grain, begin + (i + 1) * grain)`, the serial case included, so results do not depend
on who runs what. They are divided into parts of neighbors, one for each thread (up to 16): a thread takes those of its
own part from an atomic counter, and then helps with the others. So it finds the rows of one kernel after another in its
own caches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MAXIMUM_WORKERS = 1023
PARTS = 16
"""Parts of a loop, at most; more threads share them."""

EXPORTS = (
    "lamina.parallel_for",
    "lamina.allocate",
    "lamina.release",
    "lamina.pool.state",
    "lamina.pool.start",
    "lamina.pool.stop",
    "lamina.pool.reset",
    "lamina.pool.set_spin",
)


@dataclass(frozen=True)
class ThreadingPlatform:
    """What differs between the platforms with a pool: the system call's number and the hint of a spinning loop."""

    futex: int
    pause: str
    pause_declaration: str


THREADING_PLATFORMS: Mapping[str, ThreadingPlatform] = {
    "x86_64": ThreadingPlatform(202, "call void @llvm.x86.sse2.pause()", "declare void @llvm.x86.sse2.pause()"),
    "aarch64": ThreadingPlatform(
        98, "call void @llvm.aarch64.hint(i32 1)", "declare void @llvm.aarch64.hint(i32 immarg)"
    ),
}
"""By architecture, on Linux; everywhere else parallel loops run serially."""


def runtime_text(triple: str) -> str:
    """The runtime for a target triple; with one thread where there is no pool for it."""
    architecture, *rest = triple.split("-")
    platform = THREADING_PLATFORMS.get(architecture) if "linux" in rest else None
    allocator = WINDOWS_ALLOCATOR if "windows" in rest else POSIX_ALLOCATOR
    if platform is None:
        return COMMON + allocator + SERIAL_POOL
    pool = POOL.replace("{FUTEX}", str(platform.futex)).replace("{PAUSE}", platform.pause)
    pool = pool.replace("{MAXIMUM}", str(MAXIMUM_WORKERS)).replace("{PARTS}", str(PARTS))
    return COMMON + allocator + platform.pause_declaration + pool


COMMON = r"""
%lamina.context = type { i32, i32, ptr, ptr, ptr, ptr, ptr, i32, i32, ptr, ptr }

declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.smax.i64(i64, i64)
declare i32 @llvm.smin.i32(i32, i32)

; The bounds of chunk %index, and one call of the body on them.
define internal void @run_chunk(ptr %context, ptr %body, ptr %closure, i64 %begin, i64 %end, i64 %grain, i64 %index) {
  %offset = mul i64 %index, %grain
  %first = add i64 %begin, %offset
  %left = sub i64 %end, %first
  %length = call i64 @llvm.smin.i64(i64 %left, i64 %grain)
  %last = add i64 %first, %length
  call void %body(ptr %context, ptr %closure, i64 %first, i64 %last)
  ret void
}

define internal void @run_serially(ptr %context, ptr %body, ptr %closure, i64 %begin, i64 %end, i64 %grain,
                                   i64 %chunks) {
entry:
  br label %loop
loop:
  %index = phi i64 [ 0, %entry ], [ %following, %loop ]
  call void @run_chunk(ptr %context, ptr %body, ptr %closure, i64 %begin, i64 %end, i64 %grain, i64 %index)
  %following = add i64 %index, 1
  %more = icmp slt i64 %following, %chunks
  br i1 %more, label %loop, label %done
done:
  ret void
}
"""

POSIX_ALLOCATOR = r"""
declare i32 @posix_memalign(ptr, i64, i64)
declare void @free(ptr)

; Null when there is no memory; alignment: a power of two of at least 8.
define ptr @lamina.allocate(ptr %context, i64 %bytes, i64 %alignment) {
  %place = alloca ptr
  %size = call i64 @llvm.smax.i64(i64 %bytes, i64 1)
  %code = call i32 @posix_memalign(ptr %place, i64 %alignment, i64 %size)
  %failed = icmp ne i32 %code, 0
  %memory = load ptr, ptr %place
  %result = select i1 %failed, ptr null, ptr %memory
  ret ptr %result
}

define void @lamina.release(ptr %context, ptr %memory) {
  call void @free(ptr %memory)
  ret void
}
"""

WINDOWS_ALLOCATOR = r"""
declare ptr @_aligned_malloc(i64, i64)
declare void @_aligned_free(ptr)

define ptr @lamina.allocate(ptr %context, i64 %bytes, i64 %alignment) {
  %size = call i64 @llvm.smax.i64(i64 %bytes, i64 1)
  %memory = call ptr @_aligned_malloc(i64 %size, i64 %alignment)
  ret ptr %memory
}

define void @lamina.release(ptr %context, ptr %memory) {
  call void @_aligned_free(ptr %memory)
  ret void
}
"""

SERIAL_POOL = r"""
@lamina.pool.state = global i64 0

define void @lamina.parallel_for(ptr %context, ptr %body, ptr %closure, i64 %begin, i64 %end, i64 %wanted_grain) {
  %range = sub i64 %end, %begin
  %empty = icmp sle i64 %range, 0
  br i1 %empty, label %done, label %work
work:
  %positive_grain = call i64 @llvm.smax.i64(i64 %wanted_grain, i64 1)
  %grain = call i64 @llvm.smin.i64(i64 %positive_grain, i64 %range)
  %one_less = sub i64 %range, 1
  %whole = udiv i64 %one_less, %grain
  %chunks = add i64 %whole, 1
  call void @run_serially(ptr %context, ptr %body, ptr %closure, i64 %begin, i64 %end, i64 %grain, i64 %chunks)
  br label %done
done:
  ret void
}

define i32 @lamina.pool.start(i32 %wanted) {
  ret i32 0
}

define i32 @lamina.pool.stop() {
  ret i32 0
}

define void @lamina.pool.reset() {
  ret void
}

define void @lamina.pool.set_spin(i64 %nanoseconds) {
  ret void
}
"""

POOL = r"""
%timespec = type { i64, i64 }
%signals = type [16 x i64]
%part = type { i64, i64, [14 x i64] }   ; the next chunk of a part, and its end

; Words that different threads write stand on cache lines of their own.
@ticket = internal global i64 0, align 128
@parts = internal global [{PARTS} x %part] zeroinitializer, align 128
@sleepers = internal global i32 0, align 128
@busy = internal global i32 0, align 128
@lamina.pool.state = global i64 0, align 128
@stopping = internal global i32 0
@workers = internal global i32 0
@spin_nanoseconds = internal global i64 300000
@loop.context = internal global ptr null, align 128
@loop.body = internal global ptr null
@loop.closure = internal global ptr null
@loop.begin = internal global i64 0
@loop.end = internal global i64 0
@loop.grain = internal global i64 0
@loop.participants = internal global i64 0
@loop.parts = internal global i64 0
@threads = internal global [{MAXIMUM} x i64] zeroinitializer
; Every signal except SIGILL, SIGTRAP, SIGBUS, SIGFPE and SIGSEGV: workers leave signals to the program's own threads.
@blocked = internal constant %signals [i64 u0xFFFFFFFFFFFFFB27, i64 -1, i64 -1, i64 -1, i64 -1, i64 -1, i64 -1, i64 -1,
                                       i64 -1, i64 -1, i64 -1, i64 -1, i64 -1, i64 -1, i64 -1, i64 -1]

declare i64 @syscall(i64, ...)
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_join(i64, ptr)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i32 @clock_gettime(i32, ptr)

define internal i64 @now() {
  %time = alloca %timespec
  %code = call i32 @clock_gettime(i32 1, ptr %time)
  %seconds = load i64, ptr %time
  %rest.at = getelementptr %timespec, ptr %time, i64 0, i32 1
  %rest = load i64, ptr %rest.at
  %scaled = mul i64 %seconds, 1000000000
  %result = add i64 %scaled, %rest
  ret i64 %result
}

; FUTEX_WAIT_PRIVATE: sleep while the word holds the expected value.
define internal void @futex_wait(ptr %word, i32 %expected) {
  %code = call i64 (i64, ...) @syscall(i64 {FUTEX}, ptr %word, i64 128, i32 %expected, ptr null, ptr null, i32 0)
  ret void
}

; FUTEX_WAKE_PRIVATE
define internal void @futex_wake(ptr %word, i32 %count) {
  %code = call i64 (i64, ...) @syscall(i64 {FUTEX}, ptr %word, i64 129, i32 %count, ptr null, ptr null, i32 0)
  ret void
}

; Spin, for a limited time, until (ticket & %mask) == 0 with %until_zero, else until (ticket & %mask) != %old.
; Returns the last ticket seen.
define internal i64 @spin(i64 %mask, i64 %old, i1 %until_zero) {
entry:
  %start = call i64 @now()
  %limit = load i64, ptr @spin_nanoseconds
  br label %round
round:
  br label %try
try:
  %count = phi i32 [ 0, %round ], [ %count.next, %again ]
  %seen = load atomic i64, ptr @ticket acquire, align 8
  %part = and i64 %seen, %mask
  %is_zero = icmp eq i64 %part, 0
  %differs = icmp ne i64 %part, %old
  %done = select i1 %until_zero, i1 %is_zero, i1 %differs
  br i1 %done, label %out, label %again
again:
  {PAUSE}
  %count.next = add i32 %count, 1
  %more = icmp ult i32 %count.next, 32
  br i1 %more, label %try, label %clock
clock:
  %time = call i64 @now()
  %spent = sub i64 %time, %start
  %patient = icmp slt i64 %spent, %limit
  br i1 %patient, label %round, label %out
out:
  ret i64 %seen
}

; Divide the chunks of a loop among its parts.
define internal void @divide_chunks(i64 %chunks, i64 %parts) {
entry:
  br label %next
next:
  %number = phi i64 [ 0, %entry ], [ %number.next, %next ]
  %first = phi i64 [ 0, %entry ], [ %end, %next ]
  %number.next = add i64 %number, 1
  %scaled = mul i64 %number.next, %chunks
  %end = udiv i64 %scaled, %parts
  %next.at = getelementptr [{PARTS} x %part], ptr @parts, i64 0, i64 %number
  %end.at = getelementptr %part, ptr %next.at, i64 0, i32 1
  store atomic i64 %first, ptr %next.at monotonic, align 8
  store i64 %end, ptr %end.at
  %more = icmp ult i64 %number.next, %parts
  br i1 %more, label %next, label %done
done:
  ret void
}

; Take the chunks of the participant's own part, then those that are left of the others.
define internal void @take_chunks(ptr %context, ptr %body, ptr %closure, i64 %begin, i64 %end, i64 %grain, i64 %parts,
                                  i64 %participant) {
entry:
  %own = urem i64 %participant, %parts
  br label %part
part:
  %number = phi i64 [ %own, %entry ], [ %following, %over ]
  %visited = phi i64 [ 0, %entry ], [ %visited.next, %over ]
  %next.at = getelementptr [{PARTS} x %part], ptr @parts, i64 0, i64 %number
  %end.at = getelementptr %part, ptr %next.at, i64 0, i32 1
  %last = load i64, ptr %end.at
  br label %take
take:
  %index = atomicrmw add ptr %next.at, i64 1 monotonic, align 8
  %some = icmp slt i64 %index, %last
  br i1 %some, label %run, label %over
run:
  call void @run_chunk(ptr %context, ptr %body, ptr %closure, i64 %begin, i64 %end, i64 %grain, i64 %index)
  br label %take
over:
  %after = add i64 %number, 1
  %following = urem i64 %after, %parts
  %visited.next = add i64 %visited, 1
  %more = icmp ult i64 %visited.next, %parts
  br i1 %more, label %part, label %done
done:
  ret void
}

define internal ptr @worker(ptr %initial) {
entry:
  %first = ptrtoint ptr %initial to i64
  br label %idle

idle:                                   ; %old: the generation, in place, that this thread is done with
  %old = phi i64 [ %first, %entry ], [ %generation, %no_place ], [ %generation, %leave ], [ %generation, %wake_caller ]
  %spun = call i64 @spin(i64 u0xFFFFFFFF00000000, i64 %old, i1 false)
  %spun.generation = and i64 %spun, u0xFFFFFFFF00000000
  %fresh = icmp ne i64 %spun.generation, %old
  br i1 %fresh, label %look, label %sleep

sleep:
  %high = getelementptr i8, ptr @ticket, i64 4
  %old.shifted = lshr i64 %old, 32
  %old.word = trunc i64 %old.shifted to i32
  %before = atomicrmw add ptr @sleepers, i32 1 seq_cst, align 4
  call void @futex_wait(ptr %high, i32 %old.word)
  %after = atomicrmw sub ptr @sleepers, i32 1 seq_cst, align 4
  %awake = load atomic i64, ptr @ticket acquire, align 8
  %awake.generation = and i64 %awake, u0xFFFFFFFF00000000
  %woken = icmp ne i64 %awake.generation, %old
  br i1 %woken, label %look, label %sleep

look:
  %ticket = phi i64 [ %spun, %idle ], [ %awake, %sleep ], [ %reread, %join ]
  %generation = and i64 %ticket, u0xFFFFFFFF00000000
  %stop = load atomic i32, ptr @stopping acquire, align 4
  %stops = icmp ne i32 %stop, 0
  br i1 %stops, label %exit, label %places

places:
  %places.field = and i64 %ticket, u0x7FFF0000
  %none = icmp eq i64 %places.field, 0
  br i1 %none, label %no_place, label %join

no_place:
  br label %idle

join:                                   ; one place less, one thread at work more
  %joined = sub i64 %ticket, 65535
  %exchange = cmpxchg ptr @ticket, i64 %ticket, i64 %joined acq_rel acquire, align 8
  %reread = extractvalue { i64, i1 } %exchange, 0
  %success = extractvalue { i64, i1 } %exchange, 1
  br i1 %success, label %work, label %look

work:
  %context = load ptr, ptr @loop.context
  %body = load ptr, ptr @loop.body
  %closure = load ptr, ptr @loop.closure
  %begin = load i64, ptr @loop.begin
  %end = load i64, ptr @loop.end
  %grain = load i64, ptr @loop.grain
  %parts = load i64, ptr @loop.parts
  %participants = load i64, ptr @loop.participants
  %open = lshr i64 %places.field, 16
  %participant = sub i64 %participants, %open
  call void @take_chunks(ptr %context, ptr %body, ptr %closure, i64 %begin, i64 %end, i64 %grain, i64 %parts,
                         i64 %participant)
  br label %leave

leave:
  %leaving = atomicrmw sub ptr @ticket, i64 1 acq_rel, align 8
  %low = and i64 %leaving, u0x8000FFFF
  %last_and_awaited = icmp eq i64 %low, u0x80000001
  br i1 %last_and_awaited, label %wake_caller, label %idle

wake_caller:
  call void @futex_wake(ptr @ticket, i32 1)
  br label %idle

exit:
  ret ptr null
}

define void @lamina.parallel_for(ptr %context, ptr %body, ptr %closure, i64 %begin, i64 %end, i64 %wanted_grain) {
entry:
  %range = sub i64 %end, %begin
  %empty = icmp sle i64 %range, 0
  br i1 %empty, label %done, label %measure

measure:
  %positive_grain = call i64 @llvm.smax.i64(i64 %wanted_grain, i64 1)
  %grain = call i64 @llvm.smin.i64(i64 %positive_grain, i64 %range)
  %one_less = sub i64 %range, 1
  %whole = udiv i64 %one_less, %grain
  %chunks = add i64 %whole, 1
  %thread_count.at = getelementptr %lamina.context, ptr %context, i64 0, i32 1
  %thread_count = load i32, ptr %thread_count.at
  %threads.wanted = sext i32 %thread_count to i64
  %threads.useful = call i64 @llvm.smin.i64(i64 %threads.wanted, i64 %chunks)
  %workers = load atomic i32, ptr @workers acquire, align 4
  %workers.wide = sext i32 %workers to i64
  %threads.here = add i64 %workers.wide, 1
  %participants = call i64 @llvm.smin.i64(i64 %threads.useful, i64 %threads.here)
  %alone = icmp sle i64 %participants, 1
  br i1 %alone, label %serial, label %test

test:
  %taken = load atomic i32, ptr @busy monotonic, align 4
  %is_taken = icmp ne i32 %taken, 0
  br i1 %is_taken, label %serial, label %take

take:
  %exchange = cmpxchg ptr @busy, i32 0, i32 1 acquire monotonic, align 4
  %mine = extractvalue { i32, i1 } %exchange, 1
  br i1 %mine, label %publish, label %serial

serial:
  call void @run_serially(ptr %context, ptr %body, ptr %closure, i64 %begin, i64 %end, i64 %grain, i64 %chunks)
  br label %done

publish:
  store ptr %context, ptr @loop.context
  store ptr %body, ptr @loop.body
  store ptr %closure, ptr @loop.closure
  store i64 %begin, ptr @loop.begin
  store i64 %end, ptr @loop.end
  store i64 %grain, ptr @loop.grain
  store i64 %participants, ptr @loop.participants
  %parts = call i64 @llvm.smin.i64(i64 %participants, i64 {PARTS})
  store i64 %parts, ptr @loop.parts
  call void @divide_chunks(i64 %chunks, i64 %parts)
  %places = sub i64 %participants, 1
  %places.field = shl i64 %places, 16
  %old = load atomic i64, ptr @ticket monotonic, align 8
  %generation = and i64 %old, u0xFFFFFFFF00000000
  %generation.next = add i64 %generation, u0x100000000
  %new = or i64 %generation.next, %places.field
  %previous = atomicrmw xchg ptr @ticket, i64 %new seq_cst, align 8
  %asleep = load atomic i32, ptr @sleepers seq_cst, align 4
  %awake = sub i32 %workers, %asleep
  %places.narrow = trunc i64 %places to i32
  %missing = sub i32 %places.narrow, %awake
  %must_wake = icmp sgt i32 %missing, 0
  br i1 %must_wake, label %wake, label %work

wake:
  %high = getelementptr i8, ptr @ticket, i64 4
  call void @futex_wake(ptr %high, i32 %missing)
  br label %work

work:
  call void @take_chunks(ptr %context, ptr %body, ptr %closure, i64 %begin, i64 %end, i64 %grain, i64 %parts, i64 0)
  %closing = atomicrmw and ptr @ticket, i64 u0xFFFFFFFF8000FFFF acq_rel, align 8
  %spun = call i64 @spin(i64 65535, i64 0, i1 true)
  %spun.working = and i64 %spun, 65535
  %finished = icmp eq i64 %spun.working, 0
  br i1 %finished, label %free, label %announce

announce:
  %announcing = atomicrmw or ptr @ticket, i64 u0x80000000 acq_rel, align 8
  br label %wait

wait:
  %now = load atomic i64, ptr @ticket acquire, align 8
  %working = and i64 %now, 65535
  %over = icmp eq i64 %working, 0
  br i1 %over, label %free, label %block

block:
  %word = trunc i64 %now to i32
  call void @futex_wait(ptr @ticket, i32 %word)
  br label %wait

free:
  store atomic i32 0, ptr @busy release, align 4
  br label %done

done:
  ret void
}

; Have at least %wanted workers; returns how many there are. One caller at a time.
define i32 @lamina.pool.start(i32 %wanted) {
entry:
  %mask = alloca %signals
  %limit = call i32 @llvm.smin.i32(i32 %wanted, i32 {MAXIMUM})
  %masked = call i32 @pthread_sigmask(i32 2, ptr @blocked, ptr %mask)
  br label %more
more:
  %count = load atomic i32, ptr @workers acquire, align 4
  %enough = icmp sge i32 %count, %limit
  br i1 %enough, label %done, label %create
create:
  %index = sext i32 %count to i64
  %place = getelementptr [{MAXIMUM} x i64], ptr @threads, i64 0, i64 %index
  %ticket = load atomic i64, ptr @ticket acquire, align 8
  %generation = and i64 %ticket, u0xFFFFFFFF00000000
  %argument = inttoptr i64 %generation to ptr
  %code = call i32 @pthread_create(ptr %place, ptr null, ptr @worker, ptr %argument)
  %failed = icmp ne i32 %code, 0
  br i1 %failed, label %done, label %count_up
count_up:
  %count.next = add i32 %count, 1
  store atomic i32 %count.next, ptr @workers release, align 4
  br label %more
done:
  %unmasked = call i32 @pthread_sigmask(i32 2, ptr %mask, ptr null)
  ret i32 %count
}

; End all workers unless a loop runs on them; returns how many are left. Not beside `start`.
define i32 @lamina.pool.stop() {
entry:
  %exchange = cmpxchg ptr @busy, i32 0, i32 1 acquire monotonic, align 4
  %mine = extractvalue { i32, i1 } %exchange, 1
  br i1 %mine, label %announce, label %refuse
announce:
  store atomic i32 1, ptr @stopping release, align 4
  %old = atomicrmw add ptr @ticket, i64 u0x100000000 seq_cst, align 8
  %high = getelementptr i8, ptr @ticket, i64 4
  call void @futex_wake(ptr %high, i32 2147483647)
  %count = load atomic i32, ptr @workers acquire, align 4
  br label %next
next:
  %index = phi i32 [ 0, %announce ], [ %index.next, %join ]
  %some = icmp slt i32 %index, %count
  br i1 %some, label %join, label %done
join:
  %index.wide = sext i32 %index to i64
  %place = getelementptr [{MAXIMUM} x i64], ptr @threads, i64 0, i64 %index.wide
  %thread = load i64, ptr %place
  %code = call i32 @pthread_join(i64 %thread, ptr null)
  %index.next = add i32 %index, 1
  br label %next
done:
  store atomic i32 0, ptr @workers release, align 4
  store atomic i32 0, ptr @stopping release, align 4
  store atomic i32 0, ptr @busy release, align 4
  ret i32 0
refuse:
  %left = load atomic i32, ptr @workers acquire, align 4
  ret i32 %left
}

; In the child of a fork: there are no workers, whatever memory says.
define void @lamina.pool.reset() {
  store atomic i64 0, ptr @ticket release, align 8
  store atomic i32 0, ptr @sleepers release, align 4
  store atomic i32 0, ptr @workers release, align 4
  store atomic i32 0, ptr @stopping release, align 4
  store atomic i32 0, ptr @busy release, align 4
  ret void
}

define void @lamina.pool.set_spin(i64 %nanoseconds) {
  store i64 %nanoseconds, ptr @spin_nanoseconds
  ret void
}
"""
