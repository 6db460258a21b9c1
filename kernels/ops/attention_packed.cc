// Attention of queries, keys and values in one tensor (flash_attn_qkvpacked, flash_attn_varlen_qkvpacked), and with the
// queries that each key is hidden from given as ranges (flashmask_attention).
#include <limits>

#include "kernels/ops/attention_call.h"
#include "paddle/phi/kernels/flash_attn_kernel.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using attention::Call;
using attention::OptionalTensor;
using phi::CustomContext;
using phi::DenseTensor;

// -- one tensor
// --------------------------------------------------------------------------------------------------------

// qkv [.., H / G + 2, G, D] is the queries [.., H, D], the keys [.., G, D] and the values.
struct Packed {
  explicit Packed(const DenseTensor& qkv) : shape(dims_of(qkv)), axis(shape.size() - 3) {
    MPS_CHECK(shape.size() == 4 || shape.size() == 5, kArgument,
              "bad shape of qkv: expected 5 dimensions, or 4 without a batch, got ", to_string(dims_of(qkv)), ".");
    MPS_CHECK(shape[axis] >= 3, kArgument, "bad shape of qkv: expected 3 or more along axis ", axis, ", got ",
              to_string(dims_of(qkv)), ".");
  }
  Shape heads(int64_t groups) const {
    Shape all;
    for (size_t i = 0; i < axis; ++i) all.push_back(shape[i]);
    all.push_back(groups * shape[axis + 1]);
    all.push_back(shape[axis + 2]);
    return all;
  }
  Shape query() const { return heads(shape[axis] - 2); }
  Shape key() const { return heads(1); }

  const Shape shape;
  const size_t axis;
};

// A call on the parts of one tensor.
struct PackedCall {
  PackedCall(const CustomContext& ctx, const DenseTensor& qkv)
      : parts(qkv), call(ctx, parts.query(), parts.key(), parts.key()) {
    Graph& g = call.graph();
    const Value all = call.record.input(qkv);
    const int64_t groups = parts.shape[parts.axis] - 2;
    const auto part = [&](int64_t from, int64_t count, Dims shape) {
      return g.reshape(graphs::slice_axis(g, all, parts.axis, from, count), shape);
    };
    call.set(part(0, groups, call.q_shape), part(groups, 1, call.k_shape), part(groups + 1, 1, call.v_shape));
  }

  void forward(const CustomContext& ctx, DenseTensor* out, DenseTensor* log_sum) {
    const Shape shape = parts.query();
    out->Resize(phi::make_ddim(std::vector<int64_t>(shape.begin(), shape.end())));
    const Call::Result result = call.forward();
    write(call.record, out, result.out);
    attention::write_sum(ctx, call.record, log_sum, result.log_sum);
    call.record.launch();
  }

  void gradient(const DenseTensor& out, const DenseTensor& log_sum, const DenseTensor& dout, DenseTensor* dqkv) {
    if (dqkv == nullptr) return;
    Graph& g = call.graph();
    std::vector<Value> values = call.gradient(out, log_sum, dout, /*of_mask=*/false);
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] =
          g.reshape(values[i], graphs::with_axis(parts.shape, parts.axis, i == 0 ? parts.shape[parts.axis] - 2 : 1));
    }
    write(call.record, dqkv, g.concatenation({values.data(), values.size()}, static_cast<int>(parts.axis)));
    call.record.launch();
  }

  const Packed parts;
  Call call;
};

void refuse_weights(bool return_softmax) {
  MPS_CHECK(!return_softmax, kUnsupported,
            "the weights are not returned here: expected return_softmax=False. Use flash_attn for them.");
}

void flash_attn_qkvpacked(const CustomContext& ctx, const DenseTensor& qkv, const OptionalTensor& fixed_seed_offset,
                          const OptionalTensor& mask, float dropout, bool causal, bool return_softmax, bool is_test,
                          const std::string&, DenseTensor* out, DenseTensor*, DenseTensor* log_sum,
                          DenseTensor* seed_offset) {
  refuse_weights(return_softmax);
  PackedCall packed(ctx, qkv);
  packed.call.default_scale();
  attention::set_causal(packed.call, causal);
  packed.call.mask(mask);
  packed.call.draw(static_cast<double>(dropout), is_test, fixed_seed_offset, seed_offset);
  packed.forward(ctx, out, log_sum);
}

