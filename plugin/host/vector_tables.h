// The tables of vector_kernels.h by instruction set. Only the processor's own may be called through.
#pragma once

#include "plugin/host/vector_kernels.h"

namespace mps {

extern const VectorKernels kVectorKernelsBaseline;
#if defined(__x86_64__)
extern const VectorKernels kVectorKernelsAvx2;
extern const VectorKernels kVectorKernelsAvx512;
#endif

}  // namespace mps
