// What a mask chooses: masked_select, nonzero, index_put, and their gradients.
#include "kernels/ops/masked.h"

#include "kernels/graphs/chosen.h"
#include "paddle/phi/kernels/index_put_grad_kernel.h"
#include "paddle/phi/kernels/index_put_kernel.h"
#include "paddle/phi/kernels/masked_select_grad_kernel.h"
#include "paddle/phi/kernels/masked_select_kernel.h"
#include "paddle/phi/kernels/nonzero_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/host_value.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
using phi::CustomContext;
using phi::DenseTensor;

namespace {

Value mask_of(Recorder& record, const DenseTensor& tensor, Dims shape) {
  return record.graph.broadcast(record.graph.cast(record.input(tensor), DType::bool_), shape);
}

}  // namespace

int64_t count_of(const CustomContext& ctx, const DenseTensor& tensor, Dims shape) {
  if (element_count(shape) == 0) return 0;
  const DType dtype = graphs::position_dtype(element_count(shape));
  DenseTensor count(std::shared_ptr<phi::Allocation>(), phi::DenseTensorMeta(to_phi(dtype), phi::make_ddim({1})));
  Recorder record(ctx);
  record.output(&count, graphs::count_chosen(record.graph, mask_of(record, tensor, shape)));
  record.launch();
  return host_value(ctx, count).to_int64();
}

void nonzero(const CustomContext& ctx, const DenseTensor& condition, DenseTensor* out) {
  const Shape shape(dims_of(condition));
  const int64_t count = count_of(ctx, condition, shape), rank = static_cast<int64_t>(shape.size());
  out->Resize(phi::make_ddim({count, rank}));
  Recorder record(ctx);
  Graph& g = record.graph;
  if (count == 0 || rank == 0) {
    record.output(out, graphs::zeros(g, DType::int64, {count, rank}));
  } else {
    const Value mask = mask_of(record, condition, shape);
    record.output(out, graphs::columns_of(g, graphs::coordinates_of_chosen(g, mask, count, DType::int64)));
  }
  record.launch();
}

namespace {

void masked_select(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& mask, DenseTensor* out) {
  const Shape shape = broadcast_shapes(dims_of(x), dims_of(mask));
  const int64_t count = count_of(ctx, mask, shape);
  out->Resize(phi::make_ddim({count}));
  Recorder record(ctx);
  Graph& g = record.graph;
  if (count == 0) {
    record.output(out, graphs::zeros(g, dtype_of(x), {0}));
  } else {
    const Value places = graphs::places_of_chosen(g, mask_of(record, mask, shape));
    const Value all = g.reshape(g.broadcast(record.input(x), shape), {element_count(shape), 1});
    record.output(out, graphs::pack_chosen(g, places, all, count));
  }
  record.launch();
}

void masked_select_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& mask,
                        const DenseTensor& dout, DenseTensor* dx) {
  if (dx == nullptr) return;
  const Shape shape = broadcast_shapes(dims_of(x), dims_of(mask));
  const DType to = dtype_of(*dx);
  Recorder record(ctx);
  Graph& g = record.graph;
  if (dx->numel() == 0 || dout.numel() == 0) {
    record.output(dx, graphs::zeros(g, to, dims_of(*dx)));
  } else {
    // What is not chosen has no place, and reads 0.
    const Value places = graphs::places_of_chosen(g, mask_of(record, mask, shape));
    const Value spread = g.reshape(graphs::take_at(g, record.input(dout), places), shape);
    const Value sum = graphs::sum_to_shape(g, g.cast(spread, graphs::compute_dtype(to)), dims_of(*dx));
    record.output(dx, g.cast(sum, to));
  }
  record.launch();
}

// -- index_put
// ------------------------------------------------------------------------------------------------------------

// Positions that indices name together: the row of each in data of [rows, elements of each].
struct Indexed {
  Value at;
  Shape named;  // the common shape of the indices
  Shape rows;   // the data as [1, rows, elements]
  Shape rest;   // the axes of the data that are not indexed
};

