// What lies on one side of a diagonal, or on it: tril, triu, eye, diag, diag_embed, trace, fill_diagonal and their
// gradients, tril_indices and triu_indices.
#include <algorithm>

#include "kernels/graphs/lines.h"
#include "paddle/phi/kernels/diag_embed_kernel.h"
#include "paddle/phi/kernels/diag_grad_kernel.h"
#include "paddle/phi/kernels/diag_kernel.h"
#include "paddle/phi/kernels/diagonal_grad_kernel.h"
#include "paddle/phi/kernels/diagonal_kernel.h"
#include "paddle/phi/kernels/eye_kernel.h"
#include "paddle/phi/kernels/fill_diagonal_grad_kernel.h"
#include "paddle/phi/kernels/fill_diagonal_kernel.h"
#include "paddle/phi/kernels/fill_diagonal_tensor_grad_kernel.h"
#include "paddle/phi/kernels/fill_diagonal_tensor_kernel.h"
#include "paddle/phi/kernels/trace_grad_kernel.h"
#include "paddle/phi/kernels/trace_kernel.h"
#include "paddle/phi/kernels/tril_indices_kernel.h"
#include "paddle/phi/kernels/tril_triu_grad_kernel.h"
#include "paddle/phi/kernels/tril_triu_kernel.h"
#include "paddle/phi/kernels/triu_indices_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// -- one side
// ------------------------------------------------------------------------------------------------------------

// How far right of the diagonal each element of a matrix lies.
Value columns_minus_rows(Graph& g, int64_t rows, int64_t columns) {
  return g.subtraction(g.coordinate({1, columns}, 1), g.coordinate({rows, 1}, 0));
}

void one_side(const CustomContext& ctx, const DenseTensor& x, int diagonal, bool lower, DenseTensor* out) {
  if (out == nullptr) return;
  const Dims shape = dims_of(x);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value all = record.input(x);
  if (x.numel() != 0) {
    const Value right = columns_minus_rows(g, shape[shape.size() - 2], shape[shape.size() - 1]);
    const Value limit = record.scalar(diagonal, DType::int32);
    const Value stays = lower ? g.less_than_or_equal_to(right, limit) : g.greater_than_or_equal_to(right, limit);
    record.output(out, g.select(stays, all, graphs::number(g, all, 0)));
  } else {
    record.output(out, all);
  }
  record.launch();
}

void tril(const CustomContext& ctx, const DenseTensor& x, int diagonal, DenseTensor* out) {
  one_side(ctx, x, diagonal, /*lower=*/true, out);
}
void triu(const CustomContext& ctx, const DenseTensor& x, int diagonal, DenseTensor* out) {
  one_side(ctx, x, diagonal, /*lower=*/false, out);
}

// Row and column of element `k`, counted row by row, of what lies on or below a diagonal. Its rows are empty first,
// then longer by one each, then full. The length of the first that is not empty is `first`.
struct Staircase {
  int64_t empty_rows, first, steps, columns;
  bool has_full_rows;
  // Elements of the first `rows` steps.
  int64_t below(int64_t rows) const { return rows * first + rows * (rows - 1) / 2; }
};

Staircase staircase(int64_t rows, int64_t columns, int64_t offset) {
  Staircase stairs;
  stairs.columns = columns;
  stairs.empty_rows = std::clamp<int64_t>(-offset, 0, rows);
  stairs.first = std::clamp<int64_t>(offset + 1, 1, columns);
  stairs.steps = std::min(rows - stairs.empty_rows, columns - stairs.first);
  stairs.has_full_rows = stairs.steps < rows - stairs.empty_rows;
  return stairs;
}

