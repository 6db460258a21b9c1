// Attention by Paddle's names for GPUs: flash_attn, for sequences one behind the other flash_attn_unpadded, for padded
// ones variable_length_memory_efficient_attention, and memory_efficient_attention.
//
// All of them are the node `attention` and its gradient (plugin/core/attention.h): no score matrix is kept, the
// gradient computes the scores again. What is seen is a range of keys for each query, made on the device.
#include "kernels/graphs/attention.h"

#include <cmath>

#include "kernels/ops/wide.h"
#include "paddle/phi/kernels/flash_attn_grad_kernel.h"
#include "paddle/phi/kernels/flash_attn_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/host_value.h"
#include "plugin/paddle/random.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using OptionalTensor = ::paddle::optional<DenseTensor>;

// The words of a Graph::Counter that differ, in the bytes of Paddle's int64 [2]: the seed, and the block it begins
// with.
constexpr int64_t kCounterWords = 4;

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
void write_sum(const CustomContext& ctx, Recorder& record, DenseTensor* to, Value log_sum) {
  if (to == nullptr) return;
  const Dims shape = record.graph.shape(log_sum);
  to->Resize(phi::make_ddim(std::vector<int64_t>(shape.begin(), shape.end())));
  record.output(ctx.Alloc(to, phi::DataType::FLOAT32), log_sum);
}

void write_all(Recorder& record, std::initializer_list<DenseTensor*> to, const std::vector<Value>& values) {
  size_t i = 0;
  for (DenseTensor* tensor : to) {
    if (i < values.size()) write(record, tensor, values[i]);
    ++i;
  }
}

// -- flash_attn ------------------------------------------------------------------------------------------------------

// As FlashAttention from 2.1 on means it: the last query sees the last key.
void set_causal(Call& call, bool causal) {
  const int64_t queries = call.q_shape[1];
  if (causal) call.ranges(graphs::causal_ranges(call.graph(), queries, call.k_shape[1] - queries));
}

void flash_attn(const CustomContext& ctx, const DenseTensor& q, const DenseTensor& k, const DenseTensor& v,
                const OptionalTensor& fixed_seed_offset, const OptionalTensor& mask, float dropout, bool causal,
                bool return_softmax, bool is_test, const std::string&, DenseTensor* out, DenseTensor* softmax,
                DenseTensor* log_sum, DenseTensor* seed_offset) {
  Call call(ctx, q, k, v);
  call.default_scale();
  set_causal(call, causal);
  call.mask(mask);
  call.draw(static_cast<double>(dropout), is_test, fixed_seed_offset, seed_offset);
  const Call::Result result = call.forward();
  write(call.record, out, result.out);
  write_sum(ctx, call.record, log_sum, result.log_sum);
  if (return_softmax && softmax != nullptr && !call.is_empty()) {
    MPS_CHECK(is_test || !(dropout > 0), kUnsupported,
              "the weights cannot be returned where some are dropped: expected dropout = 0, got ", dropout,
              ". Do without return_softmax.");
    const std::vector<int64_t> shape{call.q_shape[0], call.q_shape[2], call.q_shape[1], call.k_shape[1]};
    softmax->Resize(phi::make_ddim(shape));
    write(call.record, softmax, call.weights(result.log_sum));
  }
  call.record.launch();
}

void flash_attn_grad(const CustomContext& ctx, const DenseTensor& q, const DenseTensor& k, const DenseTensor& v,
                     const DenseTensor& out, const DenseTensor& log_sum, const DenseTensor& seed_offset,
                     const OptionalTensor& mask, const DenseTensor& dout, float dropout, bool causal, DenseTensor* dq,
                     DenseTensor* dk, DenseTensor* dv) {
  Call call(ctx, q, k, v);
  call.default_scale();
  set_causal(call, causal);
  call.mask(mask);
  call.draw_again(static_cast<double>(dropout), seed_offset);
  write_all(call.record, {dq, dk, dv}, call.gradient(out, log_sum, dout, false));
  call.record.launch();
}

// -- sequences one behind the other ----------------------------------------------------------------------------------

void set_packed(Call& call, const DenseTensor& starts_q, const DenseTensor& starts_k, bool causal, bool from_the_end) {
  graphs::Packed packed;
  packed.starts_q = call.record.input(starts_q);
  packed.starts_k = call.record.input(starts_k);
  packed.causal = causal;
  packed.from_the_end = from_the_end;
  call.ranges(graphs::packed_ranges(call.graph(), packed, call.q_shape[1]));
}

void refuse_mask(const OptionalTensor& mask) {
  MPS_CHECK(!mask, kUnsupported,
            "a mask of sequences that lie one behind the other is not supported: expected none, got ",
            to_string(dims_of(*mask)), ". Pad them, and use scaled_dot_product_attention.");
}