// A mask stands for the positions of what it chooses, one index per axis of it.
Indexed indexed(const CustomContext& ctx, Recorder& record, const std::vector<const DenseTensor*>& indices, Dims data) {
  Graph& g = record.graph;
  SmallVector<Value, 8> positions;
  Indexed result;
  for (const DenseTensor* index : indices) {
    if (dtype_of(*index) != DType::bool_) {
      positions.push_back(record.input(*index));
      continue;
    }
    const Shape shape(dims_of(*index));
    const int64_t count = count_of(ctx, *index, shape);
    if (count == 0) {
      for (size_t axis = 0; axis < shape.size(); ++axis) positions.push_back(graphs::zeros(g, DType::int64, {0}));
      continue;
    }
    for (Value line : graphs::coordinates_of_chosen(g, record.input(*index), count, DType::int64)) {
      positions.push_back(line);
    }
  }
  for (Value position : positions) result.named = broadcast_shapes(result.named, g.shape(position));
  const size_t depth = positions.size();
  const int64_t rows = graphs::product_of(data, 0, depth);
  const DType dtype = graphs::position_dtype(rows);
  Value at = g.constant(0, dtype);
  for (size_t i = 0; i < depth; ++i) {
    const Value position = graphs::from_the_end(g, g.cast(positions[i], dtype), data[i]);
    at = i == 0 ? position : g.addition(g.multiplication(at, graphs::number(g, at, data[i])), position);
  }
  result.at = graphs::flat(g, g.broadcast(at, result.named));
  result.rows = {1, rows, graphs::product_of(data, depth, data.size())};
  for (size_t i = depth; i < data.size(); ++i) result.rest.push_back(data[i]);
  return result;
}

// The shape that the value is broadcast to.
Shape value_shape(const Indexed& to) {
  Shape shape = to.named;
  shape.append(to.rest.data(), to.rest.size());
  return shape;
}

void index_put(const CustomContext& ctx, const DenseTensor& x, const std::vector<const DenseTensor*>& indices,
               const DenseTensor& value, bool accumulate, DenseTensor* out) {
  const DType dtype = dtype_of(x), compute = accumulate ? graphs::compute_dtype(dtype) : dtype;
  Recorder record(ctx);
  Graph& g = record.graph;
  const Indexed to = indexed(ctx, record, indices, dims_of(x));
  const Value begun = g.cast(record.input(x, to.rows), compute);
  const Value wide = g.broadcast(g.cast(record.input(value), compute), value_shape(to));
  const Value updates = g.reshape(wide, {1, g.elements(to.at), to.rows[2]});
  const ScatterMode mode = accumulate ? ScatterMode::kAdd : ScatterMode::kSet;
  record.output(out, g.cast(g.scatter(mode, begun, to.at, updates), dtype));
  record.launch();
}

void index_put_grad(const CustomContext& ctx, const DenseTensor& x, const std::vector<const DenseTensor*>& indices,
                    const DenseTensor& value, const DenseTensor& dout, bool accumulate, DenseTensor* dx,
                    DenseTensor* dvalue) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Indexed to = indexed(ctx, record, indices, dims_of(x));
  const Value gradient = record.input(dout, to.rows);
  if (dx != nullptr) {
    const Value nothing = graphs::zeros(g, g.dtype(gradient), {1, g.elements(to.at), to.rows[2]});
    record.output(dx, accumulate ? gradient : g.scatter(ScatterMode::kSet, gradient, to.at, nothing));
  }
  if (dvalue != nullptr) {
    const DType dtype = dtype_of(*dvalue);
    const Value found = g.cast(g.reshape(g.gather(to.at, gradient), value_shape(to)), graphs::compute_dtype(dtype));
    record.output(dvalue, g.cast(graphs::sum_to_shape(g, found, dims_of(value)), dtype));
  }
  record.launch();
}

constexpr DTypes kCounted = {phi::DataType::FLOAT32, phi::DataType::FLOAT16, phi::DataType::BFLOAT16,
                             phi::DataType::INT32,   phi::DataType::INT64,   phi::DataType::INT16,
                             phi::DataType::BOOL};

}  // namespace

MPS_KERNEL(masked_select, phi::MaskedSelectKernel, masked_select, kMovedDTypes)
MPS_KERNEL(masked_select_grad, phi::MaskedSelectGradKernel, masked_select_grad, kAllDTypes)
MPS_KERNEL_WITH_DEFINE(nonzero, phi::NonZeroKernel, nonzero, kCounted, give_int64)
MPS_KERNEL(index_put, phi::IndexPutKernel, index_put, kAllDTypes)
MPS_KERNEL(index_put_grad, phi::IndexPutGradKernel, index_put_grad, kNumbers)

}  // namespace mps::paddle
