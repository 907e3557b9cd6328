// RUN: lamina-opt %s -p "differentiate{mode=reverse},differentiate{mode=forward},canonicalize,cse" | filecheck %s

// The derivatives of elementwise ops: @NAME.vjp and @NAME.jvp for every rule.

// CHECK-LABEL: func.func @abs(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.abs %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @abs.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of abs wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.abs %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.compare GE, %[[X]], %[[V0]] : tensor<4xf32>, tensor<f32> -> tensor<4xi1>
// CHECK-NEXT:    %[[V2:.*]] = graph.negate %[[R_COTANGENT]] : tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.select %[[V1]], %[[R_COTANGENT]], %[[V2]] : tensor<4xi1>, tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V3]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @abs.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of abs wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.abs %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.compare GE, %[[X]], %[[V0]] : tensor<4xf32>, tensor<f32> -> tensor<4xi1>
// CHECK-NEXT:    %[[V2:.*]] = graph.negate %[[X_TANGENT]] : tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.select %[[V1]], %[[X_TANGENT]], %[[V2]] : tensor<4xi1>, tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V3]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @abs(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.abs %x : tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @negate(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.negate %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @negate.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of negate wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.negate %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.negate %[[R_COTANGENT]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @negate.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of negate wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.negate %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.negate %[[X_TANGENT]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @negate(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.negate %x : tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @exp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.exp %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @exp.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of exp wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.exp %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[R_COTANGENT]], %[[R]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @exp.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of exp wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.exp %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[X_TANGENT]], %[[R]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @exp(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.exp %x : tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @expm1(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.expm1 %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @expm1.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of expm1 wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.expm1 %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.add %[[R]], %[[V0]] : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.multiply %[[R_COTANGENT]], %[[V1]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V2]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @expm1.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of expm1 wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.expm1 %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.add %[[R]], %[[V0]] : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.multiply %[[X_TANGENT]], %[[V1]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V2]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @expm1(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.expm1 %x : tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @log(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.log %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @log.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of log wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.log %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.divide %[[R_COTANGENT]], %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @log.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of log wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.log %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.divide %[[X_TANGENT]], %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @log(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.log %x : tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @log1p(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.log1p %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @log1p.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of log1p wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.log1p %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.add %[[X]], %[[V0]] : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.divide %[[R_COTANGENT]], %[[V1]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V2]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @log1p.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of log1p wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.log1p %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.add %[[X]], %[[V0]] : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.divide %[[X_TANGENT]], %[[V1]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V2]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @log1p(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.log1p %x : tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @sqrt(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.sqrt %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @sqrt.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of sqrt wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.sqrt %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<5.000000e-01> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.divide %[[V0]], %[[R]] : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.multiply %[[R_COTANGENT]], %[[V1]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V2]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @sqrt.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of sqrt wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.sqrt %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<5.000000e-01> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.divide %[[V0]], %[[R]] : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.multiply %[[X_TANGENT]], %[[V1]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V2]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @sqrt(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.sqrt %x : tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @rsqrt(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.rsqrt %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @rsqrt.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of rsqrt wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.rsqrt %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.divide %[[R]], %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<-5.000000e-01> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.multiply %[[V0]], %[[V1]] : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.multiply %[[R_COTANGENT]], %[[V2]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V3]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @rsqrt.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of rsqrt wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.rsqrt %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.divide %[[R]], %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<-5.000000e-01> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.multiply %[[V0]], %[[V1]] : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.multiply %[[X_TANGENT]], %[[V2]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V3]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @rsqrt(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.rsqrt %x : tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @sin(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.sin %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @sin.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of sin wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.sin %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.cos %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.multiply %[[R_COTANGENT]], %[[V0]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V1]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @sin.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of sin wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.sin %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.cos %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.multiply %[[X_TANGENT]], %[[V0]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V1]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @sin(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.sin %x : tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @cos(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.cos %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @cos.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of cos wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.cos %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.sin %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.negate %[[V0]] : tensor<4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.multiply %[[R_COTANGENT]], %[[V1]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V2]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @cos.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of cos wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.cos %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.sin %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.negate %[[V0]] : tensor<4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.multiply %[[X_TANGENT]], %[[V1]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V2]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @cos(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.cos %x : tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @tan(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.tan %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @tan.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of tan wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.tan %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[R]], %[[R]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.add %[[V0]], %[[V1]] : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.multiply %[[R_COTANGENT]], %[[V2]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V3]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @tan.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of tan wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.tan %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[R]], %[[R]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.add %[[V0]], %[[V1]] : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.multiply %[[X_TANGENT]], %[[V2]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V3]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @tan(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.tan %x : tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @asin(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.asin %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @asin.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of asin wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.asin %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[X]], %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.subtract %[[V1]], %[[V0]] : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.rsqrt %[[V2]] : tensor<4xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.multiply %[[R_COTANGENT]], %[[V3]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V4]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @asin.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of asin wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.asin %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[X]], %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.subtract %[[V1]], %[[V0]] : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.rsqrt %[[V2]] : tensor<4xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.multiply %[[X_TANGENT]], %[[V3]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V4]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @asin(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.asin %x : tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @acos(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.acos %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @acos.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of acos wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.acos %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[X]], %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.subtract %[[V1]], %[[V0]] : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.rsqrt %[[V2]] : tensor<4xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.negate %[[V3]] : tensor<4xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.multiply %[[R_COTANGENT]], %[[V4]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V5]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @acos.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of acos wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.acos %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[X]], %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.subtract %[[V1]], %[[V0]] : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.rsqrt %[[V2]] : tensor<4xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.negate %[[V3]] : tensor<4xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.multiply %[[X_TANGENT]], %[[V4]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V5]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @acos(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.acos %x : tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @atan(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.atan %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @atan.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of atan wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.atan %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[X]], %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.add %[[V0]], %[[V1]] : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.divide %[[R_COTANGENT]], %[[V2]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V3]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @atan.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of atan wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.atan %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[X]], %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.add %[[V0]], %[[V1]] : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.divide %[[X_TANGENT]], %[[V2]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V3]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @atan(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.atan %x : tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @sinh(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.sinh %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @sinh.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of sinh wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.sinh %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.cosh %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.multiply %[[R_COTANGENT]], %[[V0]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V1]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @sinh.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of sinh wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.sinh %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.cosh %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.multiply %[[X_TANGENT]], %[[V0]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V1]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @sinh(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.sinh %x : tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @cosh(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.cosh %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @cosh.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of cosh wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.cosh %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.sinh %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.multiply %[[R_COTANGENT]], %[[V0]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V1]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @cosh.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of cosh wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.cosh %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.sinh %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.multiply %[[X_TANGENT]], %[[V0]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V1]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @cosh(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.cosh %x : tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @asinh(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.asinh %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @asinh.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of asinh wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.asinh %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[X]], %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.add %[[V0]], %[[V1]] : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.rsqrt %[[V2]] : tensor<4xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.multiply %[[R_COTANGENT]], %[[V3]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V4]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @asinh.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of asinh wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.asinh %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[X]], %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.add %[[V0]], %[[V1]] : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.rsqrt %[[V2]] : tensor<4xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.multiply %[[X_TANGENT]], %[[V3]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V4]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @asinh(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.asinh %x : tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @acosh(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.acosh %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @acosh.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of acosh wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.acosh %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.subtract %[[X]], %[[V0]] : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.rsqrt %[[V1]] : tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.add %[[X]], %[[V0]] : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.rsqrt %[[V3]] : tensor<4xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.multiply %[[V2]], %[[V4]] : tensor<4xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.multiply %[[R_COTANGENT]], %[[V5]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V6]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @acosh.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of acosh wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.acosh %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.subtract %[[X]], %[[V0]] : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.rsqrt %[[V1]] : tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.add %[[X]], %[[V0]] : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.rsqrt %[[V3]] : tensor<4xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.multiply %[[V2]], %[[V4]] : tensor<4xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.multiply %[[X_TANGENT]], %[[V5]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V6]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @acosh(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.acosh %x : tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @atanh(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.atanh %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @atanh.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of atanh wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.atanh %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[X]], %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.subtract %[[V1]], %[[V0]] : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.divide %[[R_COTANGENT]], %[[V2]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V3]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @atanh.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of atanh wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.atanh %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[X]], %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.subtract %[[V1]], %[[V0]] : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.divide %[[X_TANGENT]], %[[V2]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V3]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @atanh(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.atanh %x : tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @tanh(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.tanh %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @tanh.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of tanh wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.tanh %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[R]], %[[R]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.subtract %[[V1]], %[[V0]] : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.multiply %[[R_COTANGENT]], %[[V2]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V3]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @tanh.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of tanh wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.tanh %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[R]], %[[R]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.subtract %[[V1]], %[[V0]] : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.multiply %[[X_TANGENT]], %[[V2]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V3]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @tanh(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.tanh %x : tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @erf(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.erf %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @erf.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of erf wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.erf %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[X]], %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.negate %[[V0]] : tensor<4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.exp %[[V1]] : tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.constant dense<1.12837923> : tensor<f32>
// CHECK-NEXT:    %[[V4:.*]] = graph.multiply %[[V2]], %[[V3]] : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.multiply %[[R_COTANGENT]], %[[V4]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V5]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @erf.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of erf wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.erf %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[X]], %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.negate %[[V0]] : tensor<4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.exp %[[V1]] : tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.constant dense<1.12837923> : tensor<f32>
// CHECK-NEXT:    %[[V4:.*]] = graph.multiply %[[V2]], %[[V3]] : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.multiply %[[X_TANGENT]], %[[V4]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V5]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @erf(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.erf %x : tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @logistic(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.logistic %[[X]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @logistic.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of logistic wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.logistic %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.subtract %[[V0]], %[[R]] : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.multiply %[[R]], %[[V1]] : tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.multiply %[[R_COTANGENT]], %[[V2]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V3]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @logistic.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of logistic wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.logistic %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.subtract %[[V0]], %[[R]] : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.multiply %[[R]], %[[V1]] : tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.multiply %[[X_TANGENT]], %[[V2]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V3]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @logistic(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.logistic %x : tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @add(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>) -> tensor<2x4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.add %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @add.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of add wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.add %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.reduce add %[[R_COTANGENT]], [0] : tensor<2x4xf32> -> tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[R_COTANGENT]], %[[V0]] : tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @add.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<2x4xf32>, %[[Y_TANGENT:.*]]: tensor<4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>) attributes {lamina.derivative = "jvp of add wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.add %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.add %[[X_TANGENT]], %[[Y_TANGENT]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<2x4xf32>, tensor<2x4xf32>
// CHECK-NEXT:  }
func.func @add(%x: tensor<2x4xf32>, %y: tensor<4xf32>) -> tensor<2x4xf32> {
  %r = graph.add %x, %y : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
  func.return %r : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @subtract(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>) -> tensor<2x4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.subtract %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @subtract.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of subtract wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.subtract %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.negate %[[R_COTANGENT]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.reduce add %[[V0]], [0] : tensor<2x4xf32> -> tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[R_COTANGENT]], %[[V1]] : tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @subtract.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<2x4xf32>, %[[Y_TANGENT:.*]]: tensor<4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>) attributes {lamina.derivative = "jvp of subtract wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.subtract %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.negate %[[Y_TANGENT]] : tensor<4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.add %[[X_TANGENT]], %[[V0]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V1]] : tensor<2x4xf32>, tensor<2x4xf32>
// CHECK-NEXT:  }
func.func @subtract(%x: tensor<2x4xf32>, %y: tensor<4xf32>) -> tensor<2x4xf32> {
  %r = graph.subtract %x, %y : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
  func.return %r : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @multiply(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>) -> tensor<2x4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.multiply %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @multiply.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of multiply wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.multiply %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[R_COTANGENT]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.multiply %[[R_COTANGENT]], %[[X]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.reduce add %[[V1]], [0] : tensor<2x4xf32> -> tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]], %[[V2]] : tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @multiply.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<2x4xf32>, %[[Y_TANGENT:.*]]: tensor<4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>) attributes {lamina.derivative = "jvp of multiply wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.multiply %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[X_TANGENT]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.multiply %[[Y_TANGENT]], %[[X]] : tensor<4xf32>, tensor<2x4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.add %[[V0]], %[[V1]] : tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V2]] : tensor<2x4xf32>, tensor<2x4xf32>
// CHECK-NEXT:  }
func.func @multiply(%x: tensor<2x4xf32>, %y: tensor<4xf32>) -> tensor<2x4xf32> {
  %r = graph.multiply %x, %y : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
  func.return %r : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @divide(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>) -> tensor<2x4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.divide %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @divide.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of divide wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.divide %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.divide %[[R_COTANGENT]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.divide %[[R]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.multiply %[[R_COTANGENT]], %[[V1]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.negate %[[V2]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.reduce add %[[V3]], [0] : tensor<2x4xf32> -> tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]], %[[V4]] : tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @divide.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<2x4xf32>, %[[Y_TANGENT:.*]]: tensor<4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>) attributes {lamina.derivative = "jvp of divide wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.divide %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.divide %[[X_TANGENT]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.divide %[[R]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.multiply %[[Y_TANGENT]], %[[V1]] : tensor<4xf32>, tensor<2x4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.negate %[[V2]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.add %[[V0]], %[[V3]] : tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V4]] : tensor<2x4xf32>, tensor<2x4xf32>
// CHECK-NEXT:  }
func.func @divide(%x: tensor<2x4xf32>, %y: tensor<4xf32>) -> tensor<2x4xf32> {
  %r = graph.divide %x, %y : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
  func.return %r : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @remainder(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>) -> tensor<2x4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.remainder %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @remainder.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of remainder wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.remainder %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.divide %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.sign %[[V0]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.abs %[[V0]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.floor %[[V2]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.multiply %[[V1]], %[[V3]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.multiply %[[R_COTANGENT]], %[[V4]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.negate %[[V5]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.reduce add %[[V6]], [0] : tensor<2x4xf32> -> tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[R_COTANGENT]], %[[V7]] : tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @remainder.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<2x4xf32>, %[[Y_TANGENT:.*]]: tensor<4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>) attributes {lamina.derivative = "jvp of remainder wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.remainder %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.divide %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.sign %[[V0]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.abs %[[V0]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.floor %[[V2]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.multiply %[[V1]], %[[V3]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.multiply %[[Y_TANGENT]], %[[V4]] : tensor<4xf32>, tensor<2x4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.negate %[[V5]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.add %[[X_TANGENT]], %[[V6]] : tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V7]] : tensor<2x4xf32>, tensor<2x4xf32>
// CHECK-NEXT:  }
func.func @remainder(%x: tensor<2x4xf32>, %y: tensor<4xf32>) -> tensor<2x4xf32> {
  %r = graph.remainder %x, %y : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
  func.return %r : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @power(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>) -> tensor<2x4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.power %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @power.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of power wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.power %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.subtract %[[Y]], %[[V0]] : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.power %[[X]], %[[V1]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.multiply %[[Y]], %[[V2]] : tensor<4xf32>, tensor<2x4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V5:.*]] = graph.compare EQ, %[[Y]], %[[V4]] : tensor<4xf32>, tensor<f32> -> tensor<4xi1>
// CHECK-NEXT:    %[[V6:.*]] = graph.select %[[V5]], %[[V4]], %[[V3]] : tensor<4xi1>, tensor<f32>, tensor<2x4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.multiply %[[R_COTANGENT]], %[[V6]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V8:.*]] = graph.compare EQ, %[[X]], %[[V4]] : tensor<2x4xf32>, tensor<f32> -> tensor<2x4xi1>
// CHECK-NEXT:    %[[V9:.*]] = graph.select %[[V8]], %[[V0]], %[[X]] : tensor<2x4xi1>, tensor<f32>, tensor<2x4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V10:.*]] = graph.log %[[V9]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V11:.*]] = graph.multiply %[[V10]], %[[R]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V12:.*]] = graph.multiply %[[R_COTANGENT]], %[[V11]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V13:.*]] = graph.reduce add %[[V12]], [0] : tensor<2x4xf32> -> tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V7]], %[[V13]] : tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @power.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<2x4xf32>, %[[Y_TANGENT:.*]]: tensor<4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>) attributes {lamina.derivative = "jvp of power wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.power %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.subtract %[[Y]], %[[V0]] : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.power %[[X]], %[[V1]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.multiply %[[Y]], %[[V2]] : tensor<4xf32>, tensor<2x4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V5:.*]] = graph.compare EQ, %[[Y]], %[[V4]] : tensor<4xf32>, tensor<f32> -> tensor<4xi1>
// CHECK-NEXT:    %[[V6:.*]] = graph.select %[[V5]], %[[V4]], %[[V3]] : tensor<4xi1>, tensor<f32>, tensor<2x4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.multiply %[[X_TANGENT]], %[[V6]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V8:.*]] = graph.compare EQ, %[[X]], %[[V4]] : tensor<2x4xf32>, tensor<f32> -> tensor<2x4xi1>
// CHECK-NEXT:    %[[V9:.*]] = graph.select %[[V8]], %[[V0]], %[[X]] : tensor<2x4xi1>, tensor<f32>, tensor<2x4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V10:.*]] = graph.log %[[V9]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V11:.*]] = graph.multiply %[[V10]], %[[R]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V12:.*]] = graph.multiply %[[Y_TANGENT]], %[[V11]] : tensor<4xf32>, tensor<2x4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V13:.*]] = graph.add %[[V7]], %[[V12]] : tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V13]] : tensor<2x4xf32>, tensor<2x4xf32>
// CHECK-NEXT:  }
func.func @power(%x: tensor<2x4xf32>, %y: tensor<4xf32>) -> tensor<2x4xf32> {
  %r = graph.power %x, %y : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
  func.return %r : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @maximum(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>) -> tensor<2x4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.maximum %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @maximum.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of maximum wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.maximum %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.compare EQ, %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xi1>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<5.000000e-01> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V3:.*]] = graph.select %[[V0]], %[[V1]], %[[V2]] : tensor<2x4xi1>, tensor<f32>, tensor<f32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.compare EQ, %[[X]], %[[R]] : tensor<2x4xf32>, tensor<2x4xf32> -> tensor<2x4xi1>
// CHECK-NEXT:    %[[V5:.*]] = graph.multiply %[[R_COTANGENT]], %[[V3]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V7:.*]] = graph.select %[[V4]], %[[V5]], %[[V6]] : tensor<2x4xi1>, tensor<2x4xf32>, tensor<f32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V8:.*]] = graph.compare EQ, %[[Y]], %[[X]] : tensor<4xf32>, tensor<2x4xf32> -> tensor<2x4xi1>
// CHECK-NEXT:    %[[V9:.*]] = graph.select %[[V8]], %[[V1]], %[[V2]] : tensor<2x4xi1>, tensor<f32>, tensor<f32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V10:.*]] = graph.compare EQ, %[[Y]], %[[R]] : tensor<4xf32>, tensor<2x4xf32> -> tensor<2x4xi1>
// CHECK-NEXT:    %[[V11:.*]] = graph.multiply %[[R_COTANGENT]], %[[V9]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V12:.*]] = graph.select %[[V10]], %[[V11]], %[[V6]] : tensor<2x4xi1>, tensor<2x4xf32>, tensor<f32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V13:.*]] = graph.reduce add %[[V12]], [0] : tensor<2x4xf32> -> tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V7]], %[[V13]] : tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @maximum.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<2x4xf32>, %[[Y_TANGENT:.*]]: tensor<4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>) attributes {lamina.derivative = "jvp of maximum wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.maximum %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.compare EQ, %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xi1>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<5.000000e-01> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V3:.*]] = graph.select %[[V0]], %[[V1]], %[[V2]] : tensor<2x4xi1>, tensor<f32>, tensor<f32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.compare EQ, %[[X]], %[[R]] : tensor<2x4xf32>, tensor<2x4xf32> -> tensor<2x4xi1>
// CHECK-NEXT:    %[[V5:.*]] = graph.multiply %[[X_TANGENT]], %[[V3]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V7:.*]] = graph.select %[[V4]], %[[V5]], %[[V6]] : tensor<2x4xi1>, tensor<2x4xf32>, tensor<f32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V8:.*]] = graph.compare EQ, %[[Y]], %[[X]] : tensor<4xf32>, tensor<2x4xf32> -> tensor<2x4xi1>
// CHECK-NEXT:    %[[V9:.*]] = graph.select %[[V8]], %[[V1]], %[[V2]] : tensor<2x4xi1>, tensor<f32>, tensor<f32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V10:.*]] = graph.compare EQ, %[[Y]], %[[R]] : tensor<4xf32>, tensor<2x4xf32> -> tensor<2x4xi1>
// CHECK-NEXT:    %[[V11:.*]] = graph.multiply %[[Y_TANGENT]], %[[V9]] : tensor<4xf32>, tensor<2x4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V12:.*]] = graph.select %[[V10]], %[[V11]], %[[V6]] : tensor<2x4xi1>, tensor<2x4xf32>, tensor<f32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V13:.*]] = graph.add %[[V7]], %[[V12]] : tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V13]] : tensor<2x4xf32>, tensor<2x4xf32>
// CHECK-NEXT:  }
func.func @maximum(%x: tensor<2x4xf32>, %y: tensor<4xf32>) -> tensor<2x4xf32> {
  %r = graph.maximum %x, %y : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
  func.return %r : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @minimum(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>) -> tensor<2x4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.minimum %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @minimum.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of minimum wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.minimum %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.compare EQ, %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xi1>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<5.000000e-01> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V3:.*]] = graph.select %[[V0]], %[[V1]], %[[V2]] : tensor<2x4xi1>, tensor<f32>, tensor<f32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.compare EQ, %[[X]], %[[R]] : tensor<2x4xf32>, tensor<2x4xf32> -> tensor<2x4xi1>
// CHECK-NEXT:    %[[V5:.*]] = graph.multiply %[[R_COTANGENT]], %[[V3]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V7:.*]] = graph.select %[[V4]], %[[V5]], %[[V6]] : tensor<2x4xi1>, tensor<2x4xf32>, tensor<f32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V8:.*]] = graph.compare EQ, %[[Y]], %[[X]] : tensor<4xf32>, tensor<2x4xf32> -> tensor<2x4xi1>
// CHECK-NEXT:    %[[V9:.*]] = graph.select %[[V8]], %[[V1]], %[[V2]] : tensor<2x4xi1>, tensor<f32>, tensor<f32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V10:.*]] = graph.compare EQ, %[[Y]], %[[R]] : tensor<4xf32>, tensor<2x4xf32> -> tensor<2x4xi1>
// CHECK-NEXT:    %[[V11:.*]] = graph.multiply %[[R_COTANGENT]], %[[V9]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V12:.*]] = graph.select %[[V10]], %[[V11]], %[[V6]] : tensor<2x4xi1>, tensor<2x4xf32>, tensor<f32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V13:.*]] = graph.reduce add %[[V12]], [0] : tensor<2x4xf32> -> tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V7]], %[[V13]] : tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @minimum.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<2x4xf32>, %[[Y_TANGENT:.*]]: tensor<4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>) attributes {lamina.derivative = "jvp of minimum wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.minimum %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.compare EQ, %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xi1>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<5.000000e-01> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V3:.*]] = graph.select %[[V0]], %[[V1]], %[[V2]] : tensor<2x4xi1>, tensor<f32>, tensor<f32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.compare EQ, %[[X]], %[[R]] : tensor<2x4xf32>, tensor<2x4xf32> -> tensor<2x4xi1>
// CHECK-NEXT:    %[[V5:.*]] = graph.multiply %[[X_TANGENT]], %[[V3]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V7:.*]] = graph.select %[[V4]], %[[V5]], %[[V6]] : tensor<2x4xi1>, tensor<2x4xf32>, tensor<f32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V8:.*]] = graph.compare EQ, %[[Y]], %[[X]] : tensor<4xf32>, tensor<2x4xf32> -> tensor<2x4xi1>
// CHECK-NEXT:    %[[V9:.*]] = graph.select %[[V8]], %[[V1]], %[[V2]] : tensor<2x4xi1>, tensor<f32>, tensor<f32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V10:.*]] = graph.compare EQ, %[[Y]], %[[R]] : tensor<4xf32>, tensor<2x4xf32> -> tensor<2x4xi1>
// CHECK-NEXT:    %[[V11:.*]] = graph.multiply %[[Y_TANGENT]], %[[V9]] : tensor<4xf32>, tensor<2x4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V12:.*]] = graph.select %[[V10]], %[[V11]], %[[V6]] : tensor<2x4xi1>, tensor<2x4xf32>, tensor<f32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V13:.*]] = graph.add %[[V7]], %[[V12]] : tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V13]] : tensor<2x4xf32>, tensor<2x4xf32>
// CHECK-NEXT:  }
func.func @minimum(%x: tensor<2x4xf32>, %y: tensor<4xf32>) -> tensor<2x4xf32> {
  %r = graph.minimum %x, %y : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
  func.return %r : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @atan2(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>) -> tensor<2x4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.atan2 %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<2x4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @atan2.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>) attributes {lamina.derivative = "vjp of atan2 wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.atan2 %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[X]], %[[X]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.multiply %[[Y]], %[[Y]] : tensor<4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.add %[[V0]], %[[V1]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.divide %[[Y]], %[[V2]] : tensor<4xf32>, tensor<2x4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.multiply %[[R_COTANGENT]], %[[V3]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.divide %[[X]], %[[V2]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.negate %[[V5]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.multiply %[[R_COTANGENT]], %[[V6]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V8:.*]] = graph.reduce add %[[V7]], [0] : tensor<2x4xf32> -> tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V4]], %[[V8]] : tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @atan2.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<2x4xf32>, %[[Y_TANGENT:.*]]: tensor<4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>) attributes {lamina.derivative = "jvp of atan2 wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.atan2 %[[X]], %[[Y]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.multiply %[[X]], %[[X]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V1:.*]] = graph.multiply %[[Y]], %[[Y]] : tensor<4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.add %[[V0]], %[[V1]] : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.divide %[[Y]], %[[V2]] : tensor<4xf32>, tensor<2x4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.multiply %[[X_TANGENT]], %[[V3]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V5:.*]] = graph.divide %[[X]], %[[V2]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V6:.*]] = graph.negate %[[V5]] : tensor<2x4xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.multiply %[[Y_TANGENT]], %[[V6]] : tensor<4xf32>, tensor<2x4xf32> -> tensor<2x4xf32>
// CHECK-NEXT:    %[[V8:.*]] = graph.add %[[V4]], %[[V7]] : tensor<2x4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V8]] : tensor<2x4xf32>, tensor<2x4xf32>
// CHECK-NEXT:  }
func.func @atan2(%x: tensor<2x4xf32>, %y: tensor<4xf32>) -> tensor<2x4xf32> {
  %r = graph.atan2 %x, %y : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
  func.return %r : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @select(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[Z:.*]]: tensor<f32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.compare LT, %[[X]], %[[V0]] : tensor<4xf32>, tensor<f32> -> tensor<4xi1>
// CHECK-NEXT:    %[[R:.*]] = graph.select %[[V1]], %[[Y]], %[[Z]] : tensor<4xi1>, tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @select.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[Z:.*]]: tensor<f32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<f32>) attributes {lamina.derivative = "vjp of select wrt=0,1,2 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.compare LT, %[[X]], %[[V0]] : tensor<4xf32>, tensor<f32> -> tensor<4xi1>
// CHECK-NEXT:    %[[R:.*]] = graph.select %[[V1]], %[[Y]], %[[Z]] : tensor<4xi1>, tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.select %[[V1]], %[[R_COTANGENT]], %[[V0]] : tensor<4xi1>, tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.select %[[V1]], %[[V0]], %[[R_COTANGENT]] : tensor<4xi1>, tensor<f32>, tensor<4xf32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.reduce add %[[V3]], [0] : tensor<4xf32> -> tensor<f32>
// CHECK-NEXT:    %[[V5:.*]] = graph.constant dense<0.000000e+00> : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V5]], %[[V2]], %[[V4]] : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<f32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @select.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[Y:.*]]: tensor<4xf32>, %[[Z:.*]]: tensor<f32>, %[[X_TANGENT:.*]]: tensor<4xf32>, %[[Y_TANGENT:.*]]: tensor<4xf32>, %[[Z_TANGENT:.*]]: tensor<f32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of select wrt=0,1,2 outputs=0"} {
// CHECK-NEXT:    %[[V0:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V1:.*]] = graph.compare LT, %[[X]], %[[V0]] : tensor<4xf32>, tensor<f32> -> tensor<4xi1>
// CHECK-NEXT:    %[[R:.*]] = graph.select %[[V1]], %[[Y]], %[[Z]] : tensor<4xi1>, tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V2:.*]] = graph.select %[[V1]], %[[Y_TANGENT]], %[[V0]] : tensor<4xi1>, tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.select %[[V1]], %[[V0]], %[[Z_TANGENT]] : tensor<4xi1>, tensor<f32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V4:.*]] = graph.add %[[V2]], %[[V3]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V4]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @select(%x: tensor<4xf32>, %y: tensor<4xf32>, %z: tensor<f32>) -> tensor<4xf32> {
  %0 = graph.constant dense<0.000000e+00> : tensor<f32>
  %1 = graph.compare LT, %x, %0 : tensor<4xf32>, tensor<f32> -> tensor<4xi1>
  %r = graph.select %1, %y, %z : tensor<4xi1>, tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @clamp(
// CHECK-SAME:      %[[X:.*]]: tensor<f32>, %[[Y:.*]]: tensor<4xf32>, %[[Z:.*]]: tensor<f32>) -> tensor<4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.clamp %[[X]], %[[Y]], %[[Z]] : tensor<f32>, tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @clamp.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<f32>, %[[Y:.*]]: tensor<4xf32>, %[[Z:.*]]: tensor<f32>, %[[R_COTANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<f32>, tensor<4xf32>, tensor<f32>) attributes {lamina.derivative = "vjp of clamp wrt=0,1,2 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.clamp %[[X]], %[[Y]], %[[Z]] : tensor<f32>, tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.compare GT, %[[X]], %[[Y]] : tensor<f32>, tensor<4xf32> -> tensor<4xi1>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.select %[[V0]], %[[R_COTANGENT]], %[[V1]] : tensor<4xi1>, tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.reduce add %[[V2]], [0] : tensor<4xf32> -> tensor<f32>
// CHECK-NEXT:    %[[V4:.*]] = graph.compare GT, %[[Y]], %[[X]] : tensor<4xf32>, tensor<f32> -> tensor<4xi1>
// CHECK-NEXT:    %[[V5:.*]] = graph.compare LT, %[[Y]], %[[Z]] : tensor<4xf32>, tensor<f32> -> tensor<4xi1>
// CHECK-NEXT:    %[[V6:.*]] = graph.and %[[V4]], %[[V5]] : tensor<4xi1>
// CHECK-NEXT:    %[[V7:.*]] = graph.select %[[V6]], %[[R_COTANGENT]], %[[V1]] : tensor<4xi1>, tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V8:.*]] = graph.compare LT, %[[Z]], %[[Y]] : tensor<f32>, tensor<4xf32> -> tensor<4xi1>
// CHECK-NEXT:    %[[V9:.*]] = graph.select %[[V8]], %[[R_COTANGENT]], %[[V1]] : tensor<4xi1>, tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V10:.*]] = graph.reduce add %[[V9]], [0] : tensor<4xf32> -> tensor<f32>
// CHECK-NEXT:    func.return %[[R]], %[[V3]], %[[V7]], %[[V10]] : tensor<4xf32>, tensor<f32>, tensor<4xf32>, tensor<f32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @clamp.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<f32>, %[[Y:.*]]: tensor<4xf32>, %[[Z:.*]]: tensor<f32>, %[[X_TANGENT:.*]]: tensor<f32>, %[[Y_TANGENT:.*]]: tensor<4xf32>, %[[Z_TANGENT:.*]]: tensor<f32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {lamina.derivative = "jvp of clamp wrt=0,1,2 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.clamp %[[X]], %[[Y]], %[[Z]] : tensor<f32>, tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.compare GT, %[[X]], %[[Y]] : tensor<f32>, tensor<4xf32> -> tensor<4xi1>
// CHECK-NEXT:    %[[V1:.*]] = graph.constant dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT:    %[[V2:.*]] = graph.select %[[V0]], %[[X_TANGENT]], %[[V1]] : tensor<4xi1>, tensor<f32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V3:.*]] = graph.compare GT, %[[Y]], %[[X]] : tensor<4xf32>, tensor<f32> -> tensor<4xi1>
// CHECK-NEXT:    %[[V4:.*]] = graph.compare LT, %[[Y]], %[[Z]] : tensor<4xf32>, tensor<f32> -> tensor<4xi1>
// CHECK-NEXT:    %[[V5:.*]] = graph.and %[[V3]], %[[V4]] : tensor<4xi1>
// CHECK-NEXT:    %[[V6:.*]] = graph.select %[[V5]], %[[Y_TANGENT]], %[[V1]] : tensor<4xi1>, tensor<4xf32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V7:.*]] = graph.compare LT, %[[Z]], %[[Y]] : tensor<f32>, tensor<4xf32> -> tensor<4xi1>
// CHECK-NEXT:    %[[V8:.*]] = graph.select %[[V7]], %[[Z_TANGENT]], %[[V1]] : tensor<4xi1>, tensor<f32>, tensor<f32> -> tensor<4xf32>
// CHECK-NEXT:    %[[V9:.*]] = graph.add %[[V2]], %[[V6]] : tensor<4xf32>
// CHECK-NEXT:    %[[V10:.*]] = graph.add %[[V9]], %[[V8]] : tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V10]] : tensor<4xf32>, tensor<4xf32>
// CHECK-NEXT:  }
func.func @clamp(%x: tensor<f32>, %y: tensor<4xf32>, %z: tensor<f32>) -> tensor<4xf32> {
  %r = graph.clamp %x, %y, %z : tensor<f32>, tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK-LABEL: func.func @cast(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>) -> tensor<4xf64> {
// CHECK-NEXT:    %[[R:.*]] = graph.cast %[[X]] : tensor<4xf32> -> tensor<4xf64>
// CHECK-NEXT:    func.return %[[R]] : tensor<4xf64>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @cast.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[R_COTANGENT:.*]]: tensor<4xf64>) -> (tensor<4xf64>, tensor<4xf32>) attributes {lamina.derivative = "vjp of cast wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.cast %[[X]] : tensor<4xf32> -> tensor<4xf64>
// CHECK-NEXT:    %[[V0:.*]] = graph.cast %[[R_COTANGENT]] : tensor<4xf64> -> tensor<4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<4xf64>, tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @cast.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<4xf32>, %[[X_TANGENT:.*]]: tensor<4xf32>) -> (tensor<4xf64>, tensor<4xf64>) attributes {lamina.derivative = "jvp of cast wrt=0 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.cast %[[X]] : tensor<4xf32> -> tensor<4xf64>
// CHECK-NEXT:    %[[V0:.*]] = graph.cast %[[X_TANGENT]] : tensor<4xf32> -> tensor<4xf64>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<4xf64>, tensor<4xf64>
// CHECK-NEXT:  }
func.func @cast(%x: tensor<4xf32>) -> tensor<4xf64> {
  %r = graph.cast %x : tensor<4xf32> -> tensor<4xf64>
  func.return %r : tensor<4xf64>
}

// Only axes of static size 1 are stretched.
// CHECK-LABEL: func.func @add_symbolic(
// CHECK-SAME:      %[[X:.*]]: tensor<?x4xf32> {lamina.dims = ["n", "4"]}, %[[Y:.*]]: tensor<?x1xf32> {lamina.dims = ["n", "1"]}) -> tensor<?x4xf32> {
// CHECK-NEXT:    %[[R:.*]] = graph.add %[[X]], %[[Y]] : tensor<?x4xf32>, tensor<?x1xf32> -> tensor<?x4xf32>
// CHECK-NEXT:    func.return %[[R]] : tensor<?x4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @add_symbolic.vjp(
// CHECK-SAME:      %[[X:.*]]: tensor<?x4xf32> {lamina.dims = ["n", "4"]}, %[[Y:.*]]: tensor<?x1xf32> {lamina.dims = ["n", "1"]}, %[[R_COTANGENT:.*]]: tensor<?x4xf32>) -> (tensor<?x4xf32>, tensor<?x4xf32> {lamina.dims = ["n", "4"]}, tensor<?x1xf32> {lamina.dims = ["n", "1"]}) attributes {lamina.derivative = "vjp of add_symbolic wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.add %[[X]], %[[Y]] : tensor<?x4xf32>, tensor<?x1xf32> -> tensor<?x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.reduce add %[[R_COTANGENT]], [1] keep_dimensions : tensor<?x4xf32> -> tensor<?x1xf32>
// CHECK-NEXT:    func.return %[[R]], %[[R_COTANGENT]], %[[V0]] : tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x1xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: func.func @add_symbolic.jvp(
// CHECK-SAME:      %[[X:.*]]: tensor<?x4xf32> {lamina.dims = ["n", "4"]}, %[[Y:.*]]: tensor<?x1xf32> {lamina.dims = ["n", "1"]}, %[[X_TANGENT:.*]]: tensor<?x4xf32> {lamina.dims = ["n", "4"]}, %[[Y_TANGENT:.*]]: tensor<?x1xf32> {lamina.dims = ["n", "1"]}) -> (tensor<?x4xf32>, tensor<?x4xf32>) attributes {lamina.derivative = "jvp of add_symbolic wrt=0,1 outputs=0"} {
// CHECK-NEXT:    %[[R:.*]] = graph.add %[[X]], %[[Y]] : tensor<?x4xf32>, tensor<?x1xf32> -> tensor<?x4xf32>
// CHECK-NEXT:    %[[V0:.*]] = graph.add %[[X_TANGENT]], %[[Y_TANGENT]] : tensor<?x4xf32>, tensor<?x1xf32> -> tensor<?x4xf32>
// CHECK-NEXT:    func.return %[[R]], %[[V0]] : tensor<?x4xf32>, tensor<?x4xf32>
// CHECK-NEXT:  }
func.func @add_symbolic(%x: tensor<?x4xf32> {lamina.dims = ["n", "4"]}, %y: tensor<?x1xf32> {lamina.dims = ["n", "1"]}) -> tensor<?x4xf32> {
  %r = graph.add %x, %y : tensor<?x4xf32>, tensor<?x1xf32> -> tensor<?x4xf32>
  func.return %r : tensor<?x4xf32>
}
