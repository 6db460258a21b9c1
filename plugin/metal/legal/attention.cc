#include "plugin/metal/legal/attention.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "plugin/metal/legal/lines.h"
#include "plugin/metal/legal/matmul.h"
#include "plugin/metal/legal/numbers.h"
#include "plugin/metal/legal/random.h"
#include "plugin/metal/legal/shapes.h"

namespace mps::legal {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

class Composer {
 public:
  Composer(Builder& b, NodeKind kind, Span<const Value> operands, const Attention& what)
      : b_(b),
        what_(what),
        fixed_(kind == NodeKind::attention_gradient ? kAttentionGradientOperands : kAttentionOperands),
        sizes_(AttentionSizes::of(b.shape(operands[0]), b.shape(operands[1]), b.shape(operands[2]))) {
    for (Value operand : operands) operands_.push_back(operand);
    for (size_t i = 0; i < (fixed_ == kAttentionOperands ? 3u : 4u); ++i) {
      operands_[i] = b_.cast(operands_[i], DType::float32);
    }
    // Heads in front; the matrices of heads that share keys lie under each other.
    k_ = stacked(operands_[1], sizes_.key_heads, sizes_.keys, sizes_.width);
    v_ = stacked(operands_[2], sizes_.key_heads, sizes_.keys, sizes_.value_width);
    if (what_.dropout > 0) {
      const auto word = [&](size_t i) { return operands_[what_.counter_at(fixed_) + i]; };
      const Value words = random_bits(b_, {{word(0), word(1)}, {word(2), word(3), word(4), word(5)}},
                                      {sizes_.batch * sizes_.heads, sizes_.queries, sizes_.keys});
      const Value shift = b_.constant(8, DType::int32), low = b_.constant(0xFFFFFF, DType::int32);
      const Value bits = point(NodeKind::bitwise_and, point(NodeKind::bitwise_right_shift, words, shift), low);
      const Value unit = point(NodeKind::multiplication, b_.cast(bits, DType::float32), number(0x1p-24));
      keep_ = point(NodeKind::greater_than_or_equal_to, unit, number(static_cast<double>(what_.dropout)));
    }
  }

  Value forward() {
    std::vector<Value> outs, log_sums;
    each_piece([&](int64_t first, int64_t count) {
      const Value scores = this->scores(first, count);
      const Value highest = reduction(b_, NodeKind::reduction_maximum, scores, {2});
      const Value nothing = point(NodeKind::equal, highest, number(-kInfinity));
      const Value shift = point(NodeKind::select, nothing, number(0), highest);
      const Value weights = point(NodeKind::exponent, point(NodeKind::subtraction, scores, shift));
      const Value sum = reduction(b_, NodeKind::reduction_sum, weights, {2});
      const Value divisor = point(NodeKind::select, nothing, number(1), sum);
      const Value mean = matrix_multiplication(b_, grouped(dropped(weights, first, count)), v_);
      const Value out = point(NodeKind::division, by_head(mean, count), divisor);
      outs.push_back(tokens(out, count, sizes_.value_width));
      const Value log_sum = point(NodeKind::addition, shift, point(NodeKind::logarithm, divisor));
      log_sums.push_back(point(NodeKind::select, nothing, number(kInfinity), log_sum));
    });
    return flat({joined(outs), joined(log_sums)});
  }

