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

// -----

func.func @lanes(%x: vector<8xf32>) {
  // expected-error @below {{expected f32 in multiples of 16 lanes, found vector<8xf32>}}
  %y = cpu.scale %x, %x : vector<8xf32>
  func.return
}

// -----

func.func @element(%x: vector<16xf64>) {
  // expected-error @below {{expected f32 in multiples of 16 lanes, found vector<16xf64>}}
  %y = cpu.scale %x, %x : vector<16xf64>
  func.return
}

// -----

func.func @table(%i: vector<16xi32>) {
  // expected-error @below {{expected a table of 16 or 32 f32, found tensor<2xf32>}}
  %y = cpu.lookup %i, dense<[0.0, 1.0]> : tensor<2xf32> : vector<16xi32> -> vector<16xf32>
  func.return
}

// -----

func.func @index(%i: vector<32xi32>) {
  // expected-error @below {{expected an index of type vector<16xi32>, found vector<32xi32>}}
  %y = cpu.lookup %i, dense<[0.0, 1.0]> : tensor<2xf32> : vector<32xi32> -> vector<16xf32>
  func.return
}
