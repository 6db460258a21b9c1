// The block functions of every instruction set that this machine has: accuracy of the elementary functions, special
// values, and the same bits as the specification for everything else.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "plugin/host/reference_functions_host.h"
#include "plugin/host/vector_kernels.h"
#include "tests/cpp/unit/host_arrays.h"

namespace mps {
namespace {

using test::Array;

constexpr size_t index(NodeKind kind) { return static_cast<size_t>(kind); }
constexpr size_t index(DType dtype) { return static_cast<size_t>(dtype); }
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

std::vector<float> apply(const VectorKernels& kernels, NodeKind kind, const std::vector<float>& x) {
  std::vector<float> out(x.size());
  kernels.pointwise[index(kind)][index(DType::float32)](x.data(), nullptr, nullptr, out.data(), x.size());
  return out;
}

// Distance from the true value in units of the last place that float has there, denormals included.
double ulp_error(float got, double expected) {
  if (std::isnan(expected) || std::isnan(got)) return std::isnan(expected) && std::isnan(got) ? 0 : 1e30;
  const float rounded = static_cast<float>(expected);
  if (got == rounded) return std::fabs(got == 0 && std::signbit(got) != std::signbit(rounded) ? 1e30 : 0.0);
  if (std::isinf(got) || std::isinf(rounded)) return 1e30;
  int exponent;
  std::frexp(expected, &exponent);
  return std::fabs(static_cast<double>(got) - expected) / std::ldexp(1.0, std::max(exponent - 24, -149));
}

struct Function {
  NodeKind kind;
  double (*exact)(double);
};

double exact_sigmoid(double x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }

// What the C++ library has no function for, as the specification rounds it.
template <typename Meaning>
double specified(double x) {
  return static_cast<double>(Meaning()(static_cast<float>(x)));
}

const Function kFunctions[] = {{NodeKind::exponent, std::exp},
                               {NodeKind::logarithm, std::log},
                               {NodeKind::sigmoid, exact_sigmoid},
                               {NodeKind::tanh, std::tanh},
                               {NodeKind::logarithm_base_2, std::log2},
                               {NodeKind::logarithm_base_10, std::log10},
                               {NodeKind::sin, std::sin},
                               {NodeKind::cos, std::cos},
                               {NodeKind::tan, std::tan},
                               {NodeKind::asin, std::asin},
                               {NodeKind::acos, std::acos},
                               {NodeKind::atan, std::atan},
                               {NodeKind::sinh, std::sinh},
                               {NodeKind::cosh, std::cosh},
                               {NodeKind::asinh, std::asinh},
                               {NodeKind::acosh, std::acosh},
                               {NodeKind::atanh, std::atanh},
                               {NodeKind::erf, std::erf},
                               {NodeKind::expm1, std::expm1},
                               {NodeKind::log1p, std::log1p},
                               {NodeKind::erfinv, specified<meaning::erfinv>},
                               {NodeKind::lgamma, specified<meaning::lgamma>},
                               {NodeKind::digamma, specified<meaning::digamma>}};

TEST(VectorMath, StaysWithinTwoUlpOverTheWholeRange) {
  std::vector<float> x;
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 1009) x.push_back(bits_float(static_cast<uint32_t>(bits)));
  for (const Function& function : kFunctions) {
    std::vector<double> exact(x.size());
    for (size_t i = 0; i < x.size(); ++i) exact[i] = function.exact(static_cast<double>(x[i]));
    for (const VectorKernels* kernels : all_vector_kernels()) {
      const std::vector<float> got = apply(*kernels, function.kind, x);
      size_t worst = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        if (ulp_error(got[i], exact[i]) > ulp_error(got[worst], exact[worst])) worst = i;
      }
      EXPECT_LE(ulp_error(got[worst], exact[worst]), 2.0)
          << info(function.kind).name << " of " << x[worst] << ", " << kernels->name << ": got " << got[worst];
    }
  }
}

