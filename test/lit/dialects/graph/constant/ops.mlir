// RUN: lamina-opt %s | lamina-opt | filecheck %s
// RUN: lamina-opt %s --print-op-generic | lamina-opt | filecheck %s

// Constants in the text and beside it; NaN and infinities are written as their bits.

func.func @ops() {
  // CHECK: = graph.constant dense<[1, 2, 3]> : tensor<3xi64>
  %0 = graph.constant dense<[1, 2, 3]> : tensor<3xi64>
  // CHECK: = graph.constant dense<1.000000e+00> : tensor<f32>
  %1 = graph.constant dense<1.000000e+00> : tensor<f32>
  // CHECK: = graph.constant dense<-0.000000e+00> : tensor<1000x1000xbf16>
  %2 = graph.constant dense<-0.000000e+00> : tensor<1000x1000xbf16>
  // CHECK: = graph.constant dense<[0x7fc00000, 0x7f800000, 0xff800000]> : tensor<3xf32>
  %3 = graph.constant dense<[0x7fc00000, 0x7f800000, 0xff800000]> : tensor<3xf32>
  // CHECK: = graph.constant dense<0xfc00> : tensor<f16>
  %4 = graph.constant dense<0xfc00> : tensor<f16>
  // CHECK: = graph.constant dense<[true, false]> : tensor<2xi1>
  %5 = graph.constant dense<[true, false]> : tensor<2xi1>
  // CHECK: = graph.constant dense<[255, 0]> : tensor<2xui8>
  %6 = graph.constant dense<[255, 0]> : tensor<2xui8>
  // CHECK: = graph.constant dense<> : tensor<0x4xf32>
  %7 = graph.constant dense<> : tensor<0x4xf32>
  // CHECK: = graph.constant dense_resource<c0123456789abcdef0123> : tensor<16x16xf32>
  %8 = graph.constant dense_resource<c0123456789abcdef0123> : tensor<16x16xf32>
  // CHECK: = graph.constant {note = "kept"} dense<1> : tensor<2xi64>
  %9 = graph.constant {note = "kept"} dense<1> : tensor<2xi64>
  // CHECK: = graph.constant dense<1> : tensor<2xi64> -> tensor<?xi64>
  %10 = graph.constant dense<1> : tensor<2xi64> -> tensor<?xi64>
  func.return
}
