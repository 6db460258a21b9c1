#include "plugin/host/reference_sequences_host.h"

#include <cmath>
#include <limits>
#include <vector>

#include "plugin/core/check.h"
#include "plugin/host/reference_whole_host.h"

namespace mps {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double load(DType dtype, const void* data, int64_t at) {
  if (dtype == DType::float16) return static_cast<double>(static_cast<float>(static_cast<const Half*>(data)[at]));
  if (dtype == DType::bfloat16) return static_cast<double>(static_cast<float>(static_cast<const BFloat16*>(data)[at]));
  return static_cast<double>(static_cast<const float*>(data)[at]);
}

// -- attention -------------------------------------------------------------------------------------------------------

struct AttentionCall {
  const Graph& graph;
  Value value;
  Span<const void* const> operands;

  const Node& node() const { return graph.node(value); }
  bool is_gradient() const { return node().kind == NodeKind::attention_gradient; }
  size_t fixed() const { return is_gradient() ? kAttentionGradientOperands : kAttentionOperands; }
  Attention what() const { return Attention::of(graph.attributes(node())); }
  Dims shape(size_t i) const { return graph.shape(graph.operand(node(), i)); }
  AttentionSizes sizes() const { return AttentionSizes::of(shape(0), shape(1), shape(2)); }

  // Of operand `i` with shape [a, b, c, d].
  double at(size_t i, int64_t a, int64_t b, int64_t c, int64_t d) const {
    const Dims s = shape(i);
    return load(graph.dtype(graph.operand(node(), i)), operands[i], ((a * s[1] + b) * s[2] + c) * s[3] + d);
  }
  double row(size_t i, int64_t b, int64_t h, int64_t query) const {
    const Dims s = shape(i);
    return static_cast<double>(static_cast<const float*>(operands[i])[(b * s[1] + h) * s[2] + query]);
  }

  int64_t mask_index(int64_t b, int64_t h, int64_t i, int64_t j) const {
    const Dims s = shape(what().mask_at(fixed()));
    return (((s[0] == 1 ? 0 : b) * s[1] + (s[1] == 1 ? 0 : h)) * s[2] + (s[2] == 1 ? 0 : i)) * s[3] + j;
  }

  // scale q . k + mask, -inf where the query sees nothing.
  double score(int64_t b, int64_t h, int64_t i, int64_t j) const {
    const Attention a = what();
    const AttentionSizes s = sizes();
    if (a.ranges) {
      const int32_t* const range = static_cast<const int32_t*>(operands[a.ranges_at(fixed())]) +
                                   ((shape(a.ranges_at(fixed()))[0] == 1 ? 0 : b) * s.queries + i) * 2;
      if (j < range[0] || j >= range[1]) return -kInfinity;
    }
    double sum = 0;
    for (int64_t d = 0; d < s.width; ++d) sum += at(0, b, i, h, d) * at(1, b, j, h / s.group(), d);
    sum *= static_cast<double>(a.scale);
    if (!a.mask) return sum;
    return sum + static_cast<double>(static_cast<const float*>(operands[a.mask_at(fixed())])[mask_index(b, h, i, j)]);
  }

  // What a weight is multiplied by: 0, or 1 / (1 - dropout).
  double kept(int64_t b, int64_t h, int64_t i, int64_t j) const {
    const Attention a = what();
    if (!(a.dropout > 0)) return 1;
    const AttentionSizes s = sizes();
    uint32_t counter[6];
    for (size_t w = 0; w < 6; ++w) counter[w] = *static_cast<const uint32_t*>(operands[a.counter_at(fixed()) + w]);
    const uint64_t index = static_cast<uint64_t>(((b * s.heads + h) * s.queries + i) * s.keys + j);
    const float unit = static_cast<float>(reference_random_word({counter, 6}, index) >> 8) * 0x1p-24f;
    return unit >= a.dropout ? 1 / (1 - static_cast<double>(a.dropout)) : 0;
  }
};

void attention(const AttentionCall& call, float* out) {
  const AttentionSizes s = call.sizes();
  float* log_sum = out + s.out_elements();
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t h = 0; h < s.heads; ++h) {
      for (int64_t i = 0; i < s.queries; ++i) {
        std::vector<double> scores, mean(static_cast<size_t>(s.value_width), 0);
        double greatest = -kInfinity, sum = 0;
        for (int64_t j = 0; j < s.keys; ++j) {
          scores.push_back(call.score(b, h, i, j));
          if (scores.back() > greatest || scores.back() != scores.back()) greatest = scores.back();
        }
        if (greatest == -kInfinity) greatest = 0;
        for (int64_t j = 0; j < s.keys; ++j) {
          const double weight = std::exp(scores[static_cast<size_t>(j)] - greatest);
          sum += weight;
          const double part = weight * call.kept(b, h, i, j);
          for (int64_t d = 0; d < s.value_width; ++d)
            mean[static_cast<size_t>(d)] += part * call.at(2, b, j, h / s.group(), d);
        }
        for (int64_t d = 0; d < s.value_width; ++d) {
          out[((b * s.queries + i) * s.heads + h) * s.value_width + d] =
              static_cast<float>(sum == 0 ? 0 : mean[static_cast<size_t>(d)] / sum);
        }
        *log_sum++ = static_cast<float>(sum == 0 ? kInfinity : greatest + std::log(sum));
      }
    }
  }
}

