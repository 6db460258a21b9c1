// masked_multihead_attention: one step of a decoder. The new token's key and value are put into the cache, and its
// queries see the cache up to it.
#include <cmath>

#include "kernels/graphs/attention.h"
#include "kernels/ops/wide.h"
#include "plugin/core/check.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using OptionalTensor = ::paddle::optional<DenseTensor>;

// The row of the cache, seen as [2 * batch * heads * length, width], for each key and then each value.
Value rows_of_cache(Graph& g, Value steps, Dims cache) {
  const int64_t batch = cache[1], heads = cache[2], length = cache[3];
  const Shape each{2, batch, heads};
  const auto at = [&](int axis, int64_t stride) {
    const Value i = g.coordinate(each, axis);
    return g.multiplication(i, graphs::number(g, i, stride));
  };
  const Value first = g.addition(g.addition(at(0, batch * heads * length), at(1, heads * length)), at(2, length));
  return g.addition(first, g.reshape(steps, {1, batch, 1}));
}

void masked_multihead_attention(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& cache_kv,
                                const OptionalTensor& bias, const OptionalTensor& mask, const OptionalTensor&,
                                const OptionalTensor& lengths, const OptionalTensor& rotary,
                                const OptionalTensor& beam_offset, const OptionalTensor& qkv_scale,
                                const OptionalTensor& shift, const OptionalTensor& smooth, int, int rotary_dims, bool,
                                const std::string&, float out_scale, int, float, float, DenseTensor* out,
                                DenseTensor* cache_out, DenseTensor*) {
  MPS_CHECK(
      !qkv_scale && !shift && !smooth && !(out_scale > 0), kUnsupported,
      "quantised queries are not supported: expected none of qkv_out_scale, out_shift, out_smooth and out_scale.");
  MPS_CHECK(!beam_offset, kUnsupported, "beam search is not supported: expected no beam_cache_offset.");
  MPS_CHECK(rotary_dims == 0 && !rotary, kUnsupported,
            "rotary embeddings are not supported here: expected rotary_emb_dims = 0, got ", rotary_dims,
            ". Use fused_rotary_position_embedding first.");
  const Dims cache = dims_of(cache_kv), shape = dims_of(x);
  MPS_CHECK(
      cache.size() == 5 && cache[0] == 2 && shape.size() == 2 && shape[0] == cache[1] && shape[1] % cache[4] == 0 &&
          shape[1] / cache[4] > 2 * cache[2],
      kArgument,
      "shapes do not fit: expected x [batch, (heads + 2 * heads of keys) * width] and cache_kv [2, batch, heads of "
      "keys, length, width], got ",
      to_string(shape), " and ", to_string(cache), ".");
  MPS_CHECK(lengths || mask, kArgument,
            "expected sequence_lengths, or a src_mask whose width says how many there are.");
  const int64_t batch = cache[1], key_heads = cache[2], length = cache[3], width = cache[4];
  const int64_t all_heads = shape[1] / width, heads = all_heads - 2 * key_heads;
  Recorder record(ctx);
  Graph& g = record.graph;
  Value qkv = wide(record, x, {batch, all_heads, width});
  if (bias) qkv = g.addition(qkv, wide(record, *bias, {all_heads, width}));
  qkv = g.cast(qkv, dtype_of(x));
  const auto part = [&](int64_t first, int64_t count) { return graphs::slice_axis(g, qkv, 1, first, count); };

  const int64_t visible = mask ? std::min(dims_of(*mask)[dims_of(*mask).size() - 1], length) : length;
  const Value steps =
      lengths ? g.cast(record.input(*lengths, {batch}), DType::int32) : g.constant(visible - 1, DType::int32, {batch});
  const Value added = g.concatenation({part(heads, key_heads), part(heads + key_heads, key_heads)}, 0);
  const int64_t rows = 2 * batch * key_heads;
  const Value updated = g.scatter(ScatterMode::kSet, record.input(cache_kv, {1, rows * length, width}),
                                  graphs::flat(g, rows_of_cache(g, steps, cache)), g.reshape(added, {1, rows, width}));
  record.output(cache_out, updated);

  const Value both = g.reshape(updated, cache);
  const auto tokens_first = [&](int64_t which) {
    const Value one = g.reshape(graphs::slice_axis(g, both, 0, which, 1), {batch, key_heads, length, width});
    return g.transpose(one, {0, 2, 1, 3});
  };
  Attention what;
  what.scale = 1 / std::sqrt(static_cast<float>(width));
  what.ranges = true;
  const Value seen = graphs::plus(g, g.reshape(steps, {batch, 1}), 1);
  std::vector<Value> operands{g.reshape(part(0, heads), {batch, 1, heads, width}), tokens_first(0), tokens_first(1),
                              graphs::ranges_of(g, graphs::number(g, seen, 0), seen, {batch, 1})};
  if (mask) {
    const int64_t columns = dims_of(*mask)[dims_of(*mask).size() - 1];
    what.mask = true;
    Value scores = graphs::slice_axis(g, wide(record, *mask, {batch, 1, 1, columns}), 3, 0, visible);
    if (visible < length) {
      scores = g.concatenation({scores, g.constant(0, DType::float32, {batch, 1, 1, length - visible})}, 3);
    }
    operands.push_back(scores);
  }
  const Value result = g.attention(operands, what);
  write(record, out, graphs::slice_axis(g, result, 0, 0, batch * heads * width));
  record.launch();
}

}  // namespace

// Paddle's headers do not declare it; the parameters are those of its API.
MPS_KERNEL_UNCHECKED(masked_multihead_attention, masked_multihead_attention, kFloats, detail::define_nothing)

}  // namespace mps::paddle
