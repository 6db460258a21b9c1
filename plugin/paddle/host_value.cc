#include "plugin/paddle/host_value.h"

#include "paddle/phi/core/tensor_utils.h"
#include "plugin/core/check.h"
#include "plugin/paddle/tensor.h"

namespace mps::paddle {

std::vector<Scalar> host_values(const phi::CustomContext& ctx, const phi::DenseTensor& tensor) {
  phi::DenseTensor copy;
  const bool is_here = tensor.place().GetType() == phi::AllocationType::CPU;
  if (!is_here) phi::Copy(ctx, tensor, phi::CPUPlace(), /*blocking=*/true, &copy);
  const phi::DenseTensor& here = is_here ? tensor : copy;
  std::vector<Scalar> values;
  const auto add = [&](auto zero) {
    using T = decltype(zero);
    const T* const data = static_cast<const T*>(here.data());
    for (int64_t i = 0; i < here.numel(); ++i) {
      if constexpr (std::is_integral_v<T>) {
        values.emplace_back(static_cast<int64_t>(data[i]));
      } else if constexpr (std::is_same_v<T, double>) {
        values.emplace_back(data[i]);
      } else {
        values.emplace_back(static_cast<float>(data[i]));
      }
    }
  };
  if (here.dtype() == phi::DataType::FLOAT64) {
    add(0.0);
  } else {
    visit(dtype_of(here), add);
  }
  return values;
}

Scalar host_value(const phi::CustomContext& ctx, const phi::DenseTensor& tensor) {
  MPS_CHECK(tensor.numel() == 1, kArgument, "wrong number of elements: expected one, got ", tensor.numel(), ".");
  return host_values(ctx, tensor)[0];
}

}  // namespace mps::paddle
