// A linear layer as one kernel: fused_gemm_epilogue with its gradient, and fused_bias_act.
#include "kernels/graphs/activation.h"
#include "kernels/graphs/lines.h"
#include "kernels/graphs/matmul.h"
#include "kernels/ops/wide.h"
#include "paddle/phi/kernels/fused_bias_act_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using OptionalTensor = ::paddle::optional<DenseTensor>;

// -- act(x y + bias) -------------------------------------------------------------------------------------------------

enum class Activation { kNone, kRelu, kGelu };

Activation activation_named(const std::string& name) {
  if (name == "none" || name.empty()) return Activation::kNone;
  if (name == "relu" || name == "relu_grad") return Activation::kRelu;
  if (name == "gelu" || name == "gelu_grad") return Activation::kGelu;  // the form with tanh, as GPUs compute it here
  MPS_THROW(kUnsupported, "unknown activation: expected none, relu or gelu, got ", name, ".");
}

// As one matrix: rows of all but the last axis.
Value as_matrix(Recorder& record, const DenseTensor& x) {
  const Dims shape = dims_of(x);
  MPS_CHECK(shape.size() >= 2, kArgument, "bad operand: expected at least two dimensions, got ", to_string(shape), ".");
  return record.input(x, {graphs::product_of(shape, 0, shape.size() - 1), shape[shape.size() - 1]});
}

void fused_gemm_epilogue(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const DenseTensor& bias,
                         bool transpose_x, bool transpose_y, const std::string& name, DenseTensor* out,
                         DenseTensor* reserve) {
  const Activation activation = activation_named(name);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value a = graphs::transpose_if(g, as_matrix(record, x), transpose_x);
  const Value b = graphs::transpose_if(g, as_matrix(record, y), transpose_y);
  const Value product = g.matrix_multiplication(a, b);
  const Value sum = g.addition(g.cast(product, DType::float32), wide(record, bias));
  Value result = sum;
  if (activation == Activation::kRelu) result = g.relu(sum);
  if (activation == Activation::kGelu) result = graphs::gelu_of_tanh(g, sum);
  write(record, out, result);
  // For the gradient: what the activation was given.
  if (activation != Activation::kNone && reserve != nullptr) {
    reserve->Resize(out->dims());
    record.output(ctx.Alloc(reserve, x.dtype()), g.cast(sum, dtype_of(x)));
  }
  record.launch();
}

void fused_gemm_epilogue_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y,
                              const OptionalTensor& reserve, const DenseTensor& dout, bool transpose_x,
                              bool transpose_y, const std::string& name, DenseTensor* dx, DenseTensor* dy,
                              DenseTensor* dbias) {
  const Activation activation = activation_named(name);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value incoming = as_matrix(record, dout);
  Value slope = incoming;
  if (activation != Activation::kNone) {
    MPS_CHECK(reserve, kArgument, "expected what the forward pass has kept, got nothing.");
    const Shape shape(g.shape(incoming));
    const Value sum = g.cast(record.input(*reserve, shape), DType::float32), wide_slope = g.cast(slope, DType::float32);
    const Value passed = activation == Activation::kRelu
                             ? g.select(graphs::is_positive(g, sum), wide_slope, graphs::like(g, wide_slope, 0))
                             : g.multiplication(wide_slope, graphs::gelu_of_tanh_slope(g, sum));
    slope = g.cast(passed, g.dtype(incoming));
  }
  if (dx != nullptr) {
    const Value b = graphs::transpose_if(g, as_matrix(record, y), !transpose_y);
    const Value product =
        transpose_x ? g.matrix_multiplication(graphs::matrix_transpose(g, b), graphs::matrix_transpose(g, slope))
                    : g.matrix_multiplication(slope, b);
    write(record, dx, product);
  }
  if (dy != nullptr) {
    const Value a = graphs::transpose_if(g, as_matrix(record, x), !transpose_x);
    const Value product =
        transpose_y ? g.matrix_multiplication(graphs::matrix_transpose(g, slope), graphs::matrix_transpose(g, a))
                    : g.matrix_multiplication(a, slope);
    write(record, dy, product);
  }
  if (dbias != nullptr) write(record, dbias, g.reduction_sum(g.cast(slope, DType::float32), {0}));
  record.launch();
}

// -- act(x + bias) ---------------------------------------------------------------------------------------------------

void fused_bias_act(const CustomContext& ctx, const DenseTensor& x, const OptionalTensor& bias,
                    const OptionalTensor& dequant_scales, const OptionalTensor& shift, const OptionalTensor& smooth,
                    const std::string& name, const std::string&, float quant_scale, int, float, float,
                    DenseTensor* out) {
  MPS_CHECK(
      !dequant_scales && !(quant_scale > 0), kUnsupported,
      "quantised activations are not supported: expected neither dequant_scales nor quant_scale. Use float types.");
  const Dims shape = dims_of(x);
  const size_t last = shape.size() - 1;
  Recorder record(ctx);
  Graph& g = record.graph;
  Value sum = wide(record, x);
  if (bias) sum = g.addition(sum, wide(record, *bias));
  // Of the gated ones the first half passes through the function, times the second.
  const bool gated = name == "geglu" || name == "swiglu";
  Value other{};
  if (gated) {
    MPS_CHECK(shape[last] % 2 == 0, kArgument, "bad x: expected an even last dimension for ", name, ", got ",
              to_string(shape), ".");
    other = graphs::slice_axis(g, sum, last, shape[last] / 2, shape[last] / 2);
    sum = graphs::slice_axis(g, sum, last, 0, shape[last] / 2);
  }
  Value result{};
  if (name == "gelu" || name == "geglu") {
    result = graphs::gelu_of_erf(g, sum);
  } else if (gated) {
    result = g.multiplication(sum, g.sigmoid(sum));
  } else if (name == "relu") {
    result = g.relu(sum);
  } else {
    MPS_THROW(kUnsupported, "unknown activation: expected gelu, geglu, swiglu or relu, got ", name, ".");
  }
  if (gated) result = g.multiplication(result, other);
  if (shift) result = g.addition(result, wide(record, *shift));
  if (smooth) result = g.multiplication(result, wide(record, *smooth));
  write(record, out, result);
  record.launch();
}

}  // namespace

// Paddle's headers do not declare these; the parameters are those of its API.
MPS_KERNEL_UNCHECKED(fused_gemm_epilogue, fused_gemm_epilogue, kFloats, detail::define_nothing)
MPS_KERNEL_UNCHECKED(fused_gemm_epilogue_grad, fused_gemm_epilogue_grad, kFloats, detail::define_nothing)
MPS_KERNEL(fused_bias_act, phi::fusion::FusedBiasActKernel, fused_bias_act, kFloats)

}  // namespace mps::paddle
