"""What LLVM calls where a CPU has no instruction for a conversion between wide floats and f16 or bf16.

These are functions of the compiler runtime library (libgcc, compiler-rt), which not every process has. Numbers are
rounded to nearest, ties to even; a NaN becomes a quiet NaN.
"""

from __future__ import annotations

EXPORTS = ("__extendhfsf2", "__truncsfhf2", "__truncdfhf2", "__truncsfbf2", "__truncdfbf2")
"""f16 to f32; f32 and f64 to f16; f32 and f64 to bf16. (From bf16, LLVM shifts in place.)"""

TEXT = r"""
; f16 to f32: the bits in their new place have an exponent that is too small by 112, subnormal numbers included.
define float @__extendhfsf2(half %x) {
  %narrow = bitcast half %x to i16
  %bits = zext i16 %narrow to i32
  %sign.low = and i32 %bits, 32768
  %sign = shl i32 %sign.low, 16
  %magnitude = and i32 %bits, 32767
  %shifted = shl i32 %magnitude, 13
  %small = bitcast i32 %shifted to float
  %scaled = fmul float %small, 0x46F0000000000000
  %finite = bitcast float %scaled to i32
  %special = or i32 %shifted, 2139095040
  %is.special = icmp uge i32 %magnitude, 31744
  %unsigned = select i1 %is.special, i32 %special, i32 %finite
  %result = or i32 %unsigned, %sign
  %float = bitcast i32 %result to float
  ret float %float
}

; f32 to f16. A number below 2^-14 is added to 0.5, of which the last place is that of f16's subnormal numbers; for the
; others the exponent is moved by -112, and half a place less one, or a half for an odd number, is added.
define half @__truncsfhf2(float %x) {
  %bits = bitcast float %x to i32
  %sign = and i32 %bits, -2147483648
  %magnitude = and i32 %bits, 2147483647
  %absolute = bitcast i32 %magnitude to float
  %aligned = fadd float %absolute, 5.0e-1
  %aligned.bits = bitcast float %aligned to i32
  %subnormal = sub i32 %aligned.bits, 1056964608
  %last = lshr i32 %magnitude, 13
  %odd = and i32 %last, 1
  %moved = add i32 %magnitude, -939520001
  %rounded = add i32 %moved, %odd
  %normal = lshr i32 %rounded, 13
  %is.subnormal = icmp ult i32 %magnitude, 947912704
  %finite = select i1 %is.subnormal, i32 %subnormal, i32 %normal
  %is.nan = icmp ugt i32 %magnitude, 2139095040
  %special = select i1 %is.nan, i32 32256, i32 31744
  %is.large = icmp uge i32 %magnitude, 1199570944
  %unsigned = select i1 %is.large, i32 %special, i32 %finite
  %sign.low = lshr i32 %sign, 16
  %result = or i32 %unsigned, %sign.low
  %narrow = trunc i32 %result to i16
  %half = bitcast i16 %narrow to half
  ret half %half
}

; f32 to bf16: half a place less one, or a half for an odd number, is added.
define bfloat @__truncsfbf2(float %x) {
  %bits = bitcast float %x to i32
  %last = lshr i32 %bits, 16
  %odd = and i32 %last, 1
  %half = add i32 %odd, 32767
  %rounded = add i32 %bits, %half
  %is.nan = fcmp uno float %x, %x
  %quiet = or i32 %bits, 4194304
  %wide = select i1 %is.nan, i32 %quiet, i32 %rounded
  %high = lshr i32 %wide, 16
  %narrow = trunc i32 %high to i16
  %result = bitcast i16 %narrow to bfloat
  ret bfloat %result
}

; f64 to f32, inexact numbers to the neighbor with an odd last place: rounding that once more is as rounding once.
define internal float @to_odd(double %x) {
  %nearest = fptrunc double %x to float
  %back = fpext float %nearest to double
  %inexact = fcmp one double %back, %x
  %bits = bitcast float %nearest to i32
  %found = call double @llvm.fabs.f64(double %back)
  %wanted = call double @llvm.fabs.f64(double %x)
  %above = fcmp ogt double %found, %wanted
  %step = zext i1 %above to i32
  %toward.zero = sub i32 %bits, %step
  %odd = or i32 %toward.zero, 1
  %chosen = select i1 %inexact, i32 %odd, i32 %bits
  %result = bitcast i32 %chosen to float
  ret float %result
}

define half @__truncdfhf2(double %x) {
  %float = call float @to_odd(double %x)
  %result = call half @__truncsfhf2(float %float)
  ret half %result
}

define bfloat @__truncdfbf2(double %x) {
  %float = call float @to_odd(double %x)
  %result = call bfloat @__truncsfbf2(float %float)
  ret bfloat %result
}

declare double @llvm.fabs.f64(double)
"""
