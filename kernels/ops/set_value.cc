// set_value: a tensor with a part of it replaced, and its gradients.
#include "kernels/graphs/lines.h"
#include "kernels/graphs/part.h"
#include "paddle/phi/backends/context_pool.h"
#include "paddle/phi/core/tensor_utils.h"
#include "paddle/phi/kernels/set_value_grad_kernel.h"
#include "paddle/phi/kernels/set_value_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"
#include "plugin/paddle/scalar.h"

namespace mps::paddle {
namespace {

using graphs::Part;
using phi::CustomContext;
using phi::DenseTensor;
using phi::IntArray;
using Axes = std::vector<int64_t>;

bool contains(const Axes& axes, size_t axis) {
  return std::find(axes.begin(), axes.end(), static_cast<int64_t>(axis)) != axes.end();
}

struct Target {
  Part part;
  Shape seen;  // the part's shape as the value sees it: without axes of one index, with new ones of size 1
};

Target target_of(Dims shape, const IntArray& starts, const IntArray& ends, const IntArray& steps, const Axes& axes,
                 const Axes& decreased, const Axes& added) {
  Target target{graphs::whole_part(shape), {}};
  for (size_t i = 0; i < axes.size(); ++i) {
    const size_t axis = static_cast<size_t>(normalize_axis(axes[i], shape.size()));
    graphs::cut_axis(&target.part, axis, starts.GetData()[i], ends.GetData()[i], steps.GetData()[i]);
  }
  if (element_count(target.part.shape) == 0) target.part.offset = 0;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (contains(decreased, i)) continue;
    while (contains(added, target.seen.size())) target.seen.push_back(1);
    target.seen.push_back(target.part.shape[i]);
  }
  while (contains(added, target.seen.size())) target.seen.push_back(1);
  return target;
}

// A value in the shape of the part. It may have more axes of size 1 in front than the part.
Value fitted(Graph& g, Value value, const Target& target) {
  Shape shape(g.shape(value));
  while (shape.size() > target.seen.size() && shape[0] == 1) shape = Shape(Dims(shape.data() + 1, shape.size() - 1));
  return g.reshape(g.broadcast(g.reshape(value, shape), target.seen), target.part.shape);
}

void write_part(Recorder& record, const DenseTensor& x, const Target& target, Value value, DenseTensor* out) {
  Graph& g = record.graph;
  const Value all = record.input(x, {x.numel()});
  if (element_count(target.part.shape) == 0) return record.output(out, all);
  const Value update = fitted(g, value, target);
  record.output(out, g.strided_update(all, update, target.part.strides, target.part.offset));
}

void set_value_with_tensor(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& value,
                           const IntArray& starts, const IntArray& ends, const IntArray& steps, const Axes& axes,
                           const Axes& decreased, const Axes& added, DenseTensor* out) {
  const Target target = target_of(dims_of(x), starts, ends, steps, axes, decreased, added);
  Recorder record(ctx);
  write_part(record, x, target, record.graph.cast(record.input(value), dtype_of(x)), out);
  record.launch();
}

// One number is a feed; more are brought to the device.
void set_value(const CustomContext& ctx, const DenseTensor& x, const IntArray& starts, const IntArray& ends,
               const IntArray& steps, const Axes& axes, const Axes& decreased, const Axes& added, const Axes& shape,
               const std::vector<phi::Scalar>& values, DenseTensor* out) {
  const Target target = target_of(dims_of(x), starts, ends, steps, axes, decreased, added);
  const DType dtype = dtype_of(x);
  Recorder record(ctx);
  if (values.size() == 1) {
    write_part(record, x, target, record.scalar(to_scalar(values[0]), dtype), out);
    record.launch();
    return;
  }
  DenseTensor here, there;
  here.Resize(phi::make_ddim(shape));
  phi::DeviceContext* const cpu = phi::DeviceContextPool::Instance().Get(phi::CPUPlace());
  char* to = static_cast<char*>(cpu->Alloc(&here, x.dtype()));
  for (const phi::Scalar& value : values) {
    const uint64_t bits = to_scalar(value).bits(dtype);
    std::memcpy(to, &bits, size_of(dtype));
    to += size_of(dtype);
  }
  phi::Copy(ctx, here, ctx.GetPlace(), /*blocking=*/true, &there);
  write_part(record, x, target, record.input(there), out);
  record.launch();
}

void set_value_grad(const CustomContext& ctx, const DenseTensor& dout, const IntArray& starts, const IntArray& ends,
                    const IntArray& steps, const Axes& axes, const Axes& decreased, const Axes& added, DenseTensor* dx,
                    DenseTensor* dvalue) {
  const Target target = target_of(dims_of(dout), starts, ends, steps, axes, decreased, added);
  const Part& part = target.part;
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value all = record.input(dout, {dout.numel()});
  if (dx != nullptr) {
    record.output(dx, g.strided_update(all, graphs::zeros(g, g.dtype(all), part.shape), part.strides, part.offset));
  }
  if (dvalue != nullptr) {
    const DType to = dtype_of(*dvalue);
    const Value inside = g.reshape(g.strided_view(all, part.shape, part.strides, part.offset), target.seen);
    Shape shape(dims_of(*dvalue));
    while (shape.size() > target.seen.size()) shape = Shape(Dims(shape.data() + 1, shape.size() - 1));
    const Value sum = graphs::sum_to_shape(g, g.cast(inside, graphs::compute_dtype(to)), shape);
    record.output(dvalue, g.cast(sum, to));
  }
  record.launch();
}

// The number that was written has none.
void set_value_with_scalar_grad(const CustomContext& ctx, const DenseTensor& dout, const IntArray& starts,
                                const IntArray& ends, const IntArray& steps, const Axes& axes, const Axes& decreased,
                                const Axes& added, DenseTensor* dx) {
  set_value_grad(ctx, dout, starts, ends, steps, axes, decreased, added, dx, nullptr);
}

}  // namespace

MPS_KERNEL(set_value, phi::SetValueKernel, set_value, kAllDTypes)
MPS_KERNEL(set_value_with_tensor, phi::SetTensorValueKernel, set_value_with_tensor, kAllDTypes)
MPS_KERNEL(set_value_grad, phi::SetValueGradKernel, set_value_grad, kNumbers)
MPS_KERNEL(set_value_with_scalar_grad, phi::SetValueWithScalarGradKernel, set_value_with_scalar_grad, kNumbers)

}  // namespace mps::paddle
