// The block functions for any processor that the compiler's defaults run on.
#include "plugin/host/vector_kernels.inc.cc"
#include "plugin/host/vector_tables.h"

namespace mps {
constexpr VectorKernels kVectorKernelsBaseline = make_table("baseline");
}  // namespace mps
