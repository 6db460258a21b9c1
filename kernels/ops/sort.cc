// Order: argsort, topk, kthvalue, mode, searchsorted, bincount, and their gradients.
#include <cmath>

#include "kernels/graphs/lines.h"
#include "paddle/phi/kernels/argsort_grad_kernel.h"
#include "paddle/phi/kernels/argsort_kernel.h"
#include "paddle/phi/kernels/bincount_kernel.h"
#include "paddle/phi/kernels/kthvalue_grad_kernel.h"
#include "paddle/phi/kernels/kthvalue_kernel.h"
#include "paddle/phi/kernels/mode_grad_kernel.h"
#include "paddle/phi/kernels/mode_kernel.h"
#include "paddle/phi/kernels/searchsorted_kernel.h"
#include "paddle/phi/kernels/top_k_grad_kernel.h"
#include "paddle/phi/kernels/top_k_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/host_value.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using graphs::number;
using phi::CustomContext;
using phi::DenseTensor;

// A 0-D tensor is a line of one.
struct Line {
  Shape shape;
  int axis;
};

Line line_of(const DenseTensor& x, int axis) {
  if (dims_of(x).empty()) return {{1}, 0};
  return {Shape(dims_of(x)), normalize_axis(axis, dims_of(x).size())};
}

// Elements of `x` where `order` says along the axis, and where they were.
void write_ordered(Recorder& record, Value x, Value order, int axis, DenseTensor* out, DenseTensor* indices) {
  Graph& g = record.graph;
  const Value at = graphs::positions_along(g, order, static_cast<size_t>(axis), Shape(g.shape(x)));
  record.output(out, g.reshape(graphs::take_at(g, x, at), dims_of(*out)));
  record.output(indices, g.reshape(g.cast(order, DType::int64), dims_of(*indices)));
}

void write_nothing(Recorder& record, DenseTensor* out, DenseTensor* indices) {
  record.output(out, graphs::zeros(record.graph, dtype_of(*out), dims_of(*out)));
  record.output(indices, graphs::zeros(record.graph, DType::int64, dims_of(*indices)));
}

// dx is dout where its elements were taken from, and 0 elsewhere. No element was taken twice.
void put_back(const CustomContext& ctx, const DenseTensor& indices, const DenseTensor& dout, const Line& line,
              int64_t count, DenseTensor* dx) {
  if (dx == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value nothing = graphs::zeros(g, dtype_of(*dx), line.shape);
  if (dout.numel() == 0) {
    record.output(dx, g.reshape(nothing, dims_of(*dx)));
  } else {
    const size_t axis = static_cast<size_t>(line.axis);
    const Shape shape = graphs::with_axis(line.shape, axis, count);
    const Value at = graphs::positions_along(g, record.input(indices, shape), axis, line.shape);
    record.output(
        dx, g.reshape(graphs::put_at(g, ScatterMode::kSet, nothing, at, record.input(dout, shape)), dims_of(*dx)));
  }
  record.launch();
}

// -- argsort, topk, kthvalue
// ----------------------------------------------------------------------------------------------

void argsort(const CustomContext& ctx, const DenseTensor& x, int axis, bool descending, bool, DenseTensor* out,
             DenseTensor* indices) {
  const Line line = line_of(x, axis);
  Recorder record(ctx);
  if (x.numel() == 0) {
    write_nothing(record, out, indices);
  } else {
    const Value values = record.input(x, line.shape);
    const int64_t count = line.shape[static_cast<size_t>(line.axis)];
    write_ordered(record, values, record.graph.arg_sort(values, line.axis, descending, count), line.axis, out, indices);
  }
  record.launch();
}

void argsort_grad(const CustomContext& ctx, const DenseTensor& indices, const DenseTensor& x, const DenseTensor& dout,
                  int axis, bool, bool, DenseTensor* dx) {
  const Line line = line_of(x, axis);
  put_back(ctx, indices, dout, line, line.shape[static_cast<size_t>(line.axis)], dx);
}

void topk(const CustomContext& ctx, const DenseTensor& x, const phi::Scalar& k, int axis, bool largest, bool,
          DenseTensor* out, DenseTensor* indices) {
  const Line line = line_of(x, axis);
  const size_t along = static_cast<size_t>(line.axis);
  const int64_t count = k.to<int64_t>();
  MPS_CHECK(count >= 0 && count <= line.shape[along], kArgument, "bad k: expected 0..", line.shape[along], ", got ",
            count, ".");
  if (!dims_of(x).empty()) {
    const Shape shape = graphs::with_axis(line.shape, along, count);
    for (DenseTensor* tensor : {out, indices}) {
      tensor->Resize(phi::make_ddim(std::vector<int64_t>(shape.begin(), shape.end())));
    }
  }
  Recorder record(ctx);
  if (out->numel() == 0) {
    write_nothing(record, out, indices);
  } else {
    const Value values = record.input(x, line.shape);
    write_ordered(record, values, record.graph.arg_sort(values, line.axis, largest, count), line.axis, out, indices);
  }
  record.launch();
}

void topk_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& indices, const DenseTensor& dout,
               const phi::Scalar& k, int axis, bool, bool, DenseTensor* dx) {
  put_back(ctx, indices, dout, line_of(x, axis), k.to<int64_t>(), dx);
}

