#include <string>

#include "plugin/core/check.h"
#include "plugin/core/env.h"
#include "plugin/host/vector_tables.h"

namespace mps {
namespace {

#if defined(__x86_64__)
// Each wider set includes what the narrower ones use.
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

using Tables = SmallVector<const VectorKernels*, 4>;

Tables runnable_tables() {
  Tables tables = {&kVectorKernelsBaseline};
#if defined(__x86_64__)
  if (has_avx2()) tables.push_back(&kVectorKernelsAvx2);
  if (has_avx512()) tables.push_back(&kVectorKernelsAvx512);
#endif
  return tables;
}

// The widest, or the one that PADDLE_MPS_HOST_VECTORS names: so that one machine can try what another one runs.
const VectorKernels& chosen_table() {
  const Span<const VectorKernels* const> tables = all_vector_kernels();
  const std::string& wanted = env::host_vectors();
  if (wanted.empty()) return *tables[tables.size() - 1];
  std::string names;
  for (const VectorKernels* table : tables) {
    if (wanted == table->name) return *table;
    names += std::string(names.empty() ? "" : ", ") + table->name;
  }
  MPS_THROW(kArgument, "PADDLE_MPS_HOST_VECTORS names no vectors of this processor: expected one of ", names, ", got '",
            wanted, "'.");
}

}  // namespace

Span<const VectorKernels* const> all_vector_kernels() {
  static const Tables tables = runnable_tables();
  return tables;
}

const VectorKernels& vector_kernels() {
  static const VectorKernels& chosen = chosen_table();
  return chosen;
}

}  // namespace mps