void flash_attn_qkvpacked_grad(const CustomContext& ctx, const DenseTensor& qkv, const DenseTensor& out,
                               const DenseTensor& log_sum, const DenseTensor& seed_offset, const OptionalTensor& mask,
                               const DenseTensor& dout, float dropout, bool causal, DenseTensor* dqkv) {
  PackedCall packed(ctx, qkv);
  packed.call.default_scale();
  attention::set_causal(packed.call, causal);
  packed.call.mask(mask);
  packed.call.draw_again(static_cast<double>(dropout), seed_offset);
  packed.gradient(out, log_sum, dout, dqkv);
}

// Of sequences one behind the other, or with room for `longest` tokens each, of which the first are there.
void set_sequences(Call& call, const DenseTensor& starts_q, const DenseTensor& starts_k, int64_t longest, bool causal,
                   bool is_padded) {
  if (is_padded) {
    call.ranges(graphs::roomy_ranges(call.graph(), call.record.input(starts_q), longest, causal, call.q_shape[1]));
  } else {
    attention::set_packed(call, starts_q, starts_k, causal, /*from_the_end=*/true);
  }
}

void flash_attn_varlen_qkvpacked(const CustomContext& ctx, const DenseTensor& qkv, const DenseTensor& starts_q,
                                 const DenseTensor& starts_k, const OptionalTensor& fixed_seed_offset,
                                 const OptionalTensor& mask, const phi::Scalar& longest_q, const phi::Scalar&,
                                 float scale, float dropout, bool causal, bool return_softmax, bool is_test,
                                 const std::string&, bool is_padded, DenseTensor* out, DenseTensor*,
                                 DenseTensor* log_sum, DenseTensor* seed_offset) {
  refuse_weights(return_softmax);
  attention::refuse_mask(mask);
  PackedCall packed(ctx, qkv);
  packed.call.scale(scale);
  set_sequences(packed.call, starts_q, starts_k, longest_q.to<int64_t>(), causal, is_padded);
  packed.call.draw(static_cast<double>(dropout), is_test, fixed_seed_offset, seed_offset);
  packed.forward(ctx, out, log_sum);
}

void flash_attn_varlen_qkvpacked_grad(const CustomContext& ctx, const DenseTensor& qkv, const DenseTensor& starts_q,
                                      const DenseTensor& starts_k, const DenseTensor& out, const DenseTensor& log_sum,
                                      const DenseTensor& seed_offset, const OptionalTensor& mask,
                                      const DenseTensor& dout, const phi::Scalar& longest_q, const phi::Scalar&,
                                      float scale, float dropout, bool causal, bool is_padded, DenseTensor* dqkv) {
  attention::refuse_mask(mask);
  PackedCall packed(ctx, qkv);
  packed.call.scale(scale);
  set_sequences(packed.call, starts_q, starts_k, longest_q.to<int64_t>(), causal, is_padded);
  packed.call.draw_again(static_cast<double>(dropout), seed_offset);
  packed.gradient(out, log_sum, dout, dqkv);
}

// -- flashmask_attention (Wang et al., "FlashMask: efficient and rich mask extension of FlashAttention", 2024)
// --------------------------------------------------------------------------------------------------------

