// Scans and arg reductions along an axis. Lines that lie side by side are taken in strips, so that memory is read in
// order; a long line that is alone is cut into blocks whose totals are found first.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "plugin/host/threads.h"
#include "plugin/host/whole_host.h"

namespace mps {
namespace {

constexpr int64_t kStrip = 128;      // lines side by side that are taken together
constexpr int64_t kBlock = 1 << 16;  // of a line that is cut

template <typename T>
using Computed = std::conditional_t<std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>, float, T>;

template <typename T>
inline constexpr bool kIsFloating = std::is_floating_point_v<Computed<T>>;

// What a scan carries along, what it begins with, and how it takes an element in.
struct Sum {
  template <typename T>
  using Carried = std::conditional_t<kIsFloating<T>, double, uint64_t>;
  template <typename A>
  static A start() {
    return A{0};
  }
  template <typename A>
  static A combine(A x, A y) {
    return x + y;
  }
};

struct Product : Sum {
  template <typename A>
  static A start() {
    return A{1};
  }
  template <typename A>
  static A combine(A x, A y) {
    return x * y;
  }
};

struct Maximum {
  template <typename T>
  using Carried = Computed<T>;
  template <typename A>
  static A start() {
    if constexpr (std::is_floating_point_v<A>) return -std::numeric_limits<A>::infinity();
    return std::numeric_limits<A>::lowest();
  }
  template <typename A>
  static A combine(A x, A y) {
    return x > y || x != x ? x : y;
  }
};

struct Minimum : Maximum {
  template <typename A>
  static A start() {
    if constexpr (std::is_floating_point_v<A>) return std::numeric_limits<A>::infinity();
    return std::numeric_limits<A>::max();
  }
  template <typename A>
  static A combine(A x, A y) {
    return x < y || x != x ? x : y;
  }
};

struct LogSumExp {
  template <typename T>
  using Carried = double;
  template <typename A>
  static A start() {
    return -std::numeric_limits<A>::infinity();
  }
  template <typename A>
  static A combine(A x, A y) {
    const A high = x > y || x != x ? x : y, low = x > y || x != x ? y : x;
    if (std::isinf(high) || high != high) return low != low ? low : high;
    return high + std::log1p(std::exp(low - high));
  }
};

template <typename Op, typename T>
void scan(const Lines& lines, bool exclusive, bool reverse, const T* x, T* out) {
  using A = typename Op::template Carried<T>;
  const int64_t length = lines.length, inner = lines.inner;
  const auto element = [](T value) { return static_cast<A>(static_cast<Computed<T>>(value)); };
  const auto rounded = [](A value) { return static_cast<T>(static_cast<Computed<T>>(value)); };
  // Elements [begin, end) of a line, in the order of the scan, from what came before them.
  const auto run = [&](const T* from, T* to, int64_t begin, int64_t end, A carried) {
    const auto take = [&](int64_t at) {
      const A next = Op::combine(carried, element(from[at]));
      to[at] = rounded(exclusive ? carried : next);
      carried = next;
    };
    if (reverse) {
      for (int64_t i = begin; i < end; ++i) take(length - 1 - i);
    } else {
      for (int64_t i = begin; i < end; ++i) take(i);
    }
  };
  if (inner == 1 && length >= 2 * kBlock) {
    const int64_t blocks = (length + kBlock - 1) / kBlock;
    std::vector<A> before(static_cast<size_t>(lines.outer * blocks));
    parallel_for(lines.outer * blocks, 1, [&](int64_t first, int64_t last) {
      for (int64_t number = first; number < last; ++number) {
        const T* const line = x + number / blocks * length;
        const int64_t begin = number % blocks * kBlock, end = std::min(length, begin + kBlock);
        A lanes[4] = {Op::template start<A>(), Op::template start<A>(), Op::template start<A>(),
                      Op::template start<A>()};
        const T* from = reverse ? line + length - 1 - begin : line + begin;
        const int64_t step = reverse ? -1 : 1;
        int64_t left = end - begin;
        for (; left >= 4; left -= 4, from += 4 * step) {
          for (int64_t lane = 0; lane < 4; ++lane) {
            lanes[lane] = Op::combine(lanes[lane], element(from[lane * step]));
          }
        }
        for (int64_t lane = 0; lane < left; ++lane) {
          lanes[lane] = Op::combine(lanes[lane], element(from[lane * step]));
        }
        before[static_cast<size_t>(number)] =
            Op::combine(Op::combine(lanes[0], lanes[1]), Op::combine(lanes[2], lanes[3]));
      }
    });
    for (int64_t line = 0; line < lines.outer; ++line) {
      A carried = Op::template start<A>();
      for (int64_t block = 0; block < blocks; ++block) {
        A& total = before[static_cast<size_t>(line * blocks + block)];
        const A next = Op::combine(carried, total);
        total = carried;
        carried = next;
      }
    }
    parallel_for(lines.outer * blocks, 1, [&](int64_t first, int64_t last) {
      for (int64_t number = first; number < last; ++number) {
        const int64_t offset = number / blocks * length, begin = number % blocks * kBlock;
        run(x + offset, out + offset, begin, std::min(length, begin + kBlock), before[static_cast<size_t>(number)]);
      }
    });
    return;
  }
  if (inner == 1) {
    parallel_for(lines.outer, grain_of(length), [&](int64_t first, int64_t last) {
      for (int64_t line = first; line < last; ++line) {
        run(x + line * length, out + line * length, 0, length, Op::template start<A>());
      }
    });
    return;
  }
  const int64_t strips = (inner + kStrip - 1) / kStrip;
  parallel_for(lines.outer * strips, grain_of(length * std::min(inner, kStrip)), [&](int64_t first, int64_t last) {
    A carried[kStrip];
    for (int64_t number = first; number < last; ++number) {
      const int64_t begin = number % strips * kStrip, width = std::min(inner - begin, kStrip);
      const int64_t offset = number / strips * length * inner + begin;
      std::fill(carried, carried + width, Op::template start<A>());
      for (int64_t i = 0; i < length; ++i) {
        const int64_t at = offset + (reverse ? length - 1 - i : i) * inner;
        for (int64_t n = 0; n < width; ++n) {
          const A next = Op::combine(carried[n], element(x[at + n]));
          out[at + n] = rounded(exclusive ? carried[n] : next);
          carried[n] = next;
        }
      }
    }
  });
}

template <typename Op>
WholeProgram compile_scan_of(const Graph& graph, Value value, double ns_per_element) {
  const Dims attributes = graph.attributes(graph.node(value));
  const Lines lines(graph.shape(value), static_cast<size_t>(attributes[0]));
  const bool exclusive = attributes[1] != 0, reverse = attributes[2] != 0;
  const DType dtype = graph.dtype(value);
  WholeProgram program;
  program.run = [=](Span<const void* const> inputs, void* output) {
    visit(dtype, [&](auto zero) {
      using T = decltype(zero);
      if constexpr (!std::is_same_v<T, bool> && (kIsFloating<T> || !std::is_same_v<Op, LogSumExp>)) {
        scan<Op, T>(lines, exclusive, reverse, static_cast<const T*>(inputs[0]), static_cast<T*>(output));
      }
    });
  };
  program.cost_ns = 50 + static_cast<uint64_t>(ns_per_element * static_cast<double>(graph.elements(value)));
  return program;
}

// -- the position of an extreme -------------------------------------------------------------------

struct Greater {
  template <typename A>
  static bool beats(A x, A y) {
    return x > y;
  }
  using Start = Maximum;
};
struct Less {
  template <typename A>
  static bool beats(A x, A y) {
    return x < y;
  }
  using Start = Minimum;
};

template <typename A>
struct Best {
  A value;
  int64_t at;
};

// Of elements [begin, end) of a dense line: many lanes find the extreme, and a second look its first position.
template <typename Order, typename T>
Best<Computed<T>> best_of(const T* line, int64_t begin, int64_t end) {
  using A = Computed<T>;
  constexpr int64_t kLanes = 64;
  const A start = Order::Start::template start<A>();
  A lanes[kLanes];
  std::fill(lanes, lanes + kLanes, start);
  int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const A x = static_cast<A>(line[i + lane]);
      lanes[lane] = Order::beats(x, lanes[lane]) ? x : lanes[lane];
    }
  }
  A best = start;
  for (A lane : lanes) best = Order::beats(lane, best) ? lane : best;
  for (; i < end; ++i) {
    const A x = static_cast<A>(line[i]);
    best = Order::beats(x, best) ? x : best;
  }
  if (best == start) return {start, -1};  // nothing beats what any number may be: the first position will do
  int64_t at = begin;
  while (static_cast<A>(line[at]) != best) ++at;
  return {best, at};
}

