#include "plugin/host/quantized_kernels.h"
#include "plugin/host/vector_kernels.h"

namespace mps {

// One table for each of vector_kernels.h, which knows the processor.
Span<const QuantizedKernels* const> all_quantized_kernels() {
  static const QuantizedKernels* const tables[] = {
      &kQuantizedKernelsBaseline,
#if defined(__x86_64__)
      &kQuantizedKernelsAvx2,
      &kQuantizedKernelsAvx512,
#endif
  };
  return {tables, all_vector_kernels().size()};
}

const QuantizedKernels& quantized_kernels() {
  static const QuantizedKernels& chosen = [&]() -> const QuantizedKernels& {
    const Span<const VectorKernels* const> vectors = all_vector_kernels();
    size_t place = 0;
    while (vectors[place] != &vector_kernels()) ++place;
    return *all_quantized_kernels()[place];
  }();
  return chosen;
}

}  // namespace mps
