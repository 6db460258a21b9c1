// One call of attention being recorded, for the kernels of Paddle's that are the nodes `attention` and
// `attention_gradient` (plugin/core/attention.h).
#pragma once

#include <cmath>
#include <initializer_list>
#include <vector>

#include "kernels/graphs/attention.h"
#include "kernels/ops/wide.h"
#include "plugin/core/check.h"
#include "plugin/paddle/host_value.h"
#include "plugin/paddle/random.h"

namespace mps::paddle::attention {

using phi::CustomContext;
using phi::DenseTensor;
using OptionalTensor = ::paddle::optional<DenseTensor>;

// The words of a Graph::Counter that differ, in the bytes of Paddle's int64 [2]: the seed, and the block it begins
// with.
inline constexpr int64_t kCounterWords = 4;

// One call being recorded: operands in the node's layout and order.
class Call {
 public:
  Call(const CustomContext& ctx, const DenseTensor& q, const DenseTensor& k, const DenseTensor& v)
      : Call(ctx, dims_of(q), dims_of(k), dims_of(v)) {
    set(record.input(q, q_shape), record.input(k, k_shape), record.input(v, v_shape));
  }
  // Of other shapes than the tensors', to be followed by set().
  Call(const CustomContext& ctx, Dims q, Dims k, Dims v)
      : record(ctx), q_shape(as_batch(q)), k_shape(as_batch(k)), v_shape(as_batch(v)), ctx_(ctx) {
    MPS_CHECK(q_shape.size() == 4 && k_shape.size() == 4 && v_shape.size() == 4, kArgument,
              "bad shapes of attention: expected q, k and v with 4 dimensions, or 3 without a batch, got ",
              to_string(q), ", ", to_string(k), " and ", to_string(v), ". Reshape them.");
  }

  void set(Value q, Value k, Value v) { operands_ = {q, k, v}; }

  Graph& graph() { return record.graph; }
  bool is_empty() const {
    return element_count(q_shape) == 0 || element_count(k_shape) == 0 || element_count(v_shape) == 0;
  }
  Shape out_shape() const { return {q_shape[0], q_shape[1], q_shape[2], v_shape[3]}; }
  Shape sum_shape() const { return {q_shape[0], q_shape[2], q_shape[1]}; }

  void scale(float scale) { what_.scale = scale; }
  void default_scale() { what_.scale = 1 / std::sqrt(static_cast<float>(q_shape[3])); }
  void ranges(Value ranges) { what_.ranges = true, ranges_ = ranges; }

  // Of as many dimensions as there are, the last ones of [B, H, Q, K].
  void mask(const OptionalTensor& mask) {
    if (!mask || is_empty()) return;
    MPS_CHECK(mask->dims().size() <= 4, kArgument, "bad mask: expected at most 4 dimensions, got ",
              to_string(dims_of(*mask)), ". Reshape it.");
    const Shape shape = with_leading_ones(dims_of(*mask));
    Shape whole(shape);
    whole[3] = k_shape[1];
    what_.mask = true;
    mask_ = graph().broadcast(wide(record, *mask, shape), whole);
  }

  // float32 [B or 1, H, G or 1, Q or 1, K]; that of a head of keys is shared by its heads of queries.
  void mask(Value mask) {
    Graph& g = graph();
    const Shape shape(g.shape(mask));
    const int64_t heads = q_shape[2];
    if (shape[1] != 1 && shape[1] != heads) {
      MPS_CHECK(heads % shape[1] == 0, kArgument, "bad mask: expected a number of heads that divides ", heads, ", got ",
                shape[1], ".");
      const Value each = g.reshape(mask, {shape[0], shape[1], 1, shape[2], shape[3]});
      mask = g.reshape(g.broadcast(each, {shape[0], shape[1], heads / shape[1], shape[2], shape[3]}),
                       {shape[0], heads, shape[2], shape[3]});
    }
    what_.mask = true;
    mask_ = mask;
  }