TEST(VectorMath, FunctionsOfTwoNumbersStayWithinTwoUlp) {
  const float special[] = {0.0f,     -0.0f,  1.0f,      -1.0f,       2.0f,       -2.0f,      0.5f,    -0.5f,
                           3.0f,     -3.0f,  kInfinity, -kInfinity,  kNaN,       1e-45f,     -1e-45f, 3.4e38f,
                           -3.4e38f, 1e-38f, 7.0f,      16777216.0f, 1.0000001f, -1.0000001f};
  std::vector<float> x, y;
  for (float a : special) {
    for (float b : special) {
      x.push_back(a);
      y.push_back(b);
    }
  }
  std::mt19937 random(3);
  std::uniform_real_distribution<float> exponents(-10.0f, 10.0f);
  for (int i = 0; i < 300000; ++i) {
    const float b = exponents(random);
    x.push_back(i % 3 == 0 ? bits_float(static_cast<uint32_t>(random())) : std::exp2(exponents(random)));
    y.push_back(i % 3 == 1 ? std::nearbyint(b) : b);
    if (i % 3 == 1 && i % 2 == 0) x.back() = -x.back();
  }
  struct Row {
    NodeKind kind;
    double (*exact)(double, double);
  };
  const Row rows[] = {{NodeKind::power, std::pow}, {NodeKind::atan2, std::atan2}, {NodeKind::modulo, std::fmod}};
  for (const Row& row : rows) {
    for (const VectorKernels* kernels : all_vector_kernels()) {
      std::vector<float> got(x.size());
      kernels->pointwise[index(row.kind)][index(DType::float32)](x.data(), y.data(), nullptr, got.data(), x.size());
      for (size_t i = 0; i < x.size(); ++i) {
        const double exact = row.exact(static_cast<double>(x[i]), static_cast<double>(y[i]));
        ASSERT_LE(ulp_error(got[i], exact), row.kind == NodeKind::modulo ? 0.0 : 2.0)
            << info(row.kind).name << " of " << x[i] << " and " << y[i] << ", " << kernels->name << ": got " << got[i];
      }
    }
  }
}

