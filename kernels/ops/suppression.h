// Greedy suppression: of boxes in an order, one stays unless one before it that stays overlaps it by too much.
#pragma once

#include "paddle/phi/backends/custom/custom_context.h"
#include "paddle/phi/core/dense_tensor.h"

namespace mps::paddle {

// From what overlap on a box suppresses another: more than the threshold, which is multiplied by eta, if that is less
// than 1, after each box that stays, until it is no more than 0.5.
struct Suppression {
  float threshold = 0;
  float eta = 1;
  bool normalized = true;  // boxes that are not hold their last pixel too
};

// Those of `candidates`, bool [B, N], that stay, of B rows of boxes, float32 [B, N, 4 or more]. Waits for the device.
phi::DenseTensor suppress(const phi::CustomContext& ctx, const phi::DenseTensor& boxes,
                          const phi::DenseTensor& candidates, const Suppression& how);

// The same where it is known which pairs are too much: `over`, bool [B, N, N], is true where the box of the last axis
// suppresses that of the second one, if it stays; a box may suppress only those behind it. Waits for the device.
phi::DenseTensor keep_greedily(const phi::CustomContext& ctx, const phi::DenseTensor& over,
                               const phi::DenseTensor& candidates);

}  // namespace mps::paddle