template <typename Order, typename T>
void arg_reduce(const Lines& lines, const T* x, int32_t* out) {
  using A = Computed<T>;
  const int64_t length = lines.length, inner = lines.inner;
  if (inner == 1 && lines.outer == 1) {
    const int64_t blocks = (length + kBlock - 1) / kBlock;
    std::vector<Best<A>> found(static_cast<size_t>(blocks));
    parallel_for(blocks, 1, [&](int64_t first, int64_t last) {
      for (int64_t block = first; block < last; ++block) {
        found[static_cast<size_t>(block)] = best_of<Order>(x, block * kBlock, std::min(length, (block + 1) * kBlock));
      }
    });
    Best<A> best{Order::Start::template start<A>(), -1};
    for (const Best<A>& block : found) best = Order::beats(block.value, best.value) ? block : best;
    out[0] = static_cast<int32_t>(std::max<int64_t>(best.at, 0));
    return;
  }
  if (inner == 1) {
    parallel_for(lines.outer, grain_of(length), [&](int64_t first, int64_t last) {
      for (int64_t line = first; line < last; ++line) {
        out[line] = static_cast<int32_t>(std::max<int64_t>(best_of<Order>(x + line * length, 0, length).at, 0));
      }
    });
    return;
  }
  const int64_t strips = (inner + kStrip - 1) / kStrip;
  parallel_for(lines.outer * strips, grain_of(length * std::min(inner, kStrip)), [&](int64_t first, int64_t last) {
    A best[kStrip];
    int32_t at[kStrip];
    for (int64_t number = first; number < last; ++number) {
      const int64_t begin = number % strips * kStrip, width = std::min(inner - begin, kStrip);
      std::fill(best, best + width, Order::Start::template start<A>());
      std::fill(at, at + width, 0);
      const T* row = x + number / strips * length * inner + begin;
      for (int64_t i = 0; i < length; ++i, row += inner) {
        for (int64_t n = 0; n < width; ++n) {
          const A element = static_cast<A>(row[n]);
          const bool better = Order::beats(element, best[n]);
          best[n] = better ? element : best[n];
          at[n] = better ? static_cast<int32_t>(i) : at[n];
        }
      }
      std::copy(at, at + width, out + number / strips * inner + begin);
    }
  });
}

