// Reductions and products of matrices, in the precision that MPSGraph is known to keep, or not known to exceed.
#include <cmath>
#include <limits>
#include <type_traits>

#include "tests/apple_double/mpsgraph/kernels.h"

namespace apple_double {
namespace {

// Folds the elements along the axes (numbers); those of the result stand with size 1. Each step rounds to the operand's
// dtype: float16 sums lose precision (pytorch/pytorch#136987).
template <typename Function>
void fold(const Node& node, const Array& operand, const Array& result, double start, Function function) {
  const Ints strides = mps::contiguous_strides(result.shape);
  std::vector<bool> reduced(operand.shape.size(), false);
  for (int64_t axis : node.numbers) reduced[static_cast<size_t>(axis)] = true;
  mps::visit(operand.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* const to = reinterpret_cast<T*>(result.data);
    const T* const from = reinterpret_cast<const T*>(operand.data);
    for (int64_t i = 0; i < result.elements(); ++i) {
      if constexpr (std::is_integral_v<T>) {
        to[i] = start == -INFINITY  ? std::numeric_limits<T>::min()
                : start == INFINITY ? std::numeric_limits<T>::max()
                                    : static_cast<T>(start);
      } else {
        to[i] = static_cast<T>(static_cast<float>(start));
      }
    }
    for (int64_t i = 0; i < operand.elements(); ++i) {
      int64_t rest = i, at = 0;
      for (size_t axis = operand.shape.size(); axis-- > 0;) {
        if (!reduced[axis]) at += rest % operand.shape[axis] * strides[axis];
        rest /= operand.shape[axis];
      }
      if constexpr (std::is_integral_v<T>) {
        to[at] =
            static_cast<T>(function(static_cast<uint64_t>(to[at]), static_cast<uint64_t>(from[i]), to[at], from[i]));
      } else {
        const float x = static_cast<float>(to[at]), y = static_cast<float>(from[i]);
        to[at] = static_cast<T>(function(x, y, x, y));
      }
    }
  });
}

void sum(const Node& node, Span<const Array> operands, const Array& result) {
  fold(node, operands[0], result, 0, [](auto x, auto y, auto, auto) { return x + y; });
}
void product(const Node& node, Span<const Array> operands, const Array& result) {
  fold(node, operands[0], result, 1, [](auto x, auto y, auto, auto) { return x * y; });
}
// These ignore NaN.
void maximum(const Node& node, Span<const Array> operands, const Array& result) {
  fold(node, operands[0], result, -INFINITY, [](auto, auto, auto x, auto y) { return y > x ? y : x; });
}
void minimum(const Node& node, Span<const Array> operands, const Array& result) {
  fold(node, operands[0], result, INFINITY, [](auto, auto, auto x, auto y) { return y < x ? y : x; });
}
void maximum_nan(const Node& node, Span<const Array> operands, const Array& result) {
  fold(node, operands[0], result, -INFINITY, [](auto, auto, auto x, auto y) { return y > x || y != y ? y : x; });
}
void minimum_nan(const Node& node, Span<const Array> operands, const Array& result) {
  fold(node, operands[0], result, INFINITY, [](auto, auto, auto x, auto y) { return y < x || y != y ? y : x; });
}

// numbers: axis, exclusive, reverse. Each step rounds, as those of sums do.
template <bool kProduct>
void scan(const Node& node, Span<const Array> operands, const Array& result) {
  const auto axis = static_cast<size_t>(node.numbers[0]);
  const bool exclusive = node.numbers[1] != 0, reverse = node.numbers[2] != 0;
  const Shape& shape = result.shape;
  int64_t inner = 1;
  for (size_t i = axis + 1; i < shape.size(); ++i) inner *= shape[i];
  const int64_t length = shape[axis], outer = result.elements() / (length * inner);
  mps::visit(result.dtype, [&](auto zero) {
    using T = decltype(zero);
    using Wide = std::conditional_t<std::is_integral_v<T>, uint64_t, float>;
    const T* const from = reinterpret_cast<const T*>(operands[0].data);
    T* const to = reinterpret_cast<T*>(result.data);
    for (int64_t line = 0; line < outer * inner; ++line) {
      T total = static_cast<T>(Wide{kProduct ? 1 : 0});
      for (int64_t i = 0; i < length; ++i) {
        const int64_t at = (line / inner * length + (reverse ? length - 1 - i : i)) * inner + line % inner;
        const Wide x = static_cast<Wide>(total), y = static_cast<Wide>(from[at]);
        const T next = static_cast<T>(kProduct ? x * y : x + y);
        to[at] = exclusive ? total : next;
        total = next;
      }
    }
  });
}

// [..., M, K] x [..., K, N] of short floats: nobody says that sums are kept in anything wider.
void short_matmul(const Node&, Span<const Array> operands, const Array& result) {
  const Shape &a = operands[0].shape, &c = result.shape;
  const int64_t rows = c[c.size() - 2], columns = c.back(), inner = a.back();
  const int64_t batches = result.elements() / (rows * columns);
  const int64_t a_batches = operands[0].elements() / (rows * inner),
                b_batches = operands[1].elements() / (inner * columns);
  mps::visit(result.dtype, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (!std::is_integral_v<T>) {
      const T* const x = reinterpret_cast<const T*>(operands[0].data);
      const T* const y = reinterpret_cast<const T*>(operands[1].data);
      T* const to = reinterpret_cast<T*>(result.data);
      for (int64_t p = 0; p < batches; ++p) {
        const T* const left = x + (a_batches == 1 ? 0 : p) * rows * inner;
        const T* const right = y + (b_batches == 1 ? 0 : p) * inner * columns;
        for (int64_t i = 0; i < rows; ++i) {
          for (int64_t j = 0; j < columns; ++j) {
            T sum{};
            for (int64_t k = 0; k < inner; ++k) {
              sum = static_cast<T>(static_cast<float>(sum) + static_cast<float>(left[i * inner + k]) *
                                                                 static_cast<float>(right[k * columns + j]));
            }
            to[(p * rows + i) * columns + j] = sum;
          }
        }
      }
    }
  });
}

constexpr NamedKernel kKernels[] = {
    {"reductionSum", sum},
    {"reductionProduct", product},
    {"reductionMaximum", maximum},
    {"reductionMinimum", minimum},
    {"reductionMaximumPropagateNaN", maximum_nan},
    {"reductionMinimumPropagateNaN", minimum_nan},
    {"cumulativeSum", scan<false>},
    {"cumulativeProduct", scan<true>},
    {"short matmul", short_matmul},
};

}  // namespace

Span<const NamedKernel> reduction_kernels() { return {kKernels, sizeof kKernels / sizeof *kKernels}; }

}  // namespace apple_double
