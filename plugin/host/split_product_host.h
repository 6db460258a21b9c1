// Products of float32 matrices in the tiles of tile_kernels.h, two to three times as fast as vectors multiply them.
//
// Both sides are split into three bfloat16 and multiplied piece by piece. A power of two per row of x and per column of
// y brings the largest of its numbers near 1 beforehand, so that no piece is too large or too small for the tiles,
// whatever the numbers; the sums are taken back by the same powers. So the error of a sum is about that of summing in
// float32: some 2^-24 of its terms' sizes, but for terms 2^-100 of the largest in their row and column. Infinities and
// NaN have no pieces: a product with such numbers is left to another kernel.
//
// Splitting takes time of its own. A y that several products share is split once (pack_y()).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "plugin/host/matmul_kernel_host.h"
#include "plugin/host/threads.h"
#include "plugin/host/tile_kernels.h"

namespace mps {

// The lines of one side, rows of x or columns of y.
struct SplitSide {
  bool is_x;
  int64_t batch, count, inner;  // matrices that differ, lines of each, numbers of a line
  int64_t batch_stride, stride;
  TileLines lines;

  bool operator==(const SplitSide& other) const {
    return is_x == other.is_x && batch == other.batch && count == other.count && inner == other.inner &&
           batch_stride == other.batch_stride && stride == other.stride && lines == other.lines;
  }
};

// Immutable; any number of threads may run it at once. The same numbers give the same bits on any number of threads.
class SplitProduct {
 public:
  // Null without tiles, or if they do not take it. With `shares_y`, y comes packed.
  static std::shared_ptr<const SplitProduct> make(const MatmulGeometry& geometry, bool shares_y);

  bool pays() const;  // rather than another kernel
  bool shares_y() const { return shares_y_; }
  // The same sides take the same packed y.
  const SplitSide& y() const { return y_; }
  size_t packed_bytes() const;
  void pack_y(const float* y, char* to) const;

  // False if a number is not finite, with anything in `to`. `packed_y`: what pack_y() wrote, if y is shared.
  bool run(const float* x, const float* y, const char* packed_y, float* to) const;
  // The same of rows [begin, end) alone, on the calling thread, if y is shared.
  bool run_rows(const float* x, const char* packed_y, float* to, int64_t begin, int64_t end) const;

  uint64_t cost_ns() const;

 private:
  struct Part;
  SplitProduct(const MatmulGeometry& geometry, bool shares_y);
  bool run_part(const Part& part, const float* x, const float* y, float* to) const;
  bool run_few_rows(const float* x, const char* packed_y, float* to) const;
  bool multiply_rows(const float* x, const char* packed_y, float* to, int64_t begin, int64_t end, int64_t first,
                     int64_t last) const;

  const MatmulGeometry g_;
  const bool shares_y_;
  const SplitSide x_, y_;
  Helpers helpers_;
};

}  // namespace mps
