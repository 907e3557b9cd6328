// RUN: lamina-opt %s --split-input-file --verify-diagnostics

func.func @grain(%n: index) {
  // expected-error @below {{expected a grain of at least 1, found 0}}
  cpu.parallel_for %i = %n to %n grain 0 {
  }
  func.return
}

// -----

func.func @induction(%n: index) {
  // expected-error @below {{expected a body with one argument of type index, found i32}}
  "cpu.parallel_for"(%n, %n) <{grain = 1 : i64}> ({
  ^bb0(%i: i32):
  }) : (index, index) -> ()
  func.return
}
