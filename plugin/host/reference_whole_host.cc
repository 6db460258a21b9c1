#include "plugin/host/reference_whole_host.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "plugin/core/check.h"

namespace mps {
namespace {

// float16 and bfloat16 are computed with as float.
template <typename T>
using Computed = std::conditional_t<std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>, float, T>;
// The type in which results are accumulated; integers modulo 2^64.
template <typename T>
using Accumulated = std::conditional_t<std::is_integral_v<T>, int64_t, double>;

template <typename T>
Accumulated<T> load(const void* data, int64_t index) {
  return static_cast<Accumulated<T>>(static_cast<Computed<T>>(static_cast<const T*>(data)[index]));
}
template <typename T, typename V>
void store(void* data, int64_t index, V value) {
  static_cast<T*>(data)[index] = static_cast<T>(static_cast<Computed<T>>(value));
}

template <typename A>
A start_of(NodeKind kind) {
  using Limits = std::numeric_limits<A>;
  switch (kind) {
    case NodeKind::reduction_product:
    case NodeKind::cumulative_product:
      return A{1};
    case NodeKind::reduction_maximum:
    case NodeKind::cumulative_maximum:
    case NodeKind::cumulative_log_sum_exp:
      return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
    case NodeKind::reduction_minimum:
    case NodeKind::cumulative_minimum:
      return Limits::has_infinity ? Limits::infinity() : Limits::max();
    default:
      return A{0};
  }
}

template <typename A>
A combined(NodeKind kind, A x, A y) {
  using Wide = std::conditional_t<std::is_integral_v<A>, uint64_t, A>;
  switch (kind) {
    case NodeKind::reduction_product:
    case NodeKind::cumulative_product:
      return static_cast<A>(static_cast<Wide>(x) * static_cast<Wide>(y));
    case NodeKind::reduction_maximum:
    case NodeKind::cumulative_maximum:
      return x > y || x != x ? x : y;
    case NodeKind::reduction_minimum:
    case NodeKind::cumulative_minimum:
      return x < y || x != x ? x : y;
    case NodeKind::cumulative_log_sum_exp: {
      const double a = static_cast<double>(x), b = static_cast<double>(y);
      if (std::isnan(a) || std::isnan(b)) return static_cast<A>(a + b);
      const double high = std::max(a, b);
      if (std::isinf(high)) return static_cast<A>(high);
      return static_cast<A>(high + std::log(std::exp(a - high) + std::exp(b - high)));
    }
    default:
      return static_cast<A>(static_cast<Wide>(x) + static_cast<Wide>(y));
  }
}

// What an exclusive scan begins with, in the dtype of the elements.
template <typename T>
Accumulated<T> first_of(NodeKind kind) {
  if constexpr (std::is_integral_v<T>) {
    if (kind == NodeKind::cumulative_maximum) return static_cast<int64_t>(std::numeric_limits<T>::lowest());
    if (kind == NodeKind::cumulative_minimum) return static_cast<int64_t>(std::numeric_limits<T>::max());
  }
  return start_of<Accumulated<T>>(kind);
}

struct Call {
  const Graph& graph;
  Value value;
  Span<const void* const> operands;
  void* out;

  const Node& node() const { return graph.node(value); }
  int64_t attribute(size_t i) const { return graph.attributes(node())[i]; }
  Dims shape(size_t operand) const { return graph.shape(graph.operand(node(), operand)); }
  DType dtype(size_t operand) const { return graph.dtype(graph.operand(node(), operand)); }
};

// Calls f(first, step) for every line along `axis`: where it begins, and how far apart its elements lie.
template <typename F>
void each_line(Dims shape, size_t axis, F f) {
  int64_t outer = 1, inner = 1;
  for (size_t i = 0; i < axis; ++i) outer *= shape[i];
  for (size_t i = axis + 1; i < shape.size(); ++i) inner *= shape[i];
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t n = 0; n < inner; ++n) f(o * shape[axis] * inner + n, inner);
  }
}

void reduce(const Call& call) {
  const Dims from = call.shape(0), to = call.graph.shape(call.value);
  const Ints dense = contiguous_strides(to);
  visit(call.graph.dtype(call.value), [&](auto zero) {
    using T = decltype(zero);
    using A = Accumulated<T>;
    std::vector<A> totals(static_cast<size_t>(element_count(to)), start_of<A>(call.node().kind));
    for (int64_t i = 0; i < element_count(from); ++i) {
      int64_t rest = i, at = 0;
      for (size_t axis = from.size(); axis-- > 0; rest /= from[axis]) {
        if (to[axis] != 1) at += rest % from[axis] * dense[axis];
      }
      A& total = totals[static_cast<size_t>(at)];
      total = combined(call.node().kind, total, load<T>(call.operands[0], i));
    }
    for (size_t i = 0; i < totals.size(); ++i) store<T>(call.out, static_cast<int64_t>(i), totals[i]);
  });
}

