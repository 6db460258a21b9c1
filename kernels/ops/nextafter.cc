// nextafter: the neighbour of x in the direction of y. It is made of the bits of both, as integers in the order of the
// numbers that they stand for: so denormals count, whatever the device makes of them when it computes.
#include "kernels/graphs/lines.h"
#include "paddle/phi/kernels/elementwise_kernel.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

constexpr int64_t kSign = INT32_MIN, kMagnitude = INT32_MAX, kInfinity = 0x7f800000, kNaN = 0x7fc00000;

Value bits_of(Recorder& record, const DenseTensor& x) {
  const void* const address = x.numel() == 0 ? nullptr : x.data();
  return record.graph.reshape(record.input(address, DType::int32, x.numel()), dims_of(x));
}

// Numbers of either sign have bits that rise with their size; both zeros become 0. It is its own opposite, but for -0.
Value in_order(Graph& g, Value bits) {
  const Value size = g.bitwise_and(bits, graphs::number(g, bits, kMagnitude));
  return g.select(g.less_than(bits, graphs::number(g, bits, 0)), g.negative(size), bits);
}

Value bits_in_order(Graph& g, Value place, Value comes_from) {
  const Value zero = graphs::number(g, place, 0), sign = graphs::number(g, place, kSign);
  const Value negative = g.bitwise_or(g.negative(place), sign);
  const Value from_below = g.multiplication(g.equal(place, zero), g.less_than(comes_from, zero));
  return g.select(g.addition(g.less_than(place, zero), from_below), negative, place);
}

Value is_nan(Graph& g, Value bits) {
  const Value size = g.bitwise_and(bits, graphs::number(g, bits, kMagnitude));
  return g.greater_than(size, graphs::number(g, bits, kInfinity));
}

void nextafter(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value from = bits_of(record, x), to = bits_of(record, y);
  const Value here = in_order(g, from), there = in_order(g, to);
  const Value one = graphs::number(g, here, 1), back = graphs::number(g, here, -1);
  const Value next = g.addition(here, g.select(g.less_than(here, there), one, back));
  const Value moved = g.select(g.equal(here, there), to, bits_in_order(g, next, here));
  const Value wrong = g.addition(is_nan(g, from), is_nan(g, to));
  void* const address = ctx.Alloc(out, phi::DataType::FLOAT32);
  if (out->numel() != 0) {
    const Value result = g.select(wrong, graphs::number(g, from, kNaN), moved);
    record.output(address, g.broadcast(result, dims_of(*out)));
  }
  record.launch();
}

}  // namespace

MPS_KERNEL(nextafter, phi::NextafterKernel, nextafter, kFloat32)

}  // namespace mps::paddle