void attention_gradient(const AttentionCall& call, float* out) {
  const AttentionSizes s = call.sizes();
  const Attention what = call.what();
  const int64_t total = element_count(call.graph.shape(call.value));
  std::vector<double> sums(static_cast<size_t>(total), 0);
  double* const dq = sums.data();
  double* const dk = dq + s.q_elements();
  double* const dv = dk + s.k_elements();
  double* const dmask = dv + s.v_elements();
  const double scale = static_cast<double>(what.scale);
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t h = 0; h < s.heads; ++h) {
      const int64_t g = h / s.group();
      for (int64_t i = 0; i < s.queries; ++i) {
        for (int64_t j = 0; j < s.keys; ++j) {
          const double weight = std::exp(call.score(b, h, i, j) - call.row(4, b, h, i));
          if (weight == 0) continue;
          const double kept = call.kept(b, h, i, j);
          double product = 0;
          for (int64_t d = 0; d < s.value_width; ++d) {
            const double dout = call.at(3, b, i, h, d);
            product += dout * call.at(2, b, j, g, d);
            dv[((b * s.keys + j) * s.key_heads + g) * s.value_width + d] += weight * kept * dout;
          }
          const double slope = weight * (product * kept - call.row(5, b, h, i));
          for (int64_t d = 0; d < s.width; ++d) {
            dq[((b * s.queries + i) * s.heads + h) * s.width + d] += slope * scale * call.at(1, b, j, g, d);
            dk[((b * s.keys + j) * s.key_heads + g) * s.width + d] += slope * scale * call.at(0, b, i, h, d);
          }
          if (what.mask_gradient) dmask[call.mask_index(b, h, i, j)] += slope;
        }
      }
    }
  }
  for (int64_t i = 0; i < total; ++i) out[i] = static_cast<float>(sums[static_cast<size_t>(i)]);
}

// -- alignments ------------------------------------------------------------------------------------------------------

double log_add(double x, double y) {
  if (x != x || y != y) return x + y;
  const double high = x > y ? x : y;
  if (std::isinf(high)) return high;
  return high + std::log(std::exp(x - high) + std::exp(y - high));
}

void ctc_alignment(const Graph& graph, Value value, Span<const void* const> operands, float* out) {
  const Dims shape = graph.shape(graph.operand(graph.node(value), 3));
  const int64_t length = shape[0], batch = shape[1], width = shape[2];
  const DType dtype = graph.dtype(graph.operand(graph.node(value), 3));
  const float* const skips = static_cast<const float*>(operands[0]);
  const int64_t total = batch + length * batch * width;
  for (int64_t i = 0; i < total; ++i) out[i] = 0;
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t frames = static_cast<const int32_t*>(operands[1])[b];
    const int64_t states = static_cast<const int32_t*>(operands[2])[b];
    const auto score = [&](int64_t t, int64_t s) { return load(dtype, operands[3], (t * batch + b) * width + s); };
    const auto skip = [&](int64_t s) { return static_cast<double>(skips[b * width + s]); };
    if (frames < 1 || frames > length || states < 1 || states > width) {
      out[b] = -std::numeric_limits<float>::infinity();
      continue;
    }
    // Logarithms of the likelihood of everything up to (t, s), and of everything behind it.
    const size_t cells = static_cast<size_t>(frames * states);
    std::vector<double> before(cells, -kInfinity), behind(cells, -kInfinity);
    const auto cell = [&](int64_t t, int64_t s) { return static_cast<size_t>(t * states + s); };
    for (int64_t t = 0; t < frames; ++t) {
      for (int64_t s = 0; s < states; ++s) {
        double sum = t == 0 && s < 2 ? 0 : -kInfinity;
        if (t > 0) sum = before[cell(t - 1, s)];
        if (t > 0 && s > 0) sum = log_add(sum, before[cell(t - 1, s - 1)]);
        if (t > 0 && s > 1) sum = log_add(sum, before[cell(t - 1, s - 2)] + skip(s));
        before[cell(t, s)] = sum + score(t, s);
      }
    }
    for (int64_t t = frames; t-- > 0;) {
      for (int64_t s = 0; s < states; ++s) {
        double sum = t + 1 == frames && s + 2 >= states ? 0 : -kInfinity;
        const auto next = [&](int64_t to) { return behind[cell(t + 1, to)] + score(t + 1, to); };
        if (t + 1 < frames) sum = next(s);
        if (t + 1 < frames && s + 1 < states) sum = log_add(sum, next(s + 1));
        if (t + 1 < frames && s + 2 < states) sum = log_add(sum, next(s + 2) + skip(s + 2));
        behind[cell(t, s)] = sum;
      }
    }
    double likelihood = before[cell(frames - 1, states - 1)];
    if (states > 1) likelihood = log_add(likelihood, before[cell(frames - 1, states - 2)]);
    out[b] = static_cast<float>(likelihood);
    if (likelihood == -kInfinity) continue;
    for (int64_t t = 0; t < frames; ++t) {
      for (int64_t s = 0; s < states; ++s) {
        out[batch + (t * batch + b) * width + s] =
            static_cast<float>(std::exp(before[cell(t, s)] + behind[cell(t, s)] - likelihood));
      }
    }
  }
}

}  // namespace

void reference_sequences(const Graph& graph, Value value, Span<const void* const> operands, void* out) {
  float* const to = static_cast<float*>(out);
  const NodeKind kind = graph.node(value).kind;
  if (kind == NodeKind::attention) return attention({graph, value, operands}, to);
  if (kind == NodeKind::attention_gradient) return attention_gradient({graph, value, operands}, to);
  if (kind == NodeKind::ctc_alignment) return ctc_alignment(graph, value, operands, to);
  MPS_THROW(kInternal, "not a node of sequences: got ", info(kind).name, ".");
}

}  // namespace mps
