// Joining, cutting, stretching and turning: concat, stack, split, expand, broadcast_tensors, reduce_as, transpose and
// their gradients.
//
// In eager mode most cutting and turning is done by Paddle as strided views, which need no kernel
// of ours; these serve static programs, which have no views.
#include "kernels/graphs/broadcast.h"
#include "kernels/ops/elementwise.h"
#include "paddle/phi/kernels/broadcast_tensors_grad_kernel.h"
#include "paddle/phi/kernels/broadcast_tensors_kernel.h"
#include "paddle/phi/kernels/concat_grad_kernel.h"
#include "paddle/phi/kernels/concat_kernel.h"
#include "paddle/phi/kernels/expand_as_grad_kernel.h"
#include "paddle/phi/kernels/expand_as_kernel.h"
#include "paddle/phi/kernels/expand_grad_kernel.h"
#include "paddle/phi/kernels/expand_kernel.h"
#include "paddle/phi/kernels/reduce_as_grad_kernel.h"
#include "paddle/phi/kernels/reduce_as_kernel.h"
#include "paddle/phi/kernels/split_kernel.h"
#include "paddle/phi/kernels/stack_grad_kernel.h"
#include "paddle/phi/kernels/stack_kernel.h"
#include "paddle/phi/kernels/transpose_grad_kernel.h"
#include "paddle/phi/kernels/transpose_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// -- joining and cutting
// ------------------------------------------------------------------------------------------------

void join(const CustomContext& ctx, const std::vector<const DenseTensor*>& parts, int axis, bool new_axis,
          DenseTensor* out) {
  Recorder record(ctx);
  SmallVector<Value, 16> values;
  for (const DenseTensor* part : parts) {
    // Paddle lets an empty 1-D tensor join anything.
    if (part->numel() == 0 && out->numel() != 0) continue;
    Shape shape(dims_of(*part));
    if (new_axis) {
      shape = Shape(dims_of(*out));
      shape[static_cast<size_t>(axis)] = 1;
    }
    values.push_back(record.input(*part, shape));
  }
  record.output(out, record.graph.concatenation(values, axis));
  record.launch();
}

// Cuts `x` along `axis` into the tensors of `parts`, one after the other; null parts are skipped
// over by `sizes`.
void cut(const CustomContext& ctx, const DenseTensor& x, int axis, Span<const int64_t> sizes,
         const std::vector<DenseTensor*>& parts) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value whole = record.input(x);
  const Shape shape(dims_of(x));
  Ints starts, ends(shape), steps;
  starts.resize(shape.size(), 0);
  steps.resize(shape.size(), 1);
  int64_t at = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    starts[static_cast<size_t>(axis)] = at;
    at += sizes[i];
    ends[static_cast<size_t>(axis)] = at;
    if (parts[i] == nullptr) continue;
    record.output(parts[i], g.reshape(g.slice(whole, starts, ends, steps), dims_of(*parts[i])));
  }
  record.launch();
}

std::vector<int64_t> sizes_along(const std::vector<DenseTensor*>& parts, int axis) {
  std::vector<int64_t> sizes;
  for (const DenseTensor* part : parts) sizes.push_back(part->dims()[axis]);
  return sizes;
}

void concat(const CustomContext& ctx, const std::vector<const DenseTensor*>& x, const phi::Scalar& axis,
            DenseTensor* out) {
  join(ctx, x, normalize_axis(axis.to<int64_t>(), dims_of(*out).size()), /*new_axis=*/false, out);
}

void concat_grad(const CustomContext& ctx, const std::vector<const DenseTensor*>& x, const DenseTensor& dout,
                 const phi::Scalar& axis_scalar, std::vector<DenseTensor*> dx) {
  const int axis = normalize_axis(axis_scalar.to<int64_t>(), dims_of(dout).size());
  std::vector<int64_t> sizes;
  for (const DenseTensor* part : x) {
    sizes.push_back(part->numel() == 0 && part->dims().size() != dout.dims().size() ? 0 : part->dims()[axis]);
  }
  cut(ctx, dout, axis, sizes, dx);
}

