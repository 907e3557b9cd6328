// RUN: lamina-opt %s -p "differentiate{function=f mode=forward},differentiate{function=f mode=reverse wrt=0}" | filecheck %s

// Barriers stay where they are, and tangents and cotangents have barriers of their own.

// CHECK-LABEL: func.func @f.jvp(
// CHECK:         %[[A:.*]], %[[B:.*]] = graph.optimization_barrier %x, %y :
// CHECK-NEXT:    %[[T:.*]], %[[U:.*]] = graph.optimization_barrier %x_tangent, %y_tangent :
// CHECK-NEXT:    func.return %[[A]], %[[B]], %[[T]], %[[U]] :
// CHECK-LABEL: func.func @f.vjp(
// CHECK:         %[[A:.*]], %[[B:.*]] = graph.optimization_barrier %x, %y :
// CHECK-NEXT:    %[[T:.*]] = graph.optimization_barrier %a_cotangent :
// CHECK-NEXT:    func.return %[[A]], %[[B]], %[[T]] :
func.func @f(%x: tensor<4xf32>, %y: tensor<?xf32>) -> (tensor<4xf32>, tensor<?xf32>) {
  %a, %b = graph.optimization_barrier %x, %y : tensor<4xf32>, tensor<?xf32> -> tensor<4xf32>, tensor<?xf32>
  func.return %a, %b : tensor<4xf32>, tensor<?xf32>
}
