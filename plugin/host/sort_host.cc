// Sorting positions, and searching in what is sorted.
//
// An element and its position are packed into one number whose order is that of the sort: a key above, the position
// below. No two are equal, so every way of sorting them is stable. Long lines are sorted by the digits of the key.
#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "plugin/host/sort_buckets_host.h"
#include "plugin/host/sort_keys_host.h"
#include "plugin/host/threads.h"
#include "plugin/host/whole_host.h"

namespace mps {
namespace {

__extension__ typedef unsigned __int128 Uint128;

constexpr int64_t kLongLine = 256;   // from here on by digits
constexpr int64_t kChunk = 1 << 15;  // fewest elements of a line that are worth a thread of their own

// Sorts by the `bits` bits above the position, digit by digit from the lowest. A long line is cut into chunks, which
// are counted and moved side by side: the place of an element depends on the digit and, among equal ones, on the chunk.
void sort_by_digits(Items& room, int64_t length, int bits) {
  const int digit_bits = length >= 4096 ? 11 : 8;
  const size_t digits = size_t{1} << digit_bits;
  const int64_t chunks = std::clamp<int64_t>(length / kChunk, 1, 16), chunk = (length + chunks - 1) / chunks;
  std::vector<uint32_t> places(digits * static_cast<size_t>(chunks));
  for (int shift = 32; shift < 32 + bits; shift += digit_bits) {
    const uint64_t* const items = room.now;
    uint64_t* const other = room.other;
    const auto digit_of = [&](uint64_t item) { return static_cast<size_t>(item >> shift) & (digits - 1); };
    std::fill(places.begin(), places.end(), 0);
    parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        uint32_t* const counts = places.data() + static_cast<size_t>(c) * digits;
        const uint64_t* const last = items + std::min(length, (c + 1) * chunk);
        for (const uint64_t* item = items + c * chunk; item < last; ++item) ++counts[digit_of(*item)];
      }
    });
    uint32_t at = 0;
    for (size_t digit = 0; digit < digits; ++digit) {
      for (int64_t c = 0; c < chunks; ++c) {
        uint32_t& place = places[static_cast<size_t>(c) * digits + digit];
        at += std::exchange(place, at);
      }
    }
    parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        uint32_t* const to = places.data() + static_cast<size_t>(c) * digits;
        const uint64_t* const last = items + std::min(length, (c + 1) * chunk);
        for (const uint64_t* item = items + c * chunk; item < last; ++item) other[to[digit_of(*item)]++] = *item;
      }
    });
    std::swap(room.now, room.other);
  }
}

int32_t position_in(uint64_t item) { return static_cast<int32_t>(static_cast<uint32_t>(item)); }

template <typename K>
KeyRange<K> range_of(const std::vector<K>& keys) {
  const auto [least, most] = std::minmax_element(keys.begin(), keys.end());
  return keys.empty() ? KeyRange<K>{} : range_between(*least, *most);
}

// All positions. Of keys with more than 32 bits the upper ones are sorted; what is equal there is then sorted in full.
template <typename K>
void sort_all(const std::vector<K>& keys, int64_t count, Items& room, int32_t* places) {
  const int64_t length = static_cast<int64_t>(keys.size());
  const KeyRange<K> range = range_of(keys);
  const int below = std::max(0, range.bits - 32);
  const auto upper = [&](int64_t i) {
    return static_cast<uint64_t>(static_cast<K>(keys[static_cast<size_t>(i)] - range.least)) >> below;
  };
  for (int64_t i = 0; i < length; ++i) room.now[i] = upper(i) << 32 | static_cast<uint64_t>(i);
  if (length >= kLongLine) {
    sort_by_digits(room, length, std::min(range.bits, 32));
  } else {
    std::sort(room.now, room.now + length);
  }
  uint64_t* const items = room.now;
  if (below == 0) {
    for (int64_t i = 0; i < count; ++i) places[i] = position_in(items[i]);
    return;
  }
  for (int64_t begin = 0, end; begin < length; begin = end) {
    for (end = begin + 1; end < length && items[end] >> 32 == items[begin] >> 32;) {
      ++end;
    }
    if (end - begin == 1) continue;
    std::sort(items + begin, items + end, [&](uint64_t x, uint64_t y) {
      const K x_key = keys[static_cast<uint32_t>(x)], y_key = keys[static_cast<uint32_t>(y)];
      return x_key < y_key || (x_key == y_key && x < y);
    });
  }
  for (int64_t i = 0; i < count; ++i) places[i] = position_in(items[i]);
}

