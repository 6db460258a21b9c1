// Paddle's attribute scalars as the core's.
#pragma once

#include "paddle/phi/common/scalar.h"
#include "plugin/core/scalar.h"

namespace mps::paddle {

// Python's floats arrive as FLOAT64, its ints as INT64 and its bools as BOOL; the core keeps that
// difference.
inline Scalar to_scalar(const phi::Scalar& value) {
  switch (value.dtype()) {
    case phi::DataType::FLOAT16:
    case phi::DataType::BFLOAT16:
    case phi::DataType::FLOAT32:
    case phi::DataType::FLOAT64:
      return value.to<double>();
    default:
      return value.to<int64_t>();
  }
}

}  // namespace mps::paddle
