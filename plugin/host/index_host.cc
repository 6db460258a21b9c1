// Gathers and scatters: rows of I elements, picked or changed at positions that are known only when they run.
#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "plugin/host/movement_host.h"
#include "plugin/host/threads.h"
#include "plugin/host/vector_kernels.h"
#include "plugin/host/whole_host.h"

namespace mps {
namespace {

struct Sizes {
  int64_t batches, rows, inner;  // of the data
  int64_t picked;                // indices
};

template <typename F>
void visit_index(DType dtype, const void* indices, F f) {
  if (dtype == DType::int64) return f(static_cast<const int64_t*>(indices));
  f(static_cast<const int32_t*>(indices));
}

// Any type of its size: elements are only moved.
template <typename F>
void visit_size(size_t bytes, F f) {
  if (bytes == 1) return f(uint8_t{});
  if (bytes == 2) return f(uint16_t{});
  if (bytes == 4) return f(uint32_t{});
  f(uint64_t{});
}

// So much of the rows that come next is asked for early: processors do not guess where they lie. Into the second-level
// cache, since few lines can be on their way to the first at a time (measured: a third of the time less).
constexpr size_t kAheadBytes = 8192;

void prefetch_row(const void* row, size_t bytes) {
  constexpr size_t kLine = 64;
  for (size_t i = 0; i < std::min(bytes, kAheadBytes); i += kLine) {
    __builtin_prefetch(static_cast<const char*>(row) + i, 0, 2);
  }
}

template <typename T, typename Index>
void gather(const Sizes& sizes, const Index* indices, const T* data, T* out) {
  const uint64_t rows = static_cast<uint64_t>(sizes.rows);
  const int64_t inner = sizes.inner, count = sizes.batches * sizes.picked;
  const size_t bytes = static_cast<size_t>(inner) * sizeof(T);
  const bool streams = streams_rows(bytes, bytes * static_cast<size_t>(count));
  const int64_t ahead = std::max<int64_t>(1, static_cast<int64_t>(kAheadBytes / std::max<size_t>(1, bytes)));
  const VectorKernels& kernels = vector_kernels();
  const int64_t grain = streams ? kStreamedBytes / static_cast<int64_t>(bytes) + 1 : grain_of(2 * inner);
  parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    int64_t m = begin % sizes.picked;
    const T* from = data + begin / sizes.picked * sizes.rows * inner;
    T* to = out + begin * inner;
    for (int64_t left = end - begin; left > 0; --left, to += inner) {
      const int64_t row = static_cast<int64_t>(indices[m]);
      const bool inside = static_cast<uint64_t>(row) < rows;
      if (inner == 1) {
        *to = inside ? from[row] : T{0};
      } else if (!inside) {
        std::memset(to, 0, bytes);
      } else if (streams) {
        const bool follows = ahead < left && m + ahead < sizes.picked;
        const int64_t next = follows ? static_cast<int64_t>(indices[m + ahead]) : -1;
        if (static_cast<uint64_t>(next) < rows) prefetch_row(from + next * inner, bytes);
        kernels.stream(to, from + row * inner, bytes);
      } else {
        std::memcpy(to, from + row * inner, bytes);
      }
      if (++m == sizes.picked) m = 0, from += sizes.rows * inner;
    }
    if (streams) kernels.end_stream();
  });
}

// -- scatter --------------------------------------------------------------------------------------

template <typename T>
using Computed = std::conditional_t<std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>, float, T>;
template <typename A>
using Wide = std::conditional_t<std::is_integral_v<A>, uint64_t, A>;

template <ScatterMode kMode, typename A>
A combine(A x, A y) {
  if constexpr (kMode == ScatterMode::kAdd) return static_cast<A>(static_cast<Wide<A>>(x) + static_cast<Wide<A>>(y));
  if constexpr (kMode == ScatterMode::kMultiply) {
    return static_cast<A>(static_cast<Wide<A>>(x) * static_cast<Wide<A>>(y));
  }
  if constexpr (kMode == ScatterMode::kMinimum) return x < y || x != x ? x : y;
  if constexpr (kMode == ScatterMode::kMaximum) return x > y || x != x ? x : y;
  return y;
}

template <ScatterMode kMode, typename T>
void update(T* to, const T* from, int64_t count) {
  if constexpr (kMode == ScatterMode::kSet) {
    std::memcpy(to, from, static_cast<size_t>(count) * sizeof(T));
  } else {
    using A = Computed<T>;
    for (int64_t i = 0; i < count; ++i) {
      to[i] = static_cast<T>(combine<kMode>(static_cast<A>(to[i]), static_cast<A>(from[i])));
    }
  }
}