void flash_attn_unpadded(const CustomContext& ctx, const DenseTensor& q, const DenseTensor& k, const DenseTensor& v,
                         const DenseTensor& starts_q, const DenseTensor& starts_k,
                         const OptionalTensor& fixed_seed_offset, const OptionalTensor& mask, const phi::Scalar&,
                         const phi::Scalar&, float scale, float dropout, bool causal, bool return_softmax, bool is_test,
                         const std::string&, DenseTensor* out, DenseTensor*, DenseTensor* log_sum,
                         DenseTensor* seed_offset) {
  MPS_CHECK(!return_softmax, kUnsupported,
            "the weights of sequences that lie one behind the other are not returned: expected return_softmax=False.");
  refuse_mask(mask);
  Call call(ctx, q, k, v);
  call.scale(scale);
  set_packed(call, starts_q, starts_k, causal, true);
  call.draw(static_cast<double>(dropout), is_test, fixed_seed_offset, seed_offset);
  const Call::Result result = call.forward();
  write(call.record, out, result.out);
  write_sum(ctx, call.record, log_sum, result.log_sum);
  call.record.launch();
}

void flash_attn_unpadded_grad(const CustomContext& ctx, const DenseTensor& q, const DenseTensor& k,
                              const DenseTensor& v, const DenseTensor& starts_q, const DenseTensor& starts_k,
                              const DenseTensor& out, const DenseTensor& log_sum, const DenseTensor& seed_offset,
                              const OptionalTensor& mask, const DenseTensor& dout, const phi::Scalar&,
                              const phi::Scalar&, float scale, float dropout, bool causal, DenseTensor* dq,
                              DenseTensor* dk, DenseTensor* dv) {
  refuse_mask(mask);
  Call call(ctx, q, k, v);
  call.scale(scale);
  set_packed(call, starts_q, starts_k, causal, true);
  call.draw_again(static_cast<double>(dropout), seed_offset);
  write_all(call.record, {dq, dk, dv}, call.gradient(out, log_sum, dout, false));
  call.record.launch();
}

// -- memory_efficient_attention --------------------------------------------------------------------------------------

// As xFormers means it: the first query sees the first key.
void set_lower_triangular(Call& call, const OptionalTensor& starts_q, const OptionalTensor& starts_k, bool causal) {
  MPS_CHECK(static_cast<bool>(starts_q) == static_cast<bool>(starts_k), kArgument,
            "expected the starts of both queries and keys, or of neither.");
  if (starts_q) return set_packed(call, *starts_q, *starts_k, causal, false);
  if (causal) call.ranges(graphs::causal_ranges(call.graph(), call.q_shape[1], 0));
}

void set_scale(Call& call, float scale) {
  if (scale > 0) return call.scale(scale);
  call.default_scale();
}

void memory_efficient_attention(const CustomContext& ctx, const DenseTensor& q, const DenseTensor& k,
                                const DenseTensor& v, const OptionalTensor& bias, const OptionalTensor& starts_q,
                                const OptionalTensor& starts_k, const OptionalTensor& causal_diagonal,
                                const OptionalTensor& key_lengths, const phi::Scalar&, const phi::Scalar&, bool causal,
                                double dropout, float scale, bool is_test, DenseTensor* out, DenseTensor* log_sum,
                                DenseTensor* seed_offset) {
  Call call(ctx, q, k, v);
  set_scale(call, scale);
  if (causal_diagonal || key_lengths) {
    MPS_CHECK(is_test && starts_q && starts_k, kUnsupported,
              "padded keys have no gradient: expected training=False, and where the sequences start. Use "
              "BlockDiagonalCausalMask.");
    graphs::Packed packed;
    packed.starts_q = call.record.input(*starts_q);
    packed.starts_k = call.record.input(*starts_k);
    packed.causal = causal;
    Value limits{}, diagonals{};
    if (key_lengths) limits = call.record.input(*key_lengths), packed.limits = &limits;
    if (causal_diagonal) diagonals = call.record.input(*causal_diagonal), packed.diagonals = &diagonals;
    call.ranges(graphs::packed_ranges(call.graph(), packed, call.q_shape[1]));
  } else {
    set_lower_triangular(call, starts_q, starts_k, causal);
  }
  call.mask(bias);
  call.draw(dropout, is_test, {}, seed_offset);
  const Call::Result result = call.forward();
  write(call.record, out, result.out);
  write_sum(ctx, call.record, log_sum, result.log_sum);
  call.record.launch();
}