  // Draws where dropout begins, and keeps it for the gradient.
  void draw(double dropout, bool is_test, const OptionalTensor& fixed, DenseTensor* kept) {
    const bool drops = !is_test && dropout > 0;
    MPS_CHECK(dropout >= 0 && (dropout < 1 || is_test), kArgument, "bad dropout: expected 0 <= p < 1, got ", dropout,
              ".");
    const Value none = graph().constant(0, DType::int32);
    Graph::Counter counter{{none, none}, {none, none, none, none}};
    if (drops) {
      what_.dropout = static_cast<float>(dropout);
      const uint64_t count = static_cast<uint64_t>(element_count(sum_shape())) * static_cast<uint64_t>(k_shape[1]);
      if (fixed) {
        const std::vector<Scalar> numbers = host_values(ctx_, *fixed);
        MPS_CHECK(numbers.size() == 2, kArgument, "bad fixed_seed_offset: expected 2 numbers, got ", numbers.size(),
                  ".");
        const uint64_t seed = static_cast<uint64_t>(numbers[0].to_int64() ^ (numbers[1].to_int64() << 32));
        counter = Random(ctx_, record, &seed).counter(count);
      } else {
        counter = Random(ctx_, record).counter(count);
      }
      set_counter(counter);
    }
    if (kept == nullptr) return;
    const auto word = [&](Value value) { return graph().reshape(value, {1}); };
    kept->Resize({2});
    void* const address = ctx_.Alloc(kept, phi::DataType::INT64);
    record.output(address,
                  graph().concatenation(
                      {word(counter.key[0]), word(counter.key[1]), word(counter.block[0]), word(counter.block[1])}, 0));
  }
  void draw_again(double dropout, const DenseTensor& kept) {
    if (!(dropout > 0)) return;
    what_.dropout = static_cast<float>(dropout);
    const Value words = record.input(kept.data(), DType::int32, kCounterWords);
    const auto word = [&](int64_t i) { return graph().reshape(graphs::slice_axis(graph(), words, 0, i, 1), {}); };
    const Value none = graph().constant(0, DType::int32);
    set_counter({{word(0), word(1)}, {word(2), word(3), none, none}});
  }

  // float32, in the shapes of out_shape() and sum_shape().
  struct Result {
    Value out, log_sum;
  };
  Result forward() {
    Graph& g = graph();
    if (is_empty()) {
      return {g.constant(0, DType::float32, out_shape()), g.constant(HUGE_VAL, DType::float32, sum_shape())};
    }
    const Value both = g.attention(operands({}), what_);
    const int64_t count = element_count(out_shape());
    return {g.reshape(graphs::slice_axis(g, both, 0, 0, count), out_shape()),
            g.reshape(graphs::slice_axis(g, both, 0, count, g.elements(both) - count), sum_shape())};
  }

  // Gradients of q, k, v, and of the mask if that is asked for.
  std::vector<Value> gradient(const DenseTensor& out, const DenseTensor& log_sum, const DenseTensor& dout,
                              bool of_mask) {
    Graph& g = graph();
    what_.mask_gradient = of_mask && what_.mask;
    std::vector<Shape> shapes{q_shape, k_shape, v_shape};
    if (what_.mask_gradient) shapes.push_back(Shape(g.shape(mask_)));
    std::vector<Value> values;
    if (is_empty()) {
      for (const Shape& shape : shapes) values.push_back(g.constant(0, DType::float32, shape));
      return values;
    }
    const Value incoming = record.input(dout, out_shape());
    const Value product = g.multiplication(wide(record, out, out_shape()), g.cast(incoming, DType::float32));
    const Value delta = g.reshape(g.reduction_sum(product, {3}), {q_shape[0], q_shape[1], q_shape[2]});
    const Value all = g.attention_gradient(
        operands({incoming, record.input(log_sum, sum_shape()), g.transpose(delta, {0, 2, 1})}), what_);
    int64_t at = 0;
    for (const Shape& shape : shapes) {
      const int64_t count = element_count(shape);
      values.push_back(g.reshape(graphs::slice_axis(g, all, 0, at, count), shape));
      at += count;
    }
    return values;
  }