TEST(VectorMath, HitsSpecialValuesExactly) {
  struct Row {
    NodeKind kind;
    float x, expected;
  };
  const float tiny = std::numeric_limits<float>::denorm_min(), max = std::numeric_limits<float>::max();
  const Row rows[] = {
      {NodeKind::exponent, kInfinity, kInfinity},
      {NodeKind::exponent, -kInfinity, 0.0f},
      {NodeKind::exponent, 0.0f, 1.0f},
      {NodeKind::exponent, -0.0f, 1.0f},
      {NodeKind::exponent, 88.8f, kInfinity},
      {NodeKind::exponent, -104.5f, 0.0f},
      {NodeKind::exponent, max, kInfinity},
      {NodeKind::exponent, -max, 0.0f},
      {NodeKind::exponent, tiny, 1.0f},
      {NodeKind::exponent, -103.5f, tiny},
      {NodeKind::logarithm, 0.0f, -kInfinity},
      {NodeKind::logarithm, -0.0f, -kInfinity},
      {NodeKind::logarithm, 1.0f, 0.0f},
      {NodeKind::logarithm, kInfinity, kInfinity},
      {NodeKind::logarithm, -tiny, kNaN},
      {NodeKind::logarithm, -kInfinity, kNaN},
      {NodeKind::logarithm, tiny, -103.27893f},
      {NodeKind::logarithm, max, 88.72284f},
      {NodeKind::sigmoid, 0.0f, 0.5f},
      {NodeKind::sigmoid, kInfinity, 1.0f},
      {NodeKind::sigmoid, -kInfinity, 0.0f},
      {NodeKind::sigmoid, -max, 0.0f},
      {NodeKind::sigmoid, max, 1.0f},
      {NodeKind::sigmoid, -103.5f, tiny},
      {NodeKind::tanh, 0.0f, 0.0f},
      {NodeKind::tanh, -0.0f, -0.0f},
      {NodeKind::tanh, kInfinity, 1.0f},
      {NodeKind::tanh, -kInfinity, -1.0f},
      {NodeKind::tanh, tiny, tiny},
      {NodeKind::tanh, -tiny, -tiny},
      {NodeKind::tanh, 1e-20f, 1e-20f},
      {NodeKind::tanh, max, 1.0f},
      {NodeKind::relu, kNaN, 0.0f},
      {NodeKind::relu, -0.0f, 0.0f},
      {NodeKind::relu, -kInfinity, 0.0f},
      {NodeKind::relu, kInfinity, kInfinity},
      {NodeKind::relu, -tiny, 0.0f},
      {NodeKind::relu, tiny, tiny},
      {NodeKind::sign, kNaN, kNaN},
      {NodeKind::sign, -0.0f, 0.0f},
      {NodeKind::sign, -tiny, -1.0f},
      {NodeKind::square_root, -0.0f, -0.0f},
      {NodeKind::square_root, -1.0f, kNaN},
      {NodeKind::absolute, -kInfinity, kInfinity},
      {NodeKind::reciprocal, -0.0f, -kInfinity},
      {NodeKind::negative, 0.0f, -0.0f},
  };
  for (const VectorKernels* kernels : all_vector_kernels()) {
    for (const Row& row : rows) {
      // In every position of a vector and of the loop's remainder.
      for (float got : apply(*kernels, row.kind, std::vector<float>(37, row.x))) {
        const bool same = float_bits(got) == float_bits(row.expected) || (got != got && row.expected != row.expected);
        ASSERT_TRUE(same) << info(row.kind).name << " of " << row.x << ", " << kernels->name << ": expected "
                          << row.expected << ", got " << got;
      }
    }
    for (const Function& function : kFunctions) {
      for (float got : apply(*kernels, function.kind, std::vector<float>(37, kNaN))) EXPECT_NE(got, got);
    }
  }
}

// Every mantissa, to an even and an odd power of 2: others are these times a power of 4.
TEST(VectorKernels, ReciprocalRootsAreRoundedAsTheTwoSteps) {
  std::vector<float> x, got;
  const auto expect_both = [&](BlockFn fn, const char* table) {
    got.assign(x.size(), 0.0f);
    fn(x.data(), nullptr, nullptr, got.data(), x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      const float expected = 1.0f / std::sqrt(x[i]);
      const bool same = float_bits(got[i]) == float_bits(expected) || (got[i] != got[i] && expected != expected);
      ASSERT_TRUE(same) << x[i] << ", " << table << ": expected " << expected << ", got " << got[i];
    }
  };
  for (const VectorKernels* kernels : all_vector_kernels()) {
    x.clear();
    for (uint32_t i = 0; i < 1u << 24; ++i) x.push_back(bits_float(0x3f800000u + i));
    expect_both(kernels->reciprocal_root.fn, kernels->name);
    x.clear();
    for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 4099)
      x.push_back(bits_float(static_cast<uint32_t>(bits)));
    expect_both(kernels->reciprocal_root.fn, kernels->name);
    // Usual numbers all around a single other.
    x.assign(1000, 3.0f);
    for (size_t other : {size_t{0}, size_t{300}, size_t{999}}) x[other] = other == 300 ? kInfinity : 1e-40f;
    expect_both(kernels->reciprocal_root.stream_fn, kernels->name);
  }
}

