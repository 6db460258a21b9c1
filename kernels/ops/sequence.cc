// Numbers in a row: arange, linspace, logspace; and numbers as places in a row: one_hot, sequence_mask, shard_index.
#include <cmath>

#include "kernels/graphs/lines.h"
#include "paddle/phi/kernels/arange_kernel.h"
#include "paddle/phi/kernels/linspace_kernel.h"
#include "paddle/phi/kernels/logspace_kernel.h"
#include "paddle/phi/kernels/one_hot_kernel.h"
#include "paddle/phi/kernels/shard_index_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/host_value.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// start + i * step. Numbers are feeds: another range of the same length runs the same graph.
void count(const CustomContext& ctx, Scalar start, Scalar step, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType to = dtype_of(*out), compute = graphs::compute_dtype(to);
  const Value steps = g.multiplication(g.cast(g.coordinate({out->numel()}, 0), compute), record.scalar(step, compute));
  record.output(out, g.cast(g.addition(steps, record.scalar(start, compute)), to));
  record.launch();
}

bool is_float(const DenseTensor& tensor) { return mps::is_float(dtype_of(tensor)); }

void arange_of(const CustomContext& ctx, Scalar start, Scalar end, Scalar step, DenseTensor* out) {
  int64_t size = 0;
  if (is_float(*out)) {
    const double by = step.to_double();
    MPS_CHECK(by != 0, kArgument, "bad step of a range: expected a number that is not 0, got 0.");
    size = static_cast<int64_t>(std::ceil(std::max(0.0, (end.to_double() - start.to_double()) / by)));
  } else {
    const int64_t by = step.to_int64(), distance = end.to_int64() - start.to_int64();
    MPS_CHECK(by != 0, kArgument, "bad step of a range: expected a number that is not 0, got 0.");
    const int64_t steps = distance / by + (distance % by != 0 && (distance < 0) == (by < 0) ? 1 : 0);
    size = (distance < 0) == (by < 0) ? steps : 0;
  }
  out->Resize(phi::make_ddim({size}));
  count(ctx, start, step, out);
}

void arange_tensor(const CustomContext& ctx, const DenseTensor& start, const DenseTensor& end, const DenseTensor& step,
                   DenseTensor* out) {
  arange_of(ctx, host_value(ctx, start), host_value(ctx, end), host_value(ctx, step), out);
}

// The first half counts up from the start, the second down from the stop, as on Paddle's CPU device.
void linspace(const CustomContext& ctx, const DenseTensor& start, const DenseTensor& stop, const DenseTensor& number,
              phi::DataType, DenseTensor* out) {
  const int64_t size = host_value(ctx, number).to_int64();
  MPS_CHECK(size > 0, kArgument, "bad number of points: expected more than 0, got ", size, ".");
  const double first = host_value(ctx, start).to_double(), last = host_value(ctx, stop).to_double();
  out->Resize(phi::make_ddim({size}));
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType to = dtype_of(*out);
  const double step = size == 1 ? 0 : (last - first) / static_cast<double>(size - 1);
  const Value line = g.coordinate({size}, 0), numbers = g.cast(line, DType::float32);
  const auto feed = [&](double value) { return record.scalar(value, DType::float32); };
  const Value up = g.addition(feed(first), g.multiplication(feed(step), numbers));
  const Value left = g.subtraction(g.constant(static_cast<double>(size - 1), DType::float32), numbers);
  const Value down = g.subtraction(feed(last), g.multiplication(feed(step), left));
  const Value in_first_half = g.less_than(line, graphs::number(g, line, size == 1 ? 1 : size / 2));
  record.output(out, g.cast(g.select(in_first_half, up, down), to));
  record.launch();
}

// base^start .. base^stop, whose exponents are evenly spaced.
void logspace(const CustomContext& ctx, const DenseTensor& start, const DenseTensor& stop, const DenseTensor& number,
              const DenseTensor& base, phi::DataType, DenseTensor* out) {
  const int64_t size = host_value(ctx, number).to_int64();
  MPS_CHECK(size > 0, kArgument, "bad number of points: expected more than 0, got ", size, ".");
  const double first = host_value(ctx, start).to_double(), last = host_value(ctx, stop).to_double();
  out->Resize(phi::make_ddim({size}));
  Recorder record(ctx);
  Graph& g = record.graph;
  const auto feed = [&](double value) { return record.scalar(value, DType::float32); };
  const double step = size == 1 ? 0 : (last - first) / static_cast<double>(size - 1);
  const Value places = g.cast(g.coordinate({size}, 0), DType::float32);
  const Value exponents = g.addition(feed(first), g.multiplication(feed(step), places));
  record.output(out, g.cast(g.power(feed(host_value(ctx, base).to_double()), exponents), dtype_of(*out)));
  record.launch();
}

