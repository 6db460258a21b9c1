// Rows chosen one by one: multiplex, repeat_interleave with a tensor of counts, and their gradients.
#include "kernels/graphs/lines.h"
#include "paddle/phi/kernels/multiplex_grad_kernel.h"
#include "paddle/phi/kernels/multiplex_kernel.h"
#include "paddle/phi/kernels/repeat_interleave_grad_kernel.h"
#include "paddle/phi/kernels/repeat_interleave_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/host_value.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// -- multiplex: row i of the result is row i of tensor ids[i]
// ---------------------------------------------------------------

void multiplex(const CustomContext& ctx, const std::vector<const DenseTensor*>& x, const DenseTensor& ids,
               DenseTensor* out) {
  const int64_t tensors = static_cast<int64_t>(x.size()), rows = dims_of(*out)[0];
  Recorder record(ctx);
  Graph& g = record.graph;
  if (out->numel() == 0) {
    record.output(out, graphs::zeros(g, dtype_of(*out), dims_of(*out)));
  } else {
    SmallVector<Value, 16> parts;
    for (const DenseTensor* each : x) {
      const int64_t height = dims_of(*each)[0];
      parts.push_back(record.input(*each, {1, height, each->numel() / height}));
    }
    const Value all = g.concatenation(parts, 1);
    const int64_t height = g.shape(all)[1] / tensors;
    const Value id = record.input(ids, {ids.numel()});
    const Value chosen = ids.numel() == rows ? id : graphs::slice_axis(g, id, 0, 0, rows);
    const Value row = g.cast(g.coordinate({rows}, 0), g.dtype(chosen));
    const Value at = g.addition(g.multiplication(chosen, graphs::number(g, chosen, height)), row);
    record.output(out, g.reshape(g.gather(at, all), dims_of(*out)));
  }
  record.launch();
}

void multiplex_grad(const CustomContext& ctx, const DenseTensor& ids, const DenseTensor& dout,
                    std::vector<DenseTensor*> dx) {
  Recorder record(ctx);
  Graph& g = record.graph;
  for (size_t i = 0; i < dx.size(); ++i) {
    if (dx[i] == nullptr) continue;
    phi::DenseTensorMeta meta = dx[i]->meta();
    meta.dtype = dout.dtype();  // Paddle leaves it to the kernel
    dx[i]->set_meta(meta);
    Shape column;
    column.resize(dims_of(dout).size(), 1);
    column[0] = dims_of(dout)[0];
    const Value id = record.input(ids, column), gradient = record.input(dout);
    const Value is_chosen = g.equal(id, graphs::number(g, id, static_cast<int64_t>(i)));
    record.output(dx[i], g.select(is_chosen, gradient, graphs::number(g, gradient, 0)));
  }
  record.launch();
}

// -- repeat_interleave: row i comes counts[i] times
// ---------------------------------------------------------------------------

// Up to where the repeats of each row reach: [rows] of the counts' dtype.
Value ends_of_repeats(Recorder& record, const DenseTensor& counts, int64_t rows) {
  Graph& g = record.graph;
  const Value each = g.broadcast(record.input(counts, {counts.numel()}), {rows});
  return g.scan(NodeKind::cumulative_sum, each, 0);
}

// Which row each of `total` repeats is of.
Value rows_of_repeats(Recorder& record, const DenseTensor& counts, int64_t rows, int64_t total) {
  Graph& g = record.graph;
  const Value ends = g.reshape(ends_of_repeats(record, counts, rows), {1, rows});
  const Value places = g.cast(g.coordinate({1, total}, 1), g.dtype(ends));
  return g.reshape(g.search_sorted(ends, places, /*right=*/true), {total});
}

void repeat_interleave(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& counts, int dim, int64_t,
                       DenseTensor* out) {
  const size_t axis = static_cast<size_t>(normalize_axis(dim, dims_of(x).size()));
  const int64_t rows = dims_of(x)[axis];
  MPS_CHECK(counts.numel() == rows || counts.numel() == 1, kArgument, "wrong number of repeats: expected ", rows,
            ", one for each row, got ", counts.numel(), ".");
  int64_t total = 0;
  if (rows != 0) {
    DenseTensor sum(std::shared_ptr<phi::Allocation>(), phi::DenseTensorMeta(counts.dtype(), phi::make_ddim({1})));
    Recorder record(ctx);
    record.output(&sum, graphs::slice_axis(record.graph, ends_of_repeats(record, counts, rows), 0, rows - 1, 1));
    record.launch();
    total = host_value(ctx, sum).to_int64();
  }
  const Shape shape = graphs::with_axis(dims_of(x), axis, total);
  out->Resize(phi::make_ddim(std::vector<int64_t>(shape.begin(), shape.end())));
  Recorder record(ctx);
  Graph& g = record.graph;
  if (out->numel() == 0) {
    record.output(out, graphs::zeros(g, dtype_of(*out), shape));
  } else {
    record.output(out, graphs::take(g, record.input(x), axis, rows_of_repeats(record, counts, rows, total)));
  }
  record.launch();
}

void repeat_interleave_grad(const CustomContext& ctx, const DenseTensor&, const DenseTensor& counts,
                            const DenseTensor& dout, int dim, int64_t, DenseTensor* dx) {
  if (dx == nullptr) return;
  const size_t axis = static_cast<size_t>(normalize_axis(dim, dims_of(*dx).size()));
  const DType to = dtype_of(*dx), compute = graphs::compute_dtype(to);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value nothing = graphs::zeros(g, compute, dims_of(*dx));
  if (dout.numel() == 0) {
    record.output(dx, graphs::zeros(g, to, dims_of(*dx)));
  } else {
    const Value rows = rows_of_repeats(record, counts, dims_of(*dx)[axis], dims_of(dout)[axis]);
    const Value gradient = g.cast(record.input(dout), compute);
    record.output(dx, g.cast(graphs::put(g, ScatterMode::kAdd, nothing, axis, rows, gradient), to));
  }
  record.launch();
}

}  // namespace

MPS_KERNEL(multiplex, phi::MultiplexKernel, multiplex, kFloatsAndInts)
MPS_KERNEL_KEYED(multiplex_grad, phi::MultiplexGradKernel, multiplex_grad, kFloatsAndInts, 1)
MPS_KERNEL(repeat_interleave_with_tensor_index, phi::RepeatInterleaveWithTensorIndexKernel, repeat_interleave,
           kFloatsAndInts)
MPS_KERNEL(repeat_interleave_with_tensor_index_grad, phi::RepeatInterleaveWithTensorIndexGradKernel,
           repeat_interleave_grad, kFloatsAndInts)

}  // namespace mps::paddle