void memory_efficient_attention_grad(const CustomContext& ctx, const DenseTensor& q, const DenseTensor& k,
                                     const DenseTensor& v, const OptionalTensor& bias, const OptionalTensor& starts_q,
                                     const OptionalTensor& starts_k, const DenseTensor& out, const DenseTensor& log_sum,
                                     const DenseTensor& seed_offset, const DenseTensor& dout, const phi::Scalar&,
                                     const phi::Scalar&, bool causal, double dropout, float scale, DenseTensor* dq,
                                     DenseTensor* dk, DenseTensor* dv, DenseTensor* dbias) {
  Call call(ctx, q, k, v);
  set_scale(call, scale);
  set_lower_triangular(call, starts_q, starts_k, causal);
  call.mask(bias);
  call.draw_again(dropout, seed_offset);
  std::vector<Value> values = call.gradient(out, log_sum, dout, dbias != nullptr);
  if (dbias != nullptr && bias && values.size() == 4 && dims_of(*bias)[dims_of(*bias).size() - 1] == 1) {
    values[3] = call.graph().reduction_sum(values[3], {3});
  }
  if (dbias != nullptr && bias) dbias->Resize(bias->dims());  // Paddle says the shape of a bias without broadcasts
  write_all(call.record, {dq, dk, dv, dbias}, values);
  call.record.launch();
}

// -- padded sequences, heads in front --------------------------------------------------------------------------------

void variable_length_attention(const CustomContext& ctx, const DenseTensor& q, const DenseTensor& k,
                               const DenseTensor& v, const DenseTensor& lengths, const DenseTensor& key_lengths,
                               const OptionalTensor& mask, float scale, bool causal, int pre_cache_length,
                               DenseTensor* out) {
  const auto tokens_first = [](const DenseTensor& x) -> Shape {
    const Dims shape = dims_of(x);
    return shape.size() == 4 ? Shape{shape[0], shape[2], shape[1], shape[3]} : Shape(shape);
  };
  Call call(ctx, tokens_first(q), tokens_first(k), tokens_first(v));
  Graph& g = call.graph();
  const auto transposed = [&](Value x) { return g.transpose(x, {0, 2, 1, 3}); };
  call.set(transposed(call.record.input(q)), transposed(call.record.input(k)), transposed(call.record.input(v)));
  call.scale(scale);
  if (!call.is_empty()) {
    call.ranges(graphs::padded_ranges(g, call.record.input(lengths), call.record.input(key_lengths), causal,
                                      pre_cache_length, call.q_shape[1]));
  }
  call.mask(mask);
  write(call.record, out, transposed(call.forward().out));
  call.record.launch();
}

void give_sums(const phi::KernelKey&, phi::Kernel* kernel) {
  const size_t sums = kernel->args_def().output_defs().size() - 2;
  kernel->OutputAt(sums).SetDataType(phi::DataType::FLOAT32);
  kernel->OutputAt(sums + 1).SetDataType(phi::DataType::INT64);
}

void keep_places(const phi::KernelKey&, phi::Kernel* kernel) {  // numbers that are read on the host
  kernel->InputAt(3).SetBackend(phi::Backend::ALL_BACKEND);
}

void flash_attn_defs(const phi::KernelKey& key, phi::Kernel* kernel) {
  give_sums(key, kernel);
  keep_places(key, kernel);
}

void flash_attn_unpadded_defs(const phi::KernelKey& key, phi::Kernel* kernel) {
  give_sums(key, kernel);
  kernel->InputAt(5).SetBackend(phi::Backend::ALL_BACKEND);
}

}  // namespace

MPS_KERNEL_WITH_DEFINE(flash_attn, phi::FlashAttnKernel, flash_attn, kFloats, flash_attn_defs)
MPS_KERNEL(flash_attn_grad, phi::FlashAttnGradKernel, flash_attn_grad, kFloats)
MPS_KERNEL_WITH_DEFINE(flash_attn_unpadded, phi::FlashAttnUnpaddedKernel, flash_attn_unpadded, kFloats,
                       flash_attn_unpadded_defs)
MPS_KERNEL(flash_attn_unpadded_grad, phi::FlashAttnUnpaddedGradKernel, flash_attn_unpadded_grad, kFloats)
// Paddle's headers do not declare these; the parameters are those of its API.
MPS_KERNEL_UNCHECKED(memory_efficient_attention, memory_efficient_attention, kFloats, give_sums)
MPS_KERNEL_UNCHECKED(memory_efficient_attention_grad, memory_efficient_attention_grad, kFloats, detail::define_nothing)
MPS_KERNEL_UNCHECKED(variable_length_memory_efficient_attention, variable_length_attention, kFloats,
                     detail::define_nothing)

}  // namespace mps::paddle