// bounds int32 [B, heads, K, n]. Each key is hidden from the queries of one range or two: causal, from the first bound
// on, or up to the second; else from the first bound on and up to the second, or in bounds 0 .. 1 and 2 .. 3.
void set_hidden(Call& call, const DenseTensor& bounds, bool causal) {
  const Dims shape = dims_of(bounds);
  const int64_t count = shape.size() == 4 ? shape[3] : 0;
  MPS_CHECK(shape.size() == 4 && (causal ? count == 1 || count == 2 : count == 2 || count == 4), kArgument,
            "bad startend_row_indices: expected [batch, heads, keys, ", causal ? "1 or 2" : "2 or 4", "], got ",
            to_string(shape), ".");
  if (call.is_empty()) return;
  Graph& g = call.graph();
  const Value all = g.cast(call.record.input(bounds), DType::int32);
  const Value query = g.coordinate({1, 1, call.q_shape[1], 1}, 2);
  const auto bound = [&](int64_t i) {
    return g.reshape(graphs::slice_axis(g, all, 3, i, 1), {shape[0], shape[1], 1, shape[2]});
  };
  const auto from = [&](int64_t i) { return g.greater_than_or_equal_to(query, bound(i)); };
  const auto until = [&](int64_t i) { return g.less_than(query, bound(i)); };
  Value hidden = from(0);
  if (causal && count == 2) hidden = g.multiplication(hidden, until(1));
  if (!causal && count == 2) hidden = g.addition(hidden, until(1));
  if (count == 4) hidden = g.addition(g.multiplication(hidden, until(1)), g.multiplication(from(2), until(3)));
  call.mask(g.select(hidden, g.constant(-std::numeric_limits<double>::infinity(), DType::float32),
                     g.constant(0, DType::float32)));
}

void flashmask_attention(const CustomContext& ctx, const DenseTensor& q, const DenseTensor& k, const DenseTensor& v,
                         const DenseTensor& bounds, const OptionalTensor& fixed_seed_offset, float dropout, bool causal,
                         bool return_softmax, bool is_test, const std::string&, DenseTensor* out, DenseTensor*,
                         DenseTensor* log_sum, DenseTensor* seed_offset) {
  refuse_weights(return_softmax);
  Call call(ctx, q, k, v);
  call.default_scale();
  attention::set_causal(call, causal);
  set_hidden(call, bounds, causal);
  call.draw(static_cast<double>(dropout), is_test, fixed_seed_offset, seed_offset);
  const Call::Result result = call.forward();
  write(call.record, out, result.out);
  attention::write_sum(ctx, call.record, log_sum, result.log_sum);
  call.record.launch();
}

void flashmask_attention_grad(const CustomContext& ctx, const DenseTensor& q, const DenseTensor& k,
                              const DenseTensor& v, const DenseTensor& bounds, const DenseTensor& out,
                              const DenseTensor& log_sum, const DenseTensor& seed_offset, const DenseTensor& dout,
                              float dropout, bool causal, DenseTensor* dq, DenseTensor* dk, DenseTensor* dv) {
  Call call(ctx, q, k, v);
  call.default_scale();
  attention::set_causal(call, causal);
  set_hidden(call, bounds, causal);
  call.draw_again(static_cast<double>(dropout), seed_offset);
  attention::write_all(call.record, {dq, dk, dv}, call.gradient(out, log_sum, dout, false));
  call.record.launch();
}

void give_sums(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(2).SetDataType(phi::DataType::FLOAT32);
  kernel->OutputAt(3).SetDataType(phi::DataType::INT64);
}

}  // namespace

MPS_KERNEL_WITH_DEFINE(flashmask_attention, phi::FlashMaskKernel, flashmask_attention, kFloats, give_sums)
// Paddle's headers do not declare these; the parameters are those of its API.
MPS_KERNEL_UNCHECKED(flashmask_attention_grad, flashmask_attention_grad, kFloats, detail::define_nothing)
MPS_KERNEL_UNCHECKED(flash_attn_qkvpacked, flash_attn_qkvpacked, kFloats, give_sums)
MPS_KERNEL_UNCHECKED(flash_attn_qkvpacked_grad, flash_attn_qkvpacked_grad, kFloats, detail::define_nothing)
MPS_KERNEL_UNCHECKED(flash_attn_varlen_qkvpacked, flash_attn_varlen_qkvpacked, kFloats, give_sums)
MPS_KERNEL_UNCHECKED(flash_attn_varlen_qkvpacked_grad, flash_attn_varlen_qkvpacked_grad, kFloats,
                     detail::define_nothing)

}  // namespace mps::paddle