// Rows of steps: the root of a square function, which float32 has right to one row; then it is looked at whether the
// element comes before that row, or after it. Numbers of elements are doubled, so that nothing is halved.
SmallVector<Value, 16> coordinates_of_stairs(Graph& g, const Staircase& stairs, Value k) {
  const auto number = [&](int64_t n) { return graphs::number(g, k, n); };
  const auto twice_below = [&](Value rows) {
    return g.multiplication(rows, g.addition(rows, number(2 * stairs.first - 1)));
  };
  const auto real = [&](double n) { return g.constant(n, DType::float32); };
  const double middle = static_cast<double>(stairs.first) - 0.5;
  const Value twice = g.addition(k, k);
  const Value square = g.addition(g.cast(twice, DType::float32), real(middle * middle));
  const Value root = g.subtraction(g.square_root(square), real(middle));
  Value row = g.minimum(g.cast(root, g.dtype(k)), number(stairs.steps));  // full rows come later
  row = g.subtraction(row, g.cast(g.less_than(twice, twice_below(row)), g.dtype(k)));
  const Value next = g.addition(row, number(1));
  row = g.addition(row, g.cast(g.greater_than_or_equal_to(twice, twice_below(next)), g.dtype(k)));
  // Even, and less than 2^25: exact in float32, where a division is fast.
  const Value rest_of_row = g.cast(g.subtraction(twice, twice_below(row)), DType::float32);
  const Value column = g.cast(g.multiplication(rest_of_row, real(0.5)), g.dtype(k));
  if (!stairs.has_full_rows) return {g.addition(row, number(stairs.empty_rows)), column};
  const Value rest = g.subtraction(k, number(stairs.below(stairs.steps)));
  const Value is_full = g.greater_than_or_equal_to(rest, number(0));
  const Value full_row = g.division(rest, number(stairs.columns));
  const Value full_column = g.subtraction(rest, g.multiplication(full_row, number(stairs.columns)));
  row = g.select(is_full, g.addition(full_row, number(stairs.steps)), row);
  return {g.addition(row, number(stairs.empty_rows)), g.select(is_full, full_column, column)};
}

// Where the elements of one side lie: rows, and below them columns. How many there are is set in `out` by Paddle. What
// is above a diagonal is, read from its end, what is below another.
void indices_of_side(const CustomContext& ctx, int64_t rows, int64_t columns, int64_t offset, bool lower,
                     DenseTensor* out) {
  const int64_t count = out->numel() / 2;
  constexpr int64_t kWidest = int64_t{1} << 24;
  MPS_CHECK(count == 0 || columns <= kWidest, kUnsupported, "too many columns: expected at most ", kWidest, ", got ",
            columns, ".");
  Recorder record(ctx);
  Graph& g = record.graph;
  if (count == 0) {
    record.output(out, graphs::zeros(g, dtype_of(*out), dims_of(*out)));
  } else {
    const DType dtype = graphs::position_dtype(4 * count);  // room for twice as much, and a row more
    const Value k = g.cast(g.coordinate({1, count}, 1), dtype);
    const auto mirrored = [&](Value x, int64_t size) { return g.subtraction(graphs::number(g, x, size - 1), x); };
    const Staircase stairs = staircase(rows, columns, lower ? offset : columns - rows - offset);
    SmallVector<Value, 16> at = coordinates_of_stairs(g, stairs, lower ? k : mirrored(k, count));
    if (!lower) at = {mirrored(at[0], rows), mirrored(at[1], columns)};
    for (Value& line : at) line = g.cast(line, dtype_of(*out));
    record.output(out, g.concatenation({at[0], at[1]}, 0));
  }
  record.launch();
}

void tril_indices(const CustomContext& ctx, int rows, int columns, int offset, phi::DataType, DenseTensor* out) {
  indices_of_side(ctx, rows, columns, offset, /*lower=*/true, out);
}
void triu_indices(const CustomContext& ctx, int rows, int columns, int offset, phi::DataType, DenseTensor* out) {
  indices_of_side(ctx, rows, columns, offset, /*lower=*/false, out);
}

// -- the diagonal itself
// -------------------------------------------------------------------------------------------------

void eye(const CustomContext& ctx, const phi::Scalar& rows, const phi::Scalar& columns, phi::DataType,
         DenseTensor* out) {
  const int64_t height = rows.to<int64_t>(), width = columns.to<int64_t>() == -1 ? height : columns.to<int64_t>();
  out->Resize(phi::make_ddim({height, width}));
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value right = columns_minus_rows(g, height, width);
  record.output(out, g.cast(g.equal(right, graphs::number(g, right, 0)), dtype_of(*out)));
  record.launch();
}

// The elements on a diagonal of two axes of a dense tensor, behind the other axes.
struct Diagonal {
  Shape shape;
  Ints strides;
  int64_t offset = 0;
};

Diagonal diagonal_of(Dims shape, int64_t offset, int axis1, int axis2) {
  const size_t first = static_cast<size_t>(normalize_axis(axis1, shape.size()));
  const size_t second = static_cast<size_t>(normalize_axis(axis2, shape.size()));
  const Ints strides = contiguous_strides(shape);
  Diagonal diagonal;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i == first || i == second) continue;
    diagonal.shape.push_back(shape[i]);
    diagonal.strides.push_back(strides[i]);
  }
  const int64_t rows = shape[first] + std::min<int64_t>(offset, 0);
  const int64_t columns = shape[second] - std::max<int64_t>(offset, 0);
  diagonal.shape.push_back(std::max<int64_t>(0, std::min(rows, columns)));
  diagonal.strides.push_back(strides[first] + strides[second]);
  if (element_count(diagonal.shape) != 0) {
    diagonal.offset = offset < 0 ? -offset * strides[first] : offset * strides[second];
  }
  return diagonal;
}

