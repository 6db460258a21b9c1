// The gradient of attention, from scores that are computed once more, tile by tile.
//
// A task has a head of keys and some of the queries; gradients of keys and values that several tasks have parts of are
// added up behind them, in their order.
#include <algorithm>
#include <limits>
#include <vector>

#include "plugin/host/attention_tiles_host.h"
#include "plugin/host/scratch_host.h"
#include "plugin/host/threads.h"

namespace mps {
namespace {

constexpr int64_t kTasks = 8;  // wanted, so that threads find something to do

class AttentionGradientProgram {
 public:
  AttentionGradientProgram(const Graph& graph, Value value)
      : tiles_(graph, value),
        parts_(std::min((kTasks + heads() - 1) / heads(), tiles_.queries.count())),
        dout_v_(product([&](int64_t rows, int64_t columns) {
          return matrix(rows, columns, tiles_.sizes.value_width, tiles_.sizes.value_width, 1, 1, tiles_.v_stride(),
                        tiles_.keys.each);
        })),
        p_dout_(product([&](int64_t rows, int64_t columns) {
          return matrix(columns, tiles_.sizes.value_width, rows, 1, tiles_.keys.each, tiles_.sizes.value_width, 1,
                        tiles_.sizes.value_width);
        })),
        ds_q_(product([&](int64_t rows, int64_t columns) {
          return matrix(columns, tiles_.sizes.width, rows, 1, tiles_.keys.each, tiles_.sizes.width, 1,
                        tiles_.sizes.width);
        })),
        ds_k_(product([&](int64_t rows, int64_t columns) {
          return matrix(rows, tiles_.sizes.width, columns, tiles_.keys.each, 1, tiles_.k_stride(), 1,
                        tiles_.sizes.width);
        })) {
    // Tasks that write to the same elements of the mask's gradient take turns.
    const AttentionSizes& s = tiles_.sizes;
    shares_mask_ = tiles_.what.mask_gradient &&
                   ((s.batch > 1 && tiles_.mask_batch == 0) || (s.heads > 1 && tiles_.mask_head == 0) ||
                    (s.queries > 1 && tiles_.mask_query == 0));
    if (tiles_.what.mask_gradient) {
      mask_elements_ =
          graph.elements(graph.operand(graph.node(value), tiles_.what.mask_at(kAttentionGradientOperands)));
    }
  }

  void run(Span<const void* const> inputs, float* out) const {
    const AttentionSizes& s = tiles_.sizes;
    const int64_t shared = s.k_elements() + s.v_elements();
    float* const dk = out + s.q_elements();
    std::fill(dk, dk + shared + mask_elements_, 0.0f);
    const Scratch::Lease more = scratch_->take(static_cast<size_t>((parts_ - 1) * shared + 1) * sizeof(float));
    float* const others = reinterpret_cast<float*>(more.data());
    std::fill(others, others + (parts_ - 1) * shared, 0.0f);
    const int64_t tasks = heads() * parts_;
    parallel_for(tasks, shares_mask_ ? tasks : 1, [&](int64_t begin, int64_t end) {
      const Scratch::Lease lease = scratch_->take(floats() * sizeof(float));
      for (int64_t task = begin; task < end; ++task) {
        const int64_t part = task % parts_, head = task / parts_, count = tiles_.queries.count();
        float* const to = part == 0 ? dk : others + (part - 1) * shared;
        const Memory m = memory(lease, to, to + s.k_elements());
        for (int64_t tile = part * count / parts_; tile < (part + 1) * count / parts_; ++tile) {
          one_row(inputs, tiles_.row(inputs, head * count + tile), m, out);
        }
      }
    });
    parallel_for(shared, grain_of(parts_), [&](int64_t begin, int64_t end) {
      for (int64_t part = 1; part < parts_; ++part) {
        const float* const from = others + (part - 1) * shared;
        for (int64_t i = begin; i < end; ++i) dk[i] += from[i];
      }
    });
  }

  uint64_t cost_ns() const { return 4000 + tiles_.products() / 8; }
  size_t bytes() const { return tiles_.bytes() + dout_v_.bytes() + p_dout_.bytes() + ds_q_.bytes() + ds_k_.bytes(); }

