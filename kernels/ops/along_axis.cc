// Elements picked and written line by line: take_along_axis, put_along_axis, index_sample, and their gradients.
#include <cmath>

#include "kernels/graphs/lines.h"
#include "paddle/phi/kernels/index_sample_grad_kernel.h"
#include "paddle/phi/kernels/index_sample_kernel.h"
#include "paddle/phi/kernels/put_along_axis_grad_kernel.h"
#include "paddle/phi/kernels/put_along_axis_kernel.h"
#include "paddle/phi/kernels/take_along_axis_grad_kernel.h"
#include "paddle/phi/kernels/take_along_axis_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// Positions of what `index` names in dense data of this shape.
Value positions(Recorder& record, const DenseTensor& index, int axis, Dims data) {
  const size_t along = static_cast<size_t>(normalize_axis(axis, data.size()));
  const Value named = graphs::from_the_end(record.graph, record.input(index), data[along]);
  return graphs::positions_along(record.graph, named, along, data);
}

void take_along_axis(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& index, int axis,
                     DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  if (out->numel() == 0) {
    record.output(out, graphs::zeros(g, dtype_of(*out), dims_of(*out)));
  } else if (dims_of(x).empty()) {
    record.output(out, g.broadcast(record.input(x), dims_of(*out)));
  } else {
    record.output(out, graphs::take_at(g, record.input(x), positions(record, index, axis, dims_of(x))));
  }
  record.launch();
}

void take_along_axis_grad(const CustomContext& ctx, const DenseTensor&, const DenseTensor& index,
                          const DenseTensor& dout, int axis, DenseTensor* dx) {
  if (dx == nullptr) return;
  const DType to = dtype_of(*dx), compute = graphs::compute_dtype(to);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value nothing = graphs::zeros(g, compute, dims_of(*dx));
  if (dims_of(*dx).empty()) {
    record.output(dx, g.reshape(record.input(dout), {}));
  } else {
    const Value at = positions(record, index, axis, dims_of(*dx));
    const Value gradient = g.cast(record.input(dout), compute);
    record.output(dx, g.cast(graphs::put_at(g, ScatterMode::kAdd, nothing, at, gradient), to));
  }
  record.launch();
}

void index_sample(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& index, DenseTensor* out) {
  take_along_axis(ctx, x, index, 1, out);
}
void index_sample_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& index,
                       const DenseTensor& dout, DenseTensor* dx) {
  take_along_axis_grad(ctx, x, index, dout, 1, dx);
}

// -- put_along_axis
// ---------------------------------------------------------------------------------------------------------

enum class Reduce { kAssign, kAdd, kMultiply, kMinimum, kMaximum, kMean };

Reduce reduce_of(const std::string& name) {
  if (name == "assign") return Reduce::kAssign;
  if (name == "add") return Reduce::kAdd;
  if (name == "mul" || name == "multiply") return Reduce::kMultiply;
  if (name == "amin") return Reduce::kMinimum;
  if (name == "amax") return Reduce::kMaximum;
  MPS_CHECK(name == "mean", kArgument, "unknown reduce: expected assign, add, multiply, mean, amin or amax, got ", name,
            ".");
  return Reduce::kMean;
}

ScatterMode mode_of(Reduce reduce) {
  switch (reduce) {
    case Reduce::kAssign:
      return ScatterMode::kSet;
    case Reduce::kAdd:
    case Reduce::kMean:
      return ScatterMode::kAdd;
    case Reduce::kMultiply:
      return ScatterMode::kMultiply;
    case Reduce::kMinimum:
      return ScatterMode::kMinimum;
    case Reduce::kMaximum:
      return ScatterMode::kMaximum;
  }
  __builtin_unreachable();
}

// What an element begins with that is not part of its own result.
Value beginning(Graph& g, Reduce reduce, DType dtype, Dims shape) {
  if (reduce == Reduce::kMinimum || reduce == Reduce::kMaximum) {
    const NodeKind kind = reduce == Reduce::kMinimum ? NodeKind::reduction_minimum : NodeKind::reduction_maximum;
    return g.broadcast(g.reshape(g.reduction(kind, graphs::zeros(g, dtype, {0}), {0}), {}), shape);
  }
  return g.constant(reduce == Reduce::kMultiply ? 1 : 0, dtype, shape);
}

// How many updates each element gets.
Value count_at(Graph& g, Value at, DType dtype, Dims shape) {
  return graphs::put_at(g, ScatterMode::kAdd, graphs::zeros(g, dtype, shape), at,
                        g.constant(1, dtype, Shape(g.shape(at))));
}

