#include "plugin/paddle/strided.h"

#include <cstring>

#include "plugin/core/check.h"
#include "plugin/paddle/tensor.h"

namespace mps::paddle {
namespace {

template <typename T>
Words copy_bits(T value) {
  Words words{};
  std::memcpy(words.bits, &value, sizeof value);
  return words;
}

}  // namespace

Elements elements_of(phi::DataType dtype) {
  DType known;
  if (to_dtype(dtype, &known)) return {known, 1};
  switch (phi::SizeOf(dtype)) {
    case 1:
      return {DType::uint8, 1};
    case 2:
      return {DType::int16, 1};
    case 4:
      return {DType::int32, 1};
    case 8:
      return {DType::int64, 1};
    case 16:
      return {DType::int64, 2};
    default:
      MPS_THROW(kUnsupported, "elements of this dtype cannot be moved: expected 1 to 16 bytes, got ",
                phi::DataTypeToString(dtype), ". Cast the tensor.");
  }
}

Words words_of(const phi::Scalar& value, phi::DataType dtype) {
  switch (dtype) {
#define MPS_COPY_BITS(phi_enum, type) \
  case phi::DataType::phi_enum:       \
    return copy_bits(value.to<type>());
    MPS_COPY_BITS(BOOL, bool)
    MPS_COPY_BITS(UINT8, uint8_t)
    MPS_COPY_BITS(INT8, int8_t)
    MPS_COPY_BITS(INT16, int16_t)
    MPS_COPY_BITS(INT32, int32_t)
    MPS_COPY_BITS(INT64, int64_t)
    MPS_COPY_BITS(UINT16, uint16_t)
    MPS_COPY_BITS(UINT32, uint32_t)
    MPS_COPY_BITS(UINT64, uint64_t)
    MPS_COPY_BITS(FLOAT16, phi::float16)
    MPS_COPY_BITS(BFLOAT16, phi::bfloat16)
    MPS_COPY_BITS(FLOAT32, float)
    MPS_COPY_BITS(FLOAT64, double)
    MPS_COPY_BITS(COMPLEX64, phi::complex64)
    MPS_COPY_BITS(COMPLEX128, phi::complex128)
    MPS_COPY_BITS(FLOAT8_E4M3FN, phi::float8_e4m3fn)
    MPS_COPY_BITS(FLOAT8_E5M2, phi::float8_e5m2)
#undef MPS_COPY_BITS
    default:
      MPS_THROW(kUnsupported, "no such scalar on mps: expected a numeric dtype, got ", phi::DataTypeToString(dtype),
                ". Cast the tensor.");
  }
}

StridedStorage storage_of(const phi::DenseTensor& tensor, Dims dims, Dims strides) {
  const Elements elements = elements_of(tensor.dtype());
  const int64_t words = static_cast<int64_t>(elements.words);
  StridedStorage storage{};
  storage.dtype = elements.dtype;
  int64_t low = 0, high = 0;
  for (size_t i = 0; i < dims.size(); ++i) {
    const int64_t reach = (dims[i] - 1) * strides[i];
    (reach < 0 ? low : high) += reach;
    storage.shape.push_back(dims[i]);
    storage.strides.push_back(strides[i] * words);
  }
  if (words != 1) {
    storage.shape.push_back(words);
    storage.strides.push_back(1);
  }
  storage.count = (high - low + 1) * words;
  storage.offset = -low * words;
  // data() includes the view's own offset.
  const int64_t low_bytes = low * static_cast<int64_t>(phi::SizeOf(tensor.dtype()));
  storage.address = const_cast<char*>(static_cast<const char*>(tensor.data())) + low_bytes;
  return storage;
}

}  // namespace mps::paddle
