// The one body of the block functions. Each vector_kernels_*.cc includes it, is compiled for one instruction set, and
// defines that set's table by make_table(). Loops are plain and left to the compiler; intrinsics appear only where it
// has no words for an instruction (float16 conversion, stores past the caches).
//
// Nothing but the table has external linkage: a function shared with the rest of the program could be the copy with
// instructions that the processor lacks. Hence the anonymous namespaces of the headers included here, and `flatten`,
// which inlines what other headers define.
#include "plugin/host/vector_kernels.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "plugin/host/vector_formats.h"
#include "plugin/host/vector_fourier.h"
#include "plugin/host/vector_function_ops.h"
#include "plugin/host/vector_joined.h"
#include "plugin/host/vector_loops.h"
#include "plugin/host/vector_ops.h"
#include "plugin/host/vector_products.h"
#include "plugin/host/vector_random.h"
#include "plugin/host/vector_reductions.h"
#include "plugin/host/vector_streams.h"

namespace mps {
namespace {

using vector_ops::Boolean;

// -- from the tables to types ---------------------------------------------------------------------

template <NodeKind kKind>
struct OpOf;
#define MPS_OP_OF(kind) \
  template <>           \
  struct OpOf<NodeKind::kind> : vector_ops::kind {};
#define MPS_UNARY_NODE(kind) MPS_OP_OF(kind)
#define MPS_BINARY_NODE(kind) MPS_OP_OF(kind)
#include "plugin/core/nodes_by_family.h"
MPS_OP_OF(reduction_sum)
MPS_OP_OF(reduction_product)
MPS_OP_OF(reduction_maximum)
MPS_OP_OF(reduction_minimum)
#undef MPS_OP_OF

template <DType kDType>
struct HostType;
#define MPS_DTYPE(enumerator, name, bytes, kind, host_type, ...)                          \
  template <>                                                                             \
  struct HostType<DType::enumerator> {                                                    \
    using Type = std::conditional_t<std::is_same_v<host_type, bool>, Boolean, host_type>; \
  };
#include "plugin/core/dtype.def"
#undef MPS_DTYPE

template <DType kDType>
using Host = typename HostType<kDType>::Type;

constexpr bool is_register(DType dtype) { return register_dtype(dtype) == dtype; }

// -- pointwise ------------------------------------------------------------------------------------

// Ops that have a quick way for usual arguments. It gives the bits that f() gives for them.
template <typename Enabled, typename Op, typename... T>
struct HasUsual : std::false_type {};
template <typename Op, typename... T>
struct HasUsual<std::enable_if_t<std::is_same_v<decltype(&Op::is_usual), bool (*)(T...)>>, Op, T...> : std::true_type {
};
template <typename Op, typename... T>
inline constexpr bool kHasUsual = HasUsual<void, Op, T...>::value;

// .. and those of them that say how with instructions that compilers do not find.
template <typename Op, typename = void>
inline constexpr bool kHasVectors = false;
template <typename Op>
inline constexpr bool kHasVectors<Op, std::enable_if_t<sizeof(Op::of_usual(Floats{})) == sizeof(Floats)>> = true;

constexpr size_t kGroup = 256;  // elements that are looked at together

template <typename Op>
inline __attribute__((always_inline)) bool are_usual(const float* x, size_t n) {
  uint32_t others = 0;
  for (size_t i = 0; i < n; ++i) others |= Op::is_usual(x[i]) ? 0u : 1u;
  return others == 0;
}

template <typename Op, typename T>
MPS_BLOCK_FUNCTION unary(const void* x, const void*, const void*, void* out, size_t n) {
  const T* const a = static_cast<const T*>(x);
  T* const to = static_cast<T*>(out);
  if constexpr (kHasUsual<Op, T>) {
    for (size_t begin = 0; begin < n; begin += kGroup) {
      const size_t end = std::min(n, begin + kGroup);
      if (are_usual<Op>(a + begin, end - begin)) {
        size_t i = begin;
        if constexpr (kHasVectors<Op>) {
          for (; i + kFloats <= end; i += kFloats) {
            const Floats results = Op::of_usual(load_floats(a + i));
            std::memcpy(to + i, &results, sizeof results);
          }
        }
        MPS_NO_DEPENDENCE
        for (; i < end; ++i) to[i] = Op::of_usual(a[i]);
      } else {
        MPS_NO_DEPENDENCE
        for (size_t i = begin; i < end; ++i) to[i] = Op::f(a[i]);
      }
    }
    return;
  }
  MPS_NO_DEPENDENCE
  for (size_t i = 0; i < n; ++i) to[i] = Op::f(a[i]);
}

template <typename Op, typename T>
MPS_BLOCK_FUNCTION binary(const void* x, const void* y, const void*, void* out, size_t n) {
  const T* const a = static_cast<const T*>(x);
  const T* const b = static_cast<const T*>(y);
  using Result = decltype(Op::f(*a, *b));
  Result* const to = static_cast<Result*>(out);
  if constexpr (kHasUsual<Op, T, T>) {
    for (size_t begin = 0; begin < n; begin += kGroup) {
      const size_t end = std::min(n, begin + kGroup);
      uint32_t others = 0;
      for (size_t i = begin; i < end; ++i) others |= Op::is_usual(a[i], b[i]) ? 0u : 1u;
      if (others == 0) {
        MPS_NO_DEPENDENCE
        for (size_t i = begin; i < end; ++i) to[i] = Op::of_usual(a[i], b[i]);
      } else {
        for (size_t i = begin; i < end; ++i) to[i] = Op::f(a[i], b[i]);
      }
    }
    return;
  }
  MPS_NO_DEPENDENCE
  for (size_t i = 0; i < n; ++i) to[i] = Op::f(a[i], b[i]);
}

// T is an unsigned type of the values' size: choosing does not look at them.
template <typename T>
MPS_BLOCK_FUNCTION select(const void* x, const void* y, const void* z, void* out, size_t n) {
  const Boolean* const chosen = static_cast<const Boolean*>(x);
  const T* const a = static_cast<const T*>(y);
  const T* const b = static_cast<const T*>(z);
  T* const to = static_cast<T*>(out);
  MPS_NO_DEPENDENCE
  for (size_t i = 0; i < n; ++i) {
    const T if_true = a[i], if_false = b[i];
    to[i] = chosen[i] != 0 ? if_true : if_false;
  }
}

template <typename From, typename To>
MPS_BLOCK_FUNCTION cast(const void* x, const void*, const void*, void* out, size_t n) {
  const From* const a = static_cast<const From*>(x);
  To* const to = static_cast<To*>(out);
  MPS_NO_DEPENDENCE
  for (size_t i = 0; i < n; ++i) to[i] = vector_ops::cast<To>(a[i]);
}

// -- stores past the caches -----------------------------------------------------------------------

template <typename Op, typename T>
MPS_BLOCK_FUNCTION stream_unary(const void* x, const void*, const void*, void* out, size_t n) {
  const T* const a = static_cast<const T*>(x);
  if constexpr (kHasUsual<Op, T>) {
    T* const to = static_cast<T*>(out);
    const size_t head = (64 - reinterpret_cast<uintptr_t>(out) % 64) % 64 / sizeof(T);  // groups end where lines do
    for (size_t begin = 0, end; begin < n; begin = end) {
      end = std::min(n, begin == 0 ? head + kGroup : begin + kGroup);
      const T* const from = a + begin;
      const auto of_usual = [&](size_t i) __attribute__((always_inline)) { return Op::of_usual(from[i]); };
      if (are_usual<Op>(from, end - begin)) {
        if constexpr (kHasVectors<Op>) {
          stream_lines<T>(to + begin, end - begin, of_usual, [&](size_t i, T* line) __attribute__((always_inline)) {
            for (size_t v = 0; v < kLineBytes / sizeof(T); v += kFloats) {
              const Floats results = Op::of_usual(load_floats(from + i + v));
              std::memcpy(line + v, &results, sizeof results);
            }
          });
        } else {
          stream_results<T>(to + begin, end - begin, of_usual);
        }
      } else {
        stream_results<T>(to + begin, end - begin,
                          [&](size_t i) __attribute__((always_inline)) { return Op::f(from[i]); });
      }
    }
    return;
  }
  stream_results<T>(out, n, [&](size_t i) __attribute__((always_inline)) { return Op::f(a[i]); });
}

template <typename Op, typename T>
MPS_BLOCK_FUNCTION stream_binary(const void* x, const void* y, const void*, void* out, size_t n) {
  const T* const a = static_cast<const T*>(x);
  const T* const b = static_cast<const T*>(y);
  stream_results<T>(out, n, [&](size_t i) __attribute__((always_inline)) { return Op::f(a[i], b[i]); });
}

template <typename Op, typename T>
MPS_BLOCK_FUNCTION stream_compare(const void* x, const void* y, const void*, void* out, size_t n) {
  const T* const a = static_cast<const T*>(x);
  const T* const b = static_cast<const T*>(y);
  stream_truths(a, b, out, n, [&](size_t i) __attribute__((always_inline)) { return Op::f(a[i], b[i]); });
}

template <typename From, typename To>
MPS_BLOCK_FUNCTION stream_cast(const void* x, const void*, const void*, void* out, size_t n) {
  const From* const a = static_cast<const From*>(x);
  const auto f = [&](size_t i) __attribute__((always_inline)) { return vector_ops::cast<To>(a[i]); };
  if constexpr (std::is_same_v<To, Boolean>) {
    stream_truths(a, a, out, n, f);
  } else {
    stream_results<To>(out, n, f);
  }
}

#if defined(__AVX512BW__)
// The compiler finds no vectors for elements and choices of different sizes a line at a time.
MPS_BLOCK_FUNCTION stream_select(const void* x, const void* y, const void* z, void* out, size_t n) {
  const Boolean* const chosen = static_cast<const Boolean*>(x);
  const uint32_t* const a = static_cast<const uint32_t*>(y);
  const uint32_t* const b = static_cast<const uint32_t*>(z);
  uint32_t* const to = static_cast<uint32_t*>(out);
  const size_t head = std::min(n, (64 - reinterpret_cast<uintptr_t>(out) % 64) % 64 / sizeof(uint32_t));
  size_t i = 0;
  for (; i < head; ++i) to[i] = chosen[i] != Boolean{} ? a[i] : b[i];
  for (; i + 16 <= n; i += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(chosen + i));
    const __m512i if_true = _mm512_loadu_si512(a + i), if_false = _mm512_loadu_si512(b + i);
    const __m512i line = _mm512_mask_blend_epi32(_mm_test_epi8_mask(bytes, bytes), if_false, if_true);
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to + i), line);
  }
  for (; i < n; ++i) to[i] = chosen[i] != Boolean{} ? a[i] : b[i];
}
#endif