void arg_reduce(const Call& call) {
  const size_t axis = static_cast<size_t>(call.attribute(0));
  const bool greatest = call.node().kind == NodeKind::reduction_arg_maximum;
  const int64_t length = call.shape(0)[axis];
  int32_t* to = static_cast<int32_t*>(call.out);
  visit(call.dtype(0), [&](auto zero) {
    using T = decltype(zero);
    each_line(call.shape(0), axis, [&](int64_t first, int64_t step) {
      int64_t best = -1;  // of the numbers that are not NaN
      for (int64_t i = 0; i < length; ++i) {
        const auto x = load<T>(call.operands[0], first + i * step);
        if (x != x) continue;
        if (best < 0) {
          best = i;
          continue;
        }
        const auto y = load<T>(call.operands[0], first + best * step);
        if (greatest ? x > y : x < y) best = i;
      }
      // Where the best is what nothing can be worse than, NaN before it counts as that, too.
      if (best > 0) {
        const auto y = load<T>(call.operands[0], first + best * step);
        if (y == start_of<Accumulated<T>>(greatest ? NodeKind::reduction_maximum : NodeKind::reduction_minimum))
          best = 0;
      }
      *to++ = static_cast<int32_t>(std::max<int64_t>(best, 0));
    });
  });
}

void scan(const Call& call) {
  const size_t axis = static_cast<size_t>(call.attribute(0));
  const bool exclusive = call.attribute(1) != 0, reverse = call.attribute(2) != 0;
  const int64_t length = call.shape(0)[axis];
  visit(call.graph.dtype(call.value), [&](auto zero) {
    using T = decltype(zero);
    each_line(call.shape(0), axis, [&](int64_t first, int64_t step) {
      auto total = first_of<T>(call.node().kind);
      for (int64_t i = 0; i < length; ++i) {
        const int64_t at = first + (reverse ? length - 1 - i : i) * step;
        const auto next = combined(call.node().kind, total, load<T>(call.operands[0], at));
        store<T>(call.out, at, exclusive ? total : next);
        total = next;
      }
    });
  });
}

void coordinate(const Call& call) {
  const Dims shape = call.graph.shape(call.value);
  const size_t axis = static_cast<size_t>(call.attribute(0));
  each_line(shape, axis, [&](int64_t first, int64_t step) {
    for (int64_t i = 0; i < shape[axis]; ++i)
      static_cast<int32_t*>(call.out)[first + i * step] = static_cast<int32_t>(i);
  });
}

int64_t index_at(const Call& call, size_t operand, int64_t i) {
  if (call.dtype(operand) == DType::int64) return static_cast<const int64_t*>(call.operands[operand])[i];
  return static_cast<const int32_t*>(call.operands[operand])[i];
}

void gather(const Call& call) {
  const Dims from = call.shape(1), to = call.graph.shape(call.value);
  const int64_t size = static_cast<int64_t>(size_of(call.graph.dtype(call.value)));
  char* out = static_cast<char*>(call.out);
  for (int64_t b = 0; b < to[0]; ++b) {
    for (int64_t m = 0; m < to[1]; ++m) {
      const int64_t row = index_at(call, 0, m);
      for (int64_t i = 0; i < to[2]; ++i, out += size) {
        if (row < 0 || row >= from[1]) {
          std::memset(out, 0, static_cast<size_t>(size));
        } else {
          const int64_t at = (b * from[1] + row) * from[2] + i;
          std::memcpy(out, static_cast<const char*>(call.operands[1]) + at * size, static_cast<size_t>(size));
        }
      }
    }
  }
}

void scatter(const Call& call) {
  const Dims shape = call.shape(0), from = call.shape(2);
  std::memcpy(call.out, call.operands[0], call.graph.bytes(call.value));
  const auto mode = static_cast<ScatterMode>(call.attribute(0));
  visit(call.graph.dtype(call.value), [&](auto zero) {
    using T = decltype(zero);
    for (int64_t b = 0; b < from[0]; ++b) {
      for (int64_t m = 0; m < from[1]; ++m) {
        const int64_t row = index_at(call, 1, m);
        if (row < 0 || row >= shape[1]) continue;
        for (int64_t i = 0; i < from[2]; ++i) {
          const int64_t at = (b * shape[1] + row) * shape[2] + i;
          const auto x = load<T>(call.out, at), y = load<T>(call.operands[2], (b * from[1] + m) * from[2] + i);
          constexpr NodeKind kKinds[] = {NodeKind::identity, NodeKind::reduction_sum, NodeKind::reduction_product,
                                         NodeKind::reduction_minimum, NodeKind::reduction_maximum};
          store<T>(call.out, at, mode == ScatterMode::kSet ? y : combined(kKinds[static_cast<size_t>(mode)], x, y));
        }
      }
    }
  });
}