void kthvalue(const CustomContext& ctx, const DenseTensor& x, int64_t k, int axis, bool, DenseTensor* out,
              DenseTensor* indices) {
  const Line line = line_of(x, axis);
  const size_t along = static_cast<size_t>(line.axis);
  Recorder record(ctx);
  Graph& g = record.graph;
  if (out->numel() == 0) {
    write_nothing(record, out, indices);
  } else {
    const Value values = record.input(x, line.shape);
    const Value order = g.arg_sort(values, line.axis, /*descending=*/false, k);
    write_ordered(record, values, graphs::slice_axis(g, order, along, k - 1, 1), line.axis, out, indices);
  }
  record.launch();
}

void kthvalue_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& indices, const DenseTensor& dout,
                   int64_t, int axis, bool, DenseTensor* dx) {
  put_back(ctx, indices, dout, line_of(x, axis), 1, dx);
}

// -- mode
// -----------------------------------------------------------------------------------------------------------------

// The value that is there most often, the least of them, and its last place: in sorted order, the end of the longest
// run.
void mode(const CustomContext& ctx, const DenseTensor& x, int axis, bool, DenseTensor* out, DenseTensor* indices) {
  const Line line = line_of(x, axis);
  const size_t along = static_cast<size_t>(line.axis);
  const int64_t length = line.shape[along];
  Recorder record(ctx);
  Graph& g = record.graph;
  if (out->numel() == 0) {
    write_nothing(record, out, indices);
    record.launch();
    return;
  }
  const Value values = record.input(x, line.shape);
  const Value order = g.arg_sort(values, line.axis, /*descending=*/false, length);
  const Value sorted = graphs::take_at(g, values, graphs::positions_along(g, order, along, line.shape));
  const Value place = g.coordinate(line.shape, line.axis);
  Value run = place;  // how many equal ones lie before each
  if (length > 1) {
    const Value differs = g.not_equal(graphs::slice_axis(g, sorted, along, 1, length - 1),
                                      graphs::slice_axis(g, sorted, along, 0, length - 1));
    const Value begins =
        g.select(differs, graphs::slice_axis(g, place, along, 1, length - 1), g.constant(0, DType::int32));
    const Value first = g.constant(0, DType::int32, graphs::with_axis(line.shape, along, 1));
    const Value begin = g.scan(NodeKind::cumulative_maximum, g.concatenation({first, begins}, line.axis), line.axis);
    run = g.subtraction(place, begin);
  }
  const Value best = g.arg_reduction(NodeKind::reduction_arg_maximum, run, line.axis);
  const Value chosen = graphs::take_at(g, order, graphs::positions_along(g, best, along, line.shape));
  write_ordered(record, values, chosen, line.axis, out, indices);
  record.launch();
}

void mode_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& indices, const DenseTensor& dout,
               int axis, bool, DenseTensor* dx) {
  put_back(ctx, indices, dout, line_of(x, axis), 1, dx);
}

// -- searching and counting
// -------------------------------------------------------------------------------------------------