// Single elements, into rows [low, low + count). What misses them goes to a place that nobody reads: whether it does is
// often a matter of chance, and a branch would be guessed wrongly.
template <ScatterMode kMode, typename T, typename Index>
void scatter_elements(const Index* indices, const T* updates, int64_t picked, int64_t low, int64_t count, T* to) {
  using A = Computed<T>;
  T nowhere{};
  const uintptr_t outside = reinterpret_cast<uintptr_t>(&nowhere);
  for (int64_t m = 0; m < picked; ++m) {
    const int64_t row = static_cast<int64_t>(indices[m]) - low;
    const uintptr_t all_ones = uintptr_t{0} - (static_cast<uint64_t>(row) < static_cast<uint64_t>(count) ? 1 : 0);
    const uintptr_t inside = reinterpret_cast<uintptr_t>(to) + static_cast<uintptr_t>(row) * sizeof(T);
    T* const at = reinterpret_cast<T*>((inside & all_ones) | (outside & ~all_ones));
    if constexpr (kMode == ScatterMode::kSet) {
      *at = updates[m];
    } else {
      *at = static_cast<T>(combine<kMode>(static_cast<A>(*at), static_cast<A>(updates[m])));
    }
  }
}

// Whether each chunk of the indices that are inside names rows behind those of the chunk before it, as where what is
// chosen is packed: then chunks do not meet.
template <typename Index>
bool chunks_rise(const Sizes& sizes, const Index* indices, int64_t chunk, int64_t chunks) {
  std::vector<int64_t> least(static_cast<size_t>(chunks)), most(static_cast<size_t>(chunks));
  parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      Index low = std::numeric_limits<Index>::max(), high = -1;
      for (int64_t m = c * chunk; m < std::min(sizes.picked, (c + 1) * chunk); ++m) {
        const Index index = indices[m];
        low = std::min(low, index < 0 ? std::numeric_limits<Index>::max() : index);
        high = std::max(high, index);
      }
      least[static_cast<size_t>(c)] = low;
      most[static_cast<size_t>(c)] = high;
    }
  });
  int64_t so_far = -1;
  for (size_t c = 0; c < least.size(); ++c) {
    if (most[c] < 0) continue;
    if (least[c] <= so_far) return false;
    so_far = most[c];
  }
  return true;
}

// What many updates do to few integers does not depend on their order: each chunk of them has copies of its own, two by
// turns, since an element that is hit twice running has to wait for itself. False if this is not such a scatter.
template <ScatterMode kMode, typename T>
inline constexpr bool kAnyOrder = std::is_integral_v<T> && !std::is_same_v<T, bool> && kMode != ScatterMode::kSet;

template <ScatterMode kMode, typename T, typename Index>
bool scatter_by_chunks(const Sizes& sizes, const Index* indices, const T* updates, T* out) {
  constexpr int64_t kChunks = 8;
  if (sizes.batches != 1 || sizes.inner != 1 || sizes.picked < 16 * kChunks * sizes.rows) return false;
  T start{0};
  if (kMode == ScatterMode::kMultiply) start = T{1};
  if (kMode == ScatterMode::kMinimum) start = std::numeric_limits<T>::max();
  if (kMode == ScatterMode::kMaximum) start = std::numeric_limits<T>::lowest();
  const int64_t rows = sizes.rows, copies = 2 * kChunks, chunk = (sizes.picked + copies - 1) / copies;
  std::vector<T> partial(static_cast<size_t>(copies * (rows + 1)), start);  // the last of each is read by nobody
  parallel_for(kChunks, grain_of(2 * chunk), [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      T *const first = partial.data() + 2 * c * (rows + 1), *const second = first + rows + 1;
      const int64_t from = std::min(sizes.picked, 2 * c * chunk), to = std::min(sizes.picked, (2 * c + 2) * chunk);
      const auto take = [&](T* copy, int64_t m) {
        const uint64_t row = static_cast<uint64_t>(static_cast<int64_t>(indices[m]));
        T& element = copy[std::min(row, static_cast<uint64_t>(rows))];
        element = combine<kMode>(element, updates[m]);
      };
      int64_t m = from;
      for (; m + 2 <= to; m += 2) take(first, m), take(second, m + 1);
      if (m < to) take(first, m);
    }
  });
  for (int64_t c = 0; c < copies; ++c) {
    const T* const copy = partial.data() + c * (rows + 1);
    for (int64_t row = 0; row < rows; ++row) out[row] = combine<kMode>(out[row], copy[row]);
  }
  return true;
}