void read_diagonal(const CustomContext& ctx, const DenseTensor& x, const Diagonal& diagonal, DenseTensor* out) {
  if (out == nullptr) return;
  Recorder record(ctx);
  record.output(
      out, record.graph.strided_view(record.input(x, {x.numel()}), diagonal.shape, diagonal.strides, diagonal.offset));
  record.launch();
}

// `out` is `around` everywhere, and on the diagonal what `x` holds.
void write_diagonal(const CustomContext& ctx, const DenseTensor& x, const Diagonal& diagonal, Scalar around,
                    DenseTensor* out) {
  if (out == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value everywhere = g.broadcast(record.scalar(around, dtype_of(*out)), {out->numel()});
  record.output(out, g.strided_update(everywhere, record.input(x, diagonal.shape), diagonal.strides, diagonal.offset));
  record.launch();
}

void diag(const CustomContext& ctx, const DenseTensor& x, int offset, float padding, DenseTensor* out) {
  if (dims_of(x).size() == 2) return read_diagonal(ctx, x, diagonal_of(dims_of(x), offset, 0, 1), out);
  write_diagonal(ctx, x, diagonal_of(dims_of(*out), offset, 0, 1), padding, out);
}

void diag_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, int offset, DenseTensor* dx) {
  if (dims_of(x).size() == 2) return write_diagonal(ctx, dout, diagonal_of(dims_of(x), offset, 0, 1), 0, dx);
  read_diagonal(ctx, dout, diagonal_of(dims_of(dout), offset, 0, 1), dx);
}

void diagonal(const CustomContext& ctx, const DenseTensor& x, int offset, int axis1, int axis2, DenseTensor* out) {
  read_diagonal(ctx, x, diagonal_of(dims_of(x), offset, axis1, axis2), out);
}

void diagonal_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, int offset, int axis1,
                   int axis2, DenseTensor* dx) {
  write_diagonal(ctx, dout, diagonal_of(dims_of(x), offset, axis1, axis2), 0, dx);
}

void diag_embed(const CustomContext& ctx, const DenseTensor& x, int offset, int axis1, int axis2, DenseTensor* out) {
  write_diagonal(ctx, x, diagonal_of(dims_of(*out), offset, axis1, axis2), 0, out);
}

void trace(const CustomContext& ctx, const DenseTensor& x, int offset, int axis1, int axis2, DenseTensor* out) {
  const Diagonal diagonal = diagonal_of(dims_of(x), offset, axis1, axis2);
  const DType to = dtype_of(*out);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value elements =
      g.strided_view(record.input(x, {x.numel()}), diagonal.shape, diagonal.strides, diagonal.offset);
  const int64_t last = static_cast<int64_t>(diagonal.shape.size()) - 1;
  const Value sum = g.reduction_sum(g.cast(elements, graphs::compute_dtype(to)), {last});
  record.output(out, g.cast(g.reshape(sum, dims_of(*out)), to));
  record.launch();
}

void trace_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, int offset, int axis1,
                int axis2, DenseTensor* dx) {
  if (dx == nullptr) return;
  const Diagonal diagonal = diagonal_of(dims_of(x), offset, axis1, axis2);
  Shape column = diagonal.shape;
  column.back() = 1;
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value nothing = graphs::zeros(g, dtype_of(*dx), {dx->numel()});
  const Value along = g.broadcast(record.input(dout, column), diagonal.shape);
  record.output(dx, g.strided_update(nothing, along, diagonal.strides, diagonal.offset));
  record.launch();
}

