// RUN: lamina-opt %s -p 'differentiate{function=f kind=gradient},differentiate{function="f.grad" kind=jvp wrt=0 into="f.hessian_product"}' | filecheck %s
// RUN: lamina-opt %s -p "differentiate{function=f kind=value-and-gradient wrt=1}" | filecheck %s --check-prefix ONE
// RUN: not lamina-opt %s -p "differentiate{function=f mode=sideways}" 2>&1 | filecheck %s --check-prefix MODE
// RUN: not lamina-opt %s -p "differentiate{function=f mode=forward kind=vjp}" 2>&1 | filecheck %s --check-prefix BOTH
// RUN: not lamina-opt %s -p "differentiate{function=f wrt=2}" 2>&1 | filecheck %s --check-prefix INTEGER
// RUN: not lamina-opt %s -p "differentiate{function=f kind=gradient outputs=1}" 2>&1 | filecheck %s --check-prefix SCALAR

// A gradient, and the gradient's derivative in a direction.

// CHECK-LABEL: func.func @f(
// CHECK-LABEL: func.func @f.grad(
// CHECK-SAME: %x: tensor<4xf32>, %y: tensor<4xf32>, %i: tensor<i64>) -> (tensor<4xf32>, tensor<4xf32>)
// CHECK-SAME: lamina.derivative = "gradient of f wrt=0,1 outputs=0"
// CHECK-LABEL: func.func @f.hessian_product(
// CHECK-SAME: %x: tensor<4xf32>, %y: tensor<4xf32>, %i: tensor<i64>, %x_tangent: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>)

// ONE-LABEL: func.func @f.value_and_grad(
// ONE-SAME: -> (tensor<f32>, tensor<4xf32>, tensor<4xf32>)

// MODE: error: differentiate: unknown mode 'sideways'
// MODE-NEXT: the modes are forward, reverse
// BOTH: error: differentiate: kind vjp has mode reverse, found mode=forward
// INTEGER: differentiate.mlir:27:1: error: @f: argument 2: no derivative of tensor<i64>: only floats have tangents
// INTEGER: leave it out, or cast it to a float inside the function and pass the float
// SCALAR: differentiate.mlir:27:1: error: @f: result 1: a gradient is of a scalar, found tensor<4xf32>
// SCALAR: reduce it to a scalar
func.func @f(%x: tensor<4xf32>, %y: tensor<4xf32>, %i: tensor<i64>) -> (tensor<f32>, tensor<4xf32>) {
  %a = graph.multiply %x, %y : tensor<4xf32>
  %b = graph.exp %a : tensor<4xf32>
  %s = graph.reduce add %b, [0] : tensor<4xf32> -> tensor<f32>
  func.return %s, %a : tensor<f32>, tensor<4xf32>
}
