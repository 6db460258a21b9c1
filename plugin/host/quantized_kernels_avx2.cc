// What is done to numbers of few bits on processors with AVX2, FMA and F16C.
#include "plugin/host/quantized_kernels.inc.cc"

namespace mps {
constexpr QuantizedKernels kQuantizedKernelsAvx2 = make_table("avx2");
}  // namespace mps
