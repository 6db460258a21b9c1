// Moving elements: assign, contiguous and strided_copy, in every dtype that Paddle has; and conj, which of real numbers
// is the same.
//
// `contiguous` and `strided_copy` are what Paddle makes of views; it looks them up without a
// fallback, so a missing dtype would be an error in the middle of a program.
#include "paddle/phi/kernels/assign_kernel.h"
#include "paddle/phi/kernels/complex_kernel.h"
#include "paddle/phi/kernels/contiguous_kernel.h"
#include "paddle/phi/kernels/squeeze_grad_kernel.h"
#include "paddle/phi/kernels/squeeze_kernel.h"
#include "paddle/phi/kernels/strided_copy_kernel.h"
#include "paddle/phi/kernels/unsqueeze_grad_kernel.h"
#include "paddle/phi/kernels/unsqueeze_kernel.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"
#include "plugin/paddle/strided.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// `out` receives the elements of `input`, dense and in row-major order.
void copy_dense(const CustomContext& ctx, const DenseTensor& input, DenseTensor* out) {
  void* const to = ctx.Alloc(out, out->dtype());
  if (input.numel() == 0) return;
  Recorder record(ctx);
  const size_t bytes = static_cast<size_t>(input.numel()) * phi::SizeOf(input.dtype());
  if (input.meta().is_contiguous() && record.copy(to, input.data(), bytes)) return;
  record.output(to, record.input_of_elements(input));
  record.launch();
}

void assign(const CustomContext& ctx, const DenseTensor& x, DenseTensor* out) { copy_dense(ctx, x, out); }

// What static programs call for assign.
void assign_raw(const CustomContext& ctx, const ::paddle::optional<DenseTensor>& x, DenseTensor* out) {
  if (x) copy_dense(ctx, x.get(), out);
}

void contiguous(const CustomContext& ctx, const DenseTensor& input, DenseTensor* out) {
  phi::DenseTensorMeta meta = input.meta();
  meta.strides = phi::DenseTensorMeta::calc_strides(meta.dims);
  meta.offset = 0;
  out->set_meta(meta);
  copy_dense(ctx, input, out);
}

// In eager mode these are views, by Paddle's own kernels. Static programs have no views, and one that Paddle finds no
// kernel for goes on on the CPU to its end.
void squeeze(const CustomContext& ctx, const DenseTensor& x, const phi::IntArray& axes, DenseTensor* out) {
  const Dims from = dims_of(x);
  const auto is_named = [&](size_t axis) {
    if (axes.GetData().empty()) return true;
    for (int64_t each : axes.GetData()) {
      if (static_cast<size_t>(normalize_axis(each, from.size())) == axis) return true;
    }
    return false;
  };
  std::vector<int64_t> shape;
  for (size_t axis = 0; axis < from.size(); ++axis) {
    if (from[axis] != 1 || !is_named(axis)) shape.push_back(from[axis]);
  }
  out->Resize(phi::make_ddim(shape));
  copy_dense(ctx, x, out);
}

// Axes are added one after the other, and count in what there is by then.
void unsqueeze(const CustomContext& ctx, const DenseTensor& x, const phi::IntArray& axes, DenseTensor* out) {
  std::vector<int64_t> shape = phi::vectorize<int64_t>(x.dims());
  for (int64_t axis : axes.GetData()) {
    shape.insert(shape.begin() + normalize_axis(axis, shape.size() + 1), 1);
  }
  out->Resize(phi::make_ddim(shape));
  copy_dense(ctx, x, out);
}

// `x` is asked for nothing: Paddle may have released its memory.
void squeeze_grad(const CustomContext& ctx, const DenseTensor&, const DenseTensor& dout, const phi::IntArray&,
                  DenseTensor* dx) {
  if (dx != nullptr) copy_dense(ctx, dout, dx);
}
void unsqueeze_grad(const CustomContext& ctx, const DenseTensor&, const DenseTensor& dout, DenseTensor* dx) {
  if (dx != nullptr) copy_dense(ctx, dout, dx);
}

// `out` owns memory already: only the elements that its new dimensions and strides name are
// written.
void strided_copy(const CustomContext& ctx, const DenseTensor& input, const std::vector<int64_t>& dims,
                  const std::vector<int64_t>& out_strides, int64_t out_offset, DenseTensor* out) {
  phi::DenseTensorMeta meta = input.meta();
  meta.dims = phi::make_ddim(dims);
  meta.strides = phi::make_ddim(out_strides);
  meta.offset = static_cast<size_t>(out_offset);
  out->set_meta(meta);
  if (input.numel() == 0) return;
  MPS_CHECK(input.numel() == out->numel(), kArgument, "wrong number of elements: expected ", out->numel(), ", got ",
            input.numel(), ". Broadcast the value first.");
  Recorder record(ctx);
  const StridedStorage to = storage_of(*out, dims_of(*out), strides_of(*out));
  const Value update = record.graph.reshape(record.input_of_elements(input), to.shape);
  const Value base = record.input(to.address, to.dtype, to.count);
  record.output(to.address, record.graph.strided_update(base, update, to.strides, to.offset));
  record.launch();
}

}  // namespace

MPS_KERNEL_WITHOUT_T(assign, phi::AssignKernel, assign, kEveryPaddleDType)
MPS_KERNEL_WITHOUT_T(assign_raw, phi::AssignRawKernel, assign_raw, kEveryPaddleDType)
// Of a real number.
MPS_KERNEL(conj, phi::ConjKernel, assign, kFloatsAndInts)
MPS_KERNEL(squeeze, phi::SqueezeKernel, squeeze, kMovedDTypes)
MPS_KERNEL(squeeze_grad, phi::SqueezeGradKernel, squeeze_grad, kMovedDTypes)
MPS_KERNEL(unsqueeze, phi::UnsqueezeKernel, unsqueeze, kMovedDTypes)
MPS_KERNEL(unsqueeze_grad, phi::UnsqueezeGradKernel, unsqueeze_grad, kMovedDTypes)
MPS_KERNEL(contiguous, phi::ContiguousKernel, contiguous, kEveryPaddleDType)
MPS_KERNEL(strided_copy, phi::StridedCopyKernel, strided_copy, kEveryPaddleDType)

}  // namespace mps::paddle
