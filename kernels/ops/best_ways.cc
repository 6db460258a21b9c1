// The best of many ways: those that a beam search kept (gather_tree), that of a chain of states (viterbi_decode), and
// the fewest edits from one text to another (edit_distance). What goes step by step launches one graph again and again,
// in which the step is a feed.
#include <algorithm>
#include <vector>

#include "kernels/graphs/lines.h"
#include "kernels/ops/wide.h"
#include "paddle/phi/kernels/edit_distance_kernel.h"
#include "paddle/phi/kernels/gather_tree_kernel.h"
#include "paddle/phi/kernels/viterbi_decode_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/host_value.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using OptionalTensor = ::paddle::optional<DenseTensor>;

DenseTensor temporary(const CustomContext& ctx, DType dtype, std::vector<int64_t> shape) {
  DenseTensor made(std::shared_ptr<phi::Allocation>(), phi::DenseTensorMeta(to_phi(dtype), phi::make_ddim(shape)));
  ctx.Alloc(&made, to_phi(dtype));
  return made;
}

// parents [steps, batch, states]: from which state of the step before each comes. Gives the state at each step that
// leads to each one of the last step. Ways of 1, 2, 4 .. steps are put together (Hillis and Steele, "Data parallel
// algorithms", 1986).
Value followed(Graph& g, Value parents) {
  const Shape shape(g.shape(parents));
  const Value own = g.broadcast(g.coordinate({1, 1, shape[2]}, 2), shape);
  const auto behind = [&](Value x, int64_t by) {  // x[t + by], and each state itself where there is none
    const Value rest = graphs::slice_axis(g, x, 0, by, shape[0] - by);
    return g.concatenation({rest, graphs::slice_axis(g, own, 0, 0, by)}, 0);
  };
  Value way = behind(g.cast(parents, DType::int32), 1);
  for (int64_t steps = 1; steps < shape[0]; steps *= 2) {
    way = graphs::take_at(g, way, graphs::positions_along(g, behind(way, steps), 2, shape));
  }
  return way;
}

// -- gather_tree
// --------------------------------------------------------------------------------------------------------

void gather_tree(const CustomContext& ctx, const DenseTensor& ids, const DenseTensor& parents, DenseTensor* out) {
  const Dims shape = dims_of(ids);
  MPS_CHECK(shape.size() == 3, kArgument, "bad rank of ids: expected 3 (steps, batch, beams), got ", shape.size(), ".");
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value words = record.input(ids);
  const bool is_empty = element_count(shape) == 0;
  record.output(
      out, is_empty
               ? words
               : graphs::take_at(g, words, graphs::positions_along(g, followed(g, record.input(parents)), 2, shape)));
  record.launch();
}

// -- viterbi_decode (Forney, "The Viterbi algorithm", 1973)
// --------------------------------------------------------------------------------------------------------

// Of a Markov chain's states, one after another: the score of the best way to each, and where it came from.
class Chain {
 public:
  Chain(const CustomContext& ctx, const DenseTensor& input, const DenseTensor& transition, const DenseTensor& length,
        bool has_ends, int64_t steps)
      : ctx_(ctx),
        input_(input),
        transition_(transition),
        length_(length),
        has_ends_(has_ends),
        steps_(steps),
        batch_(dims_of(input)[0]),
        states_(dims_of(input)[2]),
        scores_(temporary(ctx, DType::float32, {batch_, states_})),
        parents_(temporary(ctx, DType::int32, {steps, batch_, states_})) {}

  void run() {
    for (int64_t step = 0; step < steps_; ++step) advance(step);
  }

  void write(DenseTensor* best, DenseTensor* path) const {
    Recorder record(ctx_);
    Graph& g = record.graph;
    const Value all = record.input(scores_);
    paddle::write(record, best, g.reduction(NodeKind::reduction_maximum, all, {1}));
    const Value last = g.arg_reduction(NodeKind::reduction_arg_maximum, all, 1);  // [batch, 1]
    const Value ways = followed(g, record.input(parents_));
    const Value at = g.broadcast(g.reshape(last, {1, batch_, 1}), {steps_, batch_, 1});
    const Value way = graphs::take_at(g, ways, graphs::positions_along(g, at, 2, {steps_, batch_, states_}));
    const Value place = g.coordinate({steps_, batch_}, 0);
    const Value is_there = g.less_than(place, g.cast(record.input(length_, {1, batch_}), DType::int32));
    const Value kept = g.select(is_there, g.reshape(way, {steps_, batch_}), graphs::number(g, way, 0));
    paddle::write(record, path, g.transpose(kept, {1, 0}));
    record.launch();
  }