// Around each power of two, halfway between two floats, and at random.
TEST(VectorKernels, Int64BecomesFloatByOneRounding) {
  std::vector<int64_t> x = {std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()};
  std::mt19937_64 random(1);
  for (int i = 0; i < 100000; ++i) x.push_back(static_cast<int64_t>(random()) >> (random() % 64));
  for (int power = 0; power < 63; ++power) {
    for (int64_t other : {0, 1, 2, 1023, 1024, 1025}) {
      const int64_t unit = power > 24 ? int64_t{1} << (power - 24) : 1, number = (int64_t{1} << power) + other * unit;
      for (int64_t by : {-1, 0, 1}) x.insert(x.end(), {number + by, -number + by});
    }
  }
  std::vector<float> got(x.size());
  for (const VectorKernels* kernels : all_vector_kernels()) {
    kernels->cast[index(DType::int64)][index(DType::float32)](x.data(), nullptr, nullptr, got.data(), x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_EQ(float_bits(got[i]), float_bits(static_cast<float>(x[i]))) << x[i] << ", " << kernels->name;
    }
  }
}

TEST(VectorKernels, FloatBecomesInt64ByTruncation) {
  std::vector<float> x;
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 1009) x.push_back(bits_float(static_cast<uint32_t>(bits)));
  const float end = 0x1p63f;
  for (float near : {0.0f, end, -end, std::nextafter(end, 0.0f), std::nextafter(-end, -kInfinity)}) x.push_back(near);
  std::vector<int64_t> got(x.size());
  for (const VectorKernels* kernels : all_vector_kernels()) {
    kernels->cast[index(DType::float32)][index(DType::int64)](x.data(), nullptr, nullptr, got.data(), x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      using Limits = std::numeric_limits<int64_t>;
      const bool inside = x[i] >= -end && x[i] < end;
      const int64_t expected = inside     ? static_cast<int64_t>(x[i])
                               : x[i] > 0 ? Limits::max()
                               : x[i] < 0 ? Limits::min()
                                          : 0;
      ASSERT_EQ(got[i], expected) << x[i] << ", " << kernels->name;
    }
  }
}

bool is_elementary(NodeKind kind) {
  for (const Function& function : kFunctions) {
    if (function.kind == kind) return true;
  }
  return false;
}

// Records one node of this kind over placeholders of [n].
Value record(Graph& graph, NodeKind kind, DType dtype, int64_t n, DType to = DType::float32) {
  const Value x = graph.placeholder(dtype, {n});
#define MPS_UNARY_NODE(name) \
  if (kind == NodeKind::name) return graph.name(x);
#define MPS_BINARY_NODE(name) \
  if (kind == NodeKind::name) return graph.name(x, graph.placeholder(dtype, {n}));
#include "plugin/core/nodes_by_family.h"
  EXPECT_EQ(kind, NodeKind::cast) << "no block function is expected for other nodes";
  return graph.cast(x, to);
}

void expect_reference(const VectorKernels& kernels, BlockFn fn, NodeKind kind, DType dtype, DType to) {
  constexpr int64_t kSize = 1000 + 13;  // whole vectors of every width, and a remainder
  std::mt19937 random(static_cast<uint32_t>(index(kind) * 100 + index(dtype) * 10 + index(to)));
  Graph graph;
  const Value result = record(graph, kind, dtype, kSize, to);
  graph.result(result);
  std::vector<Array> feeds;
  for (size_t i = 0; i < graph.feed_count(); ++i) {
    feeds.emplace_back(dtype, kSize);
    feeds.back().randomize(random);
  }
  const Array expected = test::reference(graph, feeds)[0];
  const char* const y = feeds.size() > 1 ? feeds[1].data() : nullptr;
  for (int64_t offset : {0, 1}) {  // aligned or not
    const int64_t n = kSize - offset;
    Array got = expected;
    fn(feeds[0].data() + offset * static_cast<int64_t>(size_of(dtype)),
       y == nullptr ? nullptr : y + offset * static_cast<int64_t>(size_of(dtype)), nullptr,
       got.data() + offset * static_cast<int64_t>(size_of(got.dtype())), static_cast<size_t>(n));
    EXPECT_EQ(difference(got, expected), "")
        << info(kind).name << " " << name(dtype) << " to " << name(got.dtype()) << ", " << kernels.name;
  }
  if (size_of(dtype) != size_of(expected.dtype())) return;
  Array in_place(expected.dtype(), kSize);
  std::memcpy(in_place.data(), feeds[0].data(), in_place.bytes());
  fn(in_place.data(), y, nullptr, in_place.data(), static_cast<size_t>(kSize));
  EXPECT_EQ(difference(in_place, expected), "")
      << info(kind).name << " " << name(dtype) << " in place, " << kernels.name;
}

