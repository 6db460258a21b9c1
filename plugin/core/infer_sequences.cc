#include "plugin/core/infer_sequences.h"

#include "plugin/core/check.h"
#include "plugin/core/infer_images.h"

namespace mps {
namespace {

void check_operand(const Graph& graph, NodeKind kind, Value operand, const char* what, DType dtype, Dims shape) {
  MPS_CHECK(graph.dtype(operand) == dtype && same_shape(graph.shape(operand), shape), kArgument, "bad ", what, " of ",
            info(kind).name, ": expected ", name(dtype), to_string(shape), ", got ", name(graph.dtype(operand)),
            to_string(graph.shape(operand)), ". Correct it.");
}

// Axes of `shape` may be 1 where `free` says so.
void check_repeating(const Graph& graph, NodeKind kind, Value operand, const char* what, DType dtype, Dims shape,
                     size_t free) {
  const Dims got = graph.shape(operand);
  bool fits = graph.dtype(operand) == dtype && got.size() == shape.size();
  for (size_t i = 0; fits && i < shape.size(); ++i) fits = got[i] == shape[i] || (i < free && got[i] == 1);
  MPS_CHECK(fits, kArgument, "bad ", what, " of ", info(kind).name, ": expected ", name(dtype), to_string(shape),
            ", with 1 in any of the first ", free, " axes, got ", name(graph.dtype(operand)), to_string(got),
            ". Broadcast or cast it.");
}

}  // namespace

Inferred infer_attention(const Graph& graph, NodeKind kind, Span<const Value> operands, const Attention& what) {
  const bool is_gradient = kind == NodeKind::attention_gradient;
  const size_t fixed = is_gradient ? kAttentionGradientOperands : kAttentionOperands;
  MPS_CHECK(operands.size() == what.operand_count(fixed), kInternal, "bad ", info(kind).name, ": expected ",
            what.operand_count(fixed), " operands, got ", operands.size(), ".");
  const Dims q = graph.shape(operands[0]), k = graph.shape(operands[1]), v = graph.shape(operands[2]);
  check_dtype(kind, graph.dtype(operands[0]));
  bool fits = q.size() == 4 && k.size() == 4 && v.size() == 4 && element_count(q) > 0 && element_count(k) > 0 &&
              element_count(v) > 0;
  fits = fits && q[0] == k[0] && k[0] == v[0] && k[1] == v[1] && k[2] == v[2] && q[3] == k[3] && q[2] % k[2] == 0;
  MPS_CHECK(fits, kArgument,
            "shapes of attention do not fit: expected q [B, Q, H, D], k [B, K, G, D] and v [B, K, G, V] with H a "
            "multiple of G, got ",
            to_string(q), ", ", to_string(k), " and ", to_string(v), ". Reshape them.");
  MPS_CHECK(what.dropout >= 0 && what.dropout < 1, kArgument, "bad dropout of attention: expected 0 <= p < 1, got ",
            what.dropout, ".");
  for (size_t i = 1; i < (is_gradient ? 4 : 3); ++i) {
    check_same_dtype(kind, graph.dtype(operands[0]), graph.dtype(operands[i]));
  }
  const AttentionSizes sizes = AttentionSizes::of(q, k, v);
  if (is_gradient) {
    check_operand(graph, kind, operands[3], "incoming gradient", graph.dtype(operands[0]), {q[0], q[1], q[2], v[3]});
    check_operand(graph, kind, operands[4], "logarithm of sums", DType::float32, {q[0], q[2], q[1]});
    check_operand(graph, kind, operands[5], "delta", DType::float32, {q[0], q[2], q[1]});
  }
  if (what.ranges) {
    check_repeating(graph, kind, operands[what.ranges_at(fixed)], "ranges", DType::int32, {q[0], q[1], 2}, 1);
  }
  int64_t mask_elements = 0;
  if (what.mask) {
    const Value mask = operands[what.mask_at(fixed)];
    check_repeating(graph, kind, mask, "mask", DType::float32, {q[0], q[2], q[1], k[1]}, 3);
    mask_elements = graph.elements(mask);
  }
  for (size_t i = what.counter_at(fixed); i < operands.size(); ++i) {
    check_operand(graph, kind, operands[i], "counter", DType::int32, {});
  }
  if (!is_gradient) return {DType::float32, {sizes.out_elements() + sizes.rows()}};
  MPS_CHECK(!what.mask_gradient || what.mask, kInternal, "no mask whose gradient could be asked for.");
  return {DType::float32,
          {sizes.q_elements() + sizes.k_elements() + sizes.v_elements() + (what.mask_gradient ? mask_elements : 0)}};
}

Inferred infer_alignment(const Graph& graph, NodeKind kind, Span<const Value> operands) {
  const Dims shape = graph.shape(operands[3]);
  check_dtype(kind, graph.dtype(operands[3]));
  MPS_CHECK(shape.size() == 3 && element_count(shape) > 0, kInternal, "bad scores of ", info(kind).name,
            ": expected [T, B, S], got ", to_string(shape), ".");
  check_operand(graph, kind, operands[0], "skips", DType::float32, {shape[1], shape[2]});
  check_operand(graph, kind, operands[1], "numbers of frames", DType::int32, {shape[1]});
  check_operand(graph, kind, operands[2], "numbers of states", DType::int32, {shape[1]});
  return {DType::float32, {shape[1] + element_count(shape)}};
}

}  // namespace mps