  // exp(score - log_sum) in full, for who asks to see it: [B, H, Q, K].
  Value weights(Value log_sum) {
    Graph& g = graph();
    const Shape shape{q_shape[0], q_shape[2], q_shape[1], k_shape[1]};
    const auto in_heads = [&](Value x, Dims order) { return g.transpose(g.cast(x, DType::float32), order); };
    Value k = in_heads(operands_[1], {0, 2, 3, 1});  // [B, G, D, K]
    const Shape each(g.shape(k));
    const int64_t group = q_shape[2] / k_shape[2];
    k = g.broadcast(g.reshape(k, {each[0], each[1], 1, each[2], each[3]}), {each[0], each[1], group, each[2], each[3]});
    k = g.reshape(k, {each[0], q_shape[2], each[2], each[3]});
    Value score = g.matrix_multiplication(in_heads(operands_[0], {0, 2, 1, 3}), k);
    score = g.multiplication(score, graphs::number(g, score, static_cast<double>(what_.scale)));
    if (what_.mask) score = g.addition(score, mask_);
    Value weight = g.exponent(g.subtraction(score, g.reshape(log_sum, {shape[0], shape[1], shape[2], 1})));
    if (what_.ranges) {
      const int64_t batch = g.shape(ranges_)[0];
      const auto bound = [&](int64_t i) {
        return g.reshape(graphs::slice_axis(g, ranges_, 2, i, 1), {batch, 1, shape[2], 1});
      };
      const Value at = g.coordinate({1, 1, 1, shape[3]}, 3);
      const Value late = g.greater_than_or_equal_to(at, bound(0)), early = g.less_than(at, bound(1));
      weight = g.select(g.multiplication(late, early), weight, graphs::number(g, weight, 0));
    }
    return weight;
  }

  Recorder record;
  const Shape q_shape, k_shape, v_shape;

 private:
  static Shape with_leading_ones(Dims shape) {
    Shape longer;
    for (size_t i = shape.size(); i < 4; ++i) longer.push_back(1);
    longer.append(shape.data(), shape.size());
    return longer;
  }
  static Shape as_batch(Dims shape) { return shape.size() == 3 ? with_leading_ones(shape) : Shape(shape); }

  void set_counter(const Graph::Counter& counter) {
    counter_ = {counter.key[0], counter.key[1], counter.block[0], counter.block[1], counter.block[2], counter.block[3]};
  }

  std::vector<Value> operands(const std::vector<Value>& more) const {
    std::vector<Value> all = operands_;
    all.insert(all.end(), more.begin(), more.end());
    if (what_.ranges) all.push_back(ranges_);
    if (what_.mask) all.push_back(mask_);
    if (what_.dropout > 0) all.insert(all.end(), counter_.begin(), counter_.end());
    return all;
  }

  const CustomContext& ctx_;
  Attention what_;
  std::vector<Value> operands_, counter_;
  Value ranges_{}, mask_{};
};

// Paddle says another shape, for other kernels.
inline void write_sum(const CustomContext& ctx, Recorder& record, DenseTensor* to, Value log_sum) {
  if (to == nullptr) return;
  const Dims shape = record.graph.shape(log_sum);
  to->Resize(phi::make_ddim(std::vector<int64_t>(shape.begin(), shape.end())));
  record.output(ctx.Alloc(to, phi::DataType::FLOAT32), log_sum);
}

inline void write_all(Recorder& record, std::initializer_list<DenseTensor*> to, const std::vector<Value>& values) {
  size_t i = 0;
  for (DenseTensor* tensor : to) {
    if (i < values.size()) write(record, tensor, values[i]);
    ++i;
  }
}

// As FlashAttention from 2.1 on means it: the last query sees the last key.
inline void set_causal(Call& call, bool causal) {
  const int64_t queries = call.q_shape[1];
  if (causal) call.ranges(graphs::causal_ranges(call.graph(), queries, call.k_shape[1] - queries));
}

inline void set_packed(Call& call, const DenseTensor& starts_q, const DenseTensor& starts_k, bool causal,
                       bool from_the_end) {
  graphs::Packed packed;
  packed.starts_q = call.record.input(starts_q);
  packed.starts_k = call.record.input(starts_k);
  packed.causal = causal;
  packed.from_the_end = from_the_end;
  call.ranges(graphs::packed_ranges(call.graph(), packed, call.q_shape[1]));
}

inline void refuse_mask(const OptionalTensor& mask) {
  MPS_CHECK(!mask, kUnsupported,
            "a mask of sequences that lie one behind the other is not supported: expected none, got ",
            to_string(dims_of(*mask)), ". Pad them, and use scaled_dot_product_attention.");
}

}  // namespace mps::paddle::attention