MPS_BLOCK_FUNCTION stream(void* to, const void* from, size_t bytes) {
  char* const bytes_to = static_cast<char*>(to);
  const char* const bytes_from = static_cast<const char*>(from);
  size_t i = std::min(bytes, (kLineBytes - reinterpret_cast<uintptr_t>(to) % kLineBytes) % kLineBytes);
  std::memcpy(bytes_to, bytes_from, i);
  for (; i + kLineBytes <= bytes; i += kLineBytes) stream_line(bytes_to + i, bytes_from + i);
  std::memcpy(bytes_to + i, bytes_from + i, bytes - i);
}

MPS_BLOCK_FUNCTION end_stream() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

// -- float16 and bfloat16 -------------------------------------------------------------------------

template <typename Format>
MPS_BLOCK_FUNCTION load(const void* x, const void*, const void*, void* out, size_t n) {
  by_sixteen<uint16_t, float>(x, out, n, [](const uint16_t* from, float* to) { Format::load(from, to); });
}

template <typename Format>
MPS_BLOCK_FUNCTION store(const void* x, const void*, const void*, void* out, size_t n) {
  by_sixteen<float, uint16_t>(x, out, n, [](const float* from, uint16_t* to) { Format::store(from, to); });
}

template <typename Format>
MPS_BLOCK_FUNCTION round(const void* x, const void*, const void*, void* out, size_t n) {
  by_sixteen<float, float>(x, out, n, [](const float* from, float* to) {
    uint16_t rounded[16];
    Format::store(from, rounded);
    Format::load(rounded, to);
  });
}

