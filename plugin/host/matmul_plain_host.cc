// Matrix products in plain loops: integers, which oneDNN does not multiply with wrapping, and float32 where it is
// absent.
#include <algorithm>
#include <type_traits>

#include "plugin/core/check.h"
#include "plugin/host/matmul_kernel_host.h"

namespace mps {
namespace {

// A block of y is copied aside, dense and in the type of the sums, so that the inner loop is the same for every layout;
// a block of sums fits in the first-level cache, the block of y in the second.
constexpr int64_t kInnerBlock = 64;
constexpr int64_t kColumnBlock = 256;
constexpr int64_t kRowBlock = 4;

// Integers wrap; in a type of at least 32 bits, since narrower ones would be promoted to a signed one that must not.
template <typename T>
using Sum =
    std::conditional_t<std::is_floating_point_v<T>, float, std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>>;

template <typename T>
class PlainMatmul final : public MatmulKernel {
 public:
  explicit PlainMatmul(const MatmulGeometry& geometry) : g_(geometry) {}
  size_t bytes() const override { return sizeof *this; }

  void run(const void* x, const void* y, void* to) const override {
    for (int64_t b = 0; b < g_.batch; ++b) {
      multiply(static_cast<const T*>(x) + b * g_.x_batch, static_cast<const T*>(y) + b * g_.y_batch,
               static_cast<T*>(to) + b * g_.to_batch);
    }
  }

 private:
  struct Panel {
    alignas(64) Sum<T> y[kInnerBlock][kColumnBlock];
  };

  void multiply(const T* x, const T* y, T* to) const {
    Panel panel;
    for (int64_t column = 0; column < g_.columns; column += kColumnBlock) {
      const int64_t columns = std::min(kColumnBlock, g_.columns - column);
      for (int64_t k = 0; k < g_.inner; k += kInnerBlock) {
        const int64_t inner = std::min(kInnerBlock, g_.inner - k);
        for (int64_t i = 0; i < inner; ++i) {
          for (int64_t j = 0; j < columns; ++j) {
            panel.y[i][j] = static_cast<Sum<T>>(y[(k + i) * g_.y_inner + (column + j) * g_.y_column]);
          }
        }
        for (int64_t row = 0; row < g_.rows; row += kRowBlock) {
          const int64_t rows = std::min(kRowBlock, g_.rows - row);
          add_block(x + row * g_.x_row + k * g_.x_inner, panel, to + row * g_.to_row + column, rows, inner, columns,
                    k == 0);
        }
      }
    }
  }

  void add_block(const T* x, const Panel& panel, T* to, int64_t rows, int64_t inner, int64_t columns,
                 bool first) const {
    Sum<T> sums[kRowBlock][kColumnBlock];
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) {
        sums[i][j] = first ? Sum<T>{0} : static_cast<Sum<T>>(to[i * g_.to_row + j]);
      }
    }
    for (int64_t k = 0; k < inner; ++k) {
      for (int64_t i = 0; i < rows; ++i) {
        const Sum<T> factor = static_cast<Sum<T>>(x[i * g_.x_row + k * g_.x_inner]);
        for (int64_t j = 0; j < columns; ++j) sums[i][j] += factor * panel.y[k][j];
      }
    }
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) to[i * g_.to_row + j] = static_cast<T>(sums[i][j]);
    }
  }

  const MatmulGeometry g_;
};

}  // namespace

std::unique_ptr<MatmulKernel> make_plain_matmul(DType dtype, const MatmulGeometry& geometry) {
  return visit(dtype, [&](auto zero) -> std::unique_ptr<MatmulKernel> {
    using T = decltype(zero);
    if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
      return std::make_unique<PlainMatmul<T>>(geometry);
    } else {
      MPS_THROW(kInternal, "plain products of ", name(dtype), ": expected float32 or an integer.");
    }
  });
}

}  // namespace mps
