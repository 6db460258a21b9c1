// The block functions for processors with AVX2, FMA and F16C.
#include "plugin/host/vector_kernels.inc.cc"
#include "plugin/host/vector_tables.h"

namespace mps {
constexpr VectorKernels kVectorKernelsAvx2 = make_table("avx2");
}  // namespace mps
