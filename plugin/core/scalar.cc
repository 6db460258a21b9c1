#include "plugin/core/scalar.h"

#include <cstring>

namespace mps {

int64_t Scalar::to_int64() const {
  if (kind_ != Kind::kFloat) return int_;
  if (float_ != float_) return 0;
  if (float_ >= 9223372036854775808.0) return INT64_MAX;
  if (float_ <= -9223372036854775808.0) return INT64_MIN;
  return static_cast<int64_t>(float_);
}

uint64_t Scalar::bits(DType dtype) const {
  if (kind_ == Kind::kBits) return static_cast<uint64_t>(int_);
  return visit(dtype, [&](auto zero) -> uint64_t {
    using T = decltype(zero);
    T value;
    if (dtype == DType::bool_) {
      value = static_cast<T>(kind_ == Kind::kFloat ? float_ != 0 : int_ != 0);
    } else if (is_float(dtype)) {
      // float16 and bfloat16 round from float, as Paddle's own scalars do.
      value = static_cast<T>(static_cast<float>(to_double()));
    } else {
      value = static_cast<T>(to_int64());
    }
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    return bits;
  });
}

}  // namespace mps