 private:
  struct Memory {
    float *q, *dout, *dq, *weights, *slopes, *part, *spare;
    float *dk, *dv;  // of all keys, where this task's parts go
  };

  int64_t heads() const { return tiles_.sizes.batch * tiles_.sizes.key_heads; }

  static MatmulGeometry matrix(int64_t rows, int64_t columns, int64_t inner, int64_t x_row, int64_t x_inner,
                               int64_t y_inner, int64_t y_column, int64_t to_row) {
    MatmulGeometry g;
    g.rows = rows, g.columns = columns, g.inner = inner;
    g.x_row = x_row, g.x_inner = x_inner;
    g.y_inner = y_inner, g.y_column = y_column;
    g.to_row = to_row;
    return g;
  }
  template <typename F>
  TileProduct product(F of) const {
    return TileProduct(tiles_.queries, tiles_.keys, tiles_.sizes.group(), of);
  }

  size_t part_floats() const {
    const AttentionSizes& s = tiles_.sizes;
    return static_cast<size_t>(std::max(tiles_.rows(), tiles_.keys.each) * std::max(s.width, s.value_width));
  }
  size_t floats() const {
    const AttentionSizes& s = tiles_.sizes;
    return static_cast<size_t>(tiles_.rows() * (2 * s.width + s.value_width + 2 * tiles_.keys.each)) + part_floats() +
           tiles_.spare();
  }
  Memory memory(const Scratch::Lease& lease, float* dk, float* dv) const {
    const AttentionSizes& s = tiles_.sizes;
    Memory m;
    m.q = reinterpret_cast<float*>(lease.data());
    m.dout = m.q + tiles_.rows() * s.width;
    m.dq = m.dout + tiles_.rows() * s.value_width;
    m.weights = m.dq + tiles_.rows() * s.width;
    m.slopes = m.weights + tiles_.rows() * tiles_.keys.each;
    m.part = m.slopes + tiles_.rows() * tiles_.keys.each;
    m.spare = m.part + part_floats();
    m.dk = dk;
    m.dv = dv;
    return m;
  }

  // Adds the rows of `part` to those of a tile of keys.
  void add(const float* part, int64_t rows, int64_t width, int64_t stride, float* to) const {
    for (int64_t r = 0; r < rows; ++r, part += width, to += stride) {
      for (int64_t d = 0; d < width; ++d) to[d] += part[d];
    }
  }

  void one_row(Span<const void* const> inputs, const AttentionTiles::Row& row, const Memory& m, float* out) const {
    const AttentionSizes& s = tiles_.sizes;
    const size_t last = tiles_.queries.is_last(row.tile);
    const int64_t rows = s.group() * row.count;
    tiles_.collect(row, static_cast<const float*>(inputs[0]), s.width, tiles_.what.scale, m.q);
    tiles_.collect(row, static_cast<const float*>(inputs[3]), s.value_width, 1, m.dout);
    leave_out(inputs, row, m.dout);
    std::fill(m.dq, m.dq + rows * s.width, 0.0f);
    for (int64_t tile = row.first_key; tile < row.last_key; ++tile) {
      const size_t last_key = tiles_.keys.is_last(tile);
      const int64_t keys = tiles_.keys.size(tile), at = tiles_.at_key(row, tile);
      tiles_.scores(inputs, row, tile, m.q, m.weights);
      dout_v_.of(last, last_key).run(m.dout, tiles_.v(inputs[2], row, tile), m.slopes);
      weigh(inputs, row, keys, m.weights);
      // Before and behind the weights are needed whole.
      if (tiles_.what.dropout > 0) tiles_.drop(inputs, row, tile, m.slopes, m.spare);
      slope(inputs, row, keys, m);
      tiles_.hide(inputs, row, tile, 0, m.slopes);  // 0 times NaN is not 0
      if (tiles_.what.mask_gradient) add_to_mask(row, tile, m.slopes, out);
      if (tiles_.what.dropout > 0) tiles_.drop(inputs, row, tile, m.weights, m.spare);
      p_dout_.of(last, last_key).run(m.weights, m.dout, m.part);
      add(m.part, keys, s.value_width, tiles_.v_stride(), m.dv + at * s.value_width);
      ds_q_.of(last, last_key).run(m.slopes, m.q, m.part);
      add(m.part, keys, s.width, tiles_.k_stride(), m.dk + at * s.width);
      ds_k_.of(last, last_key).run(m.slopes, tiles_.k(inputs[1], row, tile), m.part);
      add(m.part, rows, s.width, s.width, m.dq);
    }
    for (int64_t i = 0; i < rows * s.width; ++i) m.dq[i] *= tiles_.what.scale;
    tiles_.spread(row, m.dq, s.width, out);
  }

