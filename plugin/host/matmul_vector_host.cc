// A vector times a matrix. There is one multiplication per element read, so memory decides the speed, and what counts
// is to read the matrix once, in long runs; elements of the short float dtypes are converted on the way, block by
// block.
#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "plugin/core/check.h"
#include "plugin/host/matmul_kernel_host.h"
#include "plugin/host/threads.h"
#include "plugin/host/vector_kernels.h"

namespace mps {
namespace {

constexpr int64_t kBlock = 2048;  // elements of a row, or of a column, that are worked on at a time
constexpr int64_t kGroup = 8;     // rows or columns that are converted to float at a time

// What a thread takes at a time of a large matrix: enough to outweigh the taking, and little enough for a thread that
// is held up to hold up nobody. Whole rows need sums of their own each time: of a larger matrix, a share up to the
// most. Columns need none.
constexpr int64_t kTileBytes = 128 << 10, kMostTileBytes = 512 << 10, kShares = 16, kColumnTileBytes = 256 << 10;
// Rows are cut into at most so many tiles, each with sums of its own, unless they are so long that they can be cut
// across.
constexpr int64_t kMostSlices = 64, kLongRow = 8192;

constexpr int64_t divide_up(int64_t x, int64_t y) { return (x + y - 1) / y; }

// The sums of tiles, before they are added up; grows to what its largest product needs, two megabytes at most.
thread_local std::vector<float> t_sums;

template <typename T>
class VectorMatmul : public MatmulKernel {
 public:
  VectorMatmul(DType dtype, const MatmulGeometry& geometry)
      : g_(geometry),
        kernels_(vector_kernels()),
        load_(kernels_.load[static_cast<int>(dtype)]),
        store_(kernels_.store[static_cast<int>(dtype)]) {}
  size_t bytes() const override { return sizeof *this; }

  void run(const void* x, const void* y, void* to) const override {
    for (int64_t b = 0; b < g_.batch; ++b) {
      const T* const vector = static_cast<const T*>(x) + b * g_.x_batch;
      const T* const matrix = static_cast<const T*>(y) + b * g_.y_batch;
      T* const result = static_cast<T*>(to) + b * g_.to_batch;
      for (int64_t column = 0; column < g_.columns; column += kBlock) {
        columns(vector, matrix, column, std::min(kBlock, g_.columns - column), result);
      }
    }
  }

 protected:
  bool lies_by_rows() const { return g_.y_column == 1; }

  // Up to kBlock columns of the result.
  void columns(const T* x, const T* y, int64_t first, int64_t count, T* to) const {
    alignas(64) float sums[kBlock];
    std::fill_n(sums, count, 0.0f);
    lies_by_rows() ? add_rows(x, y, 0, g_.inner, first, count, sums) : add_columns(x, y, first, count, sums);
    store(sums, to + first, count);
  }

  // Rows [begin, end) of the matrix, scaled and added up. Its rows are dense.
  void add_rows(const T* x, const T* y, int64_t begin, int64_t end, int64_t column, int64_t count, float* sums) const {
    constexpr int64_t kRows = 512;
    alignas(64) float room_for_factors[kRows];
    for (int64_t k = begin; k < end; k += kRows) {
      const int64_t rows = std::min(kRows, end - k);
      const float* const factors = elements(x, k, rows, room_for_factors);
      const T* const first = y + k * g_.y_inner + column;
      if constexpr (std::is_same_v<T, float>) {
        kernels_.add_scaled_rows(factors, first, rows, g_.y_inner, sums, count, g_.inner - k - rows);
      } else {
        alignas(64) float room[kGroup * kBlock];
        for (int64_t r = 0; r < rows; r += kGroup) {
          const int64_t some = std::min(kGroup, rows - r);
          load(first + r * g_.y_inner, some, g_.y_inner, count, room);
          kernels_.add_scaled_rows(factors + r, room, some, kBlock, sums, count, 0);
        }
      }
    }
  }

  // Columns [first, first + count) of the matrix, which are dense: each gives one dot product.
  void add_columns(const T* x, const T* y, int64_t first, int64_t count, float* sums) const {
    alignas(64) float room_for_vector[kBlock];
    for (int64_t k = 0; k < g_.inner; k += kBlock) {
      const int64_t length = std::min(kBlock, g_.inner - k);
      const float* const vector = elements(x, k, length, room_for_vector);
      const T* const dense = y + first * g_.y_column + k;
      if constexpr (std::is_same_v<T, float>) {
        kernels_.add_dots(vector, dense, count, g_.y_column, sums, length);
      } else {
        alignas(64) float room[kGroup * kBlock];
        for (int64_t c = 0; c < count; c += kGroup) {
          const int64_t some = std::min(kGroup, count - c);
          load(dense + c * g_.y_column, some, g_.y_column, length, room);
          kernels_.add_dots(vector, room, some, kBlock, sums + c, length);
        }
      }
    }
  }