TEST(VectorKernels, AgreeWithTheSpecificationToTheBit) {
  int compared = 0;
  for (const VectorKernels* kernels : all_vector_kernels()) {
    for (int k = 0; k < kNodeCount; ++k) {
      for (int d = 0; d < kDTypeCount; ++d) {
        const NodeKind kind = static_cast<NodeKind>(k);
        const BlockFn fn = kernels->pointwise[k][d];
        if (fn == nullptr || is_elementary(kind) || kind == NodeKind::atan2) continue;
        if (kind == NodeKind::power && static_cast<DType>(d) == DType::float32) continue;
        expect_reference(*kernels, fn, kind, static_cast<DType>(d), DType::float32);
        ++compared;
      }
    }
    for (int from = 0; from < kDTypeCount; ++from) {
      for (int to = 0; to < kDTypeCount; ++to) {
        const BlockFn fn = kernels->cast[from][to];
        if (fn == nullptr) continue;
        expect_reference(*kernels, fn, NodeKind::cast, static_cast<DType>(from), static_cast<DType>(to));
        ++compared;
      }
    }
  }
  EXPECT_GT(compared, 150);
}

TEST(VectorKernels, ElementaryFunctionsGiveTheSameBitsWithEveryFusingInstructionSet) {
  std::vector<float> x;
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 40009) x.push_back(bits_float(static_cast<uint32_t>(bits)));
  const auto tables = all_vector_kernels();
  for (const Function& function : kFunctions) {
    for (size_t t = 2; t < tables.size(); ++t) {  // 0 is the baseline, which may lack fused multiply-add
      const std::vector<float> a = apply(*tables[1], function.kind, x), b = apply(*tables[t], function.kind, x);
      for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_TRUE(float_bits(a[i]) == float_bits(b[i]) || a[i] != a[i])
            << info(function.kind).name << " of " << x[i] << ": " << a[i] << " and " << b[i];
      }
    }
  }
}

TEST(VectorKernels, SelectChoosesByTheCondition) {
  for (const VectorKernels* kernels : all_vector_kernels()) {
    for (int d = 0; d < kDTypeCount; ++d) {
      const size_t bytes = size_of(register_dtype(static_cast<DType>(d)));
      std::vector<uint8_t> condition(101);
      std::vector<char> x(101 * bytes, 1), y(101 * bytes, 2), out(101 * bytes);
      for (size_t i = 0; i < condition.size(); ++i) condition[i] = i % 3 == 0;
      kernels->select[d](condition.data(), x.data(), y.data(), out.data(), condition.size());
      for (size_t i = 0; i < out.size(); ++i) ASSERT_EQ(out[i], i / bytes % 3 == 0 ? 1 : 2) << kernels->name;
    }
  }
}