// `x` with `value` on its diagonal. Of more than two axes all have one size. With `wrap` a tall matrix goes on with
// another diagonal below each; every position is on one if its number says so.
void set_diagonal(const CustomContext& ctx, const DenseTensor& x, float value, int64_t offset, bool wrap,
                  DenseTensor* out) {
  if (out == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value all = record.input(x, {x.numel()});
  if (x.numel() == 0) {
    record.output(out, all);
    record.launch();
    return;
  }
  const Dims shape = dims_of(x);
  int64_t stride = 0;
  for (int64_t each : contiguous_strides(shape)) stride += each;
  const int64_t width = shape[1];
  const int64_t limit = wrap ? x.numel() : std::min(x.numel(), width * width);
  const DType dtype = graphs::position_dtype(x.numel() + std::abs(offset));
  const auto number = [&](int64_t n) { return g.constant(n, dtype); };
  const auto both = [&](Value a, Value b) { return g.multiplication(a, b); };
  const auto remainder = [&](Value n, int64_t by) {
    return g.subtraction(n, g.multiplication(g.division(n, number(by)), number(by)));
  };
  // Where the element would be without the offset.
  const Value from = g.subtraction(g.cast(g.coordinate({x.numel()}, 0), dtype), number(offset));
  const Value inside = both(g.greater_than_or_equal_to(from, number(0)), g.less_than(from, number(limit)));
  const Value on_diagonal = g.equal(remainder(from, stride), number(0));
  const Value column = g.addition(remainder(from, width), number(offset));
  const Value same_line = both(g.greater_than_or_equal_to(column, number(0)), g.less_than(column, number(width)));
  const Value chosen = both(both(inside, on_diagonal), same_line);
  record.output(out, g.select(chosen, record.scalar(value, g.dtype(all)), all));
  record.launch();
}

void fill_diagonal(const CustomContext& ctx, const DenseTensor& x, float value, int offset, bool wrap,
                   DenseTensor* out) {
  set_diagonal(ctx, x, value, offset, wrap, out);
}

void fill_diagonal_grad(const CustomContext& ctx, const DenseTensor& dout, float, int offset, bool wrap,
                        DenseTensor* dx) {
  set_diagonal(ctx, dout, 0.0f, offset, wrap, dx);
}

void fill_diagonal_tensor(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, int64_t offset,
                          int axis1, int axis2, DenseTensor* out) {
  const Diagonal diagonal = diagonal_of(dims_of(x), offset, axis1, axis2);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value all = record.input(x, {x.numel()});
  record.output(out, g.strided_update(all, record.input(y, diagonal.shape), diagonal.strides, diagonal.offset));
  record.launch();
}

void fill_diagonal_tensor_grad(const CustomContext& ctx, const DenseTensor& dout, int64_t offset, int axis1, int axis2,
                               DenseTensor* dx) {
  if (dx == nullptr) return;
  const Diagonal diagonal = diagonal_of(dims_of(dout), offset, axis1, axis2);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value all = record.input(dout, {dout.numel()});
  const Value nothing = graphs::zeros(g, g.dtype(all), diagonal.shape);
  record.output(dx, g.strided_update(all, nothing, diagonal.strides, diagonal.offset));
  record.launch();
}

constexpr DTypes kIndices = {phi::DataType::INT32, phi::DataType::INT64};
constexpr DTypes kFloatsIntsAndBool = {phi::DataType::FLOAT32, phi::DataType::FLOAT16, phi::DataType::BFLOAT16,
                                       phi::DataType::INT32,   phi::DataType::INT64,   phi::DataType::BOOL};

}  // namespace

MPS_KERNEL(tril, phi::TrilKernel, tril, kFloatsIntsAndBool)
MPS_KERNEL(triu, phi::TriuKernel, triu, kFloatsIntsAndBool)
MPS_KERNEL(tril_grad, phi::TrilGradKernel, tril, kFloatsIntsAndBool)
MPS_KERNEL(triu_grad, phi::TriuGradKernel, triu, kFloatsIntsAndBool)
MPS_KERNEL(eye, phi::EyeKernel, eye, kFloatsAndInts)
MPS_KERNEL(diag, phi::DiagKernel, diag, kFloatsAndInts)
MPS_KERNEL(diag_grad, phi::DiagGradKernel, diag_grad, kFloatsAndInts)
MPS_KERNEL(diagonal, phi::DiagonalKernel, diagonal, kMovedDTypes)
MPS_KERNEL(diagonal_grad, phi::DiagonalGradKernel, diagonal_grad, kMovedDTypes)
MPS_KERNEL(diag_embed, phi::DiagEmbedKernel, diag_embed, kFloatsAndInts)
MPS_KERNEL(trace, phi::TraceKernel, trace, kFloatsAndInts)
MPS_KERNEL(trace_grad, phi::TraceGradKernel, trace_grad, kFloatsAndInts)
MPS_KERNEL(tril_indices, phi::TrilIndicesKernel, tril_indices, kIndices)
MPS_KERNEL(triu_indices, phi::TriuIndicesKernel, triu_indices, kIndices)
MPS_KERNEL(fill_diagonal, phi::FillDiagonalKernel, fill_diagonal, kFloatsAndInts)
MPS_KERNEL(fill_diagonal_grad, phi::FillDiagonalGradKernel, fill_diagonal_grad, kFloatsAndInts)
MPS_KERNEL(fill_diagonal_tensor, phi::FillDiagonalTensorKernel, fill_diagonal_tensor, kAllDTypes)
MPS_KERNEL(fill_diagonal_tensor_grad, phi::FillDiagonalTensorGradKernel, fill_diagonal_tensor_grad, kAllDTypes)

}  // namespace mps::paddle
