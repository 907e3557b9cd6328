// RUN: lamina-opt %s --split-input-file --verify-diagnostics -p assign-schedules

func.func @no_axis(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) -> tensor<4x8xf32> {
  // expected-error @below {{'linalg.generic': `lamina.blocks` lacks `axis`, the name of one of the axes s, d}}
  %0 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<4x8xf32>) outs(%y : tensor<4x8xf32>) attrs = {lamina.axes = ["s", "d"], lamina.blocks = {row = "s"}} {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  } -> tensor<4x8xf32>
  func.return %0 : tensor<4x8xf32>
}

// -----

func.func @another_axis(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) -> tensor<4x8xf32> {
  // expected-error @below {{`lamina.blocks` lacks `axis`, the name of one of the axes s, d}}
  %0 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<4x8xf32>) outs(%y : tensor<4x8xf32>) attrs = {lamina.axes = ["s", "d"], lamina.blocks = {axis = "m"}} {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  } -> tensor<4x8xf32>
  func.return %0 : tensor<4x8xf32>
}

// -----

func.func @another_row(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) -> tensor<4x8xf32> {
  // expected-error @below {{`row` in `lamina.blocks` names none of the axes s, d}}
  %0 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<4x8xf32>) outs(%y : tensor<4x8xf32>) attrs = {lamina.axes = ["s", "d"], lamina.blocks = {axis = "s", row = "m"}} {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  } -> tensor<4x8xf32>
  func.return %0 : tensor<4x8xf32>
}

// -----

func.func @no_column(%x: tensor<4x8xf32>, %y: tensor<4x15xf32>) -> tensor<4x15xf32> {
  // expected-error @below {{`lamina.blocks` needs a result whose last axis is one of the loop's own}}
  %0 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1 * 2)>], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<4x8xf32>) outs(%y : tensor<4x15xf32>) attrs = {lamina.axes = ["s", "d"], lamina.blocks = {axis = "s"}} {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  } -> tensor<4x15xf32>
  func.return %0 : tensor<4x15xf32>
}