TEST(VectorKernels, ShortFloatsConvertAsInHalfH) {
  std::vector<uint16_t> halves(65536);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  std::vector<float> floats;
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 4099) {
    floats.push_back(bits_float(static_cast<uint32_t>(bits)));
  }
  const auto same = [](float x, float y) { return float_bits(x) == float_bits(y) || (x != x && y != y); };
  for (const VectorKernels* kernels : all_vector_kernels()) {
    const auto check = [&](DType dtype, float (*to_float)(uint16_t), uint16_t (*from_float)(float)) {
      std::vector<float> loaded(halves.size()), rounded(floats.size());
      std::vector<uint16_t> stored(floats.size());
      kernels->load[index(dtype)](halves.data(), nullptr, nullptr, loaded.data(), halves.size());
      kernels->store[index(dtype)](floats.data(), nullptr, nullptr, stored.data(), floats.size());
      kernels->round[index(dtype)](floats.data(), nullptr, nullptr, rounded.data(), floats.size());
      for (size_t i = 0; i < halves.size(); ++i) {
        ASSERT_TRUE(same(loaded[i], to_float(halves[i]))) << name(dtype) << " " << i << ", " << kernels->name;
      }
      for (size_t i = 0; i < floats.size(); ++i) {
        const float expected = to_float(from_float(floats[i]));
        ASSERT_TRUE(same(to_float(stored[i]), expected)) << name(dtype) << " of " << floats[i] << ", " << kernels->name;
        ASSERT_TRUE(same(rounded[i], expected)) << name(dtype) << " of " << floats[i] << ", " << kernels->name;
      }
    };
    check(DType::float16, half_to_float, float_to_half);
    check(DType::bfloat16, bfloat16_to_float, float_to_bfloat16);
  }
}

TEST(VectorKernels, StreamedNodesGiveTheSameBits) {
  std::mt19937 random(4);
  int nodes = 0, casts = 0;
  for (const DType dtype : {DType::float32, DType::int32, DType::int64}) {
    Array x(dtype, 1100), y(dtype, 1100);
    x.randomize(random);
    y.randomize(random);
    const auto compare = [&](BlockFn fn, BlockFn streams, DType result, const char* what, const char* kernels,
                             void (*end_stream)()) {
      for (size_t offset : {0, 1, 5, 16}) {
        for (size_t n : {0, 3, 16, 37, 1000}) {
          Array got(result, 1100), expected(result, 1100);
          fn(x.data(), y.data(), nullptr, expected.data() + size_of(result) * offset, n);
          streams(x.data(), y.data(), nullptr, got.data() + size_of(result) * offset, n);
          end_stream();
          ASSERT_EQ(difference(got, expected), "") << what << " of " << name(dtype) << ", " << kernels << ", " << n;
        }
      }
    };
    for (const VectorKernels* kernels : all_vector_kernels()) {
      for (int k = 0; k < kNodeCount; ++k) {
        const BlockFn streams = kernels->stream_pointwise[k][index(dtype)];
        if (streams == nullptr) continue;
        ++nodes;
        const char* const what = kNodeInfos[k].name;
        const DType result = kNodeInfos[k].family == NodeFamily::kCompare ? DType::bool_ : dtype;
        compare(kernels->pointwise[k][index(dtype)], streams, result, what, kernels->name, kernels->end_stream);
      }
      for (int to = 0; to < kDTypeCount; ++to) {
        const BlockFn streams = kernels->stream_cast[index(dtype)][to];
        if (streams == nullptr) continue;
        ++casts;
        const DType result = static_cast<DType>(to);
        compare(kernels->cast[index(dtype)][to], streams, result, name(result), kernels->name, kernels->end_stream);
      }
    }
  }
  EXPECT_GT(nodes, 60);
  EXPECT_EQ(casts, 7 * static_cast<int>(all_vector_kernels().size()));  // to float32, int32 and bool
}

