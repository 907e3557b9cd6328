// RUN: lamina-opt %s -p simplify-batch-norms | filecheck %s
// RUN: lamina-opt %s -p simplify-batch-norms,fold-constants | filecheck %s --check-prefix FOLDED

// CHECK-LABEL: func.func @on_axis_1
// FOLDED-LABEL: func.func @on_axis_1
func.func @on_axis_1(%x: tensor<?x2x8xf32>) -> tensor<?x2x8xf32> {
  %scale = graph.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %bias = graph.constant dense<[3.0, 4.0]> : tensor<2xf32>
  %mean = graph.constant dense<[0.5, 0.25]> : tensor<2xf32>
  %variance = graph.constant dense<[3.0, 15.0]> : tensor<2xf32>
  // CHECK: graph.rsqrt
  // CHECK: graph.reshape {{.*}} -> tensor<1x2x1xf32>
  // CHECK: graph.reshape {{.*}} -> tensor<1x2x1xf32>
  // CHECK-NEXT: %[[SCALED:.*]] = graph.multiply %x, {{.*}} : tensor<?x2x8xf32>, tensor<1x2x1xf32>
  // CHECK-NEXT: graph.add %[[SCALED]], {{.*}} : tensor<?x2x8xf32>, tensor<1x2x1xf32>
  // FOLDED: graph.constant dense<{{.*}}> : tensor<1x2x1xf32>
  // FOLDED-NEXT: graph.constant dense<{{.*}}> : tensor<1x2x1xf32>
  // FOLDED-NEXT: graph.multiply
  // FOLDED-NEXT: graph.add
  // FOLDED-NEXT: func.return
  %y = graph.batch_norm %x, %scale, %bias, %mean, %variance, dimension = 1, epsilon = 1.000000e+00
      : tensor<?x2x8xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32> -> tensor<?x2x8xf32>
  func.return %y : tensor<?x2x8xf32>
}
