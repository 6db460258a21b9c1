// What is done to numbers of few bits on any processor.
#include "plugin/host/quantized_kernels.inc.cc"

namespace mps {
constexpr QuantizedKernels kQuantizedKernelsBaseline = make_table("baseline");
}  // namespace mps
