// A number given by the host, before it has a dtype: Python's int, float or bool.
#pragma once

#include <cstdint>

#include "plugin/core/dtype.h"

namespace mps {

// The bits of a value in the dtype that it will be used in.
struct Bits {
  int64_t bits;
};

class Scalar {
 public:
  Scalar(double value) : kind_(Kind::kFloat), float_(value) {}  // NOLINT: numbers convert
  Scalar(float value) : Scalar(static_cast<double>(value)) {}
  Scalar(int64_t value) : kind_(Kind::kInt), int_(value) {}
  Scalar(int value) : Scalar(static_cast<int64_t>(value)) {}
  Scalar(bool value) : Scalar(static_cast<int64_t>(value)) {}
  Scalar(Bits value) : kind_(Kind::kBits), int_(value.bits) {}

  // Of numbers, not of raw bits.
  double to_double() const { return kind_ == Kind::kFloat ? float_ : static_cast<double>(int_); }
  int64_t to_int64() const;  // truncates towards zero, saturates, NaN becomes 0

  // The value in `dtype`, as that many low bytes. Rounds to nearest for floats, wraps for integers.
  uint64_t bits(DType dtype) const;

 private:
  enum class Kind : uint8_t { kFloat, kInt, kBits };

  Kind kind_;
  union {
    double float_;
    int64_t int_;
  };
};

}  // namespace mps
