// The one body of the block functions. Included by vector_kernels_*.cc, each compiled for one instruction set with
// MPS_VECTOR_TABLE naming the table that it defines. Loops are plain and left to the compiler; intrinsics appear only
// where it has no words for an instruction (float16 conversion, non-temporal stores).
//
// Nothing but the table has external linkage: a function shared with the rest of the program could be the copy with
// instructions that the processor lacks. `flatten` inlines what other headers define.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "plugin/core/half.h"
#include "plugin/host/vector_kernels.h"
#include "plugin/host/vector_ops.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace mps {
namespace {

using vector_ops::Boolean;

#if defined(__AVX512F__)
constexpr size_t kVectorBytes = 64;
#elif defined(__AVX__)
constexpr size_t kVectorBytes = 32;
#else
constexpr size_t kVectorBytes = 16;
#endif

#define MPS_BLOCK_FUNCTION __attribute__((flatten)) static void
// An operand may be the very array that is written, which no loop below minds.
#define MPS_NO_DEPENDENCE _Pragma("GCC ivdep")

// -- from the tables to types ---------------------------------------------------------------------------------------

template <NodeKind kKind>
struct OpOf;
#define MPS_OP_OF(kind) \
  template <>           \
  struct OpOf<NodeKind::kind> : vector_ops::kind {};
#define MPS_UNARY_NODE(kind) MPS_OP_OF(kind)
#define MPS_BINARY_NODE(kind) MPS_OP_OF(kind)
#include "plugin/core/nodes_by_family.h"
MPS_OP_OF(reduction_sum)
#undef MPS_OP_OF

template <DType kDType>
struct HostType;
#define MPS_DTYPE(enumerator, name, bytes, kind, host_type, ...) \
  template <>                                                    \
  struct HostType<DType::enumerator> {                           \
    using Type = std::conditional_t<std::is_same_v<host_type, bool>, Boolean, host_type>; \
  };
#include "plugin/core/dtype.def"
#undef MPS_DTYPE

template <DType kDType>
using Host = typename HostType<kDType>::Type;

constexpr bool is_register(DType dtype) { return register_dtype(dtype) == dtype; }

constexpr bool accepts(NodeDTypes set, DType dtype) {
  switch (set) {
    case NodeDTypes::kAny:
      return true;
    case NodeDTypes::kNumeric:
      return dtype != DType::bool_;
    case NodeDTypes::kFloat:
      return is_float(dtype);
    case NodeDTypes::kBool:
      return dtype == DType::bool_;
  }
  return false;
}

// -- pointwise ------------------------------------------------------------------------------------------------------

template <typename Op, typename T>
MPS_BLOCK_FUNCTION unary(const void* x, const void*, const void*, void* out, size_t n) {
  const T* const a = static_cast<const T*>(x);
  T* const to = static_cast<T*>(out);
  MPS_NO_DEPENDENCE
  for (size_t i = 0; i < n; ++i) to[i] = Op::f(a[i]);
}

template <typename Op, typename T>
MPS_BLOCK_FUNCTION binary(const void* x, const void* y, const void*, void* out, size_t n) {
  const T* const a = static_cast<const T*>(x);
  const T* const b = static_cast<const T*>(y);
  using Result = decltype(Op::f(*a, *b));
  Result* const to = static_cast<Result*>(out);
  MPS_NO_DEPENDENCE
  for (size_t i = 0; i < n; ++i) to[i] = Op::f(a[i], b[i]);
}

// -- stores past the caches -----------------------------------------------------------------------------------------

// Writes a line of 64 bytes, aligned to as many.
inline __attribute__((always_inline)) void stream_line(void* to, const void* from) {
#if defined(__AVX512F__)
  _mm512_stream_si512(static_cast<__m512i*>(to), _mm512_loadu_si512(from));
#elif defined(__AVX__)
  for (size_t i = 0; i < 2; ++i) {
    const __m256i part = _mm256_loadu_si256(static_cast<const __m256i*>(from) + i);
    _mm256_stream_si256(static_cast<__m256i*>(to) + i, part);
  }
#elif defined(__SSE2__)
  for (size_t i = 0; i < 4; ++i) {
    const __m128i part = _mm_loadu_si128(static_cast<const __m128i*>(from) + i);
    _mm_stream_si128(static_cast<__m128i*>(to) + i, part);
  }
#else
  std::memcpy(to, from, 64);
#endif
}

// out[i] = f(i), with whole lines written past the caches.
template <typename T, typename F>
inline __attribute__((always_inline)) void stream_results(void* out, size_t n, F f) {
  constexpr size_t kPerLine = 64 / sizeof(T);
  T* const to = static_cast<T*>(out);
  const size_t head = std::min(n, (64 - reinterpret_cast<uintptr_t>(out) % 64) % 64 / sizeof(T));
  size_t i = 0;
  for (; i < head; ++i) to[i] = f(i);
  for (; i + kPerLine <= n; i += kPerLine) {
    T line[kPerLine];
    for (size_t j = 0; j < kPerLine; ++j) line[j] = f(i + j);
    stream_line(to + i, line);
  }
  for (; i < n; ++i) to[i] = f(i);
}

template <typename Op, typename T>
MPS_BLOCK_FUNCTION stream_unary(const void* x, const void*, const void*, void* out, size_t n) {
  const T* const a = static_cast<const T*>(x);
  stream_results<T>(out, n, [&](size_t i) __attribute__((always_inline)) { return Op::f(a[i]); });
}

template <typename Op, typename T>
MPS_BLOCK_FUNCTION stream_binary(const void* x, const void* y, const void*, void* out, size_t n) {
  const T* const a = static_cast<const T*>(x);
  const T* const b = static_cast<const T*>(y);
  stream_results<T>(out, n, [&](size_t i) __attribute__((always_inline)) { return Op::f(a[i], b[i]); });
}

MPS_BLOCK_FUNCTION stream(void* to, const void* from, size_t bytes) {
  const char* const bytes_from = static_cast<const char*>(from);
  stream_results<char>(to, bytes, [&](size_t i) __attribute__((always_inline)) { return bytes_from[i]; });
}

MPS_BLOCK_FUNCTION end_stream() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
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

// -- float16 and bfloat16 -------------------------------------------------------------------------------------------

// Sixteen elements at a time.
struct Float16 {
#if defined(__AVX512F__)
  static void load(const uint16_t* x, float* out) {
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
    _mm512_storeu_ps(out, _mm512_maskz_cvtph_ps(0xffff, half));
  }
  static void store(const float* x, uint16_t* out) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out),
                        _mm512_maskz_cvtps_ph(0xffff, _mm512_loadu_ps(x), _MM_FROUND_TO_NEAREST_INT));
  }
