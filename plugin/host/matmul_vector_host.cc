// A vector times a matrix. There is one multiplication per element read, so memory decides the speed, and what counts
// is to read the matrix once, in long runs; elements of the short float dtypes are converted on the way, block by
// block.
#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "plugin/core/check.h"
#include "plugin/host/matmul_kernel_host.h"
#include "plugin/host/vector_kernels.h"

namespace mps {
namespace {

constexpr int64_t kBlock = 2048;  // elements that are converted to float at a time
constexpr int64_t kRows = 4;      // rows, or columns, of the matrix that are read in one go

// What every processor has a register for.
using Lanes = float __attribute__((vector_size(16)));
constexpr int64_t kLanes = sizeof(Lanes) / sizeof(float);

Lanes load(const float* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof lanes);
  return lanes;
}

float dot(const float* x, const float* y, int64_t count) {
  constexpr int64_t kSums = 8;  // additions that do not wait for each other
  Lanes sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums * kLanes <= count; i += kSums * kLanes) {
    for (int64_t j = 0; j < kSums; ++j) sums[j] += load(x + i + j * kLanes) * load(y + i + j * kLanes);
  }
  for (int64_t j = 1; j < kSums; ++j) sums[0] += sums[j];
  float sum = 0;
  for (int64_t j = 0; j < kLanes; ++j) sum += sums[0][j];
  for (; i < count; ++i) sum += x[i] * y[i];
  return sum;
}

// The products of x with kRows others at once: as many streams out of memory, and x is fetched once for all.
void dots(const float* x, const float* const* rows, int64_t count, float* results) {
  constexpr int64_t kSums = 2;
  Lanes sums[kRows][kSums] = {};
  int64_t i = 0;
  for (; i + kSums * kLanes <= count; i += kSums * kLanes) {
    for (int64_t j = 0; j < kSums; ++j) {
      const Lanes part = load(x + i + j * kLanes);
      for (int64_t row = 0; row < kRows; ++row) sums[row][j] += part * load(rows[row] + i + j * kLanes);
    }
  }
  for (int64_t row = 0; row < kRows; ++row) {
    const Lanes all = sums[row][0] + sums[row][1];
    float sum = 0;
    for (int64_t j = 0; j < kLanes; ++j) sum += all[j];
    for (int64_t rest = i; rest < count; ++rest) sum += x[rest] * rows[row][rest];
    results[row] += sum;
  }
}

// sums[i] += the factors times the rows, for kRows of them. What lies `ahead` of them is fetched meanwhile: a run of a
// few hundred elements ends before the processor has seen that it is one.
void add_rows(const float* factors, const float* const* rows, float* sums, int64_t count, int64_t ahead) {
  constexpr int64_t kLine = 64 / sizeof(float);
  const float a = factors[0], b = factors[1], c = factors[2], d = factors[3];
  const auto add = [&](int64_t i) {
    const Lanes sum = load(sums + i) + ((a * load(rows[0] + i) + b * load(rows[1] + i)) +
                                        (c * load(rows[2] + i) + d * load(rows[3] + i)));
    std::memcpy(sums + i, &sum, sizeof sum);
  };
  int64_t i = 0;
  for (; i + kLine <= count; i += kLine) {
    for (int64_t row = 0; row < kRows; ++row) __builtin_prefetch(rows[row] + i + ahead);
    for (int64_t j = 0; j < kLine; j += kLanes) add(i + j);
  }
  for (; i + kLanes <= count; i += kLanes) add(i);
  for (; i < count; ++i) sums[i] += (a * rows[0][i] + b * rows[1][i]) + (c * rows[2][i] + d * rows[3][i]);
}

template <typename T>
class VectorMatmul final : public MatmulKernel {
 public:
  VectorMatmul(DType dtype, const MatmulGeometry& geometry)
      : g_(geometry),
        load_(vector_kernels().load[static_cast<int>(dtype)]),
        store_(vector_kernels().store[static_cast<int>(dtype)]) {}
  size_t bytes() const override { return sizeof *this; }