TEST(VectorKernels, StreamedJoinedStepsGiveTheSameBits) {
  std::mt19937 random(6);
  Array x(DType::float32, 1100), y(DType::float32, 1100), z(DType::float32, 1100);
  for (Array* array : {&x, &y, &z}) array->randomize(random);
  std::memcpy(y.data(), x.data(), 300 * sizeof(float));  // some pairs are equal
  for (const VectorKernels* kernels : all_vector_kernels()) {
    int joined = 0;
    const auto compare = [&](const JoinedFn& fns, DType result) {
      if (fns.fn == nullptr) return;
      ++joined;
      for (size_t offset : {0, 1, 5, 16}) {
        for (size_t n : {0, 3, 16, 37, 1000}) {
          Array got(result, 1100), expected(result, 1100);
          fns.fn(x.data(), y.data(), z.data(), expected.data() + size_of(result) * offset, n);
          fns.stream_fn(x.data(), y.data(), z.data(), got.data() + size_of(result) * offset, n);
          kernels->end_stream();
          ASSERT_EQ(difference(got, expected), "") << "function " << joined << ", " << kernels->name << ", " << n;
        }
      }
    };
    for (const JoinedFn* fns : {&kernels->add_product, &kernels->product, &kernels->at_least, &kernels->at_most,
                                &kernels->clamp, &kernels->distance, &kernels->reciprocal_root}) {
      compare(*fns, DType::float32);
    }
    compare(kernels->same, DType::bool_);
    compare(kernels->differ, DType::bool_);
    for (const JoinedFn& fns : kernels->compare_size) compare(fns, DType::bool_);
    EXPECT_EQ(joined, 15);  // six comparisons
  }
}

TEST(VectorKernels, VectorsMeetMatricesWithTheSameBitsOnEveryInstructionSet) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  for (size_t rows : {1, 4, 8, 19}) {
    for (size_t n : {1, 15, 16, 70, 515}) {
      const size_t stride = n + 3;
      std::vector<float> x(std::max(rows, n)), matrix((rows + 8) * stride), sums(std::max(rows, n));
      for (auto* values : {&x, &matrix, &sums}) {
        for (float& value : *values) value = normal(random);
      }
      std::vector<float> scaled, dots;
      for (const VectorKernels* kernels : all_vector_kernels()) {
        std::vector<float> by_rows = sums, by_columns = sums;
        kernels->add_scaled_rows(x.data(), matrix.data(), rows, stride, by_rows.data(), n, 8);
        kernels->add_dots(x.data(), matrix.data(), rows, stride, by_columns.data(), n);
        if (scaled.empty()) {
          scaled = by_rows;
          dots = by_columns;
        }
        ASSERT_EQ(by_rows, scaled) << rows << " " << n << ", " << kernels->name;
        ASSERT_EQ(by_columns, dots) << rows << " " << n << ", " << kernels->name;
      }
      for (size_t i = 0; i < n; ++i) {
        double sum = static_cast<double>(sums[i]);
        for (size_t r = 0; r < rows; ++r)
          sum += static_cast<double>(x[r]) * static_cast<double>(matrix[r * stride + i]);
        ASSERT_NEAR(static_cast<double>(scaled[i]), sum, 1e-5);
      }
      for (size_t r = 0; r < rows; ++r) {
        double sum = static_cast<double>(sums[r]);
        for (size_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(matrix[r * stride + i]);
        ASSERT_NEAR(static_cast<double>(dots[r]), sum, 1e-4);
      }
    }
  }
}

TEST(VectorKernels, TransformsGiveTheSameBitsOnEveryInstructionSet) {
  constexpr size_t kElement = 2 * kFourierLanes, kRows = 2, kColumns = 3;
  std::mt19937 random(7);
  std::uniform_real_distribution<float> number(-1, 1);
  std::vector<float> x(80 * kRows * kColumns * kElement), roots(2 * 80 * (kRows + 1));
  for (float& value : x) value = number(random);
  for (float& value : roots) value = number(random);
  const auto on = [](const VectorKernels& kernels, auto f) {
    std::vector<float> out(80 * kRows * kColumns * kElement, -7);
    f(kernels.fourier, out.data());
    return out;
  };
  const auto ask = [&](auto f) {
    const std::vector<float> plainest = on(*all_vector_kernels()[0], f);
    for (const VectorKernels* kernels : all_vector_kernels()) EXPECT_EQ(on(*kernels, f), plainest) << kernels->name;
  };
  for (size_t radix : {2, 3, 4, 5, 7, 8, 11, 61}) {
    SCOPED_TRACE(radix);
    const FourierStage stage{radix, kRows, kColumns, roots.data()};
    ask([&](const FourierFns& fns, float* out) { fns.stage(stage, x.data(), out); });
  }
  for (size_t m : {1, 2, 7, 12}) {
    SCOPED_TRACE(m);
    ask([&](const FourierFns& fns, float* out) { fns.part(roots.data(), m, -1, x.data(), out); });
    ask([&](const FourierFns& fns, float* out) { fns.join(roots.data(), m, 1, x.data(), out); });
  }
  ask([&](const FourierFns& fns, float* out) {
    std::copy(x.begin(), x.begin() + 5 * kElement, out);
    fns.multiply(x.data() + 5 * kElement, out, 5);
  });
}

