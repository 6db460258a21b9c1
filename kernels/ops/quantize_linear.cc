// quantize_linear and dequantize_linear, in all of their spellings: whole numbers in a float tensor, on a scale that is
// given or, in training, watched. As on Paddle's CPU device zero_point is taken and not used.
#include "kernels/ops/quantization.h"
#include "paddle/phi/kernels/quantize_linear_kernel.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

constexpr float kMovingRate = 0.9f;  // there is no argument for it

struct Spec {
  int quant_axis, most, round_type;
  bool only_observer;
};

Value most_of(Recorder& record, const Spec& spec, DType dtype = DType::float32) {
  constexpr int kFloat8[] = {448, 57344};
  MPS_CHECK(spec.most > 0 && spec.most != kFloat8[0] && spec.most != kFloat8[1], kUnsupported,
            "bad qmax: expected the greatest whole number, as 127 of 8 bits, got ", spec.most,
            spec.most > 0 ? ", which stands for 8-bit floats; Metal has none." : ".");
  return record.graph.constant(spec.most, dtype);
}

void write_quantized(Recorder& record, const DenseTensor& x, Value scale, const Spec& spec, DenseTensor* out) {
  Graph& g = record.graph;
  const Value numbers = in_float32(record, x);
  if (spec.only_observer) return write_float(record, out, numbers, x.dtype());
  const Value most = most_of(record, spec);
  write_float(record, out, graphs::quantize(g, numbers, scale, most, rounding_of(spec.round_type)), x.dtype());
}

// With one scale that of a running average, with many the greatest magnitude of each channel.
void quantize_training(const CustomContext& ctx, const DenseTensor& x, const OptionalTensor& in_accum,
                       const OptionalTensor& in_state, const Spec& spec, DenseTensor* out, DenseTensor* out_state,
                       DenseTensor* out_accum, DenseTensor* out_scale) {
  Recorder record(ctx);
  const Channels channels(dims_of(x), spec.quant_axis);
  const Value numbers = in_float32(record, x);
  Value scale;
  if (spec.quant_axis < 0) {
    const Average next = average(record, in_accum, in_state, kMovingRate, numbers, channels);
    write_float(record, out_state, next.state, x.dtype());
    write_float(record, out_accum, next.accum, x.dtype());
    scale = next.scale;
  } else {
    scale = graphs::greatest_magnitude(record.graph, numbers, channels.axes);
  }
  write_quantized(record, x, scale, spec, out);
  write_float(record, out_scale, scale, x.dtype());
  record.launch();
}

void quantize_given(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& scale, const Spec& spec,
                    DenseTensor* out) {
  Recorder record(ctx);
  write_quantized(record, x, Channels(dims_of(x), spec.quant_axis).scales(record, scale), spec, out);
  record.launch();
}

void quantize_linear(const CustomContext& ctx, const DenseTensor& x, const OptionalTensor& scale, const DenseTensor&,
                     const OptionalTensor& in_accum, const OptionalTensor& in_state, int quant_axis, int, int, int qmax,
                     int round_type, bool is_test, bool only_observer, DenseTensor* out, DenseTensor* out_state,
                     DenseTensor* out_accum, DenseTensor* out_scale) {
  const Spec spec{quant_axis, qmax, round_type, only_observer};
  if (!is_test) return quantize_training(ctx, x, in_accum, in_state, spec, out, out_state, out_accum, out_scale);
  MPS_CHECK(scale, kArgument, "no scale: expected one outside of training, got none.");
  quantize_given(ctx, x, *scale, spec, out);
}

void quantize_linear_old_training(const CustomContext& ctx, const DenseTensor& x, const DenseTensor&,
                                  const DenseTensor&, const OptionalTensor& in_accum, const OptionalTensor& in_state,
                                  int quant_axis, int, int, int qmax, int round_type, bool only_observer,
                                  DenseTensor* out, DenseTensor* out_state, DenseTensor* out_accum,
                                  DenseTensor* out_scale) {
  const Spec spec{quant_axis, qmax, round_type, only_observer};
  quantize_training(ctx, x, in_accum, in_state, spec, out, out_state, out_accum, out_scale);
}

void quantize_linear_old(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& in_scale,
                         const DenseTensor&, int quant_axis, int, int, int qmax, int round_type, bool only_observer,
                         DenseTensor* out) {
  quantize_given(ctx, x, in_scale, {quant_axis, qmax, round_type, only_observer}, out);
}

// The result has the scale's dtype, and is computed in it.
void dequantize_linear_old(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& in_scale,
                           const DenseTensor&, int quant_axis, int, int, int qmax, int round_type, bool only_observer,
                           DenseTensor* out) {
  const Spec spec{quant_axis, qmax, round_type, only_observer};
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType dtype = dtype_of(in_scale);
  const Value whole = record.input(x);
  Value numbers = g.cast(whole, dtype);
  if (!only_observer) {
    const Value scale = g.cast(Channels(dims_of(x), quant_axis).scales(record, in_scale), dtype);
    const Value most = most_of(record, spec, dtype);
    const bool by_axis = g.dtype(whole) == DType::int8 && dtype == DType::float32 && x.numel() > 0;
    numbers =
        by_axis ? graphs::dequantize(g, whole, scale, quant_axis, most) : graphs::dequantize(g, numbers, scale, most);
  }
  write_float(record, out, numbers, in_scale.dtype());
  record.launch();
}

void dequantize_linear(const CustomContext& ctx, const DenseTensor& x, const OptionalTensor& scale,
                       const DenseTensor& zero_point, const OptionalTensor&, const OptionalTensor&, int quant_axis,
                       int bit_length, int qmin, int qmax, int round_type, bool, bool only_observer, DenseTensor* out,
                       DenseTensor*, DenseTensor*, DenseTensor*) {
  MPS_CHECK(scale, kArgument, "no scale: expected one, got none.");
  dequantize_linear_old(ctx, x, *scale, zero_point, quant_axis, bit_length, qmin, qmax, round_type, only_observer, out);
}

constexpr DTypes kWholeOrFloat = {phi::DataType::FLOAT32, phi::DataType::FLOAT16, phi::DataType::BFLOAT16,
                                  phi::DataType::INT8,    phi::DataType::UINT8,   phi::DataType::INT32};
void give_scale_dtype(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(0).SetDataType(phi::DataType::UNDEFINED);
}

}  // namespace

MPS_KERNEL(quantize_linear, phi::QuantizeLinearKernel, quantize_linear, kFloats)
MPS_KERNEL(quantize_linear_deprecated_train, phi::QuantizeLinearDeprecatedTrainKernel, quantize_linear_old_training,
           kFloats)
MPS_KERNEL(quantize_linear_deprecated_infer, phi::QuantizeLinearDeprecatedInferKernel, quantize_linear_old, kFloats)
MPS_KERNEL_WITH_DEFINE(dequantize_linear, phi::DeQuantizeLinearKernel, dequantize_linear, kWholeOrFloat,
                       give_scale_dtype)
MPS_KERNEL_WITH_DEFINE(dequantize_linear_deprecated, phi::DeQuantizeLinearDeprecatedKernel, dequantize_linear_old,
                       kWholeOrFloat, give_scale_dtype)

}  // namespace mps::paddle
