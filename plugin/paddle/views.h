// Tensors as Paddle hands them to kernels of views (views_of() in register.h): operands may have strides of any kind,
// and results have none yet, since shape inference leaves them to such a kernel.
//
// A gradient may have been given the memory of an operand. If that is a view, what lies between its elements belongs to
// others, and a dense result must not be written there: it gets memory of its own.
#pragma once

#include <vector>

#include "paddle/utils/optional.h"
#include "plugin/paddle/tensor.h"

namespace mps::paddle {
namespace detail {

template <typename Attribute>
bool is_view(const Attribute&) {
  return false;
}
inline bool is_view(const phi::DenseTensor& operand) { return !is_dense(operand); }
inline bool is_view(const ::paddle::optional<phi::DenseTensor>& operand) { return operand && is_view(operand.get()); }
inline bool is_view(const std::vector<const phi::DenseTensor*>& operands) {
  for (const phi::DenseTensor* operand : operands) {
    if (operand != nullptr && is_view(*operand)) return true;
  }
  return false;
}

template <typename Other>
void lay_out(const Other&, bool) {}
inline void lay_out(phi::DenseTensor* result, bool beside_views) {
  if (result == nullptr || result->strides().size() == result->dims().size()) return;
  if (beside_views) result->clear();
  result->set_strides(phi::DenseTensorMeta::calc_strides(result->dims()));
}
inline void lay_out(const std::vector<phi::DenseTensor*>& results, bool beside_views) {
  for (phi::DenseTensor* result : results) lay_out(result, beside_views);
}

}  // namespace detail

// Makes the results among a kernel's arguments dense.
template <typename... Args>
void lay_out_results(const Args&... args) {
  const bool beside_views = (detail::is_view(args) || ... || false);
  (detail::lay_out(args, beside_views), ...);
}

}  // namespace mps::paddle
