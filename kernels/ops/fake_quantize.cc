// Simulated quantisation, fake_quantize_* and fake_quantize_dequantize_*: whole numbers in a float tensor, or what is
// left of a number that was one. The scale is the greatest magnitude: of the tensor, of a channel, of a running
// average, or of a window of steps. Gradients pass straight through.
#include "kernels/ops/elementwise.h"
#include "kernels/ops/quantization.h"
#include "paddle/phi/kernels/dequantize_abs_max_kernel.h"
#include "paddle/phi/kernels/dequantize_log_kernel.h"
#include "paddle/phi/kernels/fake_dequantize_kernel.h"
#include "paddle/phi/kernels/fake_quantize_grad_kernel.h"
#include "paddle/phi/kernels/fake_quantize_kernel.h"

namespace mps::paddle {
namespace {

enum class Result { kWhole, kNumber };

void write_quantized(Recorder& record, DenseTensor* out, phi::DataType dtype, Value x, Value scale, int bit_length,
                     int round_type, Result result) {
  Graph& g = record.graph;
  const Value most = g.constant(greatest_of_bits(bit_length), DType::float32);
  const Value whole = graphs::quantize(g, x, scale, most, rounding_of(round_type));
  write_float(record, out, result == Result::kWhole ? whole : graphs::dequantize(g, whole, scale, most), dtype);
}

// -- the greatest magnitude of the tensor, or of each channel ---------------------------------------------------------

void by_abs_max(const CustomContext& ctx, const DenseTensor& x, int bit_length, int round_type, int quant_axis,
                Result result, DenseTensor* out, DenseTensor* out_scale) {
  Recorder record(ctx);
  const Channels channels(dims_of(x), quant_axis);
  const Value numbers = in_float32(record, x);
  const Value scale = graphs::greatest_magnitude(record.graph, numbers, channels.axes);
  write_quantized(record, out, x.dtype(), numbers, scale, bit_length, round_type, result);
  write_float(record, out_scale, scale, x.dtype());
  record.launch();
}

void fake_quantize_abs_max(const CustomContext& ctx, const DenseTensor& x, int bit_length, int round_type,
                           DenseTensor* out, DenseTensor* out_scale) {
  by_abs_max(ctx, x, bit_length, round_type, -1, Result::kWhole, out, out_scale);
}
void fake_quantize_dequantize_abs_max(const CustomContext& ctx, const DenseTensor& x, int bit_length, int round_type,
                                      DenseTensor* out, DenseTensor* out_scale) {
  by_abs_max(ctx, x, bit_length, round_type, -1, Result::kNumber, out, out_scale);
}
void channel_wise_quantize(const CustomContext& ctx, const DenseTensor& x, int bit_length, int round_type,
                           int quant_axis, bool is_test, DenseTensor* out, DenseTensor* out_scale) {
  MPS_CHECK(!is_test, kArgument, "is_test=True takes the scale out of a tensor that only a static program of old can ",
            "pass: expected is_test=False. Give the scale to quantize_linear instead.");
  by_abs_max(ctx, x, bit_length, round_type, quant_axis, Result::kWhole, out, out_scale);
}
void channel_wise_quantize_dequantize(const CustomContext& ctx, const DenseTensor& x, int bit_length, int round_type,
                                      int quant_axis, DenseTensor* out, DenseTensor* out_scale) {
  by_abs_max(ctx, x, bit_length, round_type, quant_axis, Result::kNumber, out, out_scale);
}

// -- a running average of it ------------------------------------------------------------------------------------------

void by_average(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& in_scale,
                const OptionalTensor& in_accum, const OptionalTensor& in_state, float rate, int bit_length,
                bool is_test, int round_type, Result result, DenseTensor* out, DenseTensor* out_scale,
                DenseTensor* out_state, DenseTensor* out_accum) {
  Recorder record(ctx);
  const Channels all(dims_of(x), -1);
  const Value numbers = in_float32(record, x);
  Value scale;
  if (is_test) {
    scale = all.scales(record, in_scale);
  } else {
    const Average next = average(record, in_accum, in_state, rate, numbers, all);
    write_float(record, out_state, next.state, x.dtype());
    write_float(record, out_accum, next.accum, x.dtype());
    scale = next.scale;
  }
  write_quantized(record, out, x.dtype(), numbers, scale, bit_length, round_type, result);
  write_float(record, out_scale, scale, x.dtype());
  record.launch();
}

void quantize_by_average(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& in_scale,
                         const OptionalTensor& in_accum, const OptionalTensor& in_state, float moving_rate,
                         int bit_length, bool is_test, int round_type, DenseTensor* out, DenseTensor* out_scale,
                         DenseTensor* out_state, DenseTensor* out_accum) {
  by_average(ctx, x, in_scale, in_accum, in_state, moving_rate, bit_length, is_test, round_type, Result::kWhole, out,
             out_scale, out_state, out_accum);
}
void quantize_dequantize_by_average(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& in_scale,
                                    const OptionalTensor& in_accum, const OptionalTensor& in_state, float moving_rate,
                                    int bit_length, bool is_test, int round_type, DenseTensor* out,
                                    DenseTensor* out_scale, DenseTensor* out_state, DenseTensor* out_accum) {
  by_average(ctx, x, in_scale, in_accum, in_state, moving_rate, bit_length, is_test, round_type, Result::kNumber, out,
             out_scale, out_state, out_accum);
}

// Watches, and lets the tensor through.
void watch_average(const CustomContext& ctx, const DenseTensor& x, const OptionalTensor& in_accum,
                   const OptionalTensor& in_state, float moving_rate, bool is_test, DenseTensor* out,
                   DenseTensor* out_scale, DenseTensor* out_state, DenseTensor* out_accum) {
  Recorder record(ctx);
  if (!is_test) {
    const Average next =
        average(record, in_accum, in_state, moving_rate, in_float32(record, x), Channels(dims_of(x), -1));
    write_float(record, out_scale, next.scale, x.dtype());
    write_float(record, out_state, next.state, x.dtype());
    write_float(record, out_accum, next.accum, x.dtype());
  }
  set_dtype(out, x.dtype());
  record.output(out, record.input(x));
  record.launch();
}

// -- the greatest of a window of steps --------------------------------------------------------------------------------

// The window is a ring of the magnitudes of the last steps. Where the one that leaves it was the greatest, the rest is
// looked through. A program that keeps no ring starts with an empty one.
void quantize_by_range(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& in_scale,
                       const OptionalTensor& iter, int window_size, int bit_length, bool is_test, int round_type,
                       DenseTensor* out, DenseTensor* out_scale, DenseTensor* out_scales) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Channels all(dims_of(x), -1);
  const Value numbers = in_float32(record, x), last = all.scales(record, in_scale);
  Value scale = last;
  if (!is_test) {
    MPS_CHECK(iter && window_size > 0, kArgument,
              "no step: expected iter and a window_size of 1 or more for training.");
    const Value greatest = graphs::greatest_magnitude(g, numbers, all.axes);
    const auto line = [&](Value one) { return g.reshape(one, {1}); };
    const Value size = g.constant(window_size, DType::int32), place = g.coordinate({window_size}, 0);
    const Value step = g.cast(record.input(*iter, {1}), DType::int32);
    const bool has_ring = out_scales != nullptr && out_scales->initialized() && out_scales->numel() == window_size;
    const Value ring =
        has_ring ? g.cast(record.input(*out_scales), DType::float32) : graphs::zeros(g, DType::float32, {window_size});
    const Value is_here = g.equal(place, g.modulo(step, size));
    const Value zero = graphs::number(g, ring, 0);
    const Value leaving = g.reduction(NodeKind::reduction_maximum, g.select(is_here, ring, zero), {0});
    const Value next = g.select(is_here, line(greatest), ring);
    const Value in_use = g.less_than(place, g.minimum(g.maximum(step, graphs::number(g, step, 1)), size));
    const Value rest = g.reduction(NodeKind::reduction_maximum, g.select(in_use, next, zero), {0});
    const Value was_greatest =
        g.less_than(g.absolute(g.subtraction(leaving, line(last))), g.constant(1e-6, DType::float32));
    const Value otherwise = g.select(was_greatest, rest, line(last));
    scale = g.reshape(g.select(g.less_than(line(last), line(greatest)), line(greatest), otherwise), all.shape);
    if (out_scales != nullptr) {
      out_scales->Resize(phi::make_ddim({window_size}));
      write_float(record, out_scales, next, x.dtype());
    }
  }
  write_quantized(record, out, x.dtype(), numbers, scale, bit_length, round_type, Result::kWhole);
  write_float(record, out_scale, scale, x.dtype());
  record.launch();
}

// -- gradients --------------------------------------------------------------------------------------------------------

void pass(const CustomContext& ctx, const DenseTensor& dout, DenseTensor* dx) {
  if (dx == nullptr) return;
  set_dtype(dx, dout.dtype());
  Recorder record(ctx);
  record.output(dx, record.input(dout));
  record.launch();
}
void channel_wise_grad(const CustomContext& ctx, const DenseTensor& dout, int, int, int, DenseTensor* dx) {
  pass(ctx, dout, dx);
}
void abs_max_grad(const CustomContext& ctx, const DenseTensor& dout, int, int, DenseTensor* dx) { pass(ctx, dout, dx); }
void average_grad(const CustomContext& ctx, const DenseTensor& dout, float, int, bool, int, DenseTensor* dx) {
  pass(ctx, dout, dx);
}

// -- back -------------------------------------------------------------------------------------------------------------

void fake_dequantize_max_abs(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& scale, float max_range,
                             DenseTensor* out) {
  Recorder record(ctx);
  const Value most = record.scalar(max_range, DType::float32);
  const Channels all(dims_of(x), -1);
  write_float(record, out, graphs::dequantize(record.graph, in_float32(record, x), all.scales(record, scale), most),
              scale.dtype());
  record.launch();
}

// With a second scale, that of the activations which the weights were multiplied with, the channels are those of the
// product: axis x_num_col_dims.
void channel_wise_dequantize(const CustomContext& ctx, const DenseTensor& x,
                             const std::vector<const DenseTensor*>& scales, const std::vector<int>& quant_bits,
                             int quant_axis, int x_num_col_dims, DenseTensor* out) {
  MPS_CHECK((scales.size() == 1 || scales.size() == 2) && quant_bits.size() >= scales.size(), kArgument,
            "bad scales: expected one or two, with as many quant_bits, got ", scales.size(), " and ", quant_bits.size(),
            ".");
  Recorder record(ctx);
  Graph& g = record.graph;
  double range = greatest_of_bits(quant_bits[0]);
  Value factor;
  if (scales.size() == 1) {
    factor = Channels(dims_of(x), quant_axis).scales(record, *scales[0]);
  } else {
    range *= greatest_of_bits(quant_bits[1]);
    Shape along;
    along.resize(dims_of(x).size(), 1);
    along[static_cast<size_t>(normalize_axis(x_num_col_dims, along.size()))] = scales[0]->numel();
    const Value weights = g.cast(record.input(*scales[0], along), DType::float32);
    factor = g.multiplication(weights, Channels(dims_of(x), -1).scales(record, *scales[1]));
  }
  write_float(record, out, graphs::dequantize(g, in_float32(record, x), factor, record.scalar(range, DType::float32)),
              x.dtype());
  record.launch();
}

// A table of the numbers that are not negative; of others it holds the magnitude.
void dequantize_log(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dict, DenseTensor* out) {
  MPS_CHECK(dict.numel() >= 128, kArgument, "bad dict: expected 128 numbers, got ", dict.numel(), ".");
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value code = g.reshape(g.cast(record.input(x), DType::int32), {x.numel()});
  const Value below = g.less_than(code, graphs::number(g, code, 0));
  const Value place = g.select(below, g.addition(code, graphs::number(g, code, 128)), code);
  const Value magnitude = graphs::take_at(g, in_float32(record, dict), place);
  write_float(record, out, g.select(below, g.negative(magnitude), magnitude), dict.dtype());
  record.launch();
}

constexpr DTypes kInt8 = {phi::DataType::INT8};
constexpr DTypes kShortInts = {phi::DataType::INT8, phi::DataType::INT16};
void give_float32(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(0).SetDataType(phi::DataType::FLOAT32);
}

}  // namespace

