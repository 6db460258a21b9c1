// Reading and writing rows by position: gather, scatter, index_select, index_add, index_put, embedding and their
// gradients.
//
// Positions below 0 count from the end. What lies outside of the data is read as 0 and not written: the device does
// not stop for it.
#include "kernels/graphs/lines.h"
#include "paddle/phi/kernels/embedding_grad_kernel.h"
#include "paddle/phi/kernels/embedding_kernel.h"
#include "paddle/phi/kernels/embedding_with_scaled_gradient_grad_kernel.h"
#include "paddle/phi/kernels/gather_grad_kernel.h"
#include "paddle/phi/kernels/gather_kernel.h"
#include "paddle/phi/kernels/gather_nd_grad_kernel.h"
#include "paddle/phi/kernels/gather_nd_kernel.h"
#include "paddle/phi/kernels/index_add_grad_kernel.h"
#include "paddle/phi/kernels/index_add_kernel.h"
#include "paddle/phi/kernels/index_select_grad_kernel.h"
#include "paddle/phi/kernels/index_select_kernel.h"
#include "paddle/phi/kernels/scatter_grad_kernel.h"
#include "paddle/phi/kernels/scatter_kernel.h"
#include "paddle/phi/kernels/scatter_nd_add_grad_kernel.h"
#include "paddle/phi/kernels/scatter_nd_add_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

DType compute_dtype_of(const DenseTensor& tensor) { return graphs::compute_dtype(dtype_of(tensor)); }

// -- rows along an axis
// -----------------------------------------------------------------------------------------------------

Value rows_of(Recorder& record, const DenseTensor& index, int64_t size) {
  return graphs::from_the_end(record.graph, record.input(index, {index.numel()}), size);
}

void read_rows(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& index, int64_t axis,
               DenseTensor* out) {
  if (out == nullptr) return;
  Recorder record(ctx);
  if (dims_of(x).empty()) {
    record.output(out, record.graph.broadcast(record.input(x), dims_of(*out)));
  } else {
    const size_t along = static_cast<size_t>(normalize_axis(axis, dims_of(x).size()));
    const Value rows = rows_of(record, index, dims_of(x)[along]);
    const Value taken = graphs::take(record.graph, record.input(x), along, rows);
    // Where the axis came as a tensor, Paddle has inferred the shape for another.
    const Dims shape = record.graph.shape(taken);
    if (out->numel() != element_count(shape)) {
      out->Resize(phi::make_ddim(std::vector<int64_t>(shape.begin(), shape.end())));
    }
    record.output(out, record.graph.reshape(taken, dims_of(*out)));
  }
  record.launch();
}

// dx is the sum of what dout has for each row.
void add_rows(const CustomContext& ctx, const DenseTensor& dout, const DenseTensor& index, int64_t axis,
              DenseTensor* dx) {
  if (dx == nullptr) return;
  const DType to = dtype_of(*dx), compute = graphs::compute_dtype(to);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value gradient = g.cast(record.input(dout), compute);
  if (dims_of(*dx).empty()) {
    const Ints all = graphs::axes_of(std::vector<int>{}, dims_of(dout).size());
    record.output(dx, g.cast(g.reshape(g.reduction_sum(gradient, all), {}), to));
  } else {
    const size_t along = static_cast<size_t>(normalize_axis(axis, dims_of(*dx).size()));
    const Value rows = rows_of(record, index, dims_of(*dx)[along]);
    const Value nothing = graphs::zeros(g, compute, dims_of(*dx));
    record.output(dx, g.cast(graphs::put(g, ScatterMode::kAdd, nothing, along, rows, gradient), to));
  }
  record.launch();
}

void gather(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& index, const phi::Scalar& axis,
            DenseTensor* out) {
  read_rows(ctx, x, index, axis.to<int64_t>(), out);
}
void gather_grad(const CustomContext& ctx, const DenseTensor&, const DenseTensor& index, const DenseTensor& dout,
                 const phi::Scalar& axis, DenseTensor* dx) {
  add_rows(ctx, dout, index, axis.to<int64_t>(), dx);
}

void index_select(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& index, int dim, DenseTensor* out) {
  read_rows(ctx, x, index, dim, out);
}
void index_select_grad(const CustomContext& ctx, const DenseTensor&, const DenseTensor& index, const DenseTensor& dout,
                       int dim, DenseTensor* dx) {
  add_rows(ctx, dout, index, dim, dx);
}

void index_add(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& index, const DenseTensor& added,
               int axis, DenseTensor* out) {
  const size_t along = static_cast<size_t>(normalize_axis(axis, dims_of(x).size()));
  const DType compute = compute_dtype_of(x);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value rows = rows_of(record, index, dims_of(x)[along]);
  const Value sum = graphs::put(g, ScatterMode::kAdd, g.cast(record.input(x), compute), along, rows,
                                g.cast(record.input(added), compute));
  record.output(out, g.cast(sum, dtype_of(*out)));
  record.launch();
}

