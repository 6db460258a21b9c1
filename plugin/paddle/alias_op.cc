// The custom op behind zero copy (python/paddle_mps/zero_copy.py): the memory of one tensor as a tensor of another
// place. Neither copies nor waits; the new tensor keeps the memory of the old one alive.
//
//   mps_alias(x, device, dtype)   device >= 0: x is on the CPU, dense, and starts a page; the result is on that device
//                                 device < 0:  x is on an mps device; the result is on the CPU
//                                 dtype: of the result, of the same size, as the number of a phi::DataType
#include <memory>
#include <utility>
#include <vector>

#include "paddle/phi/api/ext/op_meta_info.h"
#include "paddle/phi/core/dense_tensor.h"
#include "plugin/core/check.h"
#include "plugin/core/runtime.h"
#include "plugin/paddle/guard.h"

namespace mps::paddle {
namespace {

// A piece of another allocation's memory, under another place.
class Alias final : public phi::Allocation {
 public:
  // With a device, the memory has been adopted by it.
  Alias(void* address, size_t bytes, const phi::Place& place, std::shared_ptr<phi::Allocation> owner,
        DeviceState* device)
      : phi::Allocation(address, bytes, place), owner_(std::move(owner)), device_(device) {}

  ~Alias() override {
    if (device_ == nullptr) return;
    guard_callback("release", [this] { device_->memory().release(ptr()); });  // waits, so the owner may go now
  }

 private:
  const std::shared_ptr<phi::Allocation> owner_;
  DeviceState* const device_;
};

std::shared_ptr<phi::DenseTensor> on_device(const phi::DenseTensor& x, int device, phi::DataType dtype) {
  const size_t bytes = static_cast<size_t>(x.numel()) * phi::SizeOf(x.dtype());
  MPS_CHECK(x.place().GetType() == phi::AllocationType::CPU && x.meta().is_contiguous(), kInternal,
            "expected a dense tensor on the CPU.");
  DeviceState& state = Runtime::device(device);
  void* const address = const_cast<void*>(x.data());
  const bool adopted = state.memory().adopt(address, bytes);
  auto alias =
      std::make_shared<Alias>(address, bytes, phi::CustomPlace("mps", device), x.Holder(), adopted ? &state : nullptr);
  return std::make_shared<phi::DenseTensor>(std::move(alias), phi::DenseTensorMeta(dtype, x.dims()));
}

std::shared_ptr<phi::DenseTensor> on_cpu(const phi::DenseTensor& x, phi::DataType dtype) {
  MPS_CHECK(x.place().GetType() == phi::AllocationType::CUSTOM && x.Holder() != nullptr, kInternal,
            "expected a tensor on mps.");
  auto alias = std::make_shared<Alias>(x.Holder()->ptr(), x.Holder()->size(), phi::CPUPlace(), x.Holder(), nullptr);
  phi::DenseTensorMeta meta = x.meta();
  meta.dtype = dtype;
  return std::make_shared<phi::DenseTensor>(std::move(alias), meta);
}

std::vector<::paddle::Tensor> alias(const ::paddle::Tensor& x, int device, int dtype) {
  OpScope scope("mps_alias");
  try {
    const auto dense = std::dynamic_pointer_cast<phi::DenseTensor>(x.impl());
    MPS_CHECK(dense != nullptr, kArgument, "not a dense tensor: expected one, got ", x.name(), ".");
    const auto as = static_cast<phi::DataType>(dtype);
    MPS_CHECK(phi::SizeOf(as) == phi::SizeOf(dense->dtype()), kInternal, "expected a dtype of the same size.");
    return {::paddle::Tensor(device >= 0 ? on_device(*dense, device, as) : on_cpu(*dense, as))};
  } catch (...) {
    rethrow_to_paddle();
  }
}

std::vector<std::vector<int64_t>> infer_shape(std::vector<int64_t> shape, int, int) { return {std::move(shape)}; }
std::vector<phi::DataType> infer_dtype(phi::DataType, int, int dtype) { return {static_cast<phi::DataType>(dtype)}; }

}  // namespace
}  // namespace mps::paddle

PD_BUILD_OP(mps_alias)
    .Inputs({"X"})
    .Outputs({"Out"})
    .Attrs({"device: int", "dtype: int"})
    .SetKernelFn(PD_KERNEL(mps::paddle::alias))
    .SetInferShapeFn(PD_INFER_SHAPE(mps::paddle::infer_shape))
    .SetInferDtypeFn(PD_INFER_DTYPE(mps::paddle::infer_dtype));
