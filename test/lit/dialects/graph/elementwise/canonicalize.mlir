// RUN: lamina-opt %s -p canonicalize | filecheck %s

// CHECK-LABEL: func.func @neutral_operands_of_floats
func.func @neutral_operands_of_floats(%x: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK-NEXT: func.return %x
  %zero = graph.constant dense<0.0> : tensor<f32>
  %negative_zero = graph.constant dense<-0.0> : tensor<f32>
  %one = graph.constant dense<1.0> : tensor<f32>
  %lowest = graph.constant dense<0xff800000> : tensor<f32>
  %highest = graph.constant dense<0x7f800000> : tensor<f32>
  %0 = graph.add %negative_zero, %x : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
  %1 = graph.subtract %0, %zero : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %2 = graph.multiply %one, %1 : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
  %3 = graph.divide %2, %one : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %4 = graph.power %3, %one : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %5 = graph.maximum %4, %lowest : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %6 = graph.minimum %highest, %5 : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
  func.return %6 : tensor<4xf32>
}

// -0.0 + 0.0 is 0.0 and -0.0 - -0.0 is 0.0: neither leaves the operand as it is.

// CHECK-LABEL: func.func @keeps_what_changes_negative_zero
func.func @keeps_what_changes_negative_zero(%x: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK: graph.add
  // CHECK-NEXT: graph.subtract
  // CHECK-NEXT: graph.subtract
  %zero = graph.constant dense<0.0> : tensor<f32>
  %negative_zero = graph.constant dense<-0.0> : tensor<f32>
  %0 = graph.add %x, %zero : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %1 = graph.subtract %0, %negative_zero : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %2 = graph.subtract %zero, %1 : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
  func.return %2 : tensor<4xf32>
}

// CHECK-LABEL: func.func @neutral_operands_of_integers
func.func @neutral_operands_of_integers(%x: tensor<4xui8>) -> tensor<4xui8> {
  // CHECK-NEXT: func.return %x
  %zero = graph.constant dense<0> : tensor<4xui8>
  %one = graph.constant dense<1> : tensor<ui8>
  %ones = graph.constant dense<255> : tensor<ui8>
  %0 = graph.add %zero, %x : tensor<4xui8>
  %1 = graph.multiply %0, %one : tensor<4xui8>, tensor<ui8> -> tensor<4xui8>
  %2 = graph.and %1, %ones : tensor<4xui8>, tensor<ui8> -> tensor<4xui8>
  %3 = graph.or %2, %zero : tensor<4xui8>
  %4 = graph.xor %zero, %3 : tensor<4xui8>
  %5 = graph.shift_left %4, %zero : tensor<4xui8>
  %6 = graph.shift_right %5, %zero : tensor<4xui8>
  %7 = graph.minimum %6, %ones : tensor<4xui8>, tensor<ui8> -> tensor<4xui8>
  %8 = graph.maximum %7, %zero : tensor<4xui8>
  func.return %8 : tensor<4xui8>
}

// CHECK-LABEL: func.func @keeps_operand_that_gives_the_shape
func.func @keeps_operand_that_gives_the_shape(%x: tensor<1xf32>, %d: tensor<?xf32>) -> (tensor<4xf32>, tensor<?xf32>) {
  // CHECK: graph.multiply %x
  // CHECK-NEXT: graph.multiply %d
  %ones = graph.constant dense<1.0> : tensor<4xf32>
  %0 = graph.multiply %x, %ones : tensor<1xf32>, tensor<4xf32> -> tensor<4xf32>
  %1 = graph.multiply %d, %ones : tensor<?xf32>, tensor<4xf32> -> tensor<?xf32>
  func.return %0, %1 : tensor<4xf32>, tensor<?xf32>
}

// The returned value has to keep its type.

// CHECK-LABEL: func.func @keeps_what_refines_the_type
func.func @keeps_what_refines_the_type(%d: tensor<?xf32>) -> tensor<4xf32> {
  // CHECK: graph.multiply
  %one = graph.constant dense<1.0> : tensor<f32>
  %0 = graph.multiply %d, %one : tensor<?xf32>, tensor<f32> -> tensor<4xf32>
  func.return %0 : tensor<4xf32>
}