// -- random ---------------------------------------------------------------------------------------

MPS_BLOCK_FUNCTION random_bits(const RandomCounter& counter, uint64_t index, uint32_t* out, size_t count) {
  using vector_random::kLanes;
  const vector_random::Keys keys(counter);
  uint32_t words[4][kLanes];
  uint64_t block = (counter.block[0] | static_cast<uint64_t>(counter.block[1]) << 32) + index;
  for (; count > 0; block += kLanes) {
    vector_random::philox(counter, keys, block, words);
    const size_t here = std::min(count, kLanes);
    if (here == kLanes) {
      for (size_t i = 0; i < kLanes; ++i) {
        for (size_t word = 0; word < 4; ++word) out[4 * i + word] = words[word][i];
      }
    } else {
      for (size_t i = 0; i < here; ++i) {
        for (size_t word = 0; word < 4; ++word) out[4 * i + word] = words[word][i];
      }
    }
    out += 4 * here;
    count -= here;
  }
}

// -- the table ------------------------------------------------------------------------------------

template <NodeKind kKind, DType kDType>
constexpr void add_node(VectorKernels& table) {
  constexpr NodeInfo kInfo = info(kKind);
  constexpr size_t kRow = static_cast<size_t>(kKind), kColumn = static_cast<size_t>(kDType);
  if constexpr (is_register(kDType) && accepts(kInfo.dtypes, kDType)) {
    using T = Host<kDType>;
    if constexpr (kInfo.family == NodeFamily::kUnary) {
      table.pointwise[kRow][kColumn] = unary<OpOf<kKind>, T>;
      if constexpr (kDType == DType::float32) table.stream_pointwise[kRow][kColumn] = stream_unary<OpOf<kKind>, T>;
    } else if constexpr (kInfo.family == NodeFamily::kBinary || kInfo.family == NodeFamily::kCompare) {
      table.pointwise[kRow][kColumn] = binary<OpOf<kKind>, T>;
      constexpr bool kCompares = kInfo.family == NodeFamily::kCompare;
      if constexpr (kCompares && kDType == DType::float32) {
        using Op = OfSize<OpOf<kKind>>;
        table.compare_size[kRow] = {binary<Op, T>, stream_compare<Op, T>};
      }
      if constexpr (sizeof(T) >= 4) {
        table.stream_pointwise[kRow][kColumn] =
            kCompares ? stream_compare<OpOf<kKind>, T> : stream_binary<OpOf<kKind>, T>;
      }
    } else if constexpr (kInfo.family == NodeFamily::kReduce) {
      using Op = OpOf<kKind>;
      using A = typename Op::template Accumulator<T>;
      using X = std::conditional_t<std::is_same_v<T, Boolean>, uint8_t, T>;  // there are no vectors of enumerators
      static_assert(sizeof(A) == accumulator_bytes(kDType));
      table.reduce[kRow][kColumn] = {start<Op, A>, rows<Op, X, A>, columns<Op, X, A>, merge<Op, A>};
    }
  }
}