void put_along_axis(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& index, const DenseTensor& value,
                    int axis, const std::string& name, bool include_self, DenseTensor* out) {
  const Reduce reduce = reduce_of(name);
  const DType to = dtype_of(*out), compute = graphs::compute_dtype(to);
  const Shape shape(dims_of(x));
  Recorder record(ctx);
  Graph& g = record.graph;
  Value result = g.cast(record.input(x), compute);
  if (index.numel() != 0 && x.numel() != 0) {
    const Value at = positions(record, index, axis, shape);
    const Shape named(g.shape(at));
    const Value updates = g.cast(g.broadcast(record.input(value), named), compute);
    if (!include_self && reduce != Reduce::kAssign) {
      result = graphs::put_at(g, ScatterMode::kSet, result, at, beginning(g, reduce, compute, named));
    }
    result = graphs::put_at(g, mode_of(reduce), result, at, updates);
    if (reduce == Reduce::kMean) {
      const Value count = count_at(g, at, compute, shape), one = graphs::number(g, count, 1);
      result = g.division(result, include_self ? g.addition(count, one) : g.maximum(count, one));
    }
  }
  record.output(out, g.cast(result, to));
  record.launch();
}

void put_along_axis_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& index,
                         const DenseTensor& value, const DenseTensor& out, const DenseTensor& dout, int axis,
                         const std::string& name, bool include_self, DenseTensor* dx, DenseTensor* dvalue) {
  const Reduce reduce = reduce_of(name);
  const Shape shape(dims_of(x));
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType compute = graphs::compute_dtype(dtype_of(dout));
  const auto wide = [&](const DenseTensor& tensor) { return g.cast(record.input(tensor), compute); };
  const Value at = positions(record, index, axis, shape);
  const Shape named(g.shape(at));
  const auto at_index = [&](Value whole) { return graphs::take_at(g, whole, at); };
  const Value gradient = wide(dout), nothing = graphs::number(g, gradient, 0);
  const Value hit = g.not_equal(count_at(g, at, DType::int32, shape), g.constant(0, DType::int32));
  Value to_x = gradient, to_value = at_index(gradient);
  switch (reduce) {
    case Reduce::kAssign:
      to_x = g.select(hit, nothing, gradient);
      break;
    case Reduce::kAdd:
      break;
    case Reduce::kMultiply: {
      const Value product = g.multiplication(gradient, wide(out));
      to_x = g.select(hit, g.division(product, wide(x)), gradient);
      to_value = g.division(at_index(product), g.broadcast(wide(value), named));
      break;
    }
    case Reduce::kMinimum:
    case Reduce::kMaximum: {
      // Those that are the extreme divide the gradient among them.
      const Value extreme = wide(out);
      const Value is_x = g.cast(g.equal(wide(x), extreme), compute);
      const Value is_value = g.cast(g.equal(g.broadcast(wide(value), named), at_index(extreme)), compute);
      const Value own = include_self ? is_x : g.select(hit, nothing, is_x);
      const Value count = graphs::put_at(g, ScatterMode::kAdd, own, at, is_value);
      const Value share = g.division(gradient, g.maximum(count, graphs::number(g, count, 1)));
      to_x = g.select(hit, g.multiplication(own, share), gradient);
      to_value = g.multiplication(is_value, at_index(share));
      break;
    }
    case Reduce::kMean: {
      const Value count = count_at(g, at, compute, shape), one = graphs::number(g, count, 1);
      const Value share = g.division(gradient, include_self ? g.addition(count, one) : g.maximum(count, one));
      to_x = share;
      to_value = at_index(share);
      break;
    }
  }
  if (!include_self && reduce != Reduce::kAssign) to_x = g.select(hit, nothing, to_x);
  if (dx != nullptr) record.output(dx, g.cast(to_x, dtype_of(*dx)));
  if (dvalue != nullptr) {
    ctx.Alloc(dvalue, dout.dtype());  // Paddle has given it the dtype of the positions
    record.output(dvalue, g.cast(graphs::sum_to_shape(g, to_value, dims_of(*dvalue)), dtype_of(*dvalue)));
  }
  record.launch();
}

}  // namespace

MPS_KERNEL(take_along_axis, phi::TakeAlongAxisKernel, take_along_axis, kFloatsAndInts)
MPS_KERNEL(take_along_axis_grad, phi::TakeAlongAxisGradKernel, take_along_axis_grad, kFloatsAndInts)
MPS_KERNEL(put_along_axis, phi::PutAlongAxisKernel, put_along_axis, kFloatsAndInts)
MPS_KERNEL(put_along_axis_grad, phi::PutAlongAxisGradKernel, put_along_axis_grad, kFloats)
MPS_KERNEL(index_sample, phi::IndexSampleKernel, index_sample, kFloatsAndInts)
MPS_KERNEL(index_sample_grad, phi::IndexSampleGradKernel, index_sample_grad, kFloatsAndInts)

}  // namespace mps::paddle
