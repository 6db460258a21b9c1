// What ranking models do with slots, which hold a part of the features each: partial_concat and partial_sum join the
// same columns of all slots, batch_fc is a linear layer for each slot.
#include "kernels/graphs/lines.h"
#include "kernels/graphs/matmul.h"
#include "kernels/ops/wide.h"
#include "paddle/phi/kernels/partial_concat_kernel.h"
#include "paddle/phi/kernels/partial_sum_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using Tensors = std::vector<const DenseTensor*>;

// -- partial_concat, partial_sum
// -----------------------------------------------------------------------------------------

// Some columns of each slot.
struct Columns {
  int64_t start, count, all;
};

Columns columns_of(const char* name, const Tensors& x, int start_index, int length) {
  MPS_CHECK(!x.empty(), kArgument, "no slots for ", name, ": expected one tensor or more, got none. Pass a list.");
  const int64_t all = dims_of(*x[0])[1];
  for (const DenseTensor* one : x) {
    const Dims shape = dims_of(*one);
    MPS_CHECK(shape.size() == 2 && shape[0] == dims_of(*x[0])[0] && shape[1] == all, kArgument, "bad slots for ", name,
              ": expected tensors of rank 2 and of one shape, got another one. Reshape them.");
  }
  const int64_t start = start_index < 0 ? start_index + all : start_index;
  const int64_t count = length < 0 ? all - start : length;
  MPS_CHECK(start >= 0 && count >= 0 && start + count <= all, kArgument, "bad columns for ", name,
            ": expected some of ", all, ", got ", count, " from ", start_index, " on. Check start_index and length.");
  return {start, count, all};
}

Value columns(Recorder& record, const DenseTensor& slot, const Columns& which) {
  return graphs::slice_axis(record.graph, record.input(slot), 1, which.start, which.count);
}

// Writes columns and zeros around them.
void put_columns(Recorder& record, const Columns& which, Value gradient, DenseTensor* dslot) {
  if (dslot == nullptr) return;
  Graph& g = record.graph;
  const int64_t rows = g.shape(gradient)[0];
  const auto zeros = [&](int64_t count) { return graphs::zeros(g, g.dtype(gradient), {rows, count}); };
  const int64_t behind = which.all - which.start - which.count;
  record.output(dslot, g.concatenation({zeros(which.start), gradient, zeros(behind)}, 1));
}

void partial_concat(const CustomContext& ctx, const Tensors& x, int start_index, int length, DenseTensor* out) {
  const Columns which = columns_of("partial_concat", x, start_index, length);
  const int64_t rows = dims_of(*x[0])[0];
  out->Resize(phi::make_ddim({rows, which.count * static_cast<int64_t>(x.size())}));
  Recorder record(ctx);
  std::vector<Value> parts;
  for (const DenseTensor* slot : x) parts.push_back(columns(record, *slot, which));
  record.output(out, record.graph.concatenation(parts, 1));
  record.launch();
}

void partial_concat_grad(const CustomContext& ctx, const Tensors& x, const DenseTensor& dout, int start_index,
                         int length, std::vector<DenseTensor*> dx) {
  const Columns which = columns_of("partial_concat_grad", x, start_index, length);
  Recorder record(ctx);
  const Value gradient = record.input(dout);
  for (size_t i = 0; i < dx.size(); ++i) {
    const int64_t from = static_cast<int64_t>(i) * which.count;
    put_columns(record, which, graphs::slice_axis(record.graph, gradient, 1, from, which.count), dx[i]);
  }
  record.launch();
}

void partial_sum(const CustomContext& ctx, const Tensors& x, int start_index, int length, DenseTensor* out) {
  const Columns which = columns_of("partial_sum", x, start_index, length);
  out->Resize(phi::make_ddim({dims_of(*x[0])[0], which.count}));
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType compute = graphs::compute_dtype(dtype_of(*out));
  Value sum = g.cast(columns(record, *x[0], which), compute);
  for (size_t i = 1; i < x.size(); ++i) sum = g.addition(sum, g.cast(columns(record, *x[i], which), compute));
  record.output(out, g.cast(sum, dtype_of(*out)));
  record.launch();
}

void partial_sum_grad(const CustomContext& ctx, const Tensors& x, const DenseTensor& dout, int start_index, int length,
                      std::vector<DenseTensor*> dx) {
  const Columns which = columns_of("partial_sum_grad", x, start_index, length);
  Recorder record(ctx);
  const Value gradient = record.input(dout);
  for (DenseTensor* one : dx) put_columns(record, which, gradient, one);
  record.launch();
}

// -- batch_fc: [slots, rows, in] x [slots, in, out] + [slots, out]. Paddle's CPU device has no such kernel.
// ----------------

void batch_fc(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& weight, const DenseTensor& bias,
              DenseTensor* out) {
  const int64_t slots = dims_of(x)[0], columns = dims_of(weight)[2];
  out->Resize(phi::make_ddim({slots, dims_of(x)[1], columns}));
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value product = g.matrix_multiplication(wide(record, x), wide(record, weight));
  write(record, out, g.addition(product, wide(record, bias, {slots, 1, columns})));
  record.launch();
}

void batch_fc_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& weight, const DenseTensor&,
                   const DenseTensor& dout, DenseTensor* dx, DenseTensor* dweight, DenseTensor* dbias) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value gradient = wide(record, dout);
  if (dx != nullptr) {
    write(record, dx, g.matrix_multiplication(gradient, graphs::matrix_transpose(g, wide(record, weight))));
  }
  if (dweight != nullptr) {
    write(record, dweight, g.matrix_multiplication(graphs::matrix_transpose(g, wide(record, x)), gradient));
  }
  if (dbias != nullptr) write(record, dbias, g.reduction_sum(gradient, {1}));
  record.launch();
}

}  // namespace

MPS_KERNEL(partial_concat, phi::PartialConcatOpCUDAKernel, partial_concat, kFloatsAndInts)
MPS_KERNEL(partial_concat_grad, phi::PartialConcatGradientOpKernel, partial_concat_grad, kFloatsAndInts)
MPS_KERNEL(partial_sum, phi::PartialSumKernel, partial_sum, kFloatsAndInts)
MPS_KERNEL(partial_sum_grad, phi::PartialSumGradientOpKernel, partial_sum_grad, kFloatsAndInts)
// Paddle's headers do not declare these two.
MPS_KERNEL_UNCHECKED(batch_fc, batch_fc, kFloats, detail::define_nothing)
MPS_KERNEL_UNCHECKED(batch_fc_grad, batch_fc_grad, kFloats, detail::define_nothing)

}  // namespace mps::paddle
