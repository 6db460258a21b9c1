// Connectionist temporal classification: warpctc, after the library whose loss it is, and ctc_align, which reads the
// likeliest text.
#include "kernels/graphs/lines.h"
#include "kernels/graphs/softmax.h"
#include "kernels/ops/wide.h"
#include "paddle/phi/kernels/ctc_align_kernel.h"
#include "paddle/phi/kernels/warpctc_grad_kernel.h"
#include "paddle/phi/kernels/warpctc_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using OptionalTensor = ::paddle::optional<DenseTensor>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Blank, letter, blank ... blank: [B, 2 L + 1] of labels [B, L].
Value with_blanks(Graph& g, Value labels, int64_t blank) {
  const Shape shape(g.shape(labels)), letters{shape[0], shape[1], 1};
  const Value between = g.constant(blank, DType::int32, letters);
  const Value pairs = g.concatenation({between, g.reshape(labels, letters)}, 2);
  const Value last = g.constant(blank, DType::int32, {shape[0], 1});
  return g.concatenation({g.reshape(pairs, {shape[0], 2 * shape[1]}), last}, 1);
}

// 0 where a state may follow the one before the last: a letter that is not the one before it; -inf elsewhere.
Value skips_of(Graph& g, Value states, int64_t blank) {
  const Shape shape(g.shape(states));
  const Value blanks = g.constant(blank, DType::int32, {shape[0], 2});
  const Value before =
      g.concatenation({blanks, graphs::slice_axis(g, states, 1, 0, std::max<int64_t>(shape[1] - 2, 0))}, 1);
  const Value differs = g.not_equal(states, graphs::slice_axis(g, before, 1, 0, shape[1]));
  const Value may = g.multiplication(g.not_equal(states, graphs::number(g, states, blank)), differs);
  return g.select(may, g.constant(0, DType::float32), g.constant(-kInfinity, DType::float32));
}

// The loss of each text [B], and as warpctcgrad the slope of its scores [T, B, C]. What cannot be spelt in so few
// frames has loss 0 and slope 0, as in the library.
void warpctc(const CustomContext& ctx, const DenseTensor& logits, const DenseTensor& label,
             const OptionalTensor& frame_counts, const OptionalTensor& letter_counts, int blank, bool,
             DenseTensor* loss, DenseTensor* slope) {
  MPS_CHECK(
      frame_counts && letter_counts, kUnsupported,
      "texts that lie one behind the other (LoD) are not supported: expected logits_length and labels_length. Pad "
      "the texts.");
  const Dims shape = dims_of(logits), texts = dims_of(label);
  MPS_CHECK(shape.size() == 3 && texts.size() == 2 && texts[0] == shape[1], kArgument,
            "shapes do not fit: expected scores [frames, texts, classes] and labels [texts, letters], got ",
            to_string(shape), " and ", to_string(texts), ".");
  MPS_CHECK(blank >= 0 && blank < shape[2], kArgument, "bad blank: expected one of ", shape[2], " classes, got ", blank,
            ".");
  slope->Resize(logits.dims());
  const auto write_slope = [&](Recorder& record, Value value) {  // float32, so that the gradient rounds once
    record.output(ctx.Alloc(slope, phi::DataType::FLOAT32), value);
  };
  Recorder record(ctx);
  Graph& g = record.graph;
  if (element_count(shape) == 0) {
    write(record, loss, g.constant(0, DType::float32, {shape[1]}));
    write_slope(record, g.constant(0, DType::float32, shape));
    return record.launch();
  }
  const Value letters = g.cast(record.input(label, texts), DType::int32);
  const Value frames = g.cast(record.input(*frame_counts, {shape[1]}), DType::int32);
  const Value count = g.cast(record.input(*letter_counts, {shape[1]}), DType::int32);
  const Value states = with_blanks(g, letters, blank);
  const int64_t width = 2 * texts[1] + 1;
  const Value scores = graphs::log_softmax(g, wide(record, logits), {2});
  const Value each = g.broadcast(g.reshape(states, {1, shape[1], width}), {shape[0], shape[1], width});
  const Value at = graphs::positions_along(g, each, 2, shape);
  const Value two = graphs::number(g, count, 2), one = graphs::number(g, count, 1);
  const Value found = g.ctc_alignment(graphs::take_at(g, scores, at), skips_of(g, states, blank), frames,
                                      g.addition(g.multiplication(count, two), one));
  const Value total = graphs::slice_axis(g, found, 0, 0, shape[1]);
  const Value nothing = g.equal(total, graphs::number(g, total, -kInfinity)), zero = graphs::number(g, total, 0);
  write(record, loss, g.select(nothing, zero, g.negative(total)));

  const Value shares = graphs::slice_axis(g, found, 0, shape[1], g.elements(found) - shape[1]);
  const int64_t elements = element_count(shape);
  const Value spread = g.scatter(ScatterMode::kAdd, g.constant(0, DType::float32, {1, elements, 1}),
                                 graphs::flat(g, at), g.reshape(shares, {1, g.elements(shares), 1}));
  const Value behind = g.greater_than_or_equal_to(g.coordinate({shape[0], shape[1]}, 0), frames);
  const Value no_part = g.addition(behind, g.broadcast(nothing, {shape[0], shape[1]}));
  const Value slopes = g.subtraction(g.exponent(scores), g.reshape(spread, shape));
  write_slope(record, g.select(g.reshape(no_part, {shape[0], shape[1], 1}), zero, slopes));
  record.launch();
}

