// Making tensors of one value: full and its relatives.
#include "paddle/phi/kernels/fill_grad_kernel.h"
#include "paddle/phi/kernels/fill_kernel.h"
#include "paddle/phi/kernels/full_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"
#include "plugin/paddle/scalar.h"
#include "plugin/paddle/strided.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// The value is a feed, not a constant: filling with another number runs the same graph.
void fill_dense(const CustomContext& ctx, Scalar value, DenseTensor* out) {
  Recorder record(ctx);
  record.output(out, record.graph.broadcast(record.scalar(value, dtype_of(*out)), dims_of(*out)));
  record.launch();
}

void full(const CustomContext& ctx, const phi::IntArray& shape, const phi::Scalar& value, phi::DataType,
          DenseTensor* out) {
  out->Resize(phi::make_ddim(shape.GetData()));
  fill_dense(ctx, to_scalar(value), out);
}

void full_like(const CustomContext& ctx, const DenseTensor&, const phi::Scalar& value, phi::DataType,
               DenseTensor* out) {
  fill_dense(ctx, to_scalar(value), out);
}

void full_batch_size_like(const CustomContext& ctx, const DenseTensor&, const std::vector<int>&,
                          const phi::Scalar& value, phi::DataType, int, int, DenseTensor* out) {
  fill_dense(ctx, to_scalar(value), out);
}

// The value is an element on the device; it is not read by the host.
void full_with_tensor(const CustomContext& ctx, const DenseTensor& value, const phi::IntArray& shape, phi::DataType,
                      DenseTensor* out) {
  MPS_CHECK(value.numel() == 1, kArgument, "wrong fill value: expected one element, got ", value.numel(),
            ". Index or reduce it.");
  out->Resize(phi::make_ddim(shape.GetData()));
  Recorder record(ctx);
  const Value element = record.graph.cast(record.input(value, {}), dtype_of(*out));
  record.output(out, record.graph.broadcast(element, dims_of(*out)));
  record.launch();
}

// Fills in place, whatever the strides of `out`, in every dtype: the value is moved as bits.
void fill(const CustomContext& ctx, const DenseTensor&, const phi::Scalar& value, DenseTensor* out) {
  if (!out->initialized()) ctx.Alloc(out, out->dtype());
  if (out->numel() == 0) return;
  const StridedStorage storage = storage_of(*out, dims_of(*out), strides_of(*out));
  const Words words = words_of(value, out->dtype());
  Recorder record(ctx);
  Graph& g = record.graph;
  Value update = record.scalar(Bits{words.bits[0]}, storage.dtype);
  // Dense, nothing of what was there is left, and the elements need not lie in one dimension.
  if (out->meta().is_contiguous() && elements_of(out->dtype()).words == 1) {
    record.output(storage.address, g.broadcast(update, dims_of(*out)));
    record.launch();
    return;
  }
  if (elements_of(out->dtype()).words == 2) {
    const Value second = record.scalar(Bits{words.bits[1]}, storage.dtype);
    update = g.concatenation({g.reshape(update, {1}), g.reshape(second, {1})}, 0);
  }
  update = g.broadcast(update, storage.shape);
  const Value base = record.input(storage.address, storage.dtype, storage.count);
  record.output(storage.address, g.strided_update(base, update, storage.strides, storage.offset));
  record.launch();
}

// What was filled no longer depends on what was there.
void fill_grad(const CustomContext& ctx, const DenseTensor&, const phi::Scalar&, DenseTensor* dx) {
  if (dx != nullptr) fill_dense(ctx, int64_t{0}, dx);
}

}  // namespace

MPS_KERNEL(full, phi::FullKernel, full, kAllDTypes)
MPS_KERNEL(full_like, phi::FullLikeKernel, full_like, kAllDTypes)
MPS_KERNEL(full_batch_size_like, phi::FullBatchSizeLikeKernel, full_batch_size_like, kAllDTypes)
MPS_KERNEL(full_with_tensor, phi::FullWithTensorKernel, full_with_tensor, kAllDTypes)
MPS_KERNEL(fill, phi::FillKernel, fill, kEveryPaddleDType)
MPS_KERNEL(fill_grad, phi::FillGradKernel, fill_grad, kFloats)

}  // namespace mps::paddle
