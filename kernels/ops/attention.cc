// Attention by Paddle's names for GPUs: flash_attn, for sequences one behind the other flash_attn_unpadded, for padded
// ones variable_length_memory_efficient_attention, and memory_efficient_attention.
//
// All of them are the node `attention` and its gradient (plugin/core/attention.h): no score matrix is kept, the
// gradient computes the scores again. What is seen is a range of keys for each query, made on the device.
#include "kernels/ops/attention_call.h"
#include "paddle/phi/kernels/flash_attn_grad_kernel.h"
#include "paddle/phi/kernels/flash_attn_kernel.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using attention::Call;
using attention::OptionalTensor;
using attention::refuse_mask;
using attention::set_causal;
using attention::set_packed;
using attention::write_all;
using attention::write_sum;
using phi::CustomContext;
using phi::DenseTensor;

// -- flash_attn ------------------------------------------------------------------------------------------------------

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
