#include "plugin/paddle/tensor.h"

#include "plugin/core/check.h"

namespace mps::paddle {

bool to_dtype(phi::DataType from, DType* dtype) {
#define MPS_DTYPE(enumerator, name, bytes, kind, host_type, metal_name, mps_enum, phi_enum) \
  if (from == phi::DataType::phi_enum) {                                                    \
    *dtype = DType::enumerator;                                                             \
    return true;                                                                            \
  }
#include "plugin/core/dtype.def"
#undef MPS_DTYPE
  return false;
}

phi::DataType to_phi(DType dtype) {
  switch (dtype) {
#define MPS_DTYPE(enumerator, name, bytes, kind, host_type, metal_name, mps_enum, phi_enum) \
  case DType::enumerator:                                                                   \
    return phi::DataType::phi_enum;
#include "plugin/core/dtype.def"
#undef MPS_DTYPE
  }
  __builtin_unreachable();
}

DType dtype_of(const phi::DenseTensor& tensor) {
  if (tensor.dtype() == phi::DataType::COMPLEX64) return DType::int64;
  DType dtype;
  MPS_CHECK(to_dtype(tensor.dtype(), &dtype), kUnsupported,
            "dtype not available on mps: expected a row of dtype.def, got ", phi::DataTypeToString(tensor.dtype()),
            ". Cast it, for example to float32.");
  return dtype;
}

}  // namespace mps::paddle