// Lines of pairs, of pairs of rows and of rows, with all lanes and with some.
TEST(VectorKernels, LinesComeBackFromLanesAsTheyWere) {
  constexpr size_t kCount = 21, kElement = 2 * kFourierLanes;
  const auto lines_of = [](size_t lanes, int64_t between, int64_t element, int64_t imaginary) {
    FourierLines lines{lanes, {}, element, imaginary};
    for (size_t l = 0; l < lanes; ++l) lines.offset[l] = static_cast<int64_t>(l) * between;
    return lines;
  };
  const FourierLines layouts[] = {lines_of(16, 50, 2, 1), lines_of(5, 50, 2, 1),   lines_of(16, 2, 40, 1),
                                  lines_of(3, 2, 40, 1),  lines_of(16, 1, 40, 18), lines_of(16, 1, 20, 0),
                                  lines_of(7, 1, 20, 0),  lines_of(16, 30, 1, 0)};
  std::vector<float> memory(1000);
  for (size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<float>(i + 1);
  for (const VectorKernels* kernels : all_vector_kernels()) {
    for (const FourierLines& lines : layouts) {
      for (bool exchange : {false, true}) {
        std::vector<float> lanes(kCount * kElement, -1), back(memory.size(), 0), wanted(memory.size(), 0);
        kernels->fourier.load(memory.data(), lines, kCount, exchange, lanes.data());
        kernels->fourier.store(lanes.data(), lines, kCount, exchange, 2, back.data());
        for (size_t l = 0; l < lines.lanes; ++l) {
          for (size_t i = 0; i < kCount; ++i) {
            const size_t re = static_cast<size_t>(lines.offset[l] + static_cast<int64_t>(i) * lines.element);
            const size_t im = re + static_cast<size_t>(lines.imaginary);
            const float* const element = lanes.data() + i * kElement + l;
            EXPECT_EQ(element[exchange ? kFourierLanes : 0], memory[re]);
            EXPECT_EQ(element[exchange ? 0 : kFourierLanes], lines.imaginary == 0 ? 0 : memory[im]);
            wanted[re] = 2 * memory[re];
            wanted[im] = 2 * memory[im];
          }
        }
        EXPECT_EQ(back, wanted) << kernels->name;
      }
    }
  }
}

TEST(VectorKernels, StreamCopiesAnyAlignmentAndLength) {
  std::vector<char> from(1000), to(1200);
  for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<char>(i * 7);
  for (const VectorKernels* kernels : all_vector_kernels()) {
    for (size_t offset = 0; offset < 70; offset += 3) {
      for (size_t bytes : {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{130}, size_t{999}}) {
        std::fill(to.begin(), to.end(), 'x');
        kernels->stream(to.data() + offset, from.data() + 1, bytes);
        ASSERT_EQ(std::memcmp(to.data() + offset, from.data() + 1, bytes), 0);
        ASSERT_EQ(to[offset + bytes], 'x');
        ASSERT_TRUE(offset == 0 || to[offset - 1] == 'x');
      }
    }
  }
}

}  // namespace
}  // namespace mps
