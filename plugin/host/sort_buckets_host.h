// Sorting one long line whose keys are spread evenly, as random numbers are: by their first bits they go to buckets
// that fit into the first-level cache, and there to small ones, which are all but in order. That moves an element
// twice, where sorting by digits would move it three times, through memory.
#pragma once

#include <utility>
#include <vector>

#include "plugin/host/sort_keys_host.h"
#include "plugin/host/threads.h"

namespace mps {

inline constexpr int64_t kManyKeys = 1 << 16;  // below, sorting by digits is as fast

namespace buckets {

constexpr int64_t kPerBucket = 2048;  // keys, at most, on average
constexpr int kFewestBits = 8;        // behind those of the bucket
constexpr int64_t kMostUneven = 6;    // times the average

// Keys as numbers of 64 bits, the first that counts on top.
template <typename T, bool kDescending>
struct Spread {
  using K = Key<T>;
  const T* x;
  K least, most;  // those outside count as the nearest that is inside
  int shift, bucket_bits;

  K key(int64_t i) const { return kDescending ? static_cast<K>(~key_of(x[i])) : key_of(x[i]); }
  uint64_t number(int64_t i) const {
    const K inside = std::min(std::max(key(i), least), most);
    return static_cast<uint64_t>(static_cast<K>(inside - least)) << shift;
  }
  size_t bucket(uint64_t number) const { return static_cast<size_t>(number >> (64 - bucket_bits)); }
  // 32 bits behind those of the bucket, above the position.
  uint64_t item(uint64_t number, int64_t i) const {
    return ((number << bucket_bits) >> 32) << 32 | static_cast<uint64_t>(i);
  }
  bool less(uint64_t item, uint64_t other) const {
    if (item >> 32 != other >> 32) return item < other;
    const K one = key(static_cast<uint32_t>(item)), two = key(static_cast<uint32_t>(other));
    return one < two || (one == two && item < other);
  }
};

// Writes the positions of a bucket in order. `other` has room for its items. Two digits are sorted by, from the lower;
// what is equal in both, rarely more than a few, is put in order by comparing.
template <typename S>
void sort_bucket(const S& spread, uint64_t* items, int64_t count, uint64_t* other, int32_t* places) {
  constexpr int kDigit = 8;
  constexpr size_t kDigits = size_t{1} << kDigit;
  uint32_t upper[kDigits] = {}, lower[kDigits] = {};
  const auto upper_of = [](uint64_t item) { return static_cast<size_t>(item >> (64 - kDigit)); };
  const auto lower_of = [](uint64_t item) { return static_cast<size_t>(item >> (64 - 2 * kDigit)) & (kDigits - 1); };
  for (int64_t i = 0; i < count; ++i) ++upper[upper_of(items[i])], ++lower[lower_of(items[i])];
  uint32_t above = 0, below = 0;
  for (size_t digit = 0; digit < kDigits; ++digit) {
    above += std::exchange(upper[digit], above);
    below += std::exchange(lower[digit], below);
  }
  for (int64_t i = 0; i < count; ++i) other[lower[lower_of(items[i])]++] = items[i];
  for (int64_t i = 0; i < count; ++i) items[upper[upper_of(other[i])]++] = other[i];
  constexpr int64_t kFew = 32;
  const auto less = [&](uint64_t one, uint64_t two) { return spread.less(one, two); };
  for (int64_t i = 1; i < count; ++i) {
    const uint64_t item = items[i];
    int64_t to = i;
    for (; to > 0 && less(item, items[to - 1]); --to) items[to] = items[to - 1];
    items[to] = item;
    if (i - to <= kFew) continue;
    std::sort(items, items + count, less);
    break;
  }
  for (int64_t i = 0; i < count; ++i) places[i] = static_cast<int32_t>(static_cast<uint32_t>(items[i]));
}

template <typename S>
bool sort(const S& spread, int64_t length, int32_t* out) {
  constexpr int64_t kChunks = 8;
  const size_t buckets = size_t{1} << spread.bucket_bits;
  const int64_t chunk = (length + kChunks - 1) / kChunks;
  std::vector<uint32_t> places(buckets * kChunks + 1);
  const auto each_chunk = [&](auto work) {
    parallel_for(kChunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        uint32_t* const own = places.data() + static_cast<size_t>(c) * buckets;
        const S keys = spread;  // a copy that nobody else can have changed stays in registers
        const int64_t last = std::min(length, (c + 1) * chunk);
        for (int64_t i = c * chunk; i < last; ++i) work(own, keys, i);
      }
    });
  };
  each_chunk([](uint32_t* counts, const S& keys, int64_t i) { ++counts[keys.bucket(keys.number(i))]; });
  std::vector<uint32_t> starts(buckets + 1);
  uint32_t sum = 0, most = 0;
  for (size_t bucket = 0; bucket < buckets; ++bucket) {
    starts[bucket] = sum;
    for (size_t c = 0; c < kChunks; ++c) {
      uint32_t& place = places[c * buckets + bucket];
      const uint32_t here = place;
      place = sum;
      sum += here;
    }
    most = std::max(most, sum - starts[bucket]);
  }
  starts[buckets] = sum;
  if (most > kMostUneven * length / static_cast<int64_t>(buckets)) return false;
  Items room(length);
  uint64_t* const items = room.now;
  each_chunk([items](uint32_t* at, const S& keys, int64_t i) {
    const uint64_t number = keys.number(i);
    items[at[keys.bucket(number)]++] = keys.item(number, i);
  });
  parallel_for(static_cast<int64_t>(buckets), 16, [&](int64_t begin, int64_t end) {
    std::vector<uint64_t> sorted(most);
    for (int64_t bucket = begin; bucket < end; ++bucket) {
      const uint32_t from = starts[static_cast<size_t>(bucket)], to = starts[static_cast<size_t>(bucket) + 1];
      sort_bucket(spread, room.now + from, to - from, sorted.data(), out + from);
    }
  });
  return true;
}

template <bool kDescending, typename T>
bool sort_as(const T* x, int64_t length, int32_t* out) {
  using K = Key<T>;
  Spread<T, kDescending> spread{x, 0, 0, 0, 0};
  // Some of the keys say where about all of them are.
  constexpr int64_t kSamples = 4096;
  K least = std::numeric_limits<K>::max(), most = 0;
  for (int64_t i = 0; i < kSamples; ++i) {
    const K key = spread.key(i * length / kSamples);
    least = std::min(least, key);
    most = std::max(most, key);
  }
  const KeyRange<K> range = range_between(least, most);
  spread.least = least;
  spread.most = most;
  spread.shift = 64 - range.bits;
  while ((kPerBucket << spread.bucket_bits) < length) ++spread.bucket_bits;
  return range.bits >= spread.bucket_bits + kFewestBits && sort(spread, length, out);  // else many are equal
}

}  // namespace buckets

// The positions of all elements in order. False, with nothing done, if there are few or they are not spread evenly.
template <typename T>
bool sort_by_buckets(const T* x, int64_t length, bool descending, int32_t* out) {
  if (length < kManyKeys || sizeof(T) < 4) return false;
  return descending ? buckets::sort_as<true>(x, length, out) : buckets::sort_as<false>(x, length, out);
}

}  // namespace mps