void one_hot(const CustomContext& ctx, const DenseTensor& x, const phi::Scalar& classes, DenseTensor* out) {
  Shape shape(dims_of(x));
  shape.push_back(1);
  const int64_t width = classes.to<int64_t>();
  MPS_CHECK(width > 0, kArgument, "bad number of classes: expected 1 or more, got ", width, ". Give num_classes.");
  std::vector<int64_t> wide(shape.begin(), shape.end());
  wide.back() = width;
  out->Resize(phi::make_ddim(wide));
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value labels = record.input(x, shape);
  const Value hot = g.equal(labels, g.cast(g.coordinate({width}, 0), g.dtype(labels)));
  record.output(out, g.cast(hot, dtype_of(*out)));
  record.launch();
}

// The lengths of sequences as masks: `width` wide, or as wide as the longest.
void sequence_mask(const CustomContext& ctx, const DenseTensor& x, const phi::Scalar& width, phi::DataType,
                   DenseTensor* out) {
  int64_t columns = width.to<int64_t>();
  if (columns < 0 && x.numel() == 0) columns = 0;  // nothing is long
  if (columns < 0) {
    DenseTensor longest(std::shared_ptr<phi::Allocation>(), phi::DenseTensorMeta(x.dtype(), phi::make_ddim({1})));
    Recorder record(ctx);
    record.output(&longest, record.graph.reduction(NodeKind::reduction_maximum, record.input(x, {x.numel()}), {0}));
    record.launch();
    columns = host_value(ctx, longest).to_int64();
  }
  Shape shape(dims_of(x));
  shape.push_back(1);
  std::vector<int64_t> wide(shape.begin(), shape.end());
  wide.back() = columns;
  out->Resize(phi::make_ddim(wide));
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value lengths = record.input(x, shape);
  const Value inside = g.less_than(g.cast(g.coordinate({columns}, 0), g.dtype(lengths)), lengths);
  record.output(out, g.cast(inside, dtype_of(*out)));
  record.launch();
}

// Numbers that lie in one of several equal shards become places in it.
void shard_index(const CustomContext& ctx, const DenseTensor& x, int numbers, int shards, int shard, int elsewhere,
                 DenseTensor* out) {
  MPS_CHECK(numbers > 0 && shards > 0 && shard >= 0 && shard < shards, kArgument, "bad shard: expected one of 0..",
            shards - 1, " of more than 0 numbers, got ", shard, " of ", numbers, ".");
  const int64_t size = (numbers + shards - 1) / shards;
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value all = record.input(x);
  const Value begin = graphs::number(g, all, size * shard), end = graphs::number(g, all, size * (shard + 1));
  const Value inside = g.multiplication(g.greater_than_or_equal_to(all, begin), g.less_than(all, end));
  record.output(out, g.select(inside, g.subtraction(all, begin), graphs::number(g, all, elsewhere)));
  record.launch();
}

constexpr DTypes kIndices = {phi::DataType::INT32, phi::DataType::INT64};

void take_inputs_anywhere(const phi::KernelKey&, phi::Kernel* kernel) {
  for (size_t i = 0; i < kernel->args_def().input_defs().size(); ++i)
    kernel->InputAt(i).SetBackend(phi::Backend::ALL_BACKEND);
}

void give_chosen_dtype(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(0).SetDataType(phi::DataType::UNDEFINED);
}

void give_float32(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(0).SetDataType(phi::DataType::FLOAT32);
}

}  // namespace

MPS_KERNEL_WITH_DEFINE(arange_tensor, phi::ArangeTensorKernel, arange_tensor, kFloatsAndInts, take_inputs_anywhere)
MPS_KERNEL_WITH_DEFINE(linspace, phi::LinspaceKernel, linspace, kFloatsAndInts, take_inputs_anywhere)
// Integers need more digits than float32 powers have.
MPS_KERNEL_WITH_DEFINE(logspace, phi::LogspaceKernel, logspace, kFloats, take_inputs_anywhere)
// Paddle's headers do not declare it; the list is that of its registered CPU kernel.
MPS_KERNEL_UNCHECKED(sequence_mask_scalar, sequence_mask, kFloatsAndInts, give_chosen_dtype)
MPS_KERNEL(shard_index, phi::ShardIndexKernel, shard_index, kIndices)
MPS_KERNEL_WITH_DEFINE(one_hot, phi::OneHotKernel, one_hot, kIndices, give_float32)

}  // namespace mps::paddle