// The best so far of some that are wanted, packed. What is not below the worst of them is passed over: an equal one
// that comes later is not among the first.
template <typename K>
class Best {
 public:
  explicit Best(size_t wanted) : wanted_(wanted), room_(wanted <= kFew ? wanted : 2 * wanted + 64) {
    best_.reserve(room_);
  }

  bool passes_over(K key) const { return key >= worst_ && best_.size() >= wanted_; }

  void add(K key, int64_t i) {
    const Packed item = static_cast<Packed>(key) << 32 | static_cast<Packed>(i);
    if (wanted_ <= kFew) return insert(item);
    best_.push_back(item);
    if (best_.size() == room_) shrink();
  }

  void write(int32_t* out) {
    shrink();
    std::sort(best_.begin(), best_.end());
    for (size_t i = 0; i < wanted_; ++i) out[i] = position_in(static_cast<uint64_t>(best_[i]));
  }

 private:
  using Packed = std::conditional_t<sizeof(K) == 8, Uint128, uint64_t>;
  static constexpr size_t kFew = 32;  // are kept in order, which tells their worst at once

  void insert(Packed item) {
    if (best_.size() == wanted_) best_.pop_back();
    best_.push_back(item);
    for (size_t i = best_.size() - 1; i > 0 && best_[i] < best_[i - 1]; --i) std::swap(best_[i], best_[i - 1]);
    if (best_.size() == wanted_) worst_ = static_cast<K>(best_.back() >> 32);
  }

  void shrink() {
    if (best_.size() <= wanted_) return;
    const auto last = best_.begin() + static_cast<std::ptrdiff_t>(wanted_ - 1);
    std::nth_element(best_.begin(), last, best_.end());
    best_.resize(wanted_);
    worst_ = static_cast<K>(best_[wanted_ - 1] >> 32);
  }

  const size_t wanted_, room_;
  std::vector<Packed> best_;
  K worst_ = std::numeric_limits<K>::max();
};

// The first `count` positions of many. Keys are looked at some at a time, since most of these have nothing that counts.
template <typename K>
void sort_some(const std::vector<K>& keys, int64_t count, int32_t* out) {
  Best<K> best(static_cast<size_t>(count));
  const int64_t length = static_cast<int64_t>(keys.size());
  constexpr int64_t kTogether = 64;
  for (int64_t begin = 0; begin < length; begin += kTogether) {
    const int64_t end = std::min(length, begin + kTogether);
    K least = std::numeric_limits<K>::max();
    for (int64_t i = begin; i < end; ++i) least = std::min(least, keys[static_cast<size_t>(i)]);
    if (best.passes_over(least)) continue;
    for (int64_t i = begin; i < end; ++i) {
      const K key = keys[static_cast<size_t>(i)];
      if (!best.passes_over(key)) best.add(key, i);
    }
  }
  best.write(out);
}

template <typename T>
void arg_sort(const Lines& lines, int64_t count, bool descending, const T* x, int32_t* out) {
  const int64_t length = lines.length, inner = lines.inner;
  if (lines.outer * inner == 1 && count == length && sort_by_buckets(x, length, descending, out)) return;
  // Lines that lie side by side are fetched and stored some at a time, since they share cache lines.
  const int64_t together = std::min<int64_t>(inner, 16), groups = (inner + together - 1) / together;
  parallel_for(lines.outer * groups, grain_of(8 * length * together), [&](int64_t begin, int64_t end) {
    std::vector<std::vector<Key<T>>> group(static_cast<size_t>(together));
    Items room(length);
    std::vector<int32_t> found(static_cast<size_t>(together * count));
    for (int64_t number = begin; number < end; ++number) {
      const int64_t first = number % groups * together, width = std::min(together, inner - first);
      const T* const from = x + number / groups * length * inner + first;
      for (int64_t n = 0; n < width; ++n) group[static_cast<size_t>(n)].resize(static_cast<size_t>(length));
      const Key<T> flips = descending ? static_cast<Key<T>>(~Key<T>{0}) : Key<T>{0};
      if (inner == 1) {
        Key<T>* const keys = group[0].data();
        for (int64_t i = 0; i < length; ++i) keys[i] = key_of(from[i]) ^ flips;
      } else {
        for (int64_t i = 0; i < length; ++i) {
          for (int64_t n = 0; n < width; ++n) {
            group[static_cast<size_t>(n)][static_cast<size_t>(i)] = key_of(from[i * inner + n]) ^ flips;
          }
        }
      }
      int32_t* const to = out + number / groups * count * inner + first;
      for (int64_t n = 0; n < width; ++n) {
        const std::vector<Key<T>>& keys = group[static_cast<size_t>(n)];
        int32_t* const places = inner == 1 ? to : found.data() + n * count;
        count * 4 < length ? sort_some(keys, count, places) : sort_all(keys, count, room, places);
      }
      if (inner == 1) continue;
      for (int64_t i = 0; i < count; ++i) {
        for (int64_t n = 0; n < width; ++n) to[i * inner + n] = found[static_cast<size_t>(n * count + i)];
      }
    }
  });
}