void index_add_grad(const CustomContext& ctx, const DenseTensor& index, const DenseTensor&, const DenseTensor& dout,
                    int axis, DenseTensor* dx, DenseTensor* dadded) {
  read_rows(ctx, dout, index, axis, dadded);
  if (dx == nullptr) return;
  Recorder record(ctx);
  record.output(dx, record.input(dout));
  record.launch();
}

void scatter(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& index, const DenseTensor& updates,
             bool overwrite, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value rows = rows_of(record, index, dims_of(x)[0]);
  if (overwrite) {
    record.output(out, graphs::put(g, ScatterMode::kSet, record.input(x), 0, rows, record.input(updates)));
  } else {
    // Rows that are named begin at 0.
    const Value added = g.cast(record.input(updates), compute_dtype_of(x));
    const Value nothing = graphs::zeros(g, g.dtype(added), g.shape(added));
    const Value begun = graphs::put(g, ScatterMode::kSet, g.cast(record.input(x), g.dtype(added)), 0, rows, nothing);
    record.output(out, g.cast(graphs::put(g, ScatterMode::kAdd, begun, 0, rows, added), dtype_of(*out)));
  }
  record.launch();
}

void scatter_grad(const CustomContext& ctx, const DenseTensor& index, const DenseTensor& updates,
                  const DenseTensor& dout, bool, DenseTensor* dx, DenseTensor* dupdates) {
  read_rows(ctx, dout, index, 0, dupdates);
  if (dx == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value rows = rows_of(record, index, dims_of(dout)[0]);
  const Value nothing = graphs::zeros(g, dtype_of(*dx), dims_of(updates));
  record.output(dx, graphs::put(g, ScatterMode::kSet, record.input(dout), 0, rows, nothing));
  record.launch();
}

// -- embedding
// ------------------------------------------------------------------------------------------------------------

// Ids, with the one that stands for nothing outside of the table: it is read as 0 and not written.
Value embedded_ids(Recorder& record, const DenseTensor& ids, int64_t padding) {
  Graph& g = record.graph;
  const Value all = record.input(ids, {ids.numel()});
  if (padding == -1) return all;
  return g.select(g.equal(all, graphs::number(g, all, padding)), graphs::number(g, all, -1), all);
}

void embedding(const CustomContext& ctx, const DenseTensor& ids, const DenseTensor& weight, int64_t padding,
               DenseTensor* out) {
  Recorder record(ctx);
  const Value rows = graphs::take(record.graph, record.input(weight), 0, embedded_ids(record, ids, padding));
  record.output(out, record.graph.reshape(rows, dims_of(*out)));
  record.launch();
}

// With `by_frequency` each row's sum is divided by how often it was asked for.
void add_to_rows(const CustomContext& ctx, const DenseTensor& ids, const DenseTensor& dout, int64_t padding,
                 bool by_frequency, DenseTensor* dweight) {
  if (dweight == nullptr) return;
  const DType to = dtype_of(*dweight), compute = graphs::compute_dtype(to);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value gradient = g.cast(record.input(dout), compute);
  const Value nothing = graphs::zeros(g, compute, dims_of(*dweight));
  const Value rows = embedded_ids(record, ids, padding);
  Value sum = graphs::put(g, ScatterMode::kAdd, nothing, 0, rows, gradient);
  if (by_frequency) {
    const Value none = graphs::zeros(g, compute, {dims_of(*dweight)[0], 1});
    const Value ones = g.constant(1, compute, {ids.numel(), 1});
    const Value times = graphs::put(g, ScatterMode::kAdd, none, 0, rows, ones);
    sum = g.division(sum, g.maximum(times, graphs::number(g, times, 1)));
  }
  record.output(dweight, g.cast(sum, to));
  record.launch();
}

void embedding_grad(const CustomContext& ctx, const DenseTensor& ids, const DenseTensor&, const DenseTensor& dout,
                    int64_t padding, DenseTensor* dweight) {
  add_to_rows(ctx, ids, dout, padding, false, dweight);
}
void embedding_with_scaled_gradient_grad(const CustomContext& ctx, const DenseTensor& ids, const DenseTensor&,
                                         const DenseTensor& dout, int64_t padding, DenseTensor* dweight) {
  add_to_rows(ctx, ids, dout, padding, true, dweight);
}

// -- positions in several axes
// ----------------------------------------------------------------------------------------------

// The last axis of `index` names positions in the first axes of data of this shape: [rows of index], each the number of
// a row of what is left.
struct NamedRows {
  Value at;
  Shape rows;  // the data as [1, rows, elements of each]
};

NamedRows named_rows(Recorder& record, const DenseTensor& index, Dims data) {
  Graph& g = record.graph;
  const size_t rank = dims_of(index).size();
  const int64_t depth = dims_of(index)[rank - 1];
  const size_t named = static_cast<size_t>(depth);
  const int64_t rows = graphs::product_of(data, 0, named);
  const int64_t count = graphs::product_of(dims_of(index), 0, rank - 1);
  const DType dtype = graphs::position_dtype(rows);
  const Value all = record.input(index, {count, depth});
  Value at = graphs::zeros(g, dtype, {count});
  for (size_t i = 0; i < named; ++i) {
    const Value column = g.reshape(graphs::slice_axis(g, all, 1, static_cast<int64_t>(i), 1), {count});
    const Value position = graphs::from_the_end(g, g.cast(column, dtype), data[i]);
    at = g.addition(g.multiplication(at, graphs::number(g, at, data[i])), position);
  }
  return {at, {1, rows, graphs::product_of(data, named, data.size())}};
}

void read_named(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& index, DenseTensor* out) {
  if (out == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  if (out->numel() != 0) {
    const NamedRows named = named_rows(record, index, dims_of(x));
    record.output(out, g.reshape(g.gather(named.at, record.input(x, named.rows)), dims_of(*out)));
  } else {
    record.output(out, graphs::zeros(g, dtype_of(*out), dims_of(*out)));
  }
  record.launch();
}

// `out` is `x`, or zeros, with `updates` added at what `index` names.
void add_named(const CustomContext& ctx, const DenseTensor* x, const DenseTensor& index, const DenseTensor& updates,
               DenseTensor* out) {
  if (out == nullptr) return;
  const DType to = dtype_of(*out), compute = graphs::compute_dtype(to);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value begun = x == nullptr ? graphs::zeros(g, compute, dims_of(*out)) : g.cast(record.input(*x), compute);
  if (updates.numel() != 0 && out->numel() != 0) {
    const NamedRows named = named_rows(record, index, dims_of(*out));
    const Value added = g.cast(record.input(updates, {1, g.elements(named.at), named.rows[2]}), compute);
    record.output(out, g.cast(g.scatter(ScatterMode::kAdd, g.reshape(begun, named.rows), named.at, added), to));
  } else {
    record.output(out, g.cast(begun, to));
  }
  record.launch();
}

void gather_nd(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& index, DenseTensor* out) {
  read_named(ctx, x, index, out);
}
void gather_nd_grad(const CustomContext& ctx, const DenseTensor&, const DenseTensor& index, const DenseTensor& dout,
                    DenseTensor* dx) {
  add_named(ctx, nullptr, index, dout, dx);
}

void scatter_nd_add(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& index,
                    const DenseTensor& updates, DenseTensor* out) {
  add_named(ctx, &x, index, updates, out);
}
void scatter_nd_add_grad(const CustomContext& ctx, const DenseTensor& index, const DenseTensor&,
                         const DenseTensor& dout, DenseTensor* dx, DenseTensor* dupdates) {
  read_named(ctx, dout, index, dupdates);
  if (dx == nullptr) return;
  Recorder record(ctx);
  record.output(dx, record.input(dout));
  record.launch();
}

constexpr DTypes kFloatsIntsAndBool = {phi::DataType::FLOAT32, phi::DataType::FLOAT16, phi::DataType::BFLOAT16,
                                       phi::DataType::INT32,   phi::DataType::INT64,   phi::DataType::BOOL};

}  // namespace

MPS_KERNEL(gather, phi::GatherKernel, gather, kMovedDTypes)
MPS_KERNEL(gather_grad, phi::GatherGradKernel, gather_grad, kNumbers)
MPS_KERNEL(index_select, phi::IndexSelectKernel, index_select, kFloatsIntsAndBool)
MPS_KERNEL(index_select_grad, phi::IndexSelectGradKernel, index_select_grad, kFloatsAndInts)
MPS_KERNEL(index_add, phi::IndexAddKernel, index_add, kFloatsAndInts)
MPS_KERNEL_KEYED(index_add_grad, phi::IndexAddGradKernel, index_add_grad, kFloatsAndInts, 2)
MPS_KERNEL(scatter, phi::ScatterKernel, scatter, kFloatsAndInts)
MPS_KERNEL_KEYED(scatter_grad, phi::ScatterGradKernel, scatter_grad, kFloatsAndInts, 2)
MPS_KERNEL_KEYED(embedding, phi::EmbeddingKernel, embedding, kFloats, 1)
MPS_KERNEL_KEYED(embedding_grad, phi::EmbeddingGradKernel, embedding_grad, kFloats, 1)
MPS_KERNEL_KEYED(embedding_with_scaled_gradient_grad, phi::EmbeddingWithScaledGradientGradKernel,
                 embedding_with_scaled_gradient_grad, kFloats, 1)
MPS_KERNEL(gather_nd, phi::GatherNdKernel, gather_nd, kMovedDTypes)
MPS_KERNEL(gather_nd_grad, phi::GatherNdGradKernel, gather_nd_grad, kNumbers)
MPS_KERNEL(scatter_nd_add, phi::ScatterNdAddKernel, scatter_nd_add, kFloatsAndInts)
MPS_KERNEL_KEYED(scatter_nd_add_grad, phi::ScatterNdAddGradKernel, scatter_nd_add_grad, kFloatsAndInts, 2)

}  // namespace mps::paddle