  Value gradient() {
    std::vector<Value> dqs, dmasks;
    Value dk{}, dv{};
    const Value scale = number(static_cast<double>(what_.scale));
    each_piece([&](int64_t first, int64_t count) {
      const Value log_sum = rows(4, first, count);
      const Value weights = point(NodeKind::exponent, point(NodeKind::subtraction, scores(first, count), log_sum));
      // What comes to queries that see no key may be NaN, and has no part in any gradient.
      const Value nothing = point(NodeKind::equal, log_sum, number(kInfinity));
      const auto without = [&](Value x) { return point(NodeKind::select, nothing, number(0), x); };
      const Value dout = grouped(without(by_head(queries(3, first, count, sizes_.value_width), count)));
      const Value part = by_head(matrix_multiplication(b_, dout, transposed(v_)), count);
      const Value slopes =
          limited(point(NodeKind::multiplication, weights,
                        point(NodeKind::subtraction, dropped(part, first, count), without(rows(5, first, count)))),
                  first, count, 0);  // 0 times NaN is not 0
      if (what_.mask_gradient) dmasks.push_back(of_mask(slopes, count));
      const Value both = grouped(slopes);
      const Value dq = point(NodeKind::multiplication, matrix_multiplication(b_, both, k_), scale);
      dqs.push_back(tokens(by_head(dq, count), count, sizes_.width));
      const Value q = queries(0, first, count, sizes_.width);
      dk = sum(dk, matrix_multiplication(b_, transposed(both), q), first == 0);
      dv = sum(dv, matrix_multiplication(b_, transposed(grouped(dropped(weights, first, count))), dout), first == 0);
    });
    std::vector<Value> all{joined(dqs), keys(point(NodeKind::multiplication, dk, scale), sizes_.width),
                           keys(dv, sizes_.value_width)};
    if (what_.mask_gradient) {
      const bool repeats = b_.shape(operands_[what_.mask_at(fixed_)])[2] == 1;
      Value total = repeats ? dmasks[0] : concatenation(b_, dmasks, 2);
      for (size_t i = 1; repeats && i < dmasks.size(); ++i) total = point(NodeKind::addition, total, dmasks[i]);
      all.push_back(total);
    }
    return flat(all);
  }

 private:
  template <typename... Values>
  Value point(NodeKind kind, Values... values) {
    return pointwise(b_, kind, {values...});
  }
  Value number(double value) { return b_.constant(value, DType::float32); }
  Value transposed(Value x) { return transpose(b_, x, {0, 2, 1}); }
  Value sum(Value so_far, Value part, bool first) { return first ? part : point(NodeKind::addition, so_far, part); }

  template <typename F>
  void each_piece(F f) {
    const int64_t each = std::max<int64_t>(1, kMostScores / (sizes_.batch * sizes_.heads * sizes_.keys));
    for (int64_t first = 0; first < sizes_.queries; first += each) f(first, std::min(each, sizes_.queries - first));
  }

  // [B, L, H, width] -> [B * G, H / G * L, width]
  Value stacked(Value x, int64_t heads, int64_t length, int64_t width) {
    return b_.reshape(transpose(b_, x, {0, 2, 1, 3}),
                      {sizes_.batch * sizes_.key_heads, heads / sizes_.key_heads * length, width});
  }
  Value queries(size_t operand, int64_t first, int64_t count, int64_t width) {
    return stacked(b_.slice(operands_[operand], 1, first, count), sizes_.heads, count, width);
  }
  // [B * G, H / G * count, N] -> [B * H, count, N], and back.
  Value by_head(Value x, int64_t count) { return b_.reshape(x, {sizes_.batch * sizes_.heads, count, b_.shape(x)[2]}); }
  Value grouped(Value x) {
    const Shape shape = b_.shape(x);
    return b_.reshape(x, {sizes_.batch * sizes_.key_heads, sizes_.group() * shape[1], shape[2]});
  }
  // [B * H, count, width] -> [B, count, H, width]
  Value tokens(Value x, int64_t count, int64_t width) {
    return transpose(b_, b_.reshape(x, {sizes_.batch, sizes_.heads, count, width}), {0, 2, 1, 3});
  }
  // [B * G, K, width] -> [B, K, G, width]
  Value keys(Value x, int64_t width) {
    return transpose(b_, b_.reshape(x, {sizes_.batch, sizes_.key_heads, sizes_.keys, width}), {0, 2, 1, 3});
  }
  // Of an operand [B, H, Q]: [B * H, count, 1].
  Value rows(size_t operand, int64_t first, int64_t count) {
    const Value all = b_.reshape(operands_[operand], {sizes_.batch * sizes_.heads, sizes_.queries, 1});
    return b_.slice(all, 1, first, count);
  }

