// slice and strided_slice, as copies, and their gradients.
//
// In eager mode Paddle makes these as strided views, which need no kernel of ours; static programs
// have no views.
#include "kernels/graphs/part.h"
#include "paddle/phi/kernels/slice_grad_kernel.h"
#include "paddle/phi/kernels/slice_kernel.h"
#include "paddle/phi/kernels/strided_slice_grad_kernel.h"
#include "paddle/phi/kernels/strided_slice_kernel.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using phi::IntArray;

using graphs::Part;

// Works for slice (no steps) and strided_slice; Paddle gives axes as int64 to the one and as int to
// the other.
template <typename Axis>
Part part_of(const DenseTensor& x, const std::vector<Axis>& axes, const IntArray& starts, const IntArray& ends,
             const IntArray* steps) {
  Part part = graphs::whole_part(dims_of(x));
  for (size_t i = 0; i < axes.size(); ++i) {
    const size_t axis = static_cast<size_t>(normalize_axis(axes[i], part.shape.size()));
    graphs::cut_axis(&part, axis, starts.GetData()[i], ends.GetData()[i], steps == nullptr ? 1 : steps->GetData()[i]);
  }
  if (element_count(part.shape) == 0) part.offset = 0;
  return part;
}

void read_part(const CustomContext& ctx, const DenseTensor& x, const Part& part, DenseTensor* out) {
  Recorder record(ctx);
  const Value flat = record.input(x, {x.numel()});
  record.output(out, record.graph.strided_view(flat, part.shape, part.strides, part.offset));
  record.launch();
}

// dx is 0 outside of the part and dout inside.
void write_part(const CustomContext& ctx, const DenseTensor& dout, const Part& part, DenseTensor* dx) {
  if (dx == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value zeros = g.constant(0, dtype_of(*dx), {dx->numel()});
  const Value inside = record.input(dout, part.shape);
  record.output(dx, g.strided_update(zeros, inside, part.strides, part.offset));
  record.launch();
}

using Axes64 = std::vector<int64_t>;
using Axes32 = std::vector<int>;

void slice(const CustomContext& ctx, const DenseTensor& x, const Axes64& axes, const IntArray& starts,
           const IntArray& ends, const Axes64&, const Axes64&, DenseTensor* out) {
  read_part(ctx, x, part_of(x, axes, starts, ends, nullptr), out);
}

void slice_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, const Axes64& axes,
                const IntArray& starts, const IntArray& ends, const Axes64&, const Axes64&, DenseTensor* dx) {
  write_part(ctx, dout, part_of(x, axes, starts, ends, nullptr), dx);
}

void strided_slice(const CustomContext& ctx, const DenseTensor& x, const Axes32& axes, const IntArray& starts,
                   const IntArray& ends, const IntArray& steps, DenseTensor* out) {
  read_part(ctx, x, part_of(x, axes, starts, ends, &steps), out);
}

void strided_slice_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, const Axes32& axes,
                        const IntArray& starts, const IntArray& ends, const IntArray& steps, DenseTensor* dx) {
  write_part(ctx, dout, part_of(x, axes, starts, ends, &steps), dx);
}

}  // namespace

MPS_KERNEL(slice, phi::SliceKernel, slice, kMovedDTypes)
MPS_KERNEL(slice_grad, phi::SliceGradKernel, slice_grad, kMovedDTypes)
MPS_KERNEL(strided_slice, phi::StridedSliceKernel, strided_slice, kMovedDTypes)
MPS_KERNEL(strided_slice_grad, phi::StridedSliceGradKernel, strided_slice_grad, kMovedDTypes)

}  // namespace mps::paddle
