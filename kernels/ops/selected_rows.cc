// Selected rows: what embedding makes of them, and what gradient clipping asks of them. Optimisers stand with those of
// dense gradients.
#include "kernels/ops/selected_rows.h"

#include <algorithm>

#include "kernels/graphs/lines.h"
#include "kernels/ops/temporary.h"
#include "kernels/ops/wide.h"
#include "paddle/phi/core/tensor_utils.h"
#include "paddle/phi/kernels/embedding_grad_kernel.h"
#include "paddle/phi/kernels/selected_rows/elementwise_multiply_kernel.h"
#include "paddle/phi/kernels/selected_rows/merge_selected_rows_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/host_value.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using phi::SelectedRows;

void set_meta(DenseTensor* tensor, phi::DataType dtype, Dims shape) {
  phi::DenseTensorMeta meta(dtype, phi::make_ddim(std::vector<int64_t>(shape.begin(), shape.end())));
  tensor->set_meta(meta);
}

DenseTensor on_device(const CustomContext& ctx, const std::vector<int64_t>& numbers) {
  DenseTensor here, there;
  here.Resize(phi::make_ddim({static_cast<int64_t>(numbers.size())}));
  std::copy(numbers.begin(), numbers.end(), ctx.HostAlloc<int64_t>(&here));
  phi::Copy(ctx, here, ctx.GetPlace(), /*blocking=*/true, &there);
  return there;
}

// [rows, elements of each].
Shape lines_of(const DenseTensor& value) {
  const Dims shape = dims_of(value);
  return {shape[0], graphs::product_of(shape, 1, shape.size())};
}

// `count` lines, to which those of `value` are added by their numbers: float32.
Value added_up(Recorder& record, const DenseTensor& numbers, const DenseTensor& value, int64_t count) {
  Graph& g = record.graph;
  const Shape lines = lines_of(value);
  const Value none = graphs::zeros(g, DType::float32, {1, count, lines[1]});
  if (element_count(lines) == 0) return none;
  return g.scatter(ScatterMode::kAdd, none, record.input(numbers), wide(record, value, {1, lines[0], lines[1]}));
}

// The gradient of a table: a row for each row that was read, in their order.
void embedding_sparse_grad(const CustomContext& ctx, const DenseTensor& input, const DenseTensor& weight,
                           const DenseTensor& dout, int64_t, SelectedRows* dweight) {
  std::vector<int64_t> rows;
  for (const Scalar& one : host_values(ctx, input)) rows.push_back(one.to_int64());
  const Shape lines{input.numel(), dims_of(weight)[1]};
  dweight->set_rows(rows);
  dweight->set_height(dims_of(weight)[0]);
  set_meta(dweight->mutable_value(), weight.dtype(), lines);
  Recorder record(ctx);
  record.output(dweight->mutable_value(), record.input(dout, lines));
  record.launch();
}

void merge_selected_rows(const CustomContext& ctx, const SelectedRows& x, SelectedRows* out) {
  merge_rows(ctx, x, x.value().dtype(), out);
}

void get_tensor_from_selected_rows(const CustomContext& ctx, const SelectedRows& x, DenseTensor* out) {
  set_meta(out, x.value().dtype(), dims_of(x.value()));
  Recorder record(ctx);
  record.output(out, record.input(x.value()));
  record.launch();
}

void multiply_selected_rows(const CustomContext& ctx, const SelectedRows& x, const DenseTensor& y, SelectedRows* out) {
  MPS_CHECK(y.numel() == 1, kArgument, "bad factor of selected rows: expected one number, got ", y.numel(),
            ". Multiply the dense gradient instead.");
  out->set_rows(x.rows());
  out->set_height(x.height());
  set_meta(out->mutable_value(), x.value().dtype(), dims_of(x.value()));
  Recorder record(ctx);
  write(record, out->mutable_value(), record.graph.multiplication(wide(record, x.value()), wide(record, y, {})));
  record.launch();
}

}  // namespace

void merge_rows(const CustomContext& ctx, const SelectedRows& x, phi::DataType dtype, SelectedRows* out) {
  std::vector<int64_t> rows(x.rows());
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  std::vector<int64_t> places;
  for (int64_t row : x.rows()) places.push_back(std::lower_bound(rows.begin(), rows.end(), row) - rows.begin());
  const auto count = static_cast<int64_t>(rows.size());
  out->set_rows(rows);
  out->set_height(x.height());
  set_meta(out->mutable_value(), dtype, {count, lines_of(x.value())[1]});
  const DenseTensor numbers = on_device(ctx, places);
  Recorder record(ctx);
  write(record, out->mutable_value(), added_up(record, numbers, x.value(), count));
  record.launch();
}

DenseTensor dense_gradient(const CustomContext& ctx, const SelectedRows& rows) {
  DenseTensor dense = temporary(DType::float32, {rows.height(), lines_of(rows.value())[1]});
  const DenseTensor numbers = on_device(ctx, rows.rows());
  Recorder record(ctx);
  write(record, &dense, added_up(record, numbers, rows.value(), rows.height()));
  record.launch();
  return dense;
}

DenseTensor is_selected(const CustomContext& ctx, const SelectedRows& rows) {
  const Shape shape{rows.height(), lines_of(rows.value())[1]};
  const auto count = static_cast<int64_t>(rows.rows().size());
  DenseTensor selected = temporary(DType::bool_, shape);
  const DenseTensor numbers = on_device(ctx, rows.rows());
  Recorder record(ctx);
  Graph& g = record.graph;
  Value lines = graphs::zeros(g, DType::int32, {1, shape[0], 1});
  if (count != 0) {
    lines = g.scatter(ScatterMode::kSet, lines, record.input(numbers), g.constant(1, DType::int32, {1, count, 1}));
  }
  const Value is = g.not_equal(lines, graphs::number(g, lines, 0));
  record.output(&selected, g.broadcast(g.reshape(is, {shape[0], 1}), shape));
  record.launch();
  return selected;
}

MPS_KERNEL_KEYED(embedding_sparse_grad, phi::EmbeddingSparseGradKernel, embedding_sparse_grad, kFloats, 1)
MPS_KERNEL(merge_selected_rows, phi::sr::MergeSelectedRowsKernel, merge_selected_rows, kFloats)
// Paddle's headers do not declare it.
MPS_KERNEL_UNCHECKED(get_tensor_from_selected_rows, get_tensor_from_selected_rows, kFloats, detail::define_nothing)
MPS_KERNEL(multiply_sr, phi::sr::MultiplyKernel, multiply_selected_rows, kFloats)

}  // namespace mps::paddle
