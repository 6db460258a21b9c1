// The custom ops behind zero copy (python/paddle_mps/zero_copy.py): tensors over memory that is there already. Neither
// copies nor waits.
//
//   mps_alias(x, device, dtype)   the memory of x as a tensor of another place, which keeps it alive
//     device >= 0: x is on the CPU, dense, and starts a page; the result is on that mps device
//     device < 0:  x is on an mps device; the result is on the CPU
//     dtype: of the result, of the same size, as the number of a phi::DataType
//
//   mps_from_memory(any, device, dtype, address, owner, drop, shape)   a dense tensor at an address that starts a page
//     any: a tensor, because an op must have one; it is not looked at
//     owner, drop: addresses of an object that keeps the memory, and of the C function that lets it go, called with it
//       once when nobody uses the memory any more; not if the op fails
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

using Drop = void (*)(void* owner);

// Memory that something else owns, until this goes.
class Borrowed final : public phi::Allocation {
 public:
  // With a device, the memory has been adopted by it.
  Borrowed(void* address, size_t bytes, const phi::Place& place, DeviceState* device, std::shared_ptr<void> owner)
      : phi::Allocation(address, bytes, place), owner_(std::move(owner)), device_(device) {}

  ~Borrowed() override {
    if (device_ == nullptr) return;
    guard_callback("release", [this] { device_->memory().release(ptr()); });  // waits, so the owner may go now
  }

 private:
  const std::shared_ptr<void> owner_;
  DeviceState* const device_;
};

// The owner is made after the device has accepted the memory.
template <typename MakeOwner>
::paddle::Tensor on_device(int device, void* address, const phi::DDim& shape, phi::DataType dtype, MakeOwner&& owner) {
  DeviceState& state = Runtime::device(device);
  const size_t bytes = static_cast<size_t>(phi::product(shape)) * phi::SizeOf(dtype);
  DeviceState* const adopted = state.memory().adopt(address, bytes) ? &state : nullptr;
  auto memory = std::make_shared<Borrowed>(address, bytes, phi::CustomPlace("mps", device), adopted, owner());
  return ::paddle::Tensor(std::make_shared<phi::DenseTensor>(std::move(memory), phi::DenseTensorMeta(dtype, shape)));
}

::paddle::Tensor on_cpu(const phi::DenseTensor& x, phi::DataType dtype) {
  auto memory = std::make_shared<Borrowed>(x.Holder()->ptr(), x.Holder()->size(), phi::CPUPlace(), nullptr, x.Holder());
  phi::DenseTensorMeta meta = x.meta();
  meta.dtype = dtype;
  return ::paddle::Tensor(std::make_shared<phi::DenseTensor>(std::move(memory), meta));
}

std::vector<::paddle::Tensor> alias(const ::paddle::Tensor& x, int device, int dtype) {
  OpScope scope("mps_alias");
  try {
    const auto dense = std::dynamic_pointer_cast<phi::DenseTensor>(x.impl());
    MPS_CHECK(dense != nullptr && dense->Holder() != nullptr, kArgument,
              "not a dense tensor: expected one with elements, got ", x.name(), ".");
    const auto as = static_cast<phi::DataType>(dtype);
    const auto from = device >= 0 ? phi::AllocationType::CPU : phi::AllocationType::CUSTOM;
    MPS_CHECK(dense->place().GetType() == from && phi::SizeOf(as) == phi::SizeOf(dense->dtype()), kInternal,
              "expected a tensor of the other place, and a dtype of the same size.");
    if (device < 0) return {on_cpu(*dense, as)};
    MPS_CHECK(dense->meta().is_contiguous(), kInternal, "expected a dense tensor.");
    return {on_device(device, dense->data(), dense->dims(), as, [&] { return dense->Holder(); })};
  } catch (...) {
    rethrow_to_paddle();
  }
}

std::vector<::paddle::Tensor> from_memory(const ::paddle::Tensor&, int device, int dtype, int64_t address,
                                          int64_t owner, int64_t drop, const std::vector<int64_t>& shape) {
  OpScope scope("mps_from_memory");
  try {
    const auto make_owner = [&] {
      return std::shared_ptr<void>(reinterpret_cast<void*>(owner), reinterpret_cast<Drop>(drop));
    };
    return {on_device(device, reinterpret_cast<void*>(address), phi::make_ddim(shape),
                      static_cast<phi::DataType>(dtype), make_owner)};
  } catch (...) {
    rethrow_to_paddle();
  }
}

// For static programs, where nobody can use these ops: an address is of this process.
std::vector<std::vector<int64_t>> alias_shape(std::vector<int64_t> shape, int, int) { return {std::move(shape)}; }
std::vector<phi::DataType> alias_dtype(phi::DataType, int, int dtype) { return {static_cast<phi::DataType>(dtype)}; }
std::vector<std::vector<int64_t>> memory_shape(std::vector<int64_t>, int, int, int64_t, int64_t, int64_t) {
  return {{-1}};
}
std::vector<phi::DataType> memory_dtype(phi::DataType, int, int dtype, int64_t, int64_t, int64_t,
                                        const std::vector<int64_t>&) {
  return {static_cast<phi::DataType>(dtype)};
}

}  // namespace
}  // namespace mps::paddle

PD_BUILD_OP(mps_alias)
    .Inputs({"X"})
    .Outputs({"Out"})
    .Attrs({"device: int", "dtype: int"})
    .SetKernelFn(PD_KERNEL(mps::paddle::alias))
    .SetInferShapeFn(PD_INFER_SHAPE(mps::paddle::alias_shape))
    .SetInferDtypeFn(PD_INFER_DTYPE(mps::paddle::alias_dtype));

PD_BUILD_OP(mps_from_memory)
    .Inputs({"Any"})
    .Outputs({"Out"})
    .Attrs({"device: int", "dtype: int", "address: int64_t", "owner: int64_t", "drop: int64_t",
            "shape: std::vector<int64_t>"})
    .SetKernelFn(PD_KERNEL(mps::paddle::from_memory))
    .SetInferShapeFn(PD_INFER_SHAPE(mps::paddle::memory_shape))
    .SetInferDtypeFn(PD_INFER_DTYPE(mps::paddle::memory_dtype));
