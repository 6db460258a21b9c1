// What elements are sorted by: unsigned numbers in their order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "plugin/core/dtype.h"
#include "plugin/host/scratch_host.h"

namespace mps {

template <typename T>
using Key = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

// Unsigned numbers in the order of the elements: NaN is greatest, the two zeros are equal.
template <typename T>
Key<T> key_of(T x) {
  if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, uint8_t>) {
    return x;
  } else if constexpr (std::is_same_v<T, int64_t>) {
    return static_cast<uint64_t>(x) ^ (uint64_t{1} << 63);
  } else if constexpr (std::is_integral_v<T>) {
    return static_cast<uint32_t>(int64_t{x} - std::numeric_limits<T>::min());
  } else {
    const float value = static_cast<float>(x);
    if (value != value) return UINT32_MAX;
    const uint32_t bits = float_bits(value == 0 ? 0.0f : value);
    return (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
  }
}

// What is left of keys once the least is subtracted: the order is that of the keys, in as few bits as there are.
template <typename K>
struct KeyRange {
  K least = std::numeric_limits<K>::max();
  int bits = 0;
};

template <typename K>
KeyRange<K> range_between(K least, K most) {
  KeyRange<K> range{least, 0};
  for (K rest = static_cast<K>(most - least); rest != 0; rest >>= 1) ++range.bits;
  return range;
}

// Packed keys, and room to move them to. Fresh memory of megabytes would cost as much as a digit.
class Items {
 public:
  explicit Items(int64_t length)
      : lease_(scratch().take(2 * static_cast<size_t>(length) * sizeof(uint64_t))),
        now(reinterpret_cast<uint64_t*>(lease_.data())),
        other(now + length) {}

 private:
  static Scratch& scratch() {
    static Scratch* const kept = new Scratch;  // threads may sort until the process is gone
    return *kept;
  }
  Scratch::Lease lease_;

 public:
  uint64_t *now, *other;
};

}  // namespace mps
