// Sorting positions, and searching in what is sorted.
//
// An element and its position are packed into one number whose order is that of the sort: a key above, the position
// below. No two are equal, so every way of sorting them is stable. Long lines are sorted by the bytes of the key.
#include <algorithm>
#include <limits>
#include <vector>

#include "plugin/host/threads.h"
#include "plugin/host/whole_host.h"

namespace mps {
namespace {

__extension__ typedef unsigned __int128 Uint128;

constexpr int64_t kLongLine = 2048;  // from here on by bytes

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

// How many low bits of a key differ between elements.
template <typename T>
constexpr int kKeyBits = std::is_integral_v<T> ? static_cast<int>(8 * sizeof(T)) : 32;

template <typename Packed>
void sort_by_bytes(std::vector<Packed>& items, std::vector<Packed>& other, int bits) {
  other.resize(items.size());
  for (int shift = 32; shift < 32 + bits; shift += 8) {
    size_t counts[256] = {};
    for (const Packed& item : items) ++counts[static_cast<size_t>(item >> shift) & 255];
    if (std::any_of(counts, counts + 256, [&](size_t count) { return count == items.size(); })) continue;
    size_t at = 0;
    for (size_t& count : counts) {
      const size_t next = at + count;
      count = at;
      at = next;
    }
    for (const Packed& item : items) other[counts[static_cast<size_t>(item >> shift) & 255]++] = item;
    items.swap(other);
  }
}

template <typename T>
void arg_sort(const Lines& lines, int64_t count, bool descending, const T* x, int32_t* out) {
  using Packed = std::conditional_t<sizeof(T) == 8, Uint128, uint64_t>;
  const int64_t length = lines.length, inner = lines.inner;
  parallel_for(lines.count(), grain_of(8 * length), [&](int64_t begin, int64_t end) {
    std::vector<Packed> items(static_cast<size_t>(length)), other;
    for (int64_t line = begin; line < end; ++line) {
      const T* const from = x + line / inner * length * inner + line % inner;
      items.resize(static_cast<size_t>(length));
      for (int64_t i = 0; i < length; ++i) {
        const Key<T> key = key_of(from[i * inner]);
        const Key<T> ordered = descending ? static_cast<Key<T>>(~key) : key;
        items[static_cast<size_t>(i)] = (static_cast<Packed>(ordered) << 32) | static_cast<Packed>(i);
      }
      if (count * 4 < length) {
        std::nth_element(items.begin(), items.begin() + count, items.end());
        std::sort(items.begin(), items.begin() + count);
      } else if (length >= kLongLine) {
        sort_by_bytes(items, other, kKeyBits<T>);
      } else {
        std::sort(items.begin(), items.end());
      }
      int32_t* const to = out + line / inner * count * inner + line % inner;
      for (int64_t i = 0; i < count; ++i) {
        to[i * inner] = static_cast<int32_t>(static_cast<uint32_t>(items[static_cast<size_t>(i)]));
      }
    }
  });
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
  const DType dtype = graph.dtype(sequences);
  WholeProgram program;
  program.run = [=](Span<const void* const> inputs, void* output) {
    visit(dtype, [&](auto zero) {
      using T = decltype(zero);
      const T* const all = static_cast<const T*>(inputs[0]);
      const T* const values = static_cast<const T*>(inputs[1]);
      int32_t* const to = static_cast<int32_t*>(output);
      parallel_for(count, grain_of(32), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const T* const sequence = all + i / width * length;
          const Key<T> key = key_of(values[i]);
          int64_t low = 0, high = length;
          while (low < high) {
            const int64_t middle = low + (high - low) / 2;
            const Key<T> found = key_of(sequence[middle]);
            const bool before = right ? found <= key : found < key;
            low = before ? middle + 1 : low;
            high = before ? high : middle;
          }
          to[i] = static_cast<int32_t>(low);
        }
      });
    });
  };
  program.cost_ns = 50 + 50 * static_cast<uint64_t>(count);
  return program;
}

}  // namespace mps