  // [B * H, count, K]
  Value scores(int64_t first, int64_t count) {
    const Value q = queries(0, first, count, sizes_.width);
    Value scores = by_head(matrix_multiplication(b_, q, transposed(k_)), count);
    scores = point(NodeKind::multiplication, scores, number(static_cast<double>(what_.scale)));
    const Shape flat_shape = b_.shape(scores), shape{sizes_.batch, sizes_.heads, count, sizes_.keys};
    if (what_.mask) {
      Value mask = operands_[what_.mask_at(fixed_)];
      if (b_.shape(mask)[2] != 1) mask = b_.slice(mask, 2, first, count);
      scores = b_.reshape(point(NodeKind::addition, b_.reshape(scores, shape), broadcast(b_, mask, shape)), flat_shape);
    }
    return limited(scores, first, count, -kInfinity);
  }

  // Of the shape of scores: `value` where no range of a query has the key.
  Value limited(Value x, int64_t first, int64_t count, double value) {
    if (!what_.ranges) return x;
    const Shape flat_shape = b_.shape(x), shape{sizes_.batch, sizes_.heads, count, sizes_.keys};
    const Value ranges = b_.slice(operands_[what_.ranges_at(fixed_)], 1, first, count);
    const int64_t batch = b_.shape(ranges)[0];
    const auto bound = [&](int64_t i) { return b_.reshape(b_.slice(ranges, 2, i, 1), {batch, 1, count, 1}); };
    const Value at = coordinate(b_, {1, 1, 1, sizes_.keys}, 3);
    const Value not_before = point(NodeKind::greater_than_or_equal_to, at, bound(0));
    const Value sees = point(NodeKind::multiplication, not_before, point(NodeKind::less_than, at, bound(1)));
    const Value chosen = point(NodeKind::select, broadcast(b_, sees, shape), b_.reshape(x, shape),
                               b_.constant(value, DType::float32, shape));
    return b_.reshape(chosen, flat_shape);
  }

  Value dropped(Value x, int64_t first, int64_t count) {
    if (!(what_.dropout > 0)) return x;
    const Value kept = point(NodeKind::multiplication, x, number(1 / (1 - static_cast<double>(what_.dropout))));
    return point(NodeKind::select, moved(b_, keep_, [&](Value keep) { return b_.slice(keep, 1, first, count); }), kept,
                 b_.like(x, 0));
  }

  Value of_mask(Value slopes, int64_t count) {
    const Shape mask = b_.shape(operands_[what_.mask_at(fixed_)]);
    const Shape shape{sizes_.batch, sizes_.heads, count, sizes_.keys};
    Ints axes;
    for (size_t i = 0; i < 3; ++i) {
      if (mask[i] == 1 && shape[i] != 1) axes.push_back(static_cast<int64_t>(i));
    }
    const Value all = b_.reshape(slopes, shape);
    return axes.empty() ? all : reduction(b_, NodeKind::reduction_sum, all, axes);
  }

  // Pieces along the queries, which are axis 1.
  Value joined(const std::vector<Value>& pieces) { return concatenation(b_, pieces, 1); }
  Value flat(const std::vector<Value>& values) {
    std::vector<Value> lines;
    for (Value value : values) lines.push_back(b_.reshape(value, {b_.graph().elements(value)}));
    return concatenation(b_, lines, 0);
  }

  Builder& b_;
  const Attention what_;
  const size_t fixed_;
  const AttentionSizes sizes_;
  std::vector<Value> operands_;
  Value k_{}, v_{}, keep_{};
};

}  // namespace

Value attention(Builder& b, NodeKind kind, Span<const Value> operands, const Attention& what) {
  Composer composer(b, kind, operands, what);
  return kind == NodeKind::attention_gradient ? composer.gradient() : composer.forward();
}

}  // namespace mps::legal
