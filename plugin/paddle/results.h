// The results among a kernel's arguments: laid out before it runs, and without memory if it fails.
#pragma once

#include <cstdint>
#include <vector>

#include "paddle/utils/optional.h"
#include "plugin/paddle/tensor.h"

namespace mps::paddle {
namespace detail {

// Whether `is` holds for an operand among the arguments; the others are attributes and results.
template <typename Is, typename Other>
bool any_operand(const Is&, const Other&) {
  return false;
}
template <typename Is>
bool any_operand(const Is& is, const phi::DenseTensor& operand) {
  return is(operand);
}
template <typename Is>
bool any_operand(const Is& is, const ::paddle::optional<phi::DenseTensor>& operand) {
  return operand && is(operand.get());
}
template <typename Is>
bool any_operand(const Is& is, const std::vector<const phi::DenseTensor*>& operands) {
  for (const phi::DenseTensor* operand : operands) {
    if (operand != nullptr && is(*operand)) return true;
  }
  return false;
}

template <typename Function, typename Other>
void for_result(const Function&, const Other&) {}
template <typename Function>
void for_result(const Function& function, phi::DenseTensor* const& result) {
  if (result != nullptr) function(result);
}

template <typename Function, typename Argument>
void for_each_result(const Function& function, const Argument& argument) {
  for_result(function, argument);
}
template <typename Function>
void for_each_result(const Function& function, const std::vector<phi::DenseTensor*>& results) {
  for (phi::DenseTensor* result : results) for_result(function, result);
}

}  // namespace detail

// To kernels of views (views_of() in register.h) Paddle's shape inference leaves the strides of results: they are
// dense.
//
// A gradient may have been given the memory of an operand. If that is a view, what lies between its elements belongs to
// others, and a dense result must not be written there: it gets memory of its own.
template <typename... Args>
void lay_out_results(const Args&... args) {
  const auto is_view = [](const phi::DenseTensor& operand) { return !is_dense(operand); };
  const bool beside_views = (detail::any_operand(is_view, args) || ... || false);
  const auto lay_out = [&](phi::DenseTensor* result) {
    if (result->strides().size() == result->dims().size()) return;
    if (beside_views) result->clear();
    result->set_strides(phi::DenseTensorMeta::calc_strides(result->dims()));
  };
  (detail::for_each_result(lay_out, args), ...);
}

// Paddle loses the tensor that it makes for the result of an op in place of a view if the op fails, and its memory with
// it. So results that had none before give back what they got since. (Not those of a list, which no such op has.)
class NewResults {
 public:
  template <typename... Args>
  explicit NewResults(const Args&... args) {
    size_t i = 0;
    const auto note = [&](phi::DenseTensor* result) {
      if (i < kMost && !result->initialized()) had_none_ |= uint64_t{1} << i;
      ++i;
    };
    (detail::for_result(note, args), ...);
  }

  template <typename... Args>
  void drop(const Args&... args) const {
    size_t i = 0;
    const auto drop = [&](phi::DenseTensor* result) {
      if (i < kMost && (had_none_ >> i & 1) != 0) result->clear();
      ++i;
    };
    (detail::for_result(drop, args), ...);
  }

 private:
  static constexpr size_t kMost = 64;
  uint64_t had_none_ = 0;
};

}  // namespace mps::paddle
