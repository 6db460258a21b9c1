// Random words: a counter says what each of them is, so any thread may make any of them.
#include <algorithm>
#include <cstdint>

#include "plugin/host/threads.h"
#include "plugin/host/vector_kernels.h"
#include "plugin/host/whole_host.h"

namespace mps {

WholeProgram compile_random(const Graph& graph, Value value) {
  const int64_t count = graph.elements(value), blocks = count / 4;
  const auto run = [count, blocks](Span<const void* const> inputs, void* output) {
    const auto word = [&](size_t i) { return *static_cast<const uint32_t*>(inputs[i]); };
    const RandomCounter counter = {{word(0), word(1)}, {word(2), word(3), word(4), word(5)}};
    uint32_t* const to = static_cast<uint32_t*>(output);
    const auto random_bits = vector_kernels().random_bits;
    parallel_for(blocks, grain_of(4), [&](int64_t begin, int64_t end) {
      random_bits(counter, static_cast<uint64_t>(begin), to + 4 * begin, static_cast<size_t>(end - begin));
    });
    if (count % 4 == 0) return;
    uint32_t last[4];
    random_bits(counter, static_cast<uint64_t>(blocks), last, 1);
    std::copy(last, last + count % 4, to + 4 * blocks);
  };
  return {run, static_cast<uint64_t>(50 + count)};
}

}  // namespace mps