template <typename A>
bool less(A x, A y) {  // NaN is greatest
  return x < y || (y != y && x == x);
}

void arg_sort(const Call& call) {
  const size_t axis = static_cast<size_t>(call.attribute(0));
  const bool descending = call.attribute(1) != 0;
  const int64_t length = call.shape(0)[axis], count = call.graph.shape(call.value)[axis];
  visit(call.dtype(0), [&](auto zero) {
    using T = decltype(zero);
    each_line(call.shape(0), axis, [&](int64_t first, int64_t step) {
      std::vector<int32_t> order(static_cast<size_t>(length));
      for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
      std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
        const auto x = load<T>(call.operands[0], first + a * step), y = load<T>(call.operands[0], first + b * step);
        return descending ? less(y, x) : less(x, y);
      });
      const int64_t line = first / (length * step) * count * step + first % step;
      for (int64_t i = 0; i < count; ++i)
        static_cast<int32_t*>(call.out)[line + i * step] = order[static_cast<size_t>(i)];
    });
  });
}

void search_sorted(const Call& call) {
  const Dims from = call.shape(0), to = call.shape(1);
  const bool right = call.attribute(0) != 0;
  visit(call.dtype(0), [&](auto zero) {
    using T = decltype(zero);
    for (int64_t i = 0; i < element_count(to); ++i) {
      const auto value = load<T>(call.operands[1], i);
      int32_t count = 0;
      for (int64_t n = 0; n < from[1]; ++n) {
        const auto x = load<T>(call.operands[0], i / to[1] * from[1] + n);
        count += (right ? !less(value, x) : less(x, value)) ? 1 : 0;
      }
      static_cast<int32_t*>(call.out)[i] = count;
    }
  });
}

// Philox4x32-10: ten rounds of two products, whose high halves are mixed with the other two words and the key.
void philox(uint32_t key_low, uint32_t key_high, uint32_t* x) {
  constexpr uint64_t kFactor[2] = {0xD2511F53, 0xCD9E8D57};
  constexpr uint32_t kWeyl[2] = {0x9E3779B9, 0xBB67AE85};  // what the key grows by
  for (int round = 0; round < 10; ++round) {
    const uint64_t first = kFactor[0] * x[0], second = kFactor[1] * x[2];
    x[0] = static_cast<uint32_t>(second >> 32) ^ x[1] ^ key_low;
    x[1] = static_cast<uint32_t>(second);
    x[2] = static_cast<uint32_t>(first >> 32) ^ x[3] ^ key_high;
    x[3] = static_cast<uint32_t>(first);
    key_low += kWeyl[0];
    key_high += kWeyl[1];
  }
}

void random_bits(const Call& call) {
  uint32_t counter[6];
  for (size_t i = 0; i < 6; ++i) counter[i] = *static_cast<const uint32_t*>(call.operands[i]);
  for (int64_t i = 0; i < call.graph.elements(call.value); ++i) {
    static_cast<uint32_t*>(call.out)[i] = reference_random_word({counter, 6}, static_cast<uint64_t>(i));
  }
}

}  // namespace

uint32_t reference_random_word(Span<const uint32_t> counter, uint64_t index) {
  const uint64_t block = (counter[2] | static_cast<uint64_t>(counter[3]) << 32) + index / 4;
  uint32_t words[4] = {static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), counter[4], counter[5]};
  philox(counter[0], counter[1], words);
  return words[index % 4];
}

void reference_whole(const Graph& graph, Value value, Span<const void* const> operands, void* out) {
  const Call call{graph, value, operands, out};
  const NodeFamily family = info(graph.node(value).kind).family;
  if (family == NodeFamily::kReduce) return reduce(call);
  if (family == NodeFamily::kArgReduce) return arg_reduce(call);
  if (family == NodeFamily::kScan) return scan(call);
  if (family == NodeFamily::kCoordinate) return coordinate(call);
  if (family == NodeFamily::kGather) return gather(call);
  if (family == NodeFamily::kScatter) return scatter(call);
  if (family == NodeFamily::kArgSort) return arg_sort(call);
  if (family == NodeFamily::kSearchSorted) return search_sorted(call);
  if (family == NodeFamily::kRandom) return random_bits(call);
  MPS_THROW(kInternal, "not a node of whole lines: got ", info(graph.node(value).kind).name, ".");
}

}  // namespace mps
