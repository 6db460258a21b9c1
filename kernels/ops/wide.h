// Tensors of any float type in float32 and back: what is computed from statistics rounds once.
#pragma once

#include "plugin/paddle/recorder.h"

namespace mps::paddle {

inline Value wide(Recorder& record, const phi::DenseTensor& tensor, Dims shape) {
  return record.graph.cast(record.input(tensor, shape), DType::float32);
}
inline Value wide(Recorder& record, const phi::DenseTensor& tensor) { return wide(record, tensor, dims_of(tensor)); }

// Writes `value` in the shape and dtype of `out`, unless that is null.
inline void write(Recorder& record, phi::DenseTensor* out, Value value) {
  if (out == nullptr) return;
  record.output(out, record.graph.cast(record.graph.reshape(value, dims_of(*out)), dtype_of(*out)));
}

}  // namespace mps::paddle