 private:
  // Row `back` of the transitions, counted from behind: 1 is that of the start, 2 that of the end.
  Value row(Graph& g, Value transitions, int64_t back) const {
    return graphs::slice_axis(g, transitions, 0, states_ - back, 1);
  }

  void advance(int64_t step) {
    Recorder record(ctx_);
    Graph& g = record.graph;
    const Value now = record.scalar(step, DType::int32);
    const Value transitions = wide(record, transition_);
    const Value length = g.cast(record.input(length_, {batch_, 1}), DType::int32);
    const Value at = g.reshape(now, {1});
    const Value seen = g.reshape(graphs::take(g, wide(record, input_), 1, at), {batch_, states_});
    Value score = has_ends_ ? g.addition(seen, row(g, transitions, 1)) : seen;
    Value parent = g.broadcast(g.coordinate({1, states_}, 1), {batch_, states_});
    if (step > 0) {
      const Value before = record.input(scores_);
      const Value ways =
          g.addition(g.reshape(before, {batch_, states_, 1}), g.reshape(transitions, {1, states_, states_}));
      const Value best = g.reshape(g.reduction(NodeKind::reduction_maximum, ways, {1}), {batch_, states_});
      const Value from = g.reshape(g.arg_reduction(NodeKind::reduction_arg_maximum, ways, 1), {batch_, states_});
      const Value goes_on = g.less_than(now, length);
      score = g.select(goes_on, g.addition(best, seen), before);
      parent = g.select(goes_on, from, parent);
    }
    if (has_ends_) {
      const Value is_last = g.equal(g.addition(now, graphs::number(g, now, 1)), length);
      score = g.select(is_last, g.addition(score, row(g, transitions, 2)), score);
    }
    record.output(scores_.data(), score);
    record.output(static_cast<int32_t*>(parents_.data()) + step * batch_ * states_, parent);
    record.launch();
  }

  const CustomContext& ctx_;
  const DenseTensor &input_, &transition_, &length_;
  const bool has_ends_;
  const int64_t steps_, batch_, states_;
  DenseTensor scores_, parents_;
};

void viterbi_decode(const CustomContext& ctx, const DenseTensor& input, const DenseTensor& transition,
                    const DenseTensor& length, bool has_ends, DenseTensor* scores, DenseTensor* path) {
  const Dims shape = dims_of(input);
  MPS_CHECK(shape.size() == 3, kArgument, "bad rank of potentials: expected 3 (batch, steps, states), got ",
            shape.size(), ".");
  int64_t longest = 0;
  for (const Scalar& each : host_values(ctx, length)) longest = std::max(longest, each.to_int64());
  MPS_CHECK(longest > 0 && longest <= shape[1], kArgument, "bad lengths: expected a longest one of 1 to ", shape[1],
            ", got ", longest, ".");
  path->Resize(phi::make_ddim({shape[0], longest}));
  ctx.Alloc(scores, input.dtype());  // Paddle has them the other way round
  ctx.Alloc(path, phi::DataType::INT64);
  Chain chain(ctx, input, transition, length, has_ends, longest);
  chain.run();
  chain.write(scores, path);
}

// -- edit_distance (Wagner and Fischer, "The string-to-string correction problem", 1974)
// --------------------------------------------------------------------------------------------------------

// Distances of the first so many words of the hypotheses to the first 0, 1 .. of the references.
class Edits {
 public:
  Edits(const CustomContext& ctx, const DenseTensor& hypotheses, const DenseTensor& references)
      : ctx_(ctx),
        hypotheses_(hypotheses),
        references_(references),
        batch_(dims_of(hypotheses)[0]),
        words_(dims_of(references)[1]),
        row_(temporary(ctx, DType::float32, {batch_, words_ + 1})),
        result_(temporary(ctx, DType::float32, {batch_, words_ + 1})) {}