// CHECK-LABEL: func.func @negation
func.func @negation(%x: tensor<4xi32>, %y: tensor<4xf32>, %p: tensor<4xi1>)
    -> (tensor<4xi32>, tensor<4xf32>, tensor<4xi1>, tensor<4xf32>) {
  // CHECK-NEXT: [[NEGATED:%.+]] = graph.negate %x : tensor<4xi32>
  // CHECK-NEXT: [[ABSOLUTE:%.+]] = graph.abs %y : tensor<4xf32>
  // CHECK-NEXT: func.return [[NEGATED]], %y, %p, [[ABSOLUTE]]
  %zero = graph.constant dense<0> : tensor<i32>
  %0 = graph.subtract %zero, %x : tensor<i32>, tensor<4xi32> -> tensor<4xi32>
  %1 = graph.negate %y : tensor<4xf32>
  %2 = graph.negate %1 : tensor<4xf32>
  %3 = graph.not %p : tensor<4xi1>
  %4 = graph.not %3 : tensor<4xi1>
  %5 = graph.abs %1 : tensor<4xf32>
  %6 = graph.abs %5 : tensor<4xf32>
  func.return %0, %2, %4, %6 : tensor<4xi32>, tensor<4xf32>, tensor<4xi1>, tensor<4xf32>
}