// How many of the ascending keys are below each of `kTogether` others, or not above it. The searches take turns, so
// that one's wait for memory is another's time.
constexpr int64_t kTogether = 8;

template <bool kRight, typename K>
void search(const K* sequence, int64_t length, const K* keys, int32_t* out, int64_t count) {
  const auto is_before = [](K found, K key) { return kRight ? found <= key : found < key; };
  for (int64_t done = 0; done < count; done += kTogether) {
    const int64_t width = std::min(kTogether, count - done);
    K wanted[kTogether] = {};
    std::copy(keys + done, keys + done + width, wanted);
    int64_t at[kTogether] = {};
    for (int64_t left = length; left > 0;) {  // the answer is between at and at + left
      const int64_t half = (left + 1) / 2;
      for (int64_t i = 0; i < kTogether; ++i) at[i] += is_before(sequence[at[i] + half - 1], wanted[i]) ? half : 0;
      left -= half;
    }
    for (int64_t i = 0; i < width; ++i) out[done + i] = static_cast<int32_t>(at[i]);
  }
}

}  // namespace

WholeProgram compile_arg_sort(const Graph& graph, Value value) {
  const Node& node = graph.node(value);
  const Value operand = graph.operand(node, 0);
  const size_t axis = static_cast<size_t>(graph.attributes(node)[0]);
  const bool descending = graph.attributes(node)[1] != 0;
  const Lines lines(graph.shape(operand), axis);
  const int64_t count = graph.shape(value)[axis];
  const DType dtype = graph.dtype(operand);
  WholeProgram program;
  program.run = [=](Span<const void* const> inputs, void* output) {
    visit(dtype, [&](auto zero) {
      using T = decltype(zero);
      arg_sort(lines, count, descending, static_cast<const T*>(inputs[0]), static_cast<int32_t*>(output));
    });
  };
  program.cost_ns = 100 + 30 * static_cast<uint64_t>(graph.elements(operand));
  return program;
}

WholeProgram compile_search_sorted(const Graph& graph, Value value) {
  const Node& node = graph.node(value);
  const Value sequences = graph.operand(node, 0);
  const bool right = graph.attributes(node)[0] != 0;
  const int64_t length = graph.shape(sequences)[1], width = graph.shape(value)[1], count = graph.elements(value);
  const int64_t all_elements = graph.elements(sequences);
  const DType dtype = graph.dtype(sequences);
  WholeProgram program;
  program.run = [=](Span<const void* const> inputs, void* output) {
    visit(dtype, [&](auto zero) {
      using T = decltype(zero);
      const T* const all = static_cast<const T*>(inputs[0]);
      const T* const values = static_cast<const T*>(inputs[1]);
      int32_t* const to = static_cast<int32_t*>(output);
      std::vector<Key<T>> keys(static_cast<size_t>(all_elements));
      parallel_for(all_elements, grain_of(1), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) keys[static_cast<size_t>(i)] = key_of(all[i]);
      });
      parallel_for(count, grain_of(32), [&](int64_t begin, int64_t end) {
        Key<T> wanted[256];
        for (int64_t i = begin, many; i < end; i += many) {
          many = std::min<int64_t>({256, end - i, width - i % width});  // of one sequence
          for (int64_t n = 0; n < many; ++n) wanted[n] = key_of(values[i + n]);
          const Key<T>* const sequence = keys.data() + i / width * length;
          right ? search<true>(sequence, length, wanted, to + i, many)
                : search<false>(sequence, length, wanted, to + i, many);
        }
      });
    });
  };
  program.cost_ns = 50 + 50 * static_cast<uint64_t>(count);
  return program;
}

}  // namespace mps
