// Random words for a kernel, from the device's generator or from a seed of the op's own.
#pragma once

#include "plugin/paddle/recorder.h"

namespace mps::paddle {

// The generator is Philox4x32-10. Its key is the seed, and its state is how many words were drawn: Paddle's "offset".
// Words are drawn in blocks of four. What a kernel draws thus depends on seed, offset and shapes alone, whatever the
// device.
class Random {
 public:
  // `fixed_seed` in the generator's place, unless it is null: the same words at every call.
  Random(const phi::CustomContext& ctx, Recorder& record, const uint64_t* fixed_seed = nullptr);
  // An op's attribute, where 0 stands for the generator.
  Random(const phi::CustomContext& ctx, Recorder& record, int seed);

  // int32: so many words that were not drawn before.
  Value words(Dims shape);
  // Where they are, for a node that draws them itself.
  Graph::Counter counter(uint64_t count);

 private:
  const phi::CustomContext& ctx_;
  Recorder& record_;
  bool fixed_ = false;
  uint64_t seed_ = 0;
  uint64_t block_ = 0;  // of a fixed seed, the next
};

}  // namespace mps::paddle