  // Element r of a row of tiles in [B, H, Q].
  int64_t index(const AttentionTiles::Row& row, int64_t r) const {
    const AttentionSizes& s = tiles_.sizes;
    const int64_t h = row.key_head * s.group() + r / row.count, i = row.first + r % row.count;
    return (row.batch * s.heads + h) * s.queries + i;
  }

  bool sees_nothing(Span<const void* const> inputs, int64_t index) const {
    return static_cast<const float*>(inputs[4])[index] == std::numeric_limits<float>::infinity();
  }

  // What comes to queries that see no key may be NaN, and has no part in any gradient.
  void leave_out(Span<const void* const> inputs, const AttentionTiles::Row& row, float* dout) const {
    const int64_t width = tiles_.sizes.value_width;
    for (int64_t r = 0; r < tiles_.sizes.group() * row.count; ++r, dout += width) {
      if (sees_nothing(inputs, index(row, r))) std::fill(dout, dout + width, 0.0f);
    }
  }

  // Scores become exp(score - logarithm of the sum).
  void weigh(Span<const void* const> inputs, const AttentionTiles::Row& row, int64_t keys, float* scores) const {
    const BlockFn exponent =
        tiles_.kernels.pointwise[static_cast<int>(NodeKind::exponent)][static_cast<int>(DType::float32)];
    const float* const log_sum = static_cast<const float*>(inputs[4]);
    for (int64_t r = 0; r < tiles_.sizes.group() * row.count; ++r, scores += tiles_.keys.each) {
      const float shift = log_sum[index(row, r)];
      for (int64_t j = 0; j < keys; ++j) scores[j] -= shift;
      exponent(scores, nullptr, nullptr, scores, static_cast<size_t>(keys));
    }
  }

  // dout v becomes weights (dout v - delta).
  void slope(Span<const void* const> inputs, const AttentionTiles::Row& row, int64_t keys, const Memory& m) const {
    const float* const delta = static_cast<const float*>(inputs[5]);
    for (int64_t r = 0; r < tiles_.sizes.group() * row.count; ++r) {
      const float* const weights = m.weights + r * tiles_.keys.each;
      float* const slopes = m.slopes + r * tiles_.keys.each;
      const float shift = sees_nothing(inputs, index(row, r)) ? 0 : delta[index(row, r)];
      for (int64_t j = 0; j < keys; ++j) slopes[j] = weights[j] * (slopes[j] - shift);
    }
  }

  void add_to_mask(const AttentionTiles::Row& row, int64_t tile, const float* slopes, float* out) const {
    const AttentionSizes& s = tiles_.sizes;
    float* const mask = out + s.q_elements() + s.k_elements() + s.v_elements() + tile * tiles_.keys.each;
    for (int64_t r = 0; r < s.group() * row.count; ++r, slopes += tiles_.keys.each) {
      const int64_t h = row.key_head * s.group() + r / row.count, i = row.first + r % row.count;
      float* const to = mask + tiles_.mask_offset(row.batch, h, i);
      for (int64_t j = 0; j < tiles_.keys.size(tile); ++j) to[j] += slopes[j];
    }
  }

  const AttentionTiles tiles_;
  const int64_t parts_;  // of the queries
  const TileProduct dout_v_, p_dout_, ds_q_, ds_k_;
  bool shares_mask_ = false;
  int64_t mask_elements_ = 0;
  const std::shared_ptr<Scratch> scratch_ = std::make_shared<Scratch>();
};

}  // namespace

WholeProgram compile_attention_gradient(const Graph& graph, Value value) {
  const auto program = std::make_shared<const AttentionGradientProgram>(graph, value);
  const auto run = [program](Span<const void* const> inputs, void* output) {
    program->run(inputs, static_cast<float*>(output));
  };
  return {run, program->cost_ns(), program->bytes()};
}

}  // namespace mps
