// top_p_sampling: one token of those that together have the probability p, the likeliest first.
#include "kernels/graphs/lines.h"
#include "kernels/graphs/random.h"
#include "kernels/ops/wide.h"
#include "paddle/phi/kernels/top_p_sampling_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/host_value.h"
#include "plugin/paddle/random.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using OptionalTensor = ::paddle::optional<DenseTensor>;

// A random number of [0, 1) for each row: of the row's own seed, else of the op's, else of the generator.
Value random_of_rows(const CustomContext& ctx, Recorder& record, const OptionalTensor& row_seeds, int64_t seed,
                     int64_t rows) {
  Graph& g = record.graph;
  if (row_seeds) {
    std::vector<Value> words;
    for (const Scalar& number : host_values(ctx, *row_seeds)) {
      const uint64_t fixed = static_cast<uint64_t>(number.to_int64());
      words.push_back(Random(ctx, record, &fixed).words({1}));
    }
    MPS_CHECK(static_cast<int64_t>(words.size()) == rows, kArgument, "bad topp_seed: expected ", rows,
              " seeds, one for each row, got ", words.size(), ".");
    return g.reshape(graphs::unit_interval(g, g.concatenation(words, 0)), {rows, 1});
  }
  const uint64_t fixed = static_cast<uint64_t>(seed);
  Random random(ctx, record, seed == -1 ? nullptr : &fixed);
  return graphs::unit_interval(g, random.words({rows, 1}));
}

// x [rows, tokens] are probabilities. Sorted, the token is the one at which their sum passes a random part of p, or in
// mode "non-truncated" of 1; the likeliest one always may come, another only if it is as likely as the threshold asks.
void top_p_sampling(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& ps,
                    const OptionalTensor& threshold, const OptionalTensor& row_seeds, int64_t seed, int k,
                    const std::string& mode, DenseTensor* out, DenseTensor* ids, DenseTensor* top_scores,
                    DenseTensor* top_ids) {
  const Dims shape = dims_of(x);
  MPS_CHECK(shape.size() == 2 && shape[1] > 0 && element_count(dims_of(ps)) == shape[0], kArgument,
            "shapes do not fit: expected x [rows, tokens] and ps [rows], got ", to_string(shape), " and ",
            to_string(dims_of(ps)), ".");
  MPS_CHECK(k >= 0 && k <= shape[1], kArgument, "bad k: expected 0..", shape[1], ", got ", k, ".");
  const int64_t rows = shape[0], count = shape[1];
  if (top_scores != nullptr) top_scores->Resize(phi::make_ddim({rows, k}));
  if (top_ids != nullptr) top_ids->Resize(phi::make_ddim({rows, k}));
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value scores = wide(record, x);
  const Value order = g.arg_sort(scores, 1, /*descending=*/true, count);
  const Value sorted = graphs::take_at(g, scores, graphs::positions_along(g, order, 1, shape));
  const Value sums = g.scan(NodeKind::cumulative_sum, sorted, 1);
  Value part = random_of_rows(ctx, record, row_seeds, seed, rows);
  if (mode != "non-truncated") part = g.multiplication(part, wide(record, ps, {rows, 1}));
  // How many tokens are passed over; rounding may leave the sum of all below the part.
  Value place = g.search_sorted(sums, part, /*right=*/true);
  place = g.minimum(place, graphs::number(g, place, count - 1));
  if (threshold) {
    const Value enough = g.greater_than_or_equal_to(sorted, wide(record, *threshold, {rows, 1}));
    const Value passing = g.reduction_sum(g.cast(enough, DType::int32), {1});
    const Value last = g.maximum(g.subtraction(passing, graphs::number(g, passing, 1)), graphs::number(g, passing, 0));
    place = g.minimum(place, last);
  }
  const auto chosen = [&](Value from) { return graphs::take_at(g, from, graphs::positions_along(g, place, 1, shape)); };
  write(record, out, chosen(sorted));
  write(record, ids, chosen(order));
  if (top_scores != nullptr) write(record, top_scores, graphs::slice_axis(g, sorted, 1, 0, k));
  if (top_ids != nullptr) write(record, top_ids, graphs::slice_axis(g, order, 1, 0, k));
  record.launch();
}

void give_ids(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(1).SetDataType(phi::DataType::INT64);
  kernel->OutputAt(3).SetDataType(phi::DataType::INT64);
}

}  // namespace

MPS_KERNEL_WITH_DEFINE(top_p_sampling, phi::TopPSamplingKernel, top_p_sampling, kFloats, give_ids)

}  // namespace mps::paddle