#elif defined(__F16C__)
  static void load(const uint16_t* x, float* out) {
    for (size_t i = 0; i < 16; i += 8) {
      const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i));
      _mm256_storeu_ps(out + i, _mm256_cvtph_ps(half));
    }
  }
  static void store(const float* x, uint16_t* out) {
    for (size_t i = 0; i < 16; i += 8) {
      const __m128i half = _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), half);
    }
  }
#else
  static void load(const uint16_t* x, float* out) {
    for (size_t i = 0; i < 16; ++i) out[i] = half_to_float(x[i]);
  }
  static void store(const float* x, uint16_t* out) {
    for (size_t i = 0; i < 16; ++i) out[i] = float_to_half(x[i]);
  }
#endif
};

struct Bfloat16 {
  static void load(const uint16_t* x, float* out) {
    for (size_t i = 0; i < 16; ++i) out[i] = bfloat16_to_float(x[i]);
  }
  static void store(const float* x, uint16_t* out) {
    for (size_t i = 0; i < 16; ++i) out[i] = float_to_bfloat16(x[i]);
  }
};

// Calls f(from, to) on sixteen elements at a time, on padded copies of the last ones.
template <typename From, typename To, typename F>
inline __attribute__((always_inline)) void by_sixteen(const void* x, void* out, size_t n, F f) {
  const From* const a = static_cast<const From*>(x);
  To* const to = static_cast<To*>(out);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) f(a + i, to + i);
  if (i == n) return;
  From from_tail[16] = {};
  To to_tail[16];
  std::memcpy(from_tail, a + i, (n - i) * sizeof(From));
  f(from_tail, to_tail);
  std::memcpy(to + i, to_tail, (n - i) * sizeof(To));
}

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