// CHECK-LABEL: func.func @powers
func.func @powers(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  // CHECK-DAG: [[SQUARE:%.+]] = graph.multiply %x, %x : tensor<4xf32>
  // CHECK-DAG: [[ONE:%.+]] = graph.constant dense<1.000000e+00> : tensor<f32>
  // CHECK-DAG: [[INVERSE:%.+]] = graph.divide [[ONE]], %x : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
  // CHECK-DAG: [[LOWEST:%.+]] = graph.constant dense<0xff800000> : tensor<f32>
  // CHECK-DAG: [[HIGHEST:%.+]] = graph.constant dense<0x7f800000> : tensor<f32>
  // CHECK-DAG: [[IS_LOWEST:%.+]] = graph.compare EQ, %x, [[LOWEST]]
  // CHECK-DAG: [[SQRT:%.+]] = graph.sqrt %x : tensor<4xf32>
  // CHECK-DAG: [[POSITIVE:%.+]] = graph.abs [[SQRT]] : tensor<4xf32>
  // CHECK-DAG: [[ROOT:%.+]] = graph.select [[IS_LOWEST]], [[HIGHEST]], [[POSITIVE]]
  // CHECK-DAG: [[CUBE:%.+]] = graph.power %x
  // CHECK: func.return [[SQUARE]], [[INVERSE]], [[ROOT]], [[CUBE]]
  %two = graph.constant dense<2.0> : tensor<f32>
  %minus_one = graph.constant dense<-1.0> : tensor<f32>
  %half = graph.constant dense<0.5> : tensor<f32>
  %three = graph.constant dense<3.0> : tensor<f32>
  %0 = graph.power %x, %two : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %1 = graph.power %x, %minus_one : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %2 = graph.power %x, %half : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %3 = graph.power %x, %three : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  func.return %0, %1, %2, %3 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// CHECK-LABEL: func.func @clamps
func.func @clamps(%x: tensor<4xf32>, %bound: tensor<f32>) -> (tensor<4xf32>, tensor<4xf32>) {
  // CHECK-NEXT: [[BELOW:%.+]] = graph.minimum %x, %bound : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  // CHECK-NEXT: [[ABOVE:%.+]] = graph.maximum %x, %bound : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  // CHECK-NEXT: func.return [[BELOW]], [[ABOVE]]
  %lowest = graph.constant dense<0xff800000> : tensor<f32>
  %highest = graph.constant dense<0x7f800000> : tensor<f32>
  %0 = graph.clamp %lowest, %x, %bound : tensor<f32>, tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %1 = graph.clamp %bound, %x, %highest : tensor<f32>, tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  func.return %0, %1 : tensor<4xf32>, tensor<4xf32>
}

// CHECK-LABEL: func.func @selects
func.func @selects(%p: tensor<4xi1>, %x: tensor<4xf32>, %y: tensor<4xf32>)
    -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  // CHECK-NEXT: [[SWAPPED:%.+]] = graph.select %p, %y, %x
  // CHECK-NEXT: func.return %x, %y, %x, [[SWAPPED]]
  %true = graph.constant dense<true> : tensor<i1>
  %false = graph.constant dense<false> : tensor<4xi1>
  %0 = graph.select %true, %x, %y : tensor<i1>, tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  %1 = graph.select %false, %x, %y : tensor<4xi1>, tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  %2 = graph.select %p, %x, %x : tensor<4xi1>, tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  %q = graph.not %p : tensor<4xi1>
  %3 = graph.select %q, %x, %y : tensor<4xi1>, tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  func.return %0, %1, %2, %3 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// CHECK-LABEL: func.func @exact_casts
func.func @exact_casts(%x: tensor<4xf16>, %i: tensor<4xi8>) -> (tensor<4xf16>, tensor<4xf64>, tensor<4xi8>) {
  // CHECK-NEXT: [[WIDE:%.+]] = graph.cast %x : tensor<4xf16> -> tensor<4xf64>
  // CHECK-NEXT: func.return %x, [[WIDE]], %i
  %0 = graph.cast %x : tensor<4xf16> -> tensor<4xf32>
  %1 = graph.cast %0 : tensor<4xf32> -> tensor<4xf16>
  %2 = graph.cast %0 : tensor<4xf32> -> tensor<4xf64>
  %3 = graph.cast %i : tensor<4xi8> -> tensor<4xf16>
  %4 = graph.cast %3 : tensor<4xf16> -> tensor<4xi8>
  func.return %1, %2, %4 : tensor<4xf16>, tensor<4xf64>, tensor<4xi8>
}

// CHECK-LABEL: func.func @keeps_casts_that_round_or_saturate
func.func @keeps_casts_that_round_or_saturate(%x: tensor<4xf32>, %i: tensor<4xi8>) -> (tensor<4xf32>, tensor<4xui8>) {
  // CHECK-NEXT: graph.cast %x : tensor<4xf32> -> tensor<4xbf16>
  // CHECK-NEXT: graph.cast {{.*}} : tensor<4xbf16> -> tensor<4xf32>
  // CHECK-NEXT: graph.cast %i : tensor<4xi8> -> tensor<4xf32>
  // CHECK-NEXT: graph.cast {{.*}} : tensor<4xf32> -> tensor<4xui8>
  %0 = graph.cast %x : tensor<4xf32> -> tensor<4xbf16>
  %1 = graph.cast %0 : tensor<4xbf16> -> tensor<4xf32>
  %2 = graph.cast %i : tensor<4xi8> -> tensor<4xf32>
  %3 = graph.cast %2 : tensor<4xf32> -> tensor<4xui8>
  func.return %1, %3 : tensor<4xf32>, tensor<4xui8>
}

// CHECK-LABEL: func.func @bitcasts
func.func @bitcasts(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xui32>) {
  // CHECK-NEXT: [[BITS:%.+]] = graph.bitcast %x : tensor<4xf32> -> tensor<4xui32>
  // CHECK-NEXT: func.return %x, [[BITS]]
  %0 = graph.bitcast %x : tensor<4xf32> -> tensor<4xi32>
  %1 = graph.bitcast %0 : tensor<4xi32> -> tensor<4xf32>
  %2 = graph.bitcast %0 : tensor<4xi32> -> tensor<4xui32>
  func.return %1, %2 : tensor<4xf32>, tensor<4xui32>
}

// CHECK-LABEL: func.func @reads_through_broadcast
func.func @reads_through_broadcast(%x: tensor<8xf32>, %y: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  // CHECK-NEXT: graph.add %x, %y : tensor<8xf32>, tensor<4x8xf32> -> tensor<4x8xf32>
  // CHECK-NEXT: [[NEEDED:%.+]] = graph.broadcast %x
  // CHECK-NEXT: graph.exp [[NEEDED]]
  %0 = graph.broadcast %x, [4, 8] : tensor<8xf32> -> tensor<4x8xf32>
  %1 = graph.add %0, %y : tensor<4x8xf32>
  %2 = graph.broadcast %x, [4, 8] : tensor<8xf32> -> tensor<4x8xf32>
  %3 = graph.exp %2 : tensor<4x8xf32>
  func.return %1, %3 : tensor<4x8xf32>, tensor<4x8xf32>
}
