// What is done to numbers of few bits on processors with AVX-512 F, BW, DQ and VL.
#include "plugin/host/quantized_kernels.inc.cc"

namespace mps {
constexpr QuantizedKernels kQuantizedKernelsAvx512 = make_table("avx512");
}  // namespace mps