template <DType kFrom, DType kTo>
constexpr void add_cast(VectorKernels& table) {
  if constexpr (kFrom != kTo && is_register(kFrom) && is_register(kTo)) {
    table.cast[static_cast<size_t>(kFrom)][static_cast<size_t>(kTo)] = cast<Host<kFrom>, Host<kTo>>;
    // The compiler finds no vectors for results of eight bytes a line at a time.
    if constexpr (sizeof(Host<kFrom>) >= 4 && (sizeof(Host<kTo>) == 4 || kTo == DType::bool_)) {
      table.stream_cast[static_cast<size_t>(kFrom)][static_cast<size_t>(kTo)] = stream_cast<Host<kFrom>, Host<kTo>>;
    }
  }
}

template <NodeKind kKind, size_t... kDType>
constexpr void add_kind(VectorKernels& table, std::index_sequence<kDType...>) {
  (add_node<kKind, static_cast<DType>(kDType)>(table), ...);
}

template <size_t... kKind>
constexpr void add_nodes(VectorKernels& table, std::index_sequence<kKind...>) {
  (add_kind<static_cast<NodeKind>(kKind)>(table, std::make_index_sequence<size_t{kDTypeCount}>()), ...);
}

template <size_t... kFromAndTo>
constexpr void add_casts(VectorKernels& table, std::index_sequence<kFromAndTo...>) {
  (add_cast<static_cast<DType>(kFromAndTo / kDTypeCount), static_cast<DType>(kFromAndTo % kDTypeCount)>(table), ...);
}

