// One batch of matrix products on one thread: the piece that MatmulProgram cuts its work into. There are oneDNN's
// kernels (onednn_matmul_host.cc), ours for a vector times a matrix (matmul_vector_host.cc) and plain loops
// (matmul_plain_host.cc). A kernel is immutable and may run on many threads at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "plugin/core/dtype.h"

namespace mps {

// to[b, i, j] = sum over k of x[b, i, k] * y[b, k, j]; strides in elements. The columns of `to` lie side by side. An
// x_batch or y_batch of 0 repeats one matrix.
struct MatmulGeometry {
  int64_t batch = 1, rows = 1, columns = 1, inner = 1;
  int64_t x_batch = 0, x_row = 0, x_inner = 0;
  int64_t y_batch = 0, y_inner = 0, y_column = 0;
  int64_t to_batch = 0, to_row = 0;
};

class MatmulKernel {
 public:
  virtual ~MatmulKernel() = default;
  virtual void run(const void* x, const void* y, void* to) const = 0;
  virtual size_t bytes() const = 0;
};

// Null if oneDNN was not built in, or has no fast kernel for this on this processor. Throws kDevice if it fails.
std::unique_ptr<MatmulKernel> make_onednn_matmul(DType dtype, const MatmulGeometry& geometry);

// float32 as BLAS multiplies it, packing what it reads: for large products ahead of the kernel above, which reads some
// matrices as they lie, and slowly where their rows lie whole pages apart. Null if oneDNN was not built in.
std::unique_ptr<MatmulKernel> make_onednn_gemm(const MatmulGeometry& geometry);

// int8 with exact sums in int32; null also where oneDNN's would not be exact.
std::unique_ptr<MatmulKernel> make_onednn_int8_matmul(const MatmulGeometry& geometry);

// One row of any float dtype; null if this is something else.
std::unique_ptr<MatmulKernel> make_vector_matmul(DType dtype, const MatmulGeometry& geometry);

// The same for one matrix that is too large for the caches. It cuts its own work: run() is called outside of other
// loops and uses all threads.
std::unique_ptr<MatmulKernel> make_streamed_matmul(DType dtype, const MatmulGeometry& geometry);

// float32 and integers, any strides.
std::unique_ptr<MatmulKernel> make_plain_matmul(DType dtype, const MatmulGeometry& geometry);

}  // namespace mps