  void run(const void* x, const void* y, void* to) const override {
    for (int64_t b = 0; b < g_.batch; ++b) {
      const T* const vector = static_cast<const T*>(x) + b * g_.x_batch;
      const T* const matrix = static_cast<const T*>(y) + b * g_.y_batch;
      T* const result = static_cast<T*>(to) + b * g_.to_batch;
      g_.y_column == 1 ? by_rows(vector, matrix, result) : by_columns(vector, matrix, result);
    }
  }

 private:
  // `count` elements as floats; `room` holds that many, if they need converting.
  const float* floats(const T* from, int64_t count, float* room) const {
    if constexpr (std::is_same_v<T, float>) {
      return from;
    } else {
      load_(from, nullptr, nullptr, room, static_cast<size_t>(count));
      return room;
    }
  }

  void store(const float* from, T* to, int64_t count) const {
    if constexpr (std::is_same_v<T, float>) {
      std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
    } else {
      store_(from, nullptr, nullptr, to, static_cast<size_t>(count));
    }
  }

  // The rows of the matrix are dense: they are scaled and added up.
  void by_rows(const T* x, const T* y, T* to) const {
    alignas(64) float sums[kBlock], room[kRows][kBlock];
    for (int64_t column = 0; column < g_.columns; column += kBlock) {
      const int64_t count = std::min(kBlock, g_.columns - column);
      std::fill_n(sums, count, 0.0f);
      for (int64_t k = 0; k < g_.inner; k += kRows) {
        float factors[kRows] = {};
        const float* rows[kRows];
        for (int64_t i = 0; i < kRows; ++i) {
          const bool exists = k + i < g_.inner;
          if (exists) factors[i] = static_cast<float>(x[(k + i) * g_.x_inner]);
          rows[i] = exists ? floats(y + (k + i) * g_.y_inner + column, count, room[i]) : zeros();
        }
        const bool has_more = std::is_same_v<T, float> && k + 2 * kRows <= g_.inner;
        add_rows(factors, rows, sums, count, has_more ? kRows * g_.y_inner : 0);
      }
      store(sums, to + column, count);
    }
  }

  // The columns of the matrix are dense: each gives one dot product.
  void by_columns(const T* x, const T* y, T* to) const {
    alignas(64) float vector[kBlock], room[kRows][kBlock];
    std::vector<float> sums(static_cast<size_t>(g_.columns), 0.0f);
    for (int64_t k = 0; k < g_.inner; k += kBlock) {
      const int64_t count = std::min(kBlock, g_.inner - k);
      for (int64_t i = 0; i < count; ++i) vector[i] = static_cast<float>(x[(k + i) * g_.x_inner]);
      int64_t column = 0;
      for (; column + kRows <= g_.columns; column += kRows) {
        const float* dense[kRows];
        for (int64_t i = 0; i < kRows; ++i) dense[i] = floats(y + (column + i) * g_.y_column + k, count, room[i]);
        dots(vector, dense, count, sums.data() + column);
      }
      for (; column < g_.columns; ++column) {
        sums[static_cast<size_t>(column)] += dot(vector, floats(y + column * g_.y_column + k, count, room[0]), count);
      }
    }
    store(sums.data(), to, g_.columns);
  }

  static const float* zeros() {
    static const float row[kBlock] = {};
    return row;
  }

  const MatmulGeometry g_;
  const BlockFn load_, store_;
};

}  // namespace

std::unique_ptr<MatmulKernel> make_vector_matmul(DType dtype, const MatmulGeometry& geometry) {
  const bool dense = geometry.y_column == 1 || geometry.y_inner == 1;
  if (geometry.rows != 1 || !dense) return nullptr;
  return visit(dtype, [&](auto zero) -> std::unique_ptr<MatmulKernel> {
    using T = decltype(zero);
    if constexpr (std::is_integral_v<T>) {
      return nullptr;
    } else {
      return std::make_unique<VectorMatmul<T>>(dtype, geometry);
    }
  });
}

}  // namespace mps
