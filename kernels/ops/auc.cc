// auc: the area under the curve of a binary classifier, from histograms of its predictions that go on from batch to
// batch.
#include "kernels/graphs/lines.h"
#include "kernels/ops/wide.h"
#include "paddle/phi/kernels/auc_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// How many of the rows that `counts` fall into each bin: int64 [bins].
Value histogram(Graph& g, Value bin, Value counts, int64_t bins) {
  const Value at = g.select(counts, bin, graphs::number(g, bin, -1));
  const Value ones = g.constant(1, DType::int64, Shape(g.shape(at)));
  return graphs::put_at(g, ScatterMode::kAdd, graphs::zeros(g, DType::int64, {bins}), at, ones);
}

// Histograms of the last `steps` batches, one behind the other, their sum, and how many batches there were.
struct Window {
  Value all;    // what is written
  Value total;  // the sum
};
Window slid(Graph& g, Value stat, Value now, int64_t steps, int64_t bins) {
  const Value kept = g.reshape(graphs::slice_axis(g, stat, 0, 0, steps * bins), {steps, bins});
  const Value total = graphs::slice_axis(g, stat, 0, steps * bins, bins);
  const Value turn = graphs::slice_axis(g, stat, 0, (steps + 1) * bins, 1);
  const Value row = g.modulo(turn, graphs::number(g, turn, steps));
  const Value oldest = graphs::flat(g, graphs::take(g, kept, 0, row));
  const Value rows = graphs::put(g, ScatterMode::kSet, kept, 0, row, g.reshape(now, {1, bins}));
  const Value sum = g.addition(g.subtraction(total, oldest), now);
  const Value next = g.addition(turn, graphs::number(g, turn, 1));
  return {g.concatenation({graphs::flat(g, rows), sum, next}, 0), sum};
}

// From the highest prediction down, each bin adds a trapezoid; twice their sum is a whole number.
Value area(Graph& g, Value positive, Value negative) {
  const Value above = g.scan(NodeKind::cumulative_sum, positive, 0, /*exclusive=*/true, /*reverse=*/true);
  const Value twice = g.multiplication(negative, g.addition(g.addition(above, above), positive));
  const auto total = [&](Value x) { return g.cast(g.reduction_sum(x, {0}), DType::float32); };
  const Value all = g.multiplication(total(positive), total(negative)), zero = graphs::number(g, all, 0);
  const Value half = g.multiplication(total(twice), graphs::number(g, all, 0.5));
  return g.select(g.equal(all, zero), zero,
                  g.division(half, g.select(g.equal(all, zero), graphs::number(g, all, 1), all)));
}

// A float32 that is 0, or positive and normal, as the bits of a float64 of the same value: two int32, lower ones first.
// Metal has no float64, but its bits are those of the float32 at other places.
Value widened_bits(Graph& g, Value bits) {
  const auto number = [&](int64_t value) { return graphs::number(g, bits, value); };
  const Value exponent = g.addition(g.bitwise_right_shift(bits, number(23)), number(1023 - 127));
  const Value fraction = g.bitwise_and(bits, number((1 << 23) - 1));
  const Value upper =
      g.bitwise_or(g.bitwise_left_shift(exponent, number(20)), g.bitwise_right_shift(fraction, number(3)));
  const Value both = g.concatenation({g.bitwise_left_shift(fraction, number(29)), upper}, 0);
  return g.select(g.equal(bits, number(0)), number(0), both);
}

// `input` [rows, 1 or 2]: the likelihood of the positive class is the last column. With slide_steps 0 the histograms
// count everything since the beginning. The area is computed in float32; Paddle takes it as float64.
void auc(const CustomContext& ctx, const DenseTensor& input, const DenseTensor& label, const DenseTensor& stat_pos,
         const DenseTensor& stat_neg, const ::paddle::optional<DenseTensor>& ins_tag_weight, const std::string&,
         int num_thresholds, int slide_steps, DenseTensor* auc, DenseTensor* stat_pos_out, DenseTensor* stat_neg_out) {
  const Dims shape = dims_of(input);
  const int64_t bins = int64_t{num_thresholds} + 1, steps = slide_steps,
                wanted = steps == 0 ? bins : (steps + 1) * bins + 1;
  MPS_CHECK(shape.size() == 2 && shape[0] > 0 && label.numel() == shape[0], kArgument,
            "shapes do not fit: expected predictions [rows, 1 or 2] and as many labels, got ", to_string(shape),
            " and ", to_string(dims_of(label)), ".");
  MPS_CHECK(stat_pos.numel() >= wanted && stat_neg.numel() >= wanted, kArgument, "histograms too short: expected ",
            wanted, " numbers, got ", stat_pos.numel(), " and ", stat_neg.numel(), ".");
  DenseTensor narrow(std::shared_ptr<phi::Allocation>(),
                     phi::DenseTensorMeta(phi::DataType::FLOAT32, phi::make_ddim({1})));
  {
    Recorder record(ctx);
    Graph& g = record.graph;
    const Value likelihood = graphs::flat(g, graphs::slice_axis(g, wide(record, input), 1, shape[1] - 1, 1));
    const Value scaled =
        g.multiplication(likelihood, graphs::number(g, likelihood, static_cast<double>(num_thresholds)));
    const Value bin = g.cast(scaled, DType::int32);
    const Value labels = g.cast(record.input(label, {shape[0]}), DType::int64), zero = graphs::number(g, labels, 0);
    Value is_real = g.constant(true, DType::bool_, {1});
    if (ins_tag_weight) {
      const Value weight = graphs::slice_axis(g, record.input(*ins_tag_weight, {ins_tag_weight->numel()}), 0, 0, 1);
      is_real = g.greater_than(weight, graphs::number(g, weight, 0));
    }
    const auto counted = [&](const DenseTensor& stat, DenseTensor* out, Value mask) {
      const Value now = histogram(g, bin, g.multiplication(mask, is_real), bins);
      const Value before = record.input(stat, {stat.numel()});
      const Value sum = g.addition(graphs::slice_axis(g, before, 0, 0, bins), now);
      const Window window = steps == 0 ? Window{sum, sum} : slid(g, before, now, steps, bins);
      const Value rest = graphs::slice_axis(g, before, 0, wanted, stat.numel() - wanted);
      record.output(ctx.Alloc(out, phi::DataType::INT64), g.concatenation({window.all, rest}, 0));
      return window.total;
    };
    const Value positive = counted(stat_pos, stat_pos_out, g.greater_than(labels, zero));
    const Value negative = counted(stat_neg, stat_neg_out, g.equal(labels, zero));
    record.output(&narrow, area(g, positive, negative));
    record.launch();
  }
  Recorder record(ctx);
  const Value bits = record.input(narrow.data(), DType::int32, 1);
  record.output(ctx.Alloc(auc, phi::DataType::FLOAT64), widened_bits(record.graph, bits));
  record.launch();
}

void give_counts(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(0).SetDataType(phi::DataType::FLOAT64);
  kernel->OutputAt(1).SetDataType(phi::DataType::INT64);
  kernel->OutputAt(2).SetDataType(phi::DataType::INT64);
}

}  // namespace

MPS_KERNEL_WITH_DEFINE(auc, phi::AucKernel, auc, kFloat32, give_counts)

}  // namespace mps::paddle
