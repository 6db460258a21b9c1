// A matrix product of any batch shape, compiled once and run on arrays. It is brought into the form of MatmulGeometry,
// cut into pieces that several threads take, and each piece is a kernel's.
//
// A program is immutable: any number of threads may run it at once.
#pragma once

#include <memory>

#include "plugin/core/graph.h"
#include "plugin/host/matmul_kernel_host.h"
#include "plugin/host/split_product_host.h"
#include "plugin/host/threads.h"

namespace mps {

class MatmulProgram {
 public:
  // True if this product is computed as it is. Others are computed in float32 and rounded once.
  static bool computes(DType dtype, Dims x_shape, Dims y_shape);
  // True if a kernel reads matrices that lie so; others are copied first.
  static bool reads(Dims shape, Dims strides);
  // The same of two such matrices together: kernels of short floats do not know every pair.
  static bool reads(DType dtype, Dims x_shape, Dims x_strides, Dims y_shape, Dims y_strides);

  // [..., M, K] x [..., K, N]; leading dimensions broadcast. Strides are in elements, by each operand's own shape.
  // `shares_y`: many products have the same y, so that it may pay to pack it once for all.
  static MatmulProgram compile(DType dtype, Dims x_shape, Dims x_strides, Dims y_shape, Dims y_strides,
                               bool shares_y = false);

  // The addresses are those of the first elements; the result is dense and overlaps no operand. `packed_y`: what
  // packs_y() made of y.
  void run(const void* x, const void* y, void* to, const char* packed_y = nullptr) const;

  // Who packs y for run(), or null if it takes y alone.
  std::shared_ptr<const SplitProduct> packs_y() const;
  // What is multiplied if y comes packed; then any rows may be made by themselves.
  const MatmulGeometry& geometry() const { return geometry_; }
  void run_rows(const void* x, const void* y, void* to, const char* packed_y, int64_t begin, int64_t end) const;

  uint64_t cost_ns() const;  // rough time of run() on one thread
  size_t bytes() const;      // memory held by the program

 private:
  struct BatchAxis {
    int64_t size, x, y, to;
  };
  // The axis along which a matrix product is cut into pieces.
  enum class Cut { kBatch, kRows, kColumns };

  MatmulProgram(DType dtype, Dims x_shape, Dims x_strides, Dims y_shape, Dims y_strides);
  void add_batch_axis(BatchAxis axis);
  void absorb_batch();
  void swap_operands();
  void choose_kernels(bool shares_y);
  bool has_kernel() const;  // of its dtype, for its sizes
  void cut_into_pieces();

  DType dtype_;
  bool swapped_ = false;                   // y is the kernels' x, and the other way round
  MatmulGeometry geometry_;                // of what the axes below do not count
  SmallVector<BatchAxis, kMaxRank> axes_;  // outer batch axes, one product each
  int64_t products_ = 1;                   // of their sizes
  Cut cut_ = Cut::kRows;
  int64_t piece_ = 1, pieces_ = 1;  // along `cut_`; the last piece may be smaller
  Helpers helpers_ = Helpers::kAll;
  std::shared_ptr<const MatmulKernel> kernel_, last_kernel_;
  std::shared_ptr<const SplitProduct> split_;  // tried first, if there
};

}  // namespace mps
