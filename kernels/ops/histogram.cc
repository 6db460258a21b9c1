// How many elements lie in each of several ranges of one width. Where the range is that of the data, the host waits for
// it.
#include <cmath>

#include "kernels/graphs/lines.h"
#include "paddle/phi/kernels/histogram_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/host_value.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using graphs::number;
using phi::CustomContext;
using phi::DenseTensor;

struct Range {
  double low, high;
};

Range range_of_data(const CustomContext& ctx, const DenseTensor& x) {
  DenseTensor limits(std::shared_ptr<phi::Allocation>(), phi::DenseTensorMeta(x.dtype(), phi::make_ddim({2})));
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value values = record.input(x, {x.numel()});
  record.output(&limits, g.concatenation({g.reduction(NodeKind::reduction_minimum, values, {0}),
                                          g.reduction(NodeKind::reduction_maximum, values, {0})},
                                         0));
  record.launch();
  const std::vector<Scalar> found = host_values(ctx, limits);
  return {found[0].to_double(), found[1].to_double()};
}

Range range_of(const CustomContext& ctx, const DenseTensor& x, double low, double high) {
  Range range{low, high};
  if (low == high && x.numel() != 0) range = range_of_data(ctx, x);
  if (range.low == range.high) range = {range.low - 1, range.high + 1};
  MPS_CHECK(std::isfinite(range.low) && std::isfinite(range.high), kArgument,
            "bad range of a histogram: expected finite limits, got ", range.low, " to ", range.high,
            ". Give min and max, or data without infinities and NaN.");
  MPS_CHECK(range.low <= range.high, kArgument, "bad range of a histogram: expected min < max, got ", range.low, " to ",
            range.high, ".");
  return range;
}

void histogram(const CustomContext& ctx, const DenseTensor& x, const ::paddle::optional<DenseTensor>& weight,
               int64_t bins, float low, float high, bool density, DenseTensor* out) {
  MPS_CHECK(bins >= 1, kArgument, "bad number of bins: expected more than 0, got ", bins, ".");
  const DType to = dtype_of(*out);
  Recorder record(ctx);
  Graph& g = record.graph;
  if (x.numel() == 0) {
    record.output(out, graphs::zeros(g, to, dims_of(*out)));
    record.launch();
    return;
  }
  const Range range = range_of(ctx, x, low, high);
  const DType compute = graphs::compute_dtype(dtype_of(x));
  const Value values = g.cast(record.input(x, {x.numel()}), compute);
  const auto feed = [&](double value) {
    return is_float(compute) ? record.scalar(value, compute) : record.scalar(static_cast<int64_t>(value), compute);
  };
  const Value begin = feed(range.low), end = feed(range.high);
  const Value scaled = g.multiplication(g.subtraction(values, begin), number(g, values, bins));
  const Value bin = g.cast(g.division(scaled, g.subtraction(end, begin)), DType::int32);
  const Value last = g.minimum(bin, number(g, bin, bins - 1));  // the end belongs to the last bin
  const Value inside =
      g.multiplication(g.greater_than_or_equal_to(values, begin), g.less_than_or_equal_to(values, end));
  const Value at = g.select(inside, last, number(g, bin, -1));
  const DType counts_in = weight || density ? DType::float32 : DType::int32;
  const Value added = weight ? g.cast(record.input(*weight, {1, x.numel(), 1}), counts_in)
                             : g.constant(1, counts_in, {1, x.numel(), 1});
  Value counts = g.scatter(ScatterMode::kAdd, graphs::zeros(g, counts_in, {1, bins, 1}), at, added);
  if (density) {
    const Value width = record.scalar((range.high - range.low) / static_cast<double>(bins), DType::float32);
    counts = g.division(counts, g.multiplication(g.reduction_sum(counts, {1}), width));
  }
  record.output(out, g.cast(g.reshape(counts, dims_of(*out)), to));
  record.launch();
}

void give_counts(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(0).SetDataType(phi::DataType::UNDEFINED);
}

}  // namespace

MPS_KERNEL_WITH_DEFINE(histogram, phi::HistogramKernel, histogram, kFloatsAndInts, give_counts)

}  // namespace mps::paddle
