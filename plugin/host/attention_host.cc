// Attention without its score matrix: a tile of scores after the other, with the greatest score, the sum and the mean
// so far, which are corrected when a greater one comes (Milakov and Gimelshein, "Online normalizer calculation for
// softmax", 2018; Dao et al., "FlashAttention", 2022). Memory grows with the lengths, not with their product.
#include <algorithm>
#include <cmath>
#include <limits>

#include "plugin/host/attention_tiles_host.h"
#include "plugin/host/scratch_host.h"
#include "plugin/host/threads.h"

namespace mps {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class AttentionProgram {
 public:
  AttentionProgram(const Graph& graph, Value value)
      : tiles_(graph, value),
        pv_(tiles_.queries, tiles_.keys, tiles_.sizes.group(), [&](int64_t rows, int64_t columns) {
          MatmulGeometry g;
          g.rows = rows, g.columns = tiles_.sizes.value_width, g.inner = columns;
          g.x_row = tiles_.keys.each, g.x_inner = 1;
          g.y_inner = tiles_.v_stride(), g.y_column = 1;
          g.to_row = g.columns;
          return g;
        }) {}

  void run(Span<const void* const> inputs, float* out) const {
    const int64_t most = tiles_.rows();
    const size_t rows = static_cast<size_t>(most), width = static_cast<size_t>(tiles_.sizes.width),
                 value_width = static_cast<size_t>(tiles_.sizes.value_width),
                 keys = static_cast<size_t>(tiles_.keys.each);
    const size_t floats = rows * (width + keys + 2 * value_width + 2) + tiles_.spare();
    parallel_for(tiles_.row_count(), 1, [&](int64_t begin, int64_t end) {
      const Scratch::Lease lease = scratch_->take(floats * sizeof(float));
      float* const memory = reinterpret_cast<float*>(lease.data());
      Memory m;
      m.q = memory;
      m.scores = m.q + rows * width;
      m.mean = m.scores + rows * keys;
      m.part = m.mean + rows * value_width;
      m.greatest = m.part + rows * value_width;
      m.sum = m.greatest + rows;
      m.spare = m.sum + rows;
      for (int64_t i = begin; i < end; ++i) one_row(inputs, tiles_.row(inputs, i), m, out);
    });
  }

  uint64_t cost_ns() const { return 2000 + tiles_.products() / 20; }
  size_t bytes() const { return tiles_.bytes() + pv_.bytes(); }

 private:
  struct Memory {
    float *q, *scores, *mean, *part, *greatest, *sum, *spare;
  };

  void one_row(Span<const void* const> inputs, const AttentionTiles::Row& row, const Memory& m, float* out) const {
    const AttentionSizes& s = tiles_.sizes;
    const int64_t rows = s.group() * row.count, width = s.value_width;
    tiles_.collect(row, static_cast<const float*>(inputs[0]), s.width, tiles_.what.scale, m.q);
    std::fill(m.mean, m.mean + rows * width, 0.0f);
    std::fill(m.greatest, m.greatest + rows, -kInfinity);
    std::fill(m.sum, m.sum + rows, 0.0f);
    for (int64_t tile = row.first_key; tile < row.last_key; ++tile) {
      tiles_.scores(inputs, row, tile, m.q, m.scores);
      weigh(rows, tiles_.keys.size(tile), m);
      if (tiles_.what.dropout > 0) tiles_.drop(inputs, row, tile, m.scores, m.spare);
      pv_.of(tiles_.queries.is_last(row.tile), tiles_.keys.is_last(tile))
          .run(m.scores, tiles_.v(inputs[2], row, tile), m.part);
      for (int64_t i = 0; i < rows * width; ++i) m.mean[i] += m.part[i];
    }
    float* const log_sum = out + s.out_elements();
    for (int64_t r = 0; r < rows; ++r) {
      const float sum = m.sum[r], factor = sum == 0 ? 0 : 1 / sum;
      for (int64_t d = 0; d < width; ++d) m.mean[r * width + d] *= factor;
      const int64_t h = row.key_head * s.group() + r / row.count, i = row.first + r % row.count;
      log_sum[(row.batch * s.heads + h) * s.queries + i] = sum == 0 ? kInfinity : m.greatest[r] + std::log(sum);
    }
    tiles_.spread(row, m.mean, width, out);
  }

  // Scores become exp(score - greatest so far); what was there before is brought to the new greatest.
  void weigh(int64_t rows, int64_t columns, const Memory& m) const {
    const VectorKernels& kernels = tiles_.kernels;
    const int f = static_cast<int>(DType::float32);
    const ReduceFns& maximum = kernels.reduce[static_cast<int>(NodeKind::reduction_maximum)][f];
    const ReduceFns& total = kernels.reduce[static_cast<int>(NodeKind::reduction_sum)][f];
    const BlockFn exponent = kernels.pointwise[static_cast<int>(NodeKind::exponent)][f];
    const int64_t width = tiles_.sizes.value_width;
    const size_t count = static_cast<size_t>(columns);
    for (int64_t r = 0; r < rows; ++r) {
      float* const scores = m.scores + r * tiles_.keys.each;
      double highest, sum;
      maximum.start(&highest, 1);
      maximum.rows(scores, 1, count, &highest);
      const float before = m.greatest[r], now = std::max(static_cast<float>(highest), before);
      // Of nothing but -inf the exponentials are to be 0, not NaN.
      const float shift = now == -kInfinity ? 0 : now;
      for (int64_t j = 0; j < columns; ++j) scores[j] -= shift;
      exponent(scores, nullptr, nullptr, scores, count);
      total.start(&sum, 1);
      total.rows(scores, 1, count, &sum);
      if (before != now) {
        const float factor = std::exp(before - shift);
        m.sum[r] *= factor;
        for (int64_t d = 0; d < width; ++d) m.mean[r * width + d] *= factor;
        m.greatest[r] = now;
      }
      m.sum[r] += static_cast<float>(sum);
    }
  }

  const AttentionTiles tiles_;
  const TileProduct pv_;
  const std::shared_ptr<Scratch> scratch_ = std::make_shared<Scratch>();
};

}  // namespace

WholeProgram compile_attention(const Graph& graph, Value value) {
  if (graph.node(value).kind == NodeKind::attention_gradient) return compile_attention_gradient(graph, value);
  const auto program = std::make_shared<const AttentionProgram>(graph, value);
  const auto run = [program](Span<const void* const> inputs, void* output) {
    program->run(inputs, static_cast<float*>(output));
  };
  return {run, program->cost_ns(), program->bytes()};
}

}  // namespace mps