// A sequence of one axis is searched for all values; else each line has its own.
void searchsorted(const CustomContext& ctx, const DenseTensor& sequence, const DenseTensor& values, bool, bool right,
                  DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  if (out->numel() == 0) {
    record.output(out, graphs::zeros(g, dtype_of(*out), dims_of(*out)));
  } else {
    const size_t rank = dims_of(sequence).size();
    const int64_t length = dims_of(sequence)[rank - 1];
    const int64_t lines = rank == 1 ? 1 : graphs::product_of(dims_of(sequence), 0, rank - 1);
    const Value wanted = record.input(values, {lines, values.numel() / lines});
    Value found = g.search_sorted(record.input(sequence, {lines, length}), wanted, right);
    if (is_float(g.dtype(wanted))) {
      // What is infinite or NaN is behind everything, as on Paddle's CPU device.
      const Value is_finite = g.less_than(g.absolute(wanted), number(g, wanted, HUGE_VAL));
      found = g.select(is_finite, found, number(g, found, length));
    }
    record.output(out, g.reshape(g.cast(found, dtype_of(*out)), dims_of(*out)));
  }
  record.launch();
}

void bincount(const CustomContext& ctx, const DenseTensor& x, const ::paddle::optional<DenseTensor>& weights,
              const phi::Scalar& minlength, DenseTensor* out) {
  int64_t size = minlength.to<int64_t>();
  if (x.numel() != 0) {
    DenseTensor limits(std::shared_ptr<phi::Allocation>(), phi::DenseTensorMeta(x.dtype(), phi::make_ddim({2})));
    Recorder record(ctx);
    Graph& g = record.graph;
    const Value values = record.input(x);
    record.output(&limits, g.concatenation({g.reduction(NodeKind::reduction_minimum, values, {0}),
                                            g.reduction(NodeKind::reduction_maximum, values, {0})},
                                           0));
    record.launch();
    const std::vector<Scalar> found = host_values(ctx, limits);
    MPS_CHECK(found[0].to_int64() >= 0, kArgument, "bad value to count: expected numbers from 0 on, got ",
              found[0].to_int64(), ".");
    size = std::max(size, found[1].to_int64() + 1);
  }
  out->Resize(phi::make_ddim({size}));
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType to = dtype_of(*out), compute = graphs::compute_dtype(to);
  Value counts = graphs::zeros(g, compute, {1, size, 1});
  if (x.numel() != 0) {
    const Value added = weights ? g.cast(record.input(*weights, {1, x.numel(), 1}), compute)
                                : g.constant(1, compute, {1, x.numel(), 1});
    counts = g.scatter(ScatterMode::kAdd, counts, record.input(x, {x.numel()}), added);
  }
  record.output(out, g.cast(counts, to));
  record.launch();
}

void give_counts(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(0).SetDataType(phi::DataType::UNDEFINED);
}
void give_indices(const phi::KernelKey&, phi::Kernel* kernel) { kernel->OutputAt(1).SetDataType(phi::DataType::INT64); }

constexpr DTypes kSorted = {phi::DataType::FLOAT32, phi::DataType::FLOAT16, phi::DataType::BFLOAT16,
                            phi::DataType::INT32,   phi::DataType::INT64,   phi::DataType::INT16,
                            phi::DataType::UINT8};
constexpr DTypes kIndices = {phi::DataType::INT32, phi::DataType::INT64};

}  // namespace

MPS_KERNEL_WITH_DEFINE(argsort, phi::ArgsortKernel, argsort, kSorted, give_indices)
MPS_KERNEL_KEYED(argsort_grad, phi::ArgsortGradKernel, argsort_grad, kFloatsAndInts, 2)
MPS_KERNEL_WITH_DEFINE(topk, phi::TopkKernel, topk, kFloatsAndInts, give_indices)
MPS_KERNEL(topk_grad, phi::TopkGradKernel, topk_grad, kFloats)
MPS_KERNEL_WITH_DEFINE(kthvalue, phi::KthvalueKernel, kthvalue, kFloatsAndInts, give_indices)
MPS_KERNEL(kthvalue_grad, phi::KthvalueGradKernel, kthvalue_grad, kFloatsAndInts)
MPS_KERNEL_WITH_DEFINE(mode, phi::ModeKernel, mode, kFloatsAndInts, give_indices)
MPS_KERNEL(mode_grad, phi::ModeGradKernel, mode_grad, kFloatsAndInts)
MPS_KERNEL_WITH_DEFINE(searchsorted, phi::SearchsortedKernel, searchsorted, kFloatsAndInts, give_counts)
MPS_KERNEL_WITH_DEFINE(bincount, phi::BincountKernel, bincount, kIndices, give_counts)

}  // namespace mps::paddle
