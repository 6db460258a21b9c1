#include "plugin/paddle/random.h"

namespace mps::paddle {

Random::Random(const phi::CustomContext& ctx, Recorder& record, const uint64_t* fixed_seed)
    : ctx_(ctx), record_(record), fixed_(fixed_seed != nullptr), seed_(fixed_ ? *fixed_seed : 0) {}

Random::Random(const phi::CustomContext& ctx, Recorder& record, int seed)
    : ctx_(ctx), record_(record), fixed_(seed != 0), seed_(static_cast<uint64_t>(seed)) {}

Value Random::words(Dims shape) {
  return record_.graph.random_bits(shape, counter(static_cast<uint64_t>(element_count(shape))));
}

Graph::Counter Random::counter(uint64_t count) {
  const uint64_t blocks = (count + 3) / 4;
  uint64_t block = block_;
  if (fixed_) {
    block_ += blocks;
  } else {
    // Somebody else may have left the offset inside a block; that one is passed over.
    const auto [seed, offset] = ctx_.GetGenerator()->IncrementOffset(4 * blocks);
    seed_ = seed;
    block = offset / 4 + (offset % 4 != 0 ? 1 : 0);
  }
  const auto half = [&](uint64_t bits) {
    return record_.scalar(static_cast<int64_t>(bits & 0xFFFFFFFF), DType::int32);
  };
  // Named, so that the order of the feeds is that of the lines.
  const Value key_low = half(seed_), key_high = half(seed_ >> 32);
  const Value block_low = half(block), block_high = half(block >> 32);
  const Value none = record_.graph.constant(0, DType::int32);
  return {{key_low, key_high}, {block_low, block_high, none, none}};
}

}  // namespace mps::paddle