void warpctc_grad(const CustomContext& ctx, const DenseTensor& logits, const OptionalTensor& frame_counts,
                  const DenseTensor& slope, const DenseTensor& dloss, int, bool norm_by_times, DenseTensor* dlogits) {
  if (dlogits == nullptr) return;
  const Dims shape = dims_of(logits);
  Recorder record(ctx);
  Graph& g = record.graph;
  Value factor = wide(record, dloss, {1, shape[1], 1});
  if (norm_by_times && frame_counts) {
    const Value frames = g.cast(record.input(*frame_counts, {1, shape[1], 1}), DType::float32);
    factor = g.division(factor, g.maximum(frames, graphs::number(g, frames, 1)));
  }
  write(record, dlogits, g.multiplication(wide(record, slope, shape), factor));
  record.launch();
}

// What a row of frames [B, T] spells: without blanks, and of equal neighbours one alone if merge_repeated; behind it
// the padding. Its lengths are [B, 1].
void ctc_align(const CustomContext& ctx, const DenseTensor& input, const OptionalTensor& frame_counts, int blank,
               bool merge_repeated, int padding_value, DenseTensor* output, DenseTensor* output_length) {
  MPS_CHECK(frame_counts, kUnsupported,
            "rows that lie one behind the other (LoD) are not supported: expected input_length. Pad the rows.");
  const Dims shape = dims_of(input);
  const int64_t texts = shape[0], frames = shape[1];
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value letters = record.input(input), frame = g.coordinate(shape, 1);
  const Value nothing = g.constant(padding_value, g.dtype(letters), shape);
  const auto write_length = [&](Value count) {  // Paddle leaves its dtype open
    record.output(ctx.Alloc(output_length, input.dtype()), g.cast(count, g.dtype(letters)));
  };
  if (input.numel() == 0) {
    write(record, output, nothing);
    write_length(g.constant(0, DType::int32, {texts, 1}));
    return record.launch();
  }
  const Value count = g.cast(record.input(*frame_counts, {texts, 1}), DType::int32);
  Value kept = g.multiplication(g.less_than(frame, count), g.not_equal(letters, graphs::number(g, letters, blank)));
  if (merge_repeated) {
    const Value none = g.constant(-1, g.dtype(letters), {texts, 1});
    const Value before = g.concatenation({none, graphs::slice_axis(g, letters, 1, 0, frames - 1)}, 1);
    kept = g.multiplication(kept, g.not_equal(letters, before));
  }
  const Value ones = g.cast(kept, DType::int32);
  const Value place = g.scan(NodeKind::cumulative_sum, ones, 1, /*exclusive=*/true);
  const Value at = graphs::positions_along(g, place, 1, shape);
  write(record, output,
        graphs::put_at(g, ScatterMode::kSet, nothing, g.select(kept, at, graphs::number(g, at, -1)), letters));
  write_length(g.reduction_sum(ones, {1}));
  record.launch();
}

void give_slope(const phi::KernelKey&, phi::Kernel* kernel) { kernel->OutputAt(1).SetDataType(phi::DataType::FLOAT32); }

constexpr DTypes kLetters = {phi::DataType::INT32, phi::DataType::INT64};

}  // namespace

MPS_KERNEL_WITH_DEFINE(warpctc, phi::WarpctcKernel, warpctc, kFloats, give_slope)
MPS_KERNEL(warpctc_grad, phi::WarpctcGradKernel, warpctc_grad, kFloats)
MPS_KERNEL(ctc_align, phi::CTCAlignKernel, ctc_align, kLetters)

}  // namespace mps::paddle