// Updates of one element stay in order: work is divided by columns, or by the rows that are written to.
template <ScatterMode kMode, typename T, typename Index>
void scatter(const Sizes& sizes, const Index* indices, const T* updates, T* out) {
  if constexpr (kAnyOrder<kMode, T>) {
    if (scatter_by_chunks<kMode>(sizes, indices, updates, out)) return;
  }
  const int64_t inner = sizes.inner, picked = sizes.picked;
  // Rows [low, high) and columns [left, left + width) of a batch.
  const auto part = [&](int64_t batch, int64_t low, int64_t high, int64_t left, int64_t width) {
    T* const to = out + batch * sizes.rows * inner + left;
    const T* from = updates + batch * picked * inner + left;
    if (inner == 1) return scatter_elements<kMode>(indices, from, picked, low, high - low, to + low);
    const uint64_t count = static_cast<uint64_t>(high - low);
    for (int64_t m = 0; m < picked; ++m, from += inner) {
      const int64_t row = static_cast<int64_t>(indices[m]);
      if (static_cast<uint64_t>(row - low) < count) update<kMode>(to + row * inner, from, width);
    }
  };
  constexpr int64_t kColumns = 64;
  if (inner >= 2 * kColumns) {
    const int64_t strips = (inner + kColumns - 1) / kColumns;
    parallel_for(sizes.batches * strips, grain_of(picked * kColumns), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end;) {  // neighbouring strips at once
        const int64_t batch = i / strips, first = i % strips, last = std::min(strips, first + end - i);
        part(batch, 0, sizes.rows, first * kColumns, std::min(inner, last * kColumns) - first * kColumns);
        i += last - first;
      }
    });
    return;
  }
  const bool is_small = picked * inner < 65536;
  constexpr int64_t kChunk = 16384;
  if (inner == 1 && sizes.batches == 1 && !is_small && thread_count() > 1) {
    const int64_t chunks = (picked + kChunk - 1) / kChunk;
    if (chunks_rise(sizes, indices, kChunk, chunks)) {
      parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
        const int64_t first = begin * kChunk, count = std::min(picked, end * kChunk) - first;
        scatter_elements<kMode>(indices + first, updates + first, count, 0, sizes.rows, out);
      });
      return;
    }
  }
  const int64_t parts = sizes.batches >= 8 || is_small ? 1 : std::min<int64_t>({8, thread_count(), sizes.rows});
  const int64_t height = (sizes.rows + parts - 1) / parts;
  parallel_for(sizes.batches * parts, grain_of(picked * inner / parts), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t low = i % parts * height;
      part(i / parts, low, std::max(low, std::min(sizes.rows, low + height)), 0, inner);
    }
  });
}

template <typename T, typename Index>
void scatter_as(ScatterMode mode, const Sizes& sizes, const Index* indices, const T* updates, T* out) {
  switch (mode) {
    case ScatterMode::kSet:
      return scatter<ScatterMode::kSet>(sizes, indices, updates, out);
    case ScatterMode::kAdd:
      return scatter<ScatterMode::kAdd>(sizes, indices, updates, out);
    case ScatterMode::kMultiply:
      return scatter<ScatterMode::kMultiply>(sizes, indices, updates, out);
    case ScatterMode::kMinimum:
      return scatter<ScatterMode::kMinimum>(sizes, indices, updates, out);
    case ScatterMode::kMaximum:
      return scatter<ScatterMode::kMaximum>(sizes, indices, updates, out);
  }
}

Sizes sizes_of(const Graph& graph, Value data, Value indices) {
  const Dims shape = graph.shape(data);
  return {shape[0], shape[1], shape[2], graph.elements(indices)};
}

}  // namespace

WholeProgram compile_gather(const Graph& graph, Value value) {
  const Value indices = graph.operand(graph.node(value), 0), data = graph.operand(graph.node(value), 1);
  const Sizes sizes = sizes_of(graph, data, indices);
  const DType dtype = graph.dtype(value), index = graph.dtype(indices);
  WholeProgram program;
  program.run = [=](Span<const void* const> inputs, void* output) {
    visit_size(size_of(dtype), [&](auto zero) {
      using T = decltype(zero);
      visit_index(index, inputs[0], [&](auto* positions) {
        gather(sizes, positions, static_cast<const T*>(inputs[1]), static_cast<T*>(output));
      });
    });
  };
  program.cost_ns = 50 + static_cast<uint64_t>(graph.elements(value));
  return program;
}

WholeProgram compile_scatter(const Graph& graph, Value value) {
  const Node& node = graph.node(value);
  const Value indices = graph.operand(node, 1);
  const Sizes sizes = sizes_of(graph, value, indices);
  const DType dtype = graph.dtype(value), index = graph.dtype(indices);
  const ScatterMode mode = static_cast<ScatterMode>(graph.attributes(node)[0]);
  const size_t bytes = graph.bytes(value);
  WholeProgram program;
  program.run = [=](Span<const void* const> inputs, void* output) {
    copy_bytes(output, inputs[0], bytes);
    visit_index(index, inputs[1], [&](auto* positions) {
      if (mode == ScatterMode::kSet) {
        visit_size(size_of(dtype), [&](auto zero) {
          using T = decltype(zero);
          scatter<ScatterMode::kSet>(sizes, positions, static_cast<const T*>(inputs[2]), static_cast<T*>(output));
        });
      } else {
        visit(dtype, [&](auto zero) {
          using T = decltype(zero);
          scatter_as(mode, sizes, positions, static_cast<const T*>(inputs[2]), static_cast<T*>(output));
        });
      }
    });
  };
  program.cost_ns = 50 + bytes / 8 + 2 * static_cast<uint64_t>(graph.elements(graph.operand(node, 2)));
  return program;
}

}  // namespace mps