// -- reductions -----------------------------------------------------------------------------------------------------

template <typename Op, typename A>
MPS_BLOCK_FUNCTION start(void* acc, size_t n) {
  A* const to = static_cast<A*>(acc);
  for (size_t i = 0; i < n; ++i) to[i] = Op::template kStart<A>;
}

template <typename Op, typename A>
MPS_BLOCK_FUNCTION merge(const void* other, void* acc, size_t n) {
  const A* const from = static_cast<const A*>(other);
  A* const to = static_cast<A*>(acc);
  MPS_NO_DEPENDENCE
  for (size_t i = 0; i < n; ++i) to[i] = Op::combine(to[i], from[i]);
}

// One row: element i goes to lane i % kLanes, and the lanes are folded in halves at the end. The order of additions is
// thus the same for every vector width.
template <typename Op, typename X, typename A>
inline __attribute__((always_inline)) A reduce_row(const X* x, size_t n) {
  constexpr size_t kLanes = 32 * sizeof(double) / sizeof(A);
  constexpr size_t kPerVector = kVectorBytes / sizeof(A);
  constexpr size_t kVectors = kLanes / kPerVector;
  using Xs __attribute__((vector_size(kPerVector * sizeof(X)))) = X;
  using As __attribute__((vector_size(kPerVector * sizeof(A)))) = A;
  constexpr A kStart = Op::template kStart<A>;
  if (n <= 16) {
    A result = kStart;
    for (size_t i = 0; i < n; ++i) result = Op::combine(result, static_cast<A>(x[i]));
    return result;
  }
  As lanes[kVectors];
  for (As& lane : lanes) lane = As{} + kStart;
  const auto take = [&](const X* from) {
    for (size_t v = 0; v < kVectors; ++v) {
      Xs xs;
      std::memcpy(&xs, from + v * kPerVector, sizeof xs);
      lanes[v] = Op::combine(lanes[v], __builtin_convertvector(xs, As));
    }
  };
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) take(x + i);
  if (i < n) {
    X tail[kLanes];
    for (X& element : tail) element = static_cast<X>(kStart);
    std::memcpy(tail, x + i, (n - i) * sizeof(X));
    take(tail);
  }
  for (size_t half = kVectors / 2; half > 0; half /= 2) {
    for (size_t v = 0; v < half; ++v) lanes[v] = Op::combine(lanes[v], lanes[v + half]);
  }
  A folded[kPerVector];
  std::memcpy(folded, lanes, sizeof folded);
  for (size_t half = kPerVector / 2; half > 0; half /= 2) {
    for (size_t v = 0; v < half; ++v) folded[v] = Op::combine(folded[v], folded[v + half]);
  }
  return folded[0];
}

template <typename Op, typename X, typename A>
MPS_BLOCK_FUNCTION rows(const void* x, size_t count, size_t length, void* acc) {
  const X* row = static_cast<const X*>(x);
  A* const to = static_cast<A*>(acc);
  for (size_t r = 0; r < count; ++r, row += length) {
    to[r] = Op::combine(to[r], reduce_row<Op, X, A>(row, length));
  }
}