void stack(const CustomContext& ctx, const std::vector<const DenseTensor*>& x, int axis, DenseTensor* out) {
  join(ctx, x, normalize_axis(axis, dims_of(*out).size()), /*new_axis=*/true, out);
}

void stack_grad(const CustomContext& ctx, const DenseTensor& dout, int axis, std::vector<DenseTensor*> dx) {
  const std::vector<int64_t> sizes(dx.size(), 1);
  cut(ctx, dout, normalize_axis(axis, dims_of(dout).size()), sizes, dx);
}

void split(const CustomContext& ctx, const DenseTensor& x, const phi::IntArray&, const phi::Scalar& axis_scalar,
           std::vector<DenseTensor*> out) {
  const int axis = normalize_axis(axis_scalar.to<int64_t>(), dims_of(x).size());
  cut(ctx, x, axis, sizes_along(out, axis), out);
}

void split_with_num(const CustomContext& ctx, const DenseTensor& x, int, const phi::Scalar& axis_scalar,
                    std::vector<DenseTensor*> out) {
  const int axis = normalize_axis(axis_scalar.to<int64_t>(), dims_of(x).size());
  cut(ctx, x, axis, sizes_along(out, axis), out);
}

// -- stretching
// -----------------------------------------------------------------------------------------------------------

void stretch(const CustomContext& ctx, const DenseTensor& x, DenseTensor* out) {
  if (out == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  record.output(out, g.broadcast(g.cast(record.input(x), dtype_of(*out)), dims_of(*out)));
  record.launch();
}

void shrink(const CustomContext& ctx, const DenseTensor& dout, DenseTensor* dx) {
  if (dx == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType to = dtype_of(*dx);
  const Value wide = g.cast(record.input(dout), graphs::compute_dtype(to));
  record.output(dx, g.cast(graphs::sum_to_shape(g, wide, dims_of(*dx)), to));
  record.launch();
}

void expand(const CustomContext& ctx, const DenseTensor& x, const phi::IntArray& shape, DenseTensor* out) {
  // -1 keeps a dimension of x; dimensions are aligned at the end.
  const std::vector<int64_t>& wanted = shape.GetData();
  const Dims from = dims_of(x);
  Shape target;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const size_t from_end = wanted.size() - i;
    const bool keeps = wanted[i] == -1 && from_end <= from.size();
    target.push_back(keeps ? from[from.size() - from_end] : wanted[i]);
  }
  out->Resize(phi::make_ddim(std::vector<int64_t>(target.begin(), target.end())));
  stretch(ctx, x, out);
}

void expand_grad(const CustomContext& ctx, const DenseTensor&, const DenseTensor& dout, const phi::IntArray&,
                 DenseTensor* dx) {
  shrink(ctx, dout, dx);
}

void expand_as(const CustomContext& ctx, const DenseTensor& x, const ::paddle::optional<DenseTensor>&,
               const std::vector<int64_t>& target_shape, DenseTensor* out) {
  out->Resize(phi::make_ddim(target_shape));
  stretch(ctx, x, out);
}

void expand_as_grad(const CustomContext& ctx, const DenseTensor&, const DenseTensor& dout, const std::vector<int64_t>&,
                    DenseTensor* dx) {
  shrink(ctx, dout, dx);
}

void broadcast_tensors(const CustomContext& ctx, const std::vector<const DenseTensor*>& x,
                       std::vector<DenseTensor*> out) {
  Recorder record(ctx);
  for (size_t i = 0; i < x.size(); ++i) {
    if (out[i] == nullptr) continue;
    record.output(out[i], record.graph.broadcast(record.input(*x[i]), dims_of(*out[i])));
  }
  record.launch();
}

void broadcast_tensors_grad(const CustomContext& ctx, const std::vector<const DenseTensor*>&,
                            const std::vector<const DenseTensor*>& dout, std::vector<DenseTensor*> dx) {
  for (size_t i = 0; i < dx.size(); ++i) shrink(ctx, *dout[i], dx[i]);
}

void reduce_as(const CustomContext& ctx, const DenseTensor& x, const DenseTensor&, DenseTensor* out) {
  // Sums of small integers are int64, as Paddle infers; where there is nothing to add up, its CPU kernel copies.
  if (x.dims() == out->dims()) set_dtype(out, x.dtype());
  shrink(ctx, x, out);
}
void reduce_as_grad(const CustomContext& ctx, const DenseTensor&, const DenseTensor&, const DenseTensor& dout,
                    DenseTensor* dx) {
  stretch(ctx, dout, dx);  // which is int64 where dx is a smaller integer
}

void define_by_metadata(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(0).SetDataType(phi::DataType::UNDEFINED);
}

// -- turning
// --------------------------------------------------------------------------------------------------------------

Ints permutation_of(const std::vector<int>& axes, bool inverse) {
  Ints permutation;
  permutation.resize(axes.size());
  for (size_t i = 0; i < axes.size(); ++i) {
    const int axis = normalize_axis(axes[i], axes.size());
    if (inverse) {
      permutation[static_cast<size_t>(axis)] = static_cast<int64_t>(i);
    } else {
      permutation[i] = axis;
    }
  }
  return permutation;
}

void turn(const CustomContext& ctx, const DenseTensor& x, Dims permutation, DenseTensor* out) {
  if (out == nullptr) return;
  Recorder record(ctx);
  record.output(out, record.graph.transpose(record.input(x), permutation));
  record.launch();
}

void transpose(const CustomContext& ctx, const DenseTensor& x, const std::vector<int>& axes, DenseTensor* out) {
  turn(ctx, x, permutation_of(axes, /*inverse=*/false), out);
}

void transpose_grad(const CustomContext& ctx, const DenseTensor& dout, const std::vector<int>& axes, DenseTensor* dx) {
  turn(ctx, dout, permutation_of(axes, /*inverse=*/true), dx);
}

}  // namespace

