#include "plugin/host/matmul_host.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "plugin/core/check.h"
#include "plugin/host/threads.h"

namespace mps {
namespace {

// A piece should take long enough (some 20 us) for a second thread to be worth waking. Reading a byte from memory takes
// as long as some operations.
constexpr int64_t kPieceFlops = int64_t{4} << 20;
// The same for a thread that is awake, as it is within a chain of products.
constexpr int64_t kAwakePieceFlops = int64_t{1} << 20;
constexpr int64_t kFlopsPerByte = 8;
// From so many rows and columns on, and so many products, a kernel that packs the matrices is faster. Rows of y that
// lie 8 KB, 16 KB, .. apart share few lines of a cache: then packing pays from two rows of x on, and with many no more.
constexpr int64_t kPackedRows = 8, kPackedColumns = 8, kPackedProducts = int64_t{1} << 20;
constexpr int64_t kFarStride = 2048, kPackedRowsOfFar = 2, kManyRows = 64;
// A matrix of this size stays in the second-level cache.
constexpr int64_t kCachedElements = 128 << 10;
// Pieces per thread, so that a thread that is interrupted holds up the others little. Where each piece packs what it
// reads, more pieces pack more.
constexpr int64_t kPiecesPerThread = 2, kPackedPiecesPerThread = 1;
// Kernels work on blocks of rows and columns; cutting between them costs nothing.
constexpr int64_t kCutAlignment = 32, kFewRows = 16;

// True if a kernel reads a matrix that lies so: by rows or by columns, which may be apart but not interleaved.
bool is_matrix(int64_t rows, int64_t columns, int64_t row, int64_t column) {
  const bool by_rows = (columns == 1 || column == 1) && (rows == 1 || row >= columns);
  const bool by_columns = (rows == 1 || row == 1) && (columns == 1 || column >= rows);
  return by_rows || by_columns;
}

// Integers are our own affair. Whether oneDNN multiplies a short float dtype well depends on the processor.
bool is_native(DType dtype) {
  static const auto has_kernel = [](DType half) {
    MatmulGeometry g;
    g.rows = g.columns = g.inner = 64;
    g.x_row = g.y_inner = g.to_row = 64;
    g.x_inner = g.y_column = 1;
    return make_onednn_matmul(half, g) != nullptr;
  };
  static const bool float16 = has_kernel(DType::float16), bfloat16 = has_kernel(DType::bfloat16);
  if (dtype == DType::float16) return float16;
  if (dtype == DType::bfloat16) return bfloat16;
  return true;
}

// True if it pays to pack the matrices. Where y lies by columns, the general kernel is as fast.
bool is_packed(const MatmulGeometry& g) {
  if (g.y_column != 1 || g.columns < kPackedColumns || g.rows * g.columns * g.inner < kPackedProducts) return false;
  const bool far = g.y_inner >= kFarStride && (g.y_inner & (g.y_inner - 1)) == 0;
  return far ? g.rows >= kPackedRowsOfFar && g.rows < kManyRows : g.rows >= kPackedRows;
}

std::shared_ptr<const MatmulKernel> make_kernel(DType dtype, const MatmulGeometry& geometry) {
  // Where it is memory that counts, ours reads float32 faster; for everything else oneDNN is ahead.
  const bool streams = dtype == DType::float32 && geometry.batch * geometry.inner * geometry.columns > kCachedElements;
  if (streams || !is_native(dtype)) {
    if (auto kernel = make_vector_matmul(dtype, geometry)) return kernel;
  }
  if (dtype == DType::float32 && is_packed(geometry)) {
    if (auto kernel = make_onednn_gemm(geometry)) return kernel;
  }
  if (auto kernel = make_onednn_matmul(dtype, geometry)) return kernel;
  if (auto kernel = make_vector_matmul(dtype, geometry)) return kernel;
  return make_plain_matmul(dtype, geometry);
}

}  // namespace

bool MatmulProgram::reads(Dims shape, Dims strides) {
  const size_t rank = shape.size();
  if (!is_matrix(shape[rank - 2], shape[rank - 1], strides[rank - 2], strides[rank - 1])) return false;
  // Kernels refuse matrices that overlap: by growing strides, each axis must step over all of the one before.
  std::vector<std::pair<int64_t, int64_t>> axes;  // stride, size
  for (size_t i = 0; i < rank; ++i) {
    const bool repeats = strides[i] == 0 && i + 2 < rank;
    if (shape[i] != 1 && !repeats) axes.emplace_back(strides[i], shape[i]);
  }
  std::sort(axes.begin(), axes.end());
  int64_t reach = 1;
  for (const auto& [stride, size] : axes) {
    if (stride < reach) return false;
    reach = stride * size;
  }
  return true;
}

bool MatmulProgram::reads(DType dtype, Dims x_shape, Dims x_strides, Dims y_shape, Dims y_strides) {
  if (dtype == DType::float32 || !is_float(dtype)) return true;  // the plain kernel does
  const MatmulGeometry g = MatmulProgram(dtype, x_shape, x_strides, y_shape, y_strides).geometry_;
  return make_onednn_matmul(dtype, g) != nullptr || make_vector_matmul(dtype, g) != nullptr;
}

bool MatmulProgram::computes(DType dtype, Dims x_shape, Dims y_shape) {
  const MatmulProgram program(dtype, x_shape, contiguous_strides(x_shape), y_shape, contiguous_strides(y_shape));
  return program.has_kernel();
}

bool MatmulProgram::has_kernel() const {
  return is_native(dtype_) || (geometry_.rows == 1 && make_vector_matmul(dtype_, geometry_) != nullptr);
}

MatmulProgram MatmulProgram::compile(DType dtype, Dims x_shape, Dims x_strides, Dims y_shape, Dims y_strides,
                                     bool shares_y) {
  MatmulProgram program(dtype, x_shape, x_strides, y_shape, y_strides);
  program.choose_kernels(shares_y);
  return program;
}

std::shared_ptr<const SplitProduct> MatmulProgram::packs_y() const {
  return split_ != nullptr && split_->shares_y() ? split_ : nullptr;
}

MatmulProgram::MatmulProgram(DType dtype, Dims x_shape, Dims x_strides, Dims y_shape, Dims y_strides) : dtype_(dtype) {
  MatmulGeometry& g = geometry_;
  const size_t x_rank = x_shape.size(), y_rank = y_shape.size();
  g.rows = x_shape[x_rank - 2];
  g.inner = x_shape[x_rank - 1];
  g.columns = y_shape[y_rank - 1];
  g.x_row = x_strides[x_rank - 2];
  g.x_inner = x_strides[x_rank - 1];
  g.y_inner = y_strides[y_rank - 2];
  g.y_column = y_strides[y_rank - 1];
  g.to_row = g.columns;
  // The stride of an axis of size 1 means nothing, and views leave anything there; 1 suits every kernel.
  if (g.inner == 1) g.x_inner = 1;
  if (g.columns == 1) g.y_column = 1;
  if (g.inner == 1 && g.y_column != 1) g.y_inner = 1;

  const Dims x_batch(x_shape.data(), x_rank - 2), y_batch(y_shape.data(), y_rank - 2);
  const Shape batch = broadcast_shapes(x_batch, y_batch);
  const Ints to_strides = contiguous_strides(batch);  // counted in matrices
  const auto stride_at = [&](Dims shape, Dims strides, size_t axis) -> int64_t {
    const size_t missing = batch.size() - shape.size();
    return axis < missing || shape[axis - missing] == 1 ? 0 : strides[axis - missing];
  };
  for (size_t i = 0; i < batch.size(); ++i) {
    add_batch_axis({batch[i], stride_at(x_batch, x_strides, i), stride_at(y_batch, y_strides, i),
                    to_strides[i] * g.rows * g.columns});
  }
  absorb_batch();
  if (g.columns == 1 && g.rows != 1) swap_operands();
}

void MatmulProgram::add_batch_axis(BatchAxis axis) {
  if (axis.size == 1) return;
  if (!axes_.empty()) {
    BatchAxis& outer = axes_.back();
    if (outer.x == axis.x * axis.size && outer.y == axis.y * axis.size && outer.to == axis.to * axis.size) {
      outer = {outer.size * axis.size, axis.x, axis.y, axis.to};
      return;
    }
  }
  axes_.push_back(axis);
}

// Products that share y are one product with more rows; the last axis that is left becomes the kernel's batch.
void MatmulProgram::absorb_batch() {
  MatmulGeometry& g = geometry_;
  while (!axes_.empty()) {
    const BatchAxis axis = axes_.back();
    const bool continues = g.rows == 1 ? is_matrix(axis.size, g.inner, axis.x, g.x_inner) : axis.x == g.rows * g.x_row;
    if (axis.y != 0 || axis.to != g.rows * g.to_row || !continues) break;
    if (g.rows == 1) g.x_row = axis.x;
    g.rows *= axis.size;
    axes_.resize(axes_.size() - 1);
  }
  if (!axes_.empty()) {
    const BatchAxis axis = axes_.back();
    if (axis.x == 0 && axis.y == 0) return;  // kernels have no batch in the result alone
    axes_.resize(axes_.size() - 1);
    g.batch = axis.size;
    g.x_batch = axis.x;
    g.y_batch = axis.y;
    g.to_batch = axis.to;
  }
}

// One column, which is dense, is one row of the transposed product: for that there is a kernel.
void MatmulProgram::swap_operands() {
  MatmulGeometry& g = geometry_;
  swapped_ = true;
  g.columns = g.rows;
  g.rows = 1;
  std::swap(g.x_batch, g.y_batch);
  std::swap(g.x_row, g.y_column);
  std::swap(g.x_inner, g.y_inner);
  g.to_row = g.columns;
  for (BatchAxis& axis : axes_) std::swap(axis.x, axis.y);
}

void MatmulProgram::choose_kernels(bool shares_y) {
  const MatmulGeometry& g = geometry_;
  for (const BatchAxis& axis : axes_) products_ *= axis.size;
  piece_ = g.rows;
  if (products_ == 1) kernel_ = last_kernel_ = make_streamed_matmul(dtype_, g);
  if (kernel_ != nullptr) return;
  if (dtype_ == DType::float32 && products_ == 1) {
    for (bool shares : {true, false}) {
      if (split_ != nullptr || (shares && (!shares_y || swapped_))) continue;
      split_ = SplitProduct::make(g, shares);
      if (split_ != nullptr && !split_->pays()) split_ = nullptr;
    }
  }
  const int64_t flops = 2 * g.batch * g.rows * g.columns * g.inner;
  const int64_t bytes = g.batch * (g.rows + g.columns) * g.inner * static_cast<int64_t>(size_of(dtype_));
  const int64_t per_thread = dtype_ == DType::float32 && is_packed(g) ? kPackedPiecesPerThread : kPiecesPerThread;
  const int64_t wanted = thread_count() == 1 ? 1 : (per_thread * thread_count() + products_ - 1) / products_;
  const int64_t effort = std::max(flops, bytes * kFlopsPerByte), worth = effort / kPieceFlops;
  const int64_t worth_awake = std::min<int64_t>(thread_count(), effort / kAwakePieceFlops);
  helpers_ = worth < 2 && products_ == 1 ? Helpers::kAwake : Helpers::kAll;
  const int64_t count = std::max<int64_t>(1, helpers_ == Helpers::kAwake ? worth_awake : std::min(wanted, worth));
  // In a chain of small products the next one finds its rows in the cache of the thread that made them.
  const bool by_rows = helpers_ == Helpers::kAwake && g.rows >= kFewRows * count;
  cut_ = by_rows ? Cut::kRows : g.batch >= count ? Cut::kBatch : g.rows >= g.columns ? Cut::kRows : Cut::kColumns;
  const int64_t size = cut_ == Cut::kBatch ? g.batch : cut_ == Cut::kRows ? g.rows : g.columns;
  const int64_t alignment = cut_ == Cut::kBatch ? 1 : by_rows ? kFewRows : kCutAlignment;
  const int64_t even = (size + count - 1) / count;
  piece_ = std::min(size, (even + alignment - 1) / alignment * alignment);
  pieces_ = (size + piece_ - 1) / piece_;

  const auto kernel_of = [&](int64_t part_size) {
    MatmulGeometry part = g;
    (cut_ == Cut::kBatch ? part.batch : cut_ == Cut::kRows ? part.rows : part.columns) = part_size;
    return make_kernel(dtype_, part);
  };
  const int64_t last = size - (pieces_ - 1) * piece_;
  kernel_ = kernel_of(piece_);
  last_kernel_ = last == piece_ ? kernel_ : kernel_of(last);
}

void MatmulProgram::run(const void* x, const void* y, void* to, const char* packed_y) const {
  if (swapped_) std::swap(x, y);
  const auto floats = [](const void* numbers) { return static_cast<const float*>(numbers); };
  if (split_ != nullptr && split_->run(floats(x), floats(y), packed_y, static_cast<float*>(to))) return;
  const MatmulGeometry& g = geometry_;
  const bool by_batch = cut_ == Cut::kBatch, by_rows = cut_ == Cut::kRows;
  // Elements from one piece to the next.
  const int64_t x_step = piece_ * (by_batch ? g.x_batch : by_rows ? g.x_row : 0);
  const int64_t y_step = piece_ * (by_batch ? g.y_batch : by_rows ? 0 : g.y_column);
  const int64_t to_step = piece_ * (by_batch ? g.to_batch : by_rows ? g.to_row : 1);
  const int64_t size = static_cast<int64_t>(size_of(dtype_));
  const auto run_pieces = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t piece = i % pieces_;
      int64_t product = i / pieces_;
      int64_t x_at = piece * x_step, y_at = piece * y_step, to_at = piece * to_step;
      for (size_t axis = axes_.size(); axis-- > 0;) {
        const int64_t index = product % axes_[axis].size;
        product /= axes_[axis].size;
        x_at += index * axes_[axis].x;
        y_at += index * axes_[axis].y;
        to_at += index * axes_[axis].to;
      }
      const MatmulKernel& kernel = piece + 1 == pieces_ ? *last_kernel_ : *kernel_;
      kernel.run(static_cast<const char*>(x) + x_at * size, static_cast<const char*>(y) + y_at * size,
                 static_cast<char*>(to) + to_at * size);
    }
  };
  const int64_t count = products_ * pieces_;
  if (count == 1) return run_pieces(0, 1);
  const int64_t flops = 2 * g.batch * g.rows * g.columns * g.inner / pieces_;
  const int64_t grain = pieces_ > 1 ? 1 : std::max<int64_t>(1, kPieceFlops / std::max<int64_t>(1, flops));
  parallel_for(count, grain, run_pieces, helpers_);
}