  // Elements [begin, begin + count) of the vector as floats: where they are, or else copied into `room`.
  const float* elements(const T* x, int64_t begin, int64_t count, float* room) const {
    const T* const from = x + begin * g_.x_inner;
    if constexpr (std::is_same_v<T, float>) {
      if (g_.x_inner == 1) return from;
    }
    for (int64_t i = 0; i < count; ++i) room[i] = static_cast<float>(from[i * g_.x_inner]);
    return room;
  }

  void store(const float* from, T* to, int64_t count) const {
    if constexpr (std::is_same_v<T, float>) {
      std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
    } else {
      store_(from, nullptr, nullptr, to, static_cast<size_t>(count));
    }
  }

  // `runs` runs of elements as floats, kBlock apart.
  void load(const T* from, int64_t runs, int64_t stride, int64_t count, float* room) const {
    for (int64_t i = 0; i < runs; ++i) {
      load_(from + i * stride, nullptr, nullptr, room + i * kBlock, static_cast<size_t>(count));
    }
  }

  const MatmulGeometry g_;
  const VectorKernels& kernels_;
  const BlockFn load_, store_;
};

// A large matrix, which the threads share. How it is cut depends on its shape alone, so any number of threads adds up
// the same sums.
template <typename T>
class StreamedMatmul final : public VectorMatmul<T> {
 public:
  StreamedMatmul(DType dtype, const MatmulGeometry& geometry) : VectorMatmul<T>(dtype, geometry) {}
  size_t bytes() const override { return sizeof *this; }

  void run(const void* x, const void* y, void* to) const override {
    const T* const vector = static_cast<const T*>(x);
    const T* const matrix = static_cast<const T*>(y);
    T* const result = static_cast<T*>(to);
    this->lies_by_rows() && g_.columns <= kLongRow ? by_slices(vector, matrix, result)
                                                   : by_columns(vector, matrix, result);
  }

 private:
  using VectorMatmul<T>::g_;

  void by_columns(const T* x, const T* y, T* to) const {
    // Short runs out of many rows are slow; columns are in one piece anyway.
    const int64_t fit = kColumnTileBytes / (g_.inner * static_cast<int64_t>(sizeof(T)));
    const int64_t tile = this->lies_by_rows() ? kBlock : std::clamp<int64_t>(fit, 1, kBlock);
    parallel_for(divide_up(g_.columns, tile), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        this->columns(x, y, i * tile, std::min(tile, g_.columns - i * tile), to);
      }
    });
  }

  // Whole rows, and so the longest runs there are.
  void by_slices(const T* x, const T* y, T* to) const {
    const int64_t row_bytes = g_.columns * static_cast<int64_t>(sizeof(T));
    const int64_t fit = std::clamp(g_.inner * row_bytes / kShares, kTileBytes, kMostTileBytes) / row_bytes;
    const int64_t wanted = std::max({fit, divide_up(g_.inner, kMostSlices), kGroup});
    const int64_t rows = divide_up(wanted, kGroup) * kGroup, slices = divide_up(g_.inner, rows);
    t_sums.resize(std::max(t_sums.size(), static_cast<size_t>(slices * g_.columns)));
    float* const sums = t_sums.data();
    parallel_for(slices, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        float* const own = sums + i * g_.columns;
        std::fill_n(own, g_.columns, 0.0f);
        const int64_t block = std::is_same_v<T, float> ? g_.columns : kBlock;  // the others are converted in between
        for (int64_t column = 0; column < g_.columns; column += block) {
          const int64_t count = std::min(block, g_.columns - column);
          this->add_rows(x, y, i * rows, std::min(g_.inner, (i + 1) * rows), column, count, own + column);
        }
      }
    });
    float ones[kMostSlices];
    std::fill_n(ones, slices, 1.0f);
    this->kernels_.add_scaled_rows(ones + 1, sums + g_.columns, slices - 1, g_.columns, sums, g_.columns, 0);
    this->store(sums, to, g_.columns);
  }
};

template <template <typename> class Kernel>
std::unique_ptr<MatmulKernel> make(DType dtype, const MatmulGeometry& geometry) {
  const bool dense = geometry.y_column == 1 || geometry.y_inner == 1;
  if (geometry.rows != 1 || !dense) return nullptr;
  return visit(dtype, [&](auto zero) -> std::unique_ptr<MatmulKernel> {
    using T = decltype(zero);
    if constexpr (std::is_integral_v<T>) {
      return nullptr;
    } else {
      return std::make_unique<Kernel<T>>(dtype, geometry);
    }
  });
}

}  // namespace

std::unique_ptr<MatmulKernel> make_vector_matmul(DType dtype, const MatmulGeometry& geometry) {
  return make<VectorMatmul>(dtype, geometry);
}

std::unique_ptr<MatmulKernel> make_streamed_matmul(DType dtype, const MatmulGeometry& geometry) {
  const int64_t bytes = geometry.inner * geometry.columns * static_cast<int64_t>(size_of(dtype));
  if (geometry.batch != 1 || bytes < 4 * kTileBytes) return nullptr;
  return make<StreamedMatmul>(dtype, geometry);
}

}  // namespace mps