template <size_t... kDType>
constexpr void add_selects(VectorKernels& table, std::index_sequence<kDType...>) {
  ((table.select[kDType] = select<vector_ops::Unsigned<Host<register_dtype(static_cast<DType>(kDType))>>>), ...);
}

constexpr VectorKernels make_table(const char* name) {
  VectorKernels table = {};
  table.name = name;
  add_nodes(table, std::make_index_sequence<size_t{kNodeCount}>());
  add_casts(table, std::make_index_sequence<size_t{kDTypeCount} * kDTypeCount>());
  add_selects(table, std::make_index_sequence<size_t{kDTypeCount}>());
  constexpr size_t kFloat16 = static_cast<size_t>(DType::float16), kBfloat16 = static_cast<size_t>(DType::bfloat16);
  table.load[kFloat16] = load<Float16>;
  table.load[kBfloat16] = load<Bfloat16>;
  table.store[kFloat16] = store<Float16>;
  table.store[kBfloat16] = store<Bfloat16>;
  table.round[kFloat16] = round<Float16>;
  table.round[kBfloat16] = round<Bfloat16>;
  table.random_bits = random_bits;
  table.add_scaled_rows = add_scaled_rows;
  table.add_dots = add_dots;
  table.fourier = {fourier_stage, fourier_multiply, fourier_part, fourier_join, fourier_load, fourier_store};
  table.add_product = {ternary<AddProduct>, stream_ternary<AddProduct>};
  table.product = {ternary<Product>, stream_ternary<Product>};
  table.at_least = {binary<AtLeast, float>, stream_binary<AtLeast, float>};
  table.at_most = {binary<AtMost, float>, stream_binary<AtMost, float>};
  table.clamp = {ternary<Clamp>, stream_ternary<Clamp>};
  table.same = {ternary<Same>, stream_ternary<Same>};
  table.differ = {ternary<Differ>, stream_ternary<Differ>};
  table.distance = {binary<Distance, float>, stream_binary<Distance, float>};
  table.reciprocal_root = {unary<ReciprocalRoot, float>, stream_unary<ReciprocalRoot, float>};
  table.polynomial = polynomial;
#if defined(__AVX512BW__)
  table.stream_select = stream_select;
#endif
  table.stream = stream;
  table.end_stream = end_stream;
  return table;
}

}  // namespace
}  // namespace mps