void MatmulProgram::run_rows(const void* x, const void* y, void* to, const char* packed_y, int64_t begin,
                             int64_t end) const {
  const float* const x_floats = static_cast<const float*>(x);
  float* const to_floats = static_cast<float*>(to);
  if (split_->run_rows(x_floats, packed_y, to_floats, begin, end)) return;
  MatmulGeometry rows = geometry_;  // numbers that are not finite are rare: the kernel for them is made when it is due
  rows.rows = end - begin;
  make_kernel(dtype_, rows)->run(x_floats + begin * rows.x_row, y, to_floats + begin * rows.to_row);
}

uint64_t MatmulProgram::cost_ns() const {
  if (split_ != nullptr) return split_->cost_ns();
  const MatmulGeometry& g = geometry_;
  const uint64_t flops = 2u * static_cast<uint64_t>(products_ * g.batch * g.rows * g.columns * g.inner);
  const uint64_t read = static_cast<uint64_t>((g.rows + g.columns) * g.inner) * size_of(dtype_);
  return 300 * static_cast<uint64_t>(products_ * pieces_) + flops / 100 + read / 20;
}

size_t MatmulProgram::bytes() const {
  return sizeof *this + kernel_->bytes() + (last_kernel_ != kernel_ ? last_kernel_->bytes() : 0);
}

}  // namespace mps
