// Ops of a tensor and further ones that choose, weigh or gate: where, masked_fill, lerp, prelu, swiglu,
// label_smooth; and increment.
#include "kernels/graphs/activation.h"
#include "kernels/ops/elementwise.h"
#include "paddle/phi/kernels/increment_kernel.h"
#include "paddle/phi/kernels/label_smooth_grad_kernel.h"
#include "paddle/phi/kernels/label_smooth_kernel.h"
#include "paddle/phi/kernels/lerp_grad_kernel.h"
#include "paddle/phi/kernels/lerp_kernel.h"
#include "paddle/phi/kernels/masked_fill_grad_kernel.h"
#include "paddle/phi/kernels/masked_fill_kernel.h"
#include "paddle/phi/kernels/prelu_grad_kernel.h"
#include "paddle/phi/kernels/prelu_kernel.h"
#include "paddle/phi/kernels/swiglu_grad_kernel.h"
#include "paddle/phi/kernels/swiglu_kernel.h"
#include "paddle/phi/kernels/where_grad_kernel.h"
#include "paddle/phi/kernels/where_kernel.h"

namespace mps::paddle {
namespace {

// dout where the condition is as wanted, 0 elsewhere; wide, so that its sums round once.
Value chosen(Graph& g, Value condition, Value dout, bool wanted) {
  const Value wide = g.cast(dout, graphs::compute_dtype(g.dtype(dout)));
  const Value zero = graphs::like(g, wide, 0);
  return wanted ? g.select(condition, wide, zero) : g.select(condition, zero, wide);
}

void where(const CustomContext& ctx, const DenseTensor& condition, const DenseTensor& x, const DenseTensor& y,
           DenseTensor* out) {
  Recorder record(ctx);
  const Value is_x = graphs::is_true(record.graph, record.input(condition));
  record.output(out, record.graph.select(is_x, record.input(x), record.input(y)));
  record.launch();
}

void where_grad(const CustomContext& ctx, const DenseTensor& condition, const DenseTensor&, const DenseTensor&,
                const DenseTensor& dout, DenseTensor* dx, DenseTensor* dy) {
  if (dx == nullptr && dy == nullptr) return;
  Recorder record(ctx);
  const Value is_x = graphs::is_true(record.graph, record.input(condition)), incoming = record.input(dout);
  if (dx != nullptr) output_gradient(record, dx, chosen(record.graph, is_x, incoming, true));
  if (dy != nullptr) output_gradient(record, dy, chosen(record.graph, is_x, incoming, false));
  record.launch();
}

void masked_fill(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& mask, const DenseTensor& value,
                 DenseTensor* out) {
  Recorder record(ctx);
  const Value filled = record.graph.cast(record.input(value), dtype_of(x));
  record.output(out, record.graph.select(record.input(mask), filled, record.input(x)));
  record.launch();
}

void masked_fill_grad(const CustomContext& ctx, const DenseTensor&, const DenseTensor& mask, const DenseTensor&,
                      const DenseTensor& dout, DenseTensor* dx, DenseTensor* dvalue) {
  if (dx == nullptr && dvalue == nullptr) return;
  Recorder record(ctx);
  const Value is_filled = record.input(mask), incoming = record.input(dout);
  if (dx != nullptr) output_gradient(record, dx, chosen(record.graph, is_filled, incoming, false));
  if (dvalue != nullptr) output_gradient(record, dvalue, chosen(record.graph, is_filled, incoming, true));
  record.launch();
}

// x + weight (y - x)
void lerp(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const DenseTensor& weight,
          DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType compute = graphs::compute_dtype(dtype_of(*out));
  const Value from = g.cast(record.input(x), compute), to = g.cast(record.input(y), compute);
  const Value part = g.multiplication(g.cast(record.input(weight), compute), g.subtraction(to, from));
  record.output(out, g.cast(g.addition(from, part), dtype_of(*out)));
  record.launch();
}

void lerp_grad(const CustomContext& ctx, const DenseTensor&, const DenseTensor&, const DenseTensor& weight,
               const DenseTensor&, const DenseTensor& dout, DenseTensor* dx, DenseTensor* dy) {
  if (dx == nullptr && dy == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType compute = graphs::compute_dtype(dtype_of(dout));
  const Value w = g.cast(record.input(weight), compute), incoming = g.cast(record.input(dout), compute);
  const Value rest = g.subtraction(graphs::like(g, w, 1), w);
  if (dx != nullptr) output_gradient(record, dx, g.multiplication(incoming, rest));
  if (dy != nullptr) output_gradient(record, dy, g.multiplication(incoming, w));
  record.launch();
}

// The slopes of prelu in a shape that broadcasts to x: one for all, one per channel or one per element of a sample.
Value slopes(Recorder& record, const DenseTensor& alpha, const DenseTensor& x, const std::string& data_format,
             const std::string& mode, DType compute) {
  Shape shape(dims_of(x));
  const size_t channel = data_format == "NHWC" ? shape.size() - 1 : 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    const bool varies = (mode == "element" && i > 0) || (mode == "channel" && i == channel);
    if (!varies) shape[i] = 1;
  }
  return record.graph.cast(record.input(alpha, shape), compute);
}

void prelu(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& alpha, const std::string& data_format,
           const std::string& mode, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType compute = graphs::compute_dtype(dtype_of(*out));
  const Value value = g.cast(record.input(x), compute);
  const Value below = g.multiplication(value, slopes(record, alpha, x, data_format, mode, compute));
  record.output(out, g.cast(g.select(graphs::is_positive(g, value), value, below), dtype_of(*out)));
  record.launch();
}

void prelu_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& alpha, const DenseTensor& dout,
                const std::string& data_format, const std::string& mode, DenseTensor* dx, DenseTensor* dalpha) {
  if (dx == nullptr && dalpha == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType compute = graphs::compute_dtype(dtype_of(dout));
  const Value value = g.cast(record.input(x), compute), incoming = g.cast(record.input(dout), compute);
  const Value is_above = graphs::is_positive(g, value);
  const Value slope = slopes(record, alpha, x, data_format, mode, compute);
  if (dx != nullptr) {
    set_dtype(dx, x.dtype());
    output_gradient(record, dx, g.select(is_above, incoming, g.multiplication(incoming, slope)));
  }
  if (dalpha != nullptr) {
    set_dtype(dalpha, alpha.dtype());
    const Value terms = g.select(is_above, graphs::like(g, value, 0), g.multiplication(incoming, value));
    const Value summed = graphs::sum_to_shape(g, terms, Shape(g.shape(slope)));
    record.output(dalpha, g.cast(g.reshape(summed, dims_of(*dalpha)), dtype_of(*dalpha)));
  }
  record.launch();
}

// The two operands of swiglu: x and y, or the halves of x.
struct Gate {
  Value x, y;
};
Gate gate(Recorder& record, const DenseTensor& x, const ::paddle::optional<DenseTensor>& y, DType compute) {
  Graph& g = record.graph;
  const Value first = g.cast(record.input(x), compute);
  if (y) return {first, g.cast(record.input(*y), compute)};
  const Shape shape(dims_of(x));
  Ints starts, ends, steps;
  for (int64_t size : shape) {
    starts.push_back(0);
    ends.push_back(size);
    steps.push_back(1);
  }
  const int64_t half = shape.back() / 2;
  ends.back() = half;
  const Value left = g.slice(first, starts, ends, steps);
  starts.back() = half;
  ends.back() = 2 * half;
  return {left, g.slice(first, starts, ends, steps)};
}

// silu(x) y
void swiglu(const CustomContext& ctx, const DenseTensor& x, const ::paddle::optional<DenseTensor>& y,
            DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Gate pair = gate(record, x, y, graphs::compute_dtype(dtype_of(*out)));
  const Value silu = g.multiplication(pair.x, g.sigmoid(pair.x));
  record.output(out, g.cast(g.multiplication(silu, pair.y), dtype_of(*out)));
  record.launch();
}

void swiglu_grad(const CustomContext& ctx, const DenseTensor& x, const ::paddle::optional<DenseTensor>& y,
                 const DenseTensor& dout, DenseTensor* dx, DenseTensor* dy) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType to = dtype_of(dout), compute = graphs::compute_dtype(to);
  const Gate pair = gate(record, x, y, compute);
  const Value incoming = g.cast(record.input(dout), compute);
  const Value left = graphs::silu_gradient(g, pair.x, g.multiplication(incoming, pair.y));
  const Value right = g.multiplication(incoming, g.multiplication(pair.x, g.sigmoid(pair.x)));
  if (!y) {
    const int axis = dout.dims().size() - 1;
    record.output(dx, g.concatenation({g.cast(left, to), g.cast(right, to)}, axis));
  } else {
    record.output(dx, g.cast(left, to));
    record.output(dy, g.cast(right, to));
  }
  record.launch();
}

void increment(const CustomContext& ctx, const DenseTensor& x, float value, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType compute = graphs::compute_dtype(dtype_of(*out));
  const Value sum = g.addition(g.cast(record.input(x), compute), record.scalar(value, compute));
  record.output(out, g.cast(sum, dtype_of(*out)));
  record.launch();
}

// (1 - epsilon) label + epsilon prior, where the prior of each class is the same if none is given.
void label_smooth(const CustomContext& ctx, const DenseTensor& label, const ::paddle::optional<DenseTensor>& prior,
                  float epsilon, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType compute = graphs::compute_dtype(dtype_of(label));
  const Value kept = g.multiplication(g.cast(record.input(label), compute), record.scalar(1 - epsilon, compute));
  Value added;
  if (prior) {
    const Value each = g.cast(record.input(prior.get(), {prior.get().numel()}), compute);
    added = g.multiplication(each, record.scalar(epsilon, compute));
  } else {
    added = record.scalar(epsilon / static_cast<float>(dims_of(label)[dims_of(label).size() - 1]), compute);
  }
  record.output(out, g.cast(g.addition(kept, added), dtype_of(*out)));
  record.launch();
}

void label_smooth_grad(const CustomContext& ctx, const DenseTensor& dout, float epsilon, DenseTensor* dlabel) {
  if (dlabel == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType compute = graphs::compute_dtype(dtype_of(dout));
  const Value part = g.multiplication(g.cast(record.input(dout), compute), record.scalar(1 - epsilon, compute));
  record.output(dlabel, g.cast(part, dtype_of(*dlabel)));
  record.launch();
}

}  // namespace

MPS_KERNEL_KEYED(where, phi::WhereKernel, where, views_of(kMovedDTypes), 1)
MPS_KERNEL_KEYED(where_grad, phi::WhereGradKernel, where_grad, kFloats, 1)
MPS_KERNEL(masked_fill, phi::MaskedFillKernel, masked_fill, views_of(kAllDTypes))
MPS_KERNEL(masked_fill_grad, phi::MaskedFillGradKernel, masked_fill_grad, kFloats)
MPS_KERNEL(lerp, phi::LerpKernel, lerp, views_of(kFloats))
MPS_KERNEL(lerp_grad, phi::LerpGradKernel, lerp_grad, kFloats)
MPS_KERNEL(prelu, phi::PReluKernel, prelu, kFloats)
MPS_KERNEL(prelu_grad, phi::PReluGradKernel, prelu_grad, kFloats)
MPS_KERNEL(swiglu, phi::SwiGLUKernel, swiglu, views_of(kFloats))
MPS_KERNEL(swiglu_grad, phi::SwiGLUGradKernel, swiglu_grad, views_of(kFloats))
MPS_KERNEL(label_smooth, phi::LabelSmoothKernel, label_smooth, kFloats)
MPS_KERNEL(label_smooth_grad, phi::LabelSmoothGradKernel, label_smooth_grad, kFloats)
MPS_KERNEL(increment, phi::IncrementKernel, increment, kFloatsAndInts)

}  // namespace mps::paddle