MPS_KERNEL(concat, phi::ConcatKernel, concat, views_of(kMovedDTypes))
MPS_KERNEL(concat_grad, phi::ConcatGradKernel, concat_grad, views_of(kMovedDTypes))
MPS_KERNEL(stack, phi::StackKernel, stack, views_of(kMovedDTypes))
MPS_KERNEL(stack_grad, phi::StackGradKernel, stack_grad, views_of(kMovedDTypes))
MPS_KERNEL(split, phi::SplitKernel, split, kMovedDTypes)
MPS_KERNEL(split_with_num, phi::SplitWithNumKernel, split_with_num, kAllDTypes)
MPS_KERNEL(expand, phi::ExpandKernel, expand, kMovedDTypes)
MPS_KERNEL(expand_grad, phi::ExpandGradKernel, expand_grad, kNumbers)
MPS_KERNEL(expand_as, phi::ExpandAsKernel, expand_as, kAllDTypes)
MPS_KERNEL(expand_as_grad, phi::ExpandAsGradKernel, expand_as_grad, kNumbers)
MPS_KERNEL(broadcast_tensors, phi::BroadcastTensorsKernel, broadcast_tensors, kMovedDTypes)
MPS_KERNEL_KEYED(broadcast_tensors_grad, phi::BroadcastTensorsGradKernel, broadcast_tensors_grad, kFloatsAndInts, 1)
MPS_KERNEL(reduce_as, phi::ReduceAsKernel, reduce_as, kNumbers)
MPS_KERNEL_WITH_DEFINE(reduce_as_grad, phi::ReduceAsGradKernel, reduce_as_grad, kNumbers, define_by_metadata)
MPS_KERNEL(transpose, phi::TransposeKernel, transpose, kMovedDTypes)
MPS_KERNEL(transpose_grad, phi::TransposeGradKernel, transpose_grad, kMovedDTypes)

}  // namespace mps::paddle