  void run(const OptionalTensor& length) {
    const int64_t steps = dims_of(hypotheses_)[1];
    for (int64_t step = 0; step <= steps; ++step) advance(step, length);
  }

  void write(const OptionalTensor& length, bool normalized, DenseTensor* count, DenseTensor* out) const {
    Recorder record(ctx_);
    Graph& g = record.graph;
    const Value words = length ? g.cast(record.input(*length, {batch_, 1}), DType::int32)
                               : g.constant(words_, DType::int32, {batch_, 1});
    const Value at = graphs::positions_along(g, words, 1, {batch_, words_ + 1});
    const Value distance = graphs::take_at(g, record.input(result_), at);
    paddle::write(record, out, normalized ? g.division(distance, g.cast(words, DType::float32)) : distance);
    if (count != nullptr) record.output(count, g.constant(batch_, dtype_of(*count), dims_of(*count)));
    record.launch();
  }

 private:
  // Row by row: from above with one edit, from the left above with one if the words differ, or from the left with one
  // for each step, of which the best is a running minimum.
  void advance(int64_t step, const OptionalTensor& length) {
    Recorder record(ctx_);
    Graph& g = record.graph;
    const Shape shape{batch_, words_ + 1};
    const Value place = g.broadcast(g.cast(g.coordinate({1, words_ + 1}, 1), DType::float32), shape);
    const Value now = record.scalar(step, DType::int32);
    Value row = place;
    if (step > 0) {
      const Value above = record.input(row_), one = graphs::number(g, above, 1);
      const Value at = g.reshape(g.subtraction(now, graphs::number(g, now, 1)), {1});
      const Value word = graphs::take(g, record.input(hypotheses_), 1, at);
      const Value differs = g.cast(g.not_equal(word, record.input(references_)), DType::float32);
      const Value across = g.addition(graphs::slice_axis(g, above, 1, 0, words_), differs);
      const Value first = g.addition(graphs::slice_axis(g, above, 1, 0, 1), one);
      const Value reached = g.minimum(g.addition(above, one), g.concatenation({first, across}, 1));
      row = g.addition(g.scan(NodeKind::cumulative_minimum, g.subtraction(reached, place), 1), place);
    }
    record.output(row_.data(), row);
    const Value until = length ? g.cast(record.input(*length, {batch_, 1}), DType::int32)
                               : g.constant(dims_of(hypotheses_)[1], DType::int32, {batch_, 1});
    if (step == 0) {
      record.output(result_.data(), row);
    } else {
      record.output(result_.data(), g.select(g.equal(now, until), row, record.input(result_)));
    }
    record.launch();
  }

  const CustomContext& ctx_;
  const DenseTensor &hypotheses_, &references_;
  const int64_t batch_, words_;
  DenseTensor row_, result_;
};

void edit_distance(const CustomContext& ctx, const DenseTensor& hypotheses, const DenseTensor& references,
                   const OptionalTensor& hypothesis_length, const OptionalTensor& reference_length, bool normalized,
                   DenseTensor* count, DenseTensor* out) {
  MPS_CHECK(dims_of(hypotheses).size() == 2 && dims_of(references).size() == 2, kArgument,
            "bad ranks: expected 2 (batch, words), got ", dims_of(hypotheses).size(), " and ",
            dims_of(references).size(), ".");
  out->Resize(phi::make_ddim({dims_of(hypotheses)[0], 1}));
  if (count != nullptr) ctx.Alloc(count, phi::DataType::INT64);  // Paddle says float32
  Edits edits(ctx, hypotheses, references);
  edits.run(hypothesis_length);
  edits.write(reference_length, normalized, count, out);
}

void give_path(const phi::KernelKey&, phi::Kernel* kernel) { kernel->OutputAt(1).SetDataType(phi::DataType::INT64); }

constexpr DTypes kIndices = {phi::DataType::INT32, phi::DataType::INT64};

}  // namespace

MPS_KERNEL(gather_tree, phi::GatherTreeKernel, gather_tree, kIndices)
MPS_KERNEL_WITH_DEFINE(viterbi_decode, phi::ViterbiDecodeKernel, viterbi_decode, kFloat32, give_path)
// By the dtype of the distances: words are integers.
MPS_KERNEL_KEYED(edit_distance, phi::EditDistanceKernel, edit_distance, kFloat32, 6)

}  // namespace mps::paddle