template <typename Op, typename X, typename A>
MPS_BLOCK_FUNCTION columns(const void* x, size_t count, size_t stride, size_t length, void* acc) {
  const X* row = static_cast<const X*>(x);
  A* const to = static_cast<A*>(acc);
  size_t r = 0;
  for (; r + 4 <= count; r += 4, row += 4 * stride) {  // four rows for one pass over `acc`
    const X *const a = row, *const b = row + stride, *const c = row + 2 * stride, *const d = row + 3 * stride;
    MPS_NO_DEPENDENCE
    for (size_t i = 0; i < length; ++i) {
      const A first = Op::combine(static_cast<A>(a[i]), static_cast<A>(b[i]));
      const A second = Op::combine(static_cast<A>(c[i]), static_cast<A>(d[i]));
      to[i] = Op::combine(to[i], Op::combine(first, second));
    }
  }
  for (; r < count; ++r, row += stride) {
    MPS_NO_DEPENDENCE
    for (size_t i = 0; i < length; ++i) to[i] = Op::combine(to[i], static_cast<A>(row[i]));
  }
}

// -- the table ------------------------------------------------------------------------------------------------------

template <NodeKind kKind, DType kDType>
constexpr void add_node(VectorKernels& table) {
  constexpr NodeInfo kInfo = info(kKind);
  constexpr size_t kRow = static_cast<size_t>(kKind), kColumn = static_cast<size_t>(kDType);
  if constexpr (is_register(kDType) && accepts(kInfo.dtypes, kDType)) {
    using T = Host<kDType>;
    if constexpr (kInfo.family == NodeFamily::kUnary) {
      table.pointwise[kRow][kColumn] = unary<OpOf<kKind>, T>;
      if constexpr (kDType == DType::float32) table.stream_pointwise[kRow] = stream_unary<OpOf<kKind>, T>;
    } else if constexpr (kInfo.family == NodeFamily::kBinary || kInfo.family == NodeFamily::kCompare) {
      table.pointwise[kRow][kColumn] = binary<OpOf<kKind>, T>;
      if constexpr (kDType == DType::float32 && kInfo.family == NodeFamily::kBinary) {
        table.stream_pointwise[kRow] = stream_binary<OpOf<kKind>, T>;
      }
    } else if constexpr (kInfo.family == NodeFamily::kReduce) {
      using Op = OpOf<kKind>;
      using A = typename Op::template Accumulator<T>;
      static_assert(sizeof(A) == accumulator_bytes(kDType));
      table.reduce[kRow][kColumn] = {start<Op, A>, rows<Op, T, A>, columns<Op, T, A>, merge<Op, A>};
    }
  }
}

template <DType kFrom, DType kTo>
constexpr void add_cast(VectorKernels& table) {
  if constexpr (kFrom != kTo && is_register(kFrom) && is_register(kTo)) {
    table.cast[static_cast<size_t>(kFrom)][static_cast<size_t>(kTo)] = cast<Host<kFrom>, Host<kTo>>;
  }
}

template <size_t... kNodeAndDType>
constexpr void add_nodes(VectorKernels& table, std::index_sequence<kNodeAndDType...>) {
  (add_node<static_cast<NodeKind>(kNodeAndDType / kDTypeCount), static_cast<DType>(kNodeAndDType % kDTypeCount)>(table),
   ...);
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
  add_nodes(table, std::make_index_sequence<size_t{kNodeCount} * kDTypeCount>());
  add_casts(table, std::make_index_sequence<size_t{kDTypeCount} * kDTypeCount>());
  add_selects(table, std::make_index_sequence<size_t{kDTypeCount}>());
  constexpr size_t kFloat16 = static_cast<size_t>(DType::float16), kBfloat16 = static_cast<size_t>(DType::bfloat16);
  table.load[kFloat16] = load<Float16>;
  table.load[kBfloat16] = load<Bfloat16>;
  table.store[kFloat16] = store<Float16>;
  table.store[kBfloat16] = store<Bfloat16>;
  table.round[kFloat16] = round<Float16>;
  table.round[kBfloat16] = round<Bfloat16>;
  table.stream = stream;
  table.end_stream = end_stream;
  return table;
}

}  // namespace
}  // namespace mps
