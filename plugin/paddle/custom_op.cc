#include "plugin/paddle/custom_op.h"

#include <memory>
#include <utility>

#include "paddle/phi/backends/context_pool.h"
#include "paddle/phi/core/dense_tensor.h"
#include "plugin/paddle/allocator.h"
#include "plugin/paddle/guard.h"
#include "plugin/paddle/thread_context.h"

namespace mps::paddle {
namespace {

const phi::DenseTensor& dense(const ::paddle::Tensor& tensor) {
  const auto* const found = dynamic_cast<const phi::DenseTensor*>(tensor.impl().get());
  MPS_CHECK(found != nullptr && found->meta().is_contiguous(), kArgument,
            "not a dense tensor: expected one without gaps, got a view or another kind of tensor. Call contiguous().");
  return *found;
}

const phi::CustomContext& context_of(const ::paddle::Tensor& tensor) {
  const phi::Place place = dense(tensor).place();
  MPS_CHECK(place.GetType() == phi::AllocationType::CUSTOM && place.GetDeviceType() == "mps", kArgument,
            "wrong device: expected a tensor on mps, got one on ", place.DebugString(), ". Move it: tensor.to('mps').");
  const auto* const shared = phi::DeviceContextPool::Instance().Get(place);
  return thread_context(*static_cast<const phi::CustomContext*>(shared));
}

}  // namespace

Value GraphOp::input(const ::paddle::Tensor& tensor) { return input(tensor, dims_of(dense(tensor))); }

Value GraphOp::input(const ::paddle::Tensor& tensor, Dims shape) {
  MPS_CHECK(tensor.numel() == 0 || context_of(tensor).GetPlace() == record.place(), kArgument,
            "tensors on different devices: expected all on ", record.place().DebugString(), ", got one on ",
            tensor.place().DebugString(), ". Move it there.");
  return record.input(dense(tensor), shape);
}

void GraphOp::output(Value value) { output(value, Shape(record.graph.shape(value))); }

void GraphOp::output(Value value, Dims shape) {
  const phi::DDim dims = phi::make_ddim(std::vector<int64_t>(shape.begin(), shape.end()));
  auto tensor = std::make_shared<phi::DenseTensor>(std::shared_ptr<phi::Allocation>(),
                                                   phi::DenseTensorMeta(to_phi(record.graph.dtype(value)), dims));
  record.output(tensor.get(), value);
  results_.push_back(::paddle::Tensor(std::move(tensor)));
}

Shape rows_of(const ::paddle::Tensor& x) {
  const std::vector<int64_t> shape = x.shape();
  MPS_CHECK(!shape.empty(), kArgument, "x has no dimensions: expected [.., K], got a number. Reshape it.");
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
  return {rows, shape.back()};
}

Shape with_last(const ::paddle::Tensor& x, int64_t last) {
  std::vector<int64_t> shape = x.shape();
  shape.back() = last;
  return Shape(Dims(shape.data(), shape.size()));
}

std::vector<::paddle::Tensor> run_graph_op(const char* name, const ::paddle::Tensor& on,
                                           void (*body)(void* context, GraphOp& op), void* context) {
  OpScope scope(name);
  const Interruptible interruptible;
  try {
    check_not_forked();
    const phi::CustomContext& ctx = context_of(on);
    const AllocationScope allocates_for_stream(*static_cast<Stream*>(ctx.stream()));
    GraphOp op(ctx);
    body(context, op);
    op.record.launch();
    return std::move(op.results_);
  } catch (...) {
    rethrow_to_paddle();
  }
}

}  // namespace mps::paddle
