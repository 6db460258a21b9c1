// The loss of recurrent neural network transducers (Graves, "Sequence transduction with recurrent neural networks",
// 2012): warprnnt, after the library whose loss it is.
//
// A way through the lattice goes from frame 0 without a letter to the last frame with all of them; each step either
// takes the next frame (a blank) or adds the next letter. Step n is taken at frame n - u if u letters stand already, so
// that a way is one of those that ctc_alignment() knows: its states are "takes a frame with u letters" (2 u) and "adds
// letter u" (2 u + 1), and its frames are steps, with one more after each that leads from 2 u + 1 to 2 u + 2 and lets
// nothing else pass. The share of the ways in a state is the slope of its score.
#include <limits>

#include "kernels/graphs/lines.h"
#include "kernels/ops/wide.h"
#include "paddle/phi/kernels/warprnnt_grad_kernel.h"
#include "paddle/phi/kernels/warprnnt_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

constexpr double kNever = -std::numeric_limits<double>::infinity();

// Where the scores of all states of all steps lie in [B, T, U, D], or -1: [steps, B, U, 2].
Value places_of(Graph& g, Value labels, Value frames, Dims shape, int64_t blank) {
  const int64_t texts = shape[0], most = shape[1], letters = shape[2], classes = shape[3];
  const int64_t steps = most + letters - 1;
  const DType dtype = graphs::position_dtype(element_count(shape));
  const auto along = [&](Dims line, int axis) { return g.cast(g.coordinate(line, axis), dtype); };
  const auto number = [&](int64_t value) { return g.constant(value, dtype); };
  const Value step = along({steps, 1, 1, 1}, 0), text = along({1, texts, 1, 1}, 1),
              letter = along({1, 1, letters, 1}, 2);
  const Value frame = g.subtraction(step, letter);
  const Value inside = g.multiplication(g.greater_than_or_equal_to(frame, number(0)),
                                        g.less_than(frame, g.cast(g.reshape(frames, {1, texts, 1, 1}), dtype)));
  const Value line = g.addition(g.multiplication(text, number(most)), frame);
  const Value row = g.multiplication(g.addition(g.multiplication(line, number(letters)), letter), number(classes));
  // After the last letter none is added: what stands there is not asked.
  const Value none = g.constant(blank, dtype, {1, texts, 1, 1});
  const Value next =
      letters == 1 ? none : g.concatenation({g.cast(g.reshape(labels, {1, texts, letters - 1, 1}), dtype), none}, 2);
  const Shape each{steps, texts, letters, 1};
  const auto placed = [&](Value kind) {
    return g.broadcast(g.select(inside, g.addition(row, kind), number(-1)), each);
  };
  return g.concatenation({placed(number(blank)), placed(next)}, 3);
}

// [steps, B, 2 U] -> [2 steps - 1, B, 2 U]: between two steps odd states go on, and even ones stay.
Value with_landings(Graph& g, Value scores) {
  const Shape shape(g.shape(scores)), one{shape[0], 1, shape[1], shape[2]};
  const Value state = g.coordinate({1, 1, 1, shape[2] / 2, 2}, 4);
  const Value even = g.equal(state, graphs::number(g, state, 0));
  const Value landing = g.select(even, g.constant(0, DType::float32), g.constant(kNever, DType::float32));
  const Value landings = g.reshape(g.broadcast(landing, {shape[0], 1, shape[1], shape[2] / 2, 2}), one);
  const Value all =
      g.reshape(g.concatenation({g.reshape(scores, one), landings}, 1), {2 * shape[0], shape[1], shape[2]});
  return graphs::slice_axis(g, all, 0, 0, 2 * shape[0] - 1);
}

// The loss of each text [B], and as warprnntgrad the slope of the scores [B, T, U, D], which are logarithms of
// likelihoods already, as Paddle's CPU device takes them. FastEmit (Yu et al., 2021) weighs the slopes of letters
// alone.
void warprnnt(const CustomContext& ctx, const DenseTensor& input, const DenseTensor& label,
              const DenseTensor& input_lengths, const DenseTensor& label_lengths, int blank, float fastemit_lambda,
              DenseTensor* loss, DenseTensor* slope) {
  const Dims shape = dims_of(input);
  MPS_CHECK(shape.size() == 4 && element_count(shape) != 0, kArgument,
            "wrong shape of scores: expected [texts, frames, letters + 1, classes], none of them 0, got ",
            to_string(shape), ".");
  MPS_CHECK(same_shape(dims_of(label), {shape[0], shape[2] - 1}), kArgument, "wrong shape of labels: expected ",
            to_string({shape[0], shape[2] - 1}), ", got ", to_string(dims_of(label)), ".");
  MPS_CHECK(blank >= 0 && blank < shape[3], kArgument, "bad blank: expected one of ", shape[3], " classes, got ", blank,
            ".");
  slope->Resize(input.dims());
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value frames = g.cast(record.input(input_lengths, {shape[0]}), DType::int32);
  const Value letters = g.cast(record.input(label_lengths, {shape[0]}), DType::int32);
  const Value labels = shape[2] == 1 ? letters : record.input(label);
  const Value at = places_of(g, labels, frames, shape, blank);
  const Value scores = wide(record, input);
  const Value missing = g.less_than(at, graphs::number(g, at, 0));
  const Value found = g.select(missing, g.constant(kNever, DType::float32), graphs::take_at(g, scores, at));
  const Shape steps{g.shape(at)[0], shape[0], 2 * shape[2]};
  const Value rows = with_landings(g, g.reshape(found, steps));

  const Value two = graphs::number(g, letters, 2), one = graphs::number(g, letters, 1);
  const Value states = g.addition(g.multiplication(letters, two), one);
  const Value turns = g.subtraction(g.multiplication(g.addition(frames, letters), two), one);
  const Value no_skips = g.constant(kNever, DType::float32, {shape[0], steps[2]});
  const Value result = g.ctc_alignment(rows, no_skips, turns, states);
  write(record, loss, g.negative(graphs::slice_axis(g, result, 0, 0, shape[0])));

  const Value all = graphs::slice_axis(g, result, 0, shape[0], g.elements(rows));
  const Value shares = graphs::slice_axis(g, g.reshape(all, Shape(g.shape(rows))), 0, 0, steps[0], 2);
  const Value kind = g.coordinate({1, 1, 1, 2}, 3);
  const Value weight = g.select(g.equal(kind, graphs::number(g, kind, 0)), g.constant(-1, DType::float32),
                                g.negative(record.scalar(1 + double{fastemit_lambda}, DType::float32)));
  const Value slopes = g.multiplication(g.reshape(shares, Shape(g.shape(at))), weight);
  write(record, slope, graphs::put_at(g, ScatterMode::kAdd, graphs::zeros(g, DType::float32, shape), at, slopes));
  record.launch();
}

void warprnnt_grad(const CustomContext& ctx, const DenseTensor&, const DenseTensor&, const DenseTensor& slope,
                   const DenseTensor& dloss, int, float, DenseTensor* dinput) {
  if (dinput == nullptr) return;
  Recorder record(ctx);
  const Value factor = wide(record, dloss, {dims_of(slope)[0], 1, 1, 1});
  write(record, dinput, record.graph.multiplication(wide(record, slope), factor));
  record.launch();
}

}  // namespace

MPS_KERNEL(warprnnt, phi::WarprnntKernel, warprnnt, kFloat32)
MPS_KERNEL(warprnnt_grad, phi::WarprnntGradKernel, warprnnt_grad, kFloat32)

}  // namespace mps::paddle
