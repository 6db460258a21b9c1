// The middle of sorted lines: median, nanmedian and their gradients.
//
// Of an even number of elements, "avg" takes the mean of the two in the middle and names both, "min" takes the lower
// one. NaN is greatest in sorted order, so that the first `valid` elements are numbers.
#include "kernels/graphs/function.h"
#include "kernels/graphs/lines.h"
#include "paddle/phi/kernels/median_grad_kernel.h"
#include "paddle/phi/kernels/median_kernel.h"
#include "paddle/phi/kernels/nanmedian_grad_kernel.h"
#include "paddle/phi/kernels/nanmedian_kernel.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using graphs::number;
using phi::CustomContext;
using phi::DenseTensor;

// `x` as lines: the axes to go over behind the others.
struct Lines {
  Ints order;    // the axes of x
  Shape sorted;  // the shape of x in that order
  Shape flat;    // [lines, elements of each]
};

Lines lines_of(Dims shape, const phi::IntArray& axes) {
  const Ints over = graphs::axes_of(axes.GetData(), shape.size());
  const auto is_over = [&](size_t axis) {
    for (int64_t each : over) {
      if (each == static_cast<int64_t>(axis)) return true;
    }
    return false;
  };
  Lines lines;
  lines.flat = {1, 1};
  for (bool last : {false, true}) {
    for (size_t i = 0; i < shape.size(); ++i) {
      if (is_over(i) != last) continue;
      lines.order.push_back(static_cast<int64_t>(i));
      lines.sorted.push_back(shape[i]);
      lines.flat[last ? 1 : 0] *= shape[i];
    }
  }
  return lines;
}

Value in_lines(Recorder& record, const DenseTensor& x, const Lines& lines) {
  Graph& g = record.graph;
  return g.reshape(g.transpose(record.input(x), lines.order), lines.flat);
}

void write_median(const CustomContext& ctx, const DenseTensor& x, const phi::IntArray& axes, const std::string& mode,
                  bool skips_nan, DenseTensor* out, DenseTensor* indices) {
  const DType dtype = dtype_of(x);
  const Lines lines = lines_of(dims_of(x), axes);
  const int64_t length = lines.flat[1];
  Recorder record(ctx);
  Graph& g = record.graph;
  if (x.numel() == 0) {
    const double nothing = is_float(dtype) ? NAN : 0;
    record.output(out, g.constant(nothing, dtype, dims_of(*out)));
    record.output(indices, graphs::zeros(g, DType::int64, dims_of(*indices)));
    record.launch();
    return;
  }
  const Value values = in_lines(record, x, lines);
  const Value order = g.arg_sort(values, 1, /*descending=*/false, length);
  const Value is_number = g.cast(g.equal(values, values), DType::int32);
  const Value valid = g.reduction_sum(is_number, {1});  // [lines, 1]
  const Value one = number(g, valid, 1), two = number(g, valid, 2), all = number(g, valid, length);
  const Value none = g.equal(valid, number(g, valid, 0));
  const Value has_nan = g.less_than(valid, all);
  const Value count = skips_nan ? g.maximum(valid, one) : all;
  Value lower = g.division(g.subtraction(count, one), two), upper = g.division(count, two);
  if (!skips_nan) {  // the first NaN is the middle of a line that has one
    lower = g.select(has_nan, valid, lower);
    upper = g.select(has_nan, valid, upper);
  }
  const auto place_of = [&](Value rank) {
    return graphs::take_at(g, order, graphs::positions_along(g, rank, 1, lines.flat));
  };
  const auto value_at = [&](Value place) {
    const Value found = graphs::take_at(g, values, graphs::positions_along(g, place, 1, lines.flat));
    return g.cast(found, graphs::compute_dtype(dtype));
  };
  const Value low = place_of(lower);
  Value places = low, middle = value_at(low);
  if (mode == "avg") {
    const Value high = place_of(upper), other = value_at(high);
    const Value mean = g.division(g.addition(middle, other), number(g, middle, 2));
    middle = g.select(g.equal(low, high), middle, mean);
    places = g.concatenation({low, high}, 1);
  }
  if (skips_nan) places = g.select(none, number(g, places, -1), places);
  record.output(out, g.reshape(g.cast(middle, dtype), dims_of(*out)));
  record.output(indices, g.reshape(g.cast(places, DType::int64), dims_of(*indices)));
  record.launch();
}

