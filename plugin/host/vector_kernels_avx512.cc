// The block functions for processors with AVX-512 F, BW, DQ and VL.
#include "plugin/host/vector_kernels.inc.cc"
#include "plugin/host/vector_tables.h"

namespace mps {
constexpr VectorKernels kVectorKernelsAvx512 = make_table("avx512");
}  // namespace mps
