// The kernels of numbers of few bits, of every instruction set that this machine has: all give what plain loops give.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "plugin/host/quantized_kernels.h"

namespace mps {
namespace {

std::vector<float> random_floats(size_t count, float limit, uint32_t seed) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<float> draw(-limit, limit);
  std::vector<float> numbers(count);
  for (float& number : numbers) number = draw(engine);
  return numbers;
}

template <typename T>
std::vector<T> random_bytes(size_t count, uint32_t seed) {
  std::mt19937 engine(seed);
  std::vector<T> bytes(count);
  for (T& byte : bytes) byte = static_cast<T>(engine());
  return bytes;
}

class HostQuantized : public ::testing::TestWithParam<const QuantizedKernels*> {
 protected:
  const QuantizedKernels& kernels() const { return *GetParam(); }
};

const auto kTables = all_quantized_kernels();
INSTANTIATE_TEST_SUITE_P(Tables, HostQuantized, ::testing::ValuesIn(kTables.begin(), kTables.end()),
                         [](const auto& test) { return std::string(test.param->name); });

// Ascending decision points: at random, evenly spread, and dense around 0 as in the maps of bitsandbytes.
std::vector<std::vector<float>> sets_of_points(size_t count) {
  std::vector<float> random = random_floats(count, 1, 1), even(count), dense(count);
  std::sort(random.begin(), random.end());
  const float half = static_cast<float>(count / 2);
  for (size_t i = 0; i < count; ++i) {
    const float at = (static_cast<float>(i) - half) / half;
    even[i] = at * 0.99f;
    dense[i] = std::copysign(std::exp2(12 * (std::abs(at) - 1)) * 0.99f, at);
  }
  return {random, even, dense};
}

// Numbers of all sizes, the points themselves and their neighbours, and what is special.
std::vector<float> numbers_around(const std::vector<float>& points, size_t n) {
  std::vector<float> numbers = random_floats(n, 2, 2);
  for (size_t i = 0; i < n; i += 3) numbers[i] = std::ldexp(numbers[i], -static_cast<int>(i % 40));
  for (size_t i = 1; i < n; i += 3) {
    const float point = points[i % points.size()];
    numbers[i] = i % 4 == 0 ? point : std::nextafter(point, i % 4 == 1 ? -2.0f : 2.0f);
  }
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const float special[] = {0.0f, -0.0f, 1.0f, -1.0f, infinity, -infinity, nan, -nan, 1e-42f, -1e-42f, 3e38f, -3e38f};
  for (size_t i = 0; i < 12 && 41 + 2 * i < n; ++i) numbers[41 + 2 * i] = special[i];
  return numbers;
}

TEST_P(HostQuantized, CodesAreNumbersOfPointsBelow) {
  for (bool halves : {true, false}) {
    const size_t count = halves ? 15 : 255;
    std::vector<uint8_t> codes(count + 1);
    for (size_t i = 0; i <= count; ++i) codes[i] = static_cast<uint8_t>(count - i);
    for (const std::vector<float>& points : sets_of_points(count)) {
      const CodeStarts starts(points.data(), static_cast<int>(count));
      for (bool with_starts : {false, true}) {
        if (with_starts && !starts.usable()) continue;
        const CodeTable table{points.data(), codes.data(), halves, with_starts ? &starts : nullptr};
        for (int64_t n : {1, 2, 15, 31, 32, 33, 64, 97, 1000}) {
          const std::vector<float> x = numbers_around(points, static_cast<size_t>(n));
          for (int64_t blocksize : {1, 7, 32, 64, 2000}) {
            const std::vector<float> absmax(static_cast<size_t>((n + blocksize - 1) / blocksize), 1.0f);
            const auto expected = [&](int64_t i) {
              size_t below = 0;
              const float number = i < n ? x[static_cast<size_t>(i)] : 0;
              while (below < count && !(number <= points[below])) ++below;
              return static_cast<int>(codes[below]);
            };
            std::vector<uint8_t> out(static_cast<size_t>(n) + 1, 0xa5);
            kernels().quantize(x.data(), absmax.data(), blocksize, table, out.data(), n);
            const int64_t bytes = halves ? (n + 1) / 2 : n;
            for (int64_t i = 0; i < bytes; ++i) {
              const int wanted = halves ? expected(2 * i) << 4 | expected(2 * i + 1) : expected(i);
              ASSERT_EQ(int{out[static_cast<size_t>(i)]}, wanted) << n << " " << blocksize << " at " << i;
            }
            ASSERT_EQ(out[static_cast<size_t>(bytes)], 0xa5) << "written behind the end";
          }
        }
      }
    }
  }
}

TEST(CodeStarts, AreOfUseForPointsThatLieApart) {
  for (size_t count : {15u, 255u}) {
    const auto sets = sets_of_points(count);
    EXPECT_TRUE(CodeStarts(sets[1].data(), static_cast<int>(count)).usable());
    EXPECT_TRUE(CodeStarts(sets[2].data(), static_cast<int>(count)).usable());
  }
  std::vector<float> crowded(255, 0.5f), descending = {0.5f, 0.25f};
  crowded[254] = 0.6f;
  EXPECT_FALSE(CodeStarts(crowded.data(), 255).usable());
  descending.resize(15, 1.0f);
  EXPECT_FALSE(CodeStarts(descending.data(), 15).usable());
}

TEST_P(HostQuantized, DequantisesToOneProduct) {
  for (bool halves : {true, false}) {
    const std::vector<float> numbers = random_floats(halves ? 16 : 256, 1, 1);
    std::vector<float> pairs;
    for (size_t byte = 0; halves && byte < 256; ++byte) {
      pairs.push_back(numbers[byte >> 4]);
      pairs.push_back(numbers[byte & 15]);
    }
    const std::vector<uint8_t> codes = random_bytes<uint8_t>(1000, 2);
    for (int64_t n : {1, 2, 31, 32, 33, 64, 97, 1000}) {
      for (int64_t blocksize : {1, 7, 32, 64, 2000}) {
        const std::vector<float> absmax = random_floats(static_cast<size_t>((n + blocksize - 1) / blocksize), 3, 4);
        std::vector<float> out(static_cast<size_t>(n) + 1, -7);
        kernels().dequantize(codes.data(), absmax.data(), blocksize, {numbers.data(), pairs.data(), halves}, out.data(),
                             n);
        for (int64_t i = 0; i < n; ++i) {
          const int byte = codes[static_cast<size_t>(halves ? i / 2 : i)];
          const int code = !halves ? byte : i % 2 == 0 ? byte >> 4 : byte & 15;
          ASSERT_EQ(out[static_cast<size_t>(i)],
                    numbers[static_cast<size_t>(code)] * absmax[static_cast<size_t>(i / blocksize)]);
        }
        ASSERT_EQ(out[static_cast<size_t>(n)], -7.0f) << "written behind the end";
      }
    }
  }
}

TEST_P(HostQuantized, DotProductsOfHalves) {
  const std::vector<float> numbers = random_floats(16, 1, 1);
  for (int64_t n : {32, 64, 96, 4096}) {
    for (int64_t blocksize : {32, 64, 8192}) {
      const std::vector<uint8_t> codes = random_bytes<uint8_t>(static_cast<size_t>(n / 2), 2);
      const std::vector<float> absmax = random_floats(static_cast<size_t>((n + blocksize - 1) / blocksize), 3, 4);
      const std::vector<float> x = random_floats(static_cast<size_t>(kRowsAtOnce * n), 1, 5);
      for (int64_t rows = 1; rows <= kRowsAtOnce; ++rows) {
        float lanes[(kRowsAtOnce + 1) * kDotLanes] = {1};  // sums go on from what is there
        kernels().dot_halves(x.data(), codes.data(), absmax.data(), blocksize, numbers.data(), n, rows, lanes);
        for (int64_t m = 0; m < rows; ++m) {
          double sum = m == 0 ? 1 : 0, size = 1, got = 0;
          for (int64_t lane = 0; lane < kDotLanes; ++lane) got += static_cast<double>(lanes[m * kDotLanes + lane]);
          for (int64_t i = 0; i < n; ++i) {
            const int byte = codes[static_cast<size_t>(i / 2)];
            const float number = numbers[static_cast<size_t>(i % 2 == 0 ? byte >> 4 : byte & 15)];
            const double at = static_cast<double>(x[static_cast<size_t>(m * n + i % 2 * (n / 2) + i / 2)]);
            const double term = at * static_cast<double>(number * absmax[static_cast<size_t>(i / blocksize)]);
            sum += term;
            size += std::abs(term);
          }
          ASSERT_NEAR(got, sum, 1e-6 * size) << n << " " << blocksize;
        }
        ASSERT_EQ(lanes[rows * kDotLanes], 0.0f) << "written behind the end";
      }
    }
  }
}

TEST_P(HostQuantized, ProductsWithOneRow) {
  const std::vector<float> numbers = random_floats(16, 1, 1);
  for (int64_t n : {128, 256, 4096}) {
    for (int64_t blocksize : {32, 64, 128, 256, 4096}) {
      if (n % blocksize != 0) continue;
      for (int64_t rows : {0, 1, 3, 4, 9}) {
        const std::vector<uint8_t> codes = random_bytes<uint8_t>(static_cast<size_t>(rows * n / 2), 2);
        const std::vector<float> absmax = random_floats(static_cast<size_t>(rows * n / blocksize), 3, 4);
        const std::vector<float> x = random_floats(static_cast<size_t>(n), 1, 5);
        std::vector<float> in_place(x.size()), sums(static_cast<size_t>(rows) + 1, -7);
        for (int64_t i = 0; i < n; ++i) in_place[static_cast<size_t>(place_in_row(i))] = x[static_cast<size_t>(i)];
        kernels().dot_row(in_place.data(), codes.data(), absmax.data(), blocksize, numbers.data(), n, rows,
                          sums.data());
        for (int64_t j = 0; j < rows; ++j) {
          double sum = 0, size = 0;
          for (int64_t i = 0; i < n; ++i) {
            const int64_t at = j * n + i;
            const int byte = codes[static_cast<size_t>(at / 2)];
            const float number = numbers[static_cast<size_t>(i % 2 == 0 ? byte >> 4 : byte & 15)];
            const double term = static_cast<double>(x[static_cast<size_t>(i)]) *
                                static_cast<double>(number * absmax[static_cast<size_t>(at / blocksize)]);
            sum += term;
            size += std::abs(term);
          }
          ASSERT_NEAR(static_cast<double>(sums[static_cast<size_t>(j)]), sum, 1e-6 * size) << n << " " << blocksize;
        }
        ASSERT_EQ(sums[static_cast<size_t>(rows)], -7.0f) << "written behind the end";
      }
    }
  }
}

TEST_P(HostQuantized, DotProductsOfInt8AreExact) {
  for (int64_t n : {0, 1, 15, 16, 31, 32, 64, 65, 1000, 10000}) {
    const size_t count = static_cast<size_t>(n);
    const std::vector<int8_t> x = random_bytes<int8_t>(kInt8RowsAtOnce * count, 1);
    for (const std::vector<int8_t>& y : {random_bytes<int8_t>(count, 2), std::vector<int8_t>(count, -128)}) {
      const std::vector<int16_t> wide(x.begin(), x.end());
      for (int64_t rows = 1; rows <= kInt8RowsAtOnce; ++rows) {
        std::vector<int32_t> out(static_cast<size_t>(rows) + 1, -7);
        kernels().dot_int8(wide.data(), y.data(), n, rows, out.data());
        for (size_t m = 0; m < static_cast<size_t>(rows); ++m) {
          int32_t sum = 0;
          for (size_t i = 0; i < count; ++i) sum += x[m * count + i] * y[i];
          ASSERT_EQ(out[m], sum) << n << ", row " << m << " of " << rows;
        }
        ASSERT_EQ(out.back(), -7) << "written behind the end";
      }
    }
  }
}

TEST_P(HostQuantized, DotProductsWithTwoBitsAreExact) {
  for (int64_t n : {0, 1, 31, 32, 64, 65, 1000, 10000}) {
    const size_t count = static_cast<size_t>(n);
    const std::vector<int8_t> x = random_bytes<int8_t>(count, 1);
    const std::vector<uint8_t> packed = random_bytes<uint8_t>(count, 3);
    int32_t sums[4] = {}, out[4];
    for (size_t i = 0; i < count; ++i) {
      for (int j = 0; j < 4; ++j) sums[j] += (packed[i] >> 2 * j & 3) * x[i];
    }
    kernels().dot_quarters(x.data(), packed.data(), n, out);
    for (int j = 0; j < 4; ++j) ASSERT_EQ(out[j], sums[j]);
  }
}

TEST_P(HostQuantized, GreatestQuarters) {
  const std::vector<int8_t> x(10000, -128);
  const std::vector<uint8_t> packed(10000, 0xff);
  int32_t out[4];
  kernels().dot_quarters(x.data(), packed.data(), 10000, out);
  for (int32_t sum : out) ASSERT_EQ(sum, -128 * 3 * 10000);
}

}  // namespace
}  // namespace mps