// With "min" along axes the element that was taken gets all. Else all elements that equal the median share it; if none
// does, it lies between the two elements that were named.
void write_gradient(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& median,
                    const DenseTensor& indices, const DenseTensor& dout, const phi::IntArray& axes,
                    const std::string& mode, DenseTensor* dx) {
  if (dx == nullptr) return;
  const DType to = dtype_of(*dx), compute = graphs::compute_dtype(to);
  const Lines lines = lines_of(dims_of(x), axes);
  const int64_t count = lines.flat[0];
  Recorder record(ctx);
  Graph& g = record.graph;
  if (x.numel() == 0) {
    record.output(dx, graphs::zeros(g, to, dims_of(*dx)));
    record.launch();
    return;
  }
  const Value gradient = g.cast(record.input(dout, {count, 1}), compute);
  const int64_t named = indices.numel() / count;
  const Value places = record.input(indices, {count, named});
  const auto at = [&](int64_t column) {
    const Value place = graphs::slice_axis(g, places, 1, column, 1);
    const Value in_line = g.coordinate(lines.flat, 1);
    return g.cast(g.equal(g.cast(place, DType::int32), in_line), compute);
  };
  Value part, takes;
  if (mode == "avg" || axes.GetData().empty()) {
    const Value values = in_lines(record, x, lines), middle = record.input(median, {count, 1});
    const Value both_nan = g.multiplication(graphs::is_nan(g, values), graphs::is_nan(g, middle));
    const Value equal = g.cast(g.addition(g.equal(values, middle), both_nan), compute);
    const Value equals = g.reduction_sum(equal, {1});
    const Value shared = g.division(g.multiplication(gradient, equal), g.maximum(equals, number(g, equals, 1)));
    const Value both = g.addition(at(0), at(named - 1));
    const Value halves = g.division(g.multiplication(gradient, both), number(g, equals, 2));
    const Value is_equal = g.greater_than(equals, number(g, equals, 0));
    part = g.select(is_equal, shared, halves);
    takes = g.select(is_equal, equal, both);
  } else {
    takes = at(0);
    part = g.multiplication(gradient, takes);
  }
  // 0 elsewhere, also where NaN comes in.
  part = g.select(g.greater_than(takes, number(g, takes, 0)), part, number(g, part, 0));
  Ints back;
  back.resize(lines.order.size());
  for (size_t i = 0; i < lines.order.size(); ++i) back[static_cast<size_t>(lines.order[i])] = static_cast<int64_t>(i);
  record.output(dx, g.cast(g.transpose(g.reshape(part, lines.sorted), back), to));
  record.launch();
}

void median(const CustomContext& ctx, const DenseTensor& x, const phi::IntArray& axes, bool, const std::string& mode,
            DenseTensor* out, DenseTensor* indices) {
  write_median(ctx, x, axes, mode, /*skips_nan=*/false, out, indices);
}
void nanmedian(const CustomContext& ctx, const DenseTensor& x, const phi::IntArray& axes, bool, const std::string& mode,
               DenseTensor* out, DenseTensor* indices) {
  write_median(ctx, x, axes, mode, /*skips_nan=*/true, out, indices);
}

void median_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& median, const DenseTensor& indices,
                 const DenseTensor& dout, const phi::IntArray& axes, bool, const std::string& mode, DenseTensor* dx) {
  write_gradient(ctx, x, median, indices, dout, axes, mode, dx);
}

void give_places(const phi::KernelKey&, phi::Kernel* kernel) { kernel->OutputAt(1).SetDataType(phi::DataType::INT64); }

}  // namespace

MPS_KERNEL_WITH_DEFINE(median, phi::MedianKernel, median, kFloatsAndInts, give_places)
MPS_KERNEL(median_grad, phi::MedianGradKernel, median_grad, kFloatsAndInts)
MPS_KERNEL_WITH_DEFINE(nanmedian, phi::NanmedianKernel, nanmedian, kFloatsAndInts, give_places)
MPS_KERNEL(nanmedian_grad, phi::NanmedianGradKernel, median_grad, kFloatsAndInts)

}  // namespace mps::paddle