template <typename Order>
WholeProgram compile_arg_of(const Graph& graph, Value value) {
  const Node& node = graph.node(value);
  const Value operand = graph.operand(node, 0);
  const Lines lines(graph.shape(operand), static_cast<size_t>(graph.attributes(node)[0]));
  const DType dtype = graph.dtype(operand);
  WholeProgram program;
  program.run = [=](Span<const void* const> inputs, void* output) {
    visit(dtype, [&](auto zero) {
      using T = decltype(zero);
      arg_reduce<Order>(lines, static_cast<const T*>(inputs[0]), static_cast<int32_t*>(output));
    });
  };
  program.cost_ns = 50 + static_cast<uint64_t>(graph.elements(operand)) / 4;
  return program;
}

}  // namespace

WholeProgram compile_scan(const Graph& graph, Value value) {
  const NodeKind kind = graph.node(value).kind;
  if (kind == NodeKind::cumulative_sum) return compile_scan_of<Sum>(graph, value, 1);
  if (kind == NodeKind::cumulative_product) return compile_scan_of<Product>(graph, value, 1);
  if (kind == NodeKind::cumulative_maximum) return compile_scan_of<Maximum>(graph, value, 1);
  if (kind == NodeKind::cumulative_minimum) return compile_scan_of<Minimum>(graph, value, 1);
  return compile_scan_of<LogSumExp>(graph, value, 30);
}

WholeProgram compile_arg_reduction(const Graph& graph, Value value) {
  if (graph.node(value).kind == NodeKind::reduction_arg_maximum) return compile_arg_of<Greater>(graph, value);
  return compile_arg_of<Less>(graph, value);
}

}  // namespace mps