MPS_KERNEL(fake_quantize_abs_max, phi::FakeQuantizeAbsMaxKernel, fake_quantize_abs_max, kFloats)
MPS_KERNEL(fake_quantize_dequantize_abs_max, phi::FakeQuantizeDequantizeAbsMaxKernel, fake_quantize_dequantize_abs_max,
           kFloats)
MPS_KERNEL(fake_channel_wise_quantize_abs_max, phi::FakeChannelWiseQuantizeAbsMaxKernel, channel_wise_quantize, kFloats)
MPS_KERNEL(fake_channel_wise_quantize_dequantize_abs_max, phi::FakeChannelWiseQuantizeDequantizeAbsMaxKernel,
           channel_wise_quantize_dequantize, kFloats)
MPS_KERNEL(fake_quantize_moving_average_abs_max, phi::FakeQuantOrWithDequantMovingAverageAbsMaxKernel,
           quantize_by_average, kFloats)
MPS_KERNEL(fake_quantize_dequantize_moving_average_abs_max, phi::FakeQuantizeDequantizeMovingAverageAbsMaxKernel,
           quantize_dequantize_by_average, kFloats)
MPS_KERNEL(fake_quantize_range_abs_max, phi::FakeQuantizeRangeAbsMaxKernel, quantize_by_range, kFloats)
// No header declares these two.
MPS_KERNEL_UNCHECKED(moving_average_abs_max_scale, watch_average, kFloats, detail::define_nothing)
MPS_KERNEL_UNCHECKED(straight_through_estimator_grad, pass, kFloats, detail::define_nothing)
MPS_KERNEL(fake_quantize_dequantize_abs_max_grad, phi::FakeQuantizeDequantizeAbsMaxGradKernel, abs_max_grad, kFloats)
MPS_KERNEL(fake_channel_wise_quantize_dequantize_abs_max_grad, phi::FakeChannelWiseQuantizeDequantizeAbsMaxGradKernel,
           channel_wise_grad, kFloats)
MPS_KERNEL(fake_quantize_dequantize_moving_average_abs_max_grad,
           phi::FakeQuantizeDequantizeMovingAverageAbsMaxGradKernel, average_grad, kFloats)
MPS_KERNEL(fake_dequantize_max_abs, phi::FakeDequantizeMaxAbsKernel, fake_dequantize_max_abs, kFloats)
MPS_KERNEL(fake_channel_wise_dequantize_max_abs, phi::FakeChannelWiseDequantizeMaxAbsKernel, channel_wise_dequantize,
           kFloats)
MPS_KERNEL_WITH_DEFINE(dequantize_abs_max, phi::DequantizeAbsMaxKernel, fake_dequantize_max_abs, kShortInts,
                       give_float32)
MPS_KERNEL_WITH_DEFINE(dequantize_log, phi::DequantizeLogKernel, dequantize_log, kInt8, give_float32)

}  // namespace mps::paddle
