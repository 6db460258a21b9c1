// Products of float32 matrices in pieces of bfloat16, next to sums in double and to the kernel that they stand in for.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "plugin/host/matmul_host.h"
#include "plugin/host/split_product_host.h"
#include "plugin/host/threads.h"

namespace mps {
namespace {

// [batch, rows, inner] times [batch, inner, columns]; either may be stored transposed, and y be one for all.
struct Problem {
  int64_t batch, rows, columns, inner;
  bool x_turned = false, y_turned = false, one_y = false;

  MatmulGeometry geometry() const {
    MatmulGeometry g;
    g.batch = batch;
    g.rows = rows;
    g.columns = columns;
    g.inner = inner;
    g.x_batch = rows * inner;
    g.x_row = x_turned ? 1 : inner;
    g.x_inner = x_turned ? rows : 1;
    g.y_batch = one_y ? 0 : inner * columns;
    g.y_inner = y_turned ? 1 : columns;
    g.y_column = y_turned ? inner : 1;
    g.to_batch = rows * columns;
    g.to_row = columns;
    return g;
  }
  size_t x_size() const { return static_cast<size_t>(batch * rows * inner); }
  size_t y_size() const { return static_cast<size_t>((one_y ? 1 : batch) * inner * columns); }
  size_t to_size() const { return static_cast<size_t>(batch * rows * columns); }
  std::string name() const {
    return std::to_string(batch) + " x " + std::to_string(rows) + " x " + std::to_string(columns) + " x " +
           std::to_string(inner) + (x_turned ? " x turned" : "") + (y_turned ? " y turned" : "");
  }
};

std::vector<float> draw(size_t count, uint32_t seed, float scale = 1) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(count);
  for (float& number : numbers) number = normal(engine) * scale;
  return numbers;
}

// The largest and the mean error of sums, relative to the sizes of their terms.
struct Errors {
  double worst = 0, mean = 0;
};

Errors errors_of(const Problem& p, const std::vector<float>& x, const std::vector<float>& y,
                 const std::vector<float>& to) {
  const MatmulGeometry g = p.geometry();
  Errors errors;
  for (int64_t b = 0; b < g.batch; ++b) {
    for (int64_t i = 0; i < g.rows; ++i) {
      for (int64_t j = 0; j < g.columns; ++j) {
        double sum = 0, size = 0;
        for (int64_t k = 0; k < g.inner; ++k) {
          const double term =
              static_cast<double>(x[static_cast<size_t>(b * g.x_batch + i * g.x_row + k * g.x_inner)]) *
              static_cast<double>(y[static_cast<size_t>(b * g.y_batch + k * g.y_inner + j * g.y_column)]);
          sum += term;
          size += std::abs(term);
        }
        const double got = static_cast<double>(to[static_cast<size_t>(b * g.to_batch + i * g.to_row + j)]);
        const double error = size == 0 ? std::abs(got) : std::abs(got - sum) / size;
        errors.worst = std::isnan(error) ? error : std::max(errors.worst, error);
        errors.mean += error / static_cast<double>(p.to_size());
      }
    }
  }
  return errors;
}

std::vector<float> multiply(const SplitProduct& product, const Problem& p, const std::vector<float>& x,
                            const std::vector<float>& y) {
  std::vector<float> to(p.to_size(), std::nanf(""));
  std::vector<char> packed(product.shares_y() ? product.packed_bytes() + 64 : 64);
  char* const aligned = packed.data() + (64 - reinterpret_cast<uintptr_t>(packed.data()) % 64) % 64;
  if (product.shares_y()) product.pack_y(y.data(), aligned);
  EXPECT_TRUE(product.run(x.data(), y.data(), aligned, to.data())) << p.name();
  return to;
}

class SplitProducts : public testing::Test {
 protected:
  void SetUp() override {
    if (tile_kernels() == nullptr) GTEST_SKIP() << "this processor has no tiles";
  }
};

TEST_F(SplitProducts, AreAsExactAsTheKernelThatTheyReplace) {
  for (Problem p : {Problem{1, 200, 300, 400},
                    {1, 97, 1000, 1100},
                    {5, 150, 130, 260},
                    {1, 160, 600, 96},
                    {1, 50, 700, 1100},
                    {3, 40, 330, 520}}) {
    for (int layout = 0; layout < 8; ++layout) {
      p.x_turned = layout % 2 != 0;
      p.y_turned = layout / 2 % 2 != 0;
      p.one_y = layout / 4 != 0;
      SCOPED_TRACE(p.name());
      const auto x = draw(p.x_size(), 1), y = draw(p.y_size(), 2);
      const auto product = SplitProduct::make(p.geometry(), /*shares_y=*/false);
      ASSERT_NE(product, nullptr);
      const Errors errors = errors_of(p, x, y, multiply(*product, p, x, y));
      EXPECT_LT(errors.worst, 2e-7);
      if (const auto kernel = make_onednn_matmul(DType::float32, p.geometry())) {
        std::vector<float> to(p.to_size());
        kernel->run(x.data(), y.data(), to.data());
        EXPECT_LT(errors.mean, 1.5 * errors_of(p, x, y, to).mean);
      }
    }
  }
}

TEST_F(SplitProducts, ShareAPackedMatrix) {
  for (Problem p : {Problem{1, 32, 512, 128}, {1, 17, 130, 600}, {1, 64, 96, 1030}, {1, 40, 257, 128}}) {
    for (bool y_turned : {false, true}) {
      p.y_turned = y_turned;
      SCOPED_TRACE(p.name());
      const auto x = draw(p.x_size(), 1), y = draw(p.y_size(), 2);
      const auto product = SplitProduct::make(p.geometry(), /*shares_y=*/true);
      ASSERT_NE(product, nullptr);
      EXPECT_LT(errors_of(p, x, y, multiply(*product, p, x, y)).worst, 2e-7);
    }
  }
  // One x for several y, as the gates of a recurrent cell have it.
  Problem p{4, 32, 128, 128};
  MatmulGeometry g = p.geometry();
  g.x_batch = 0;
  const auto one = draw(32 * 128, 1), y = draw(p.y_size(), 2);
  std::vector<float> x;
  for (int i = 0; i < 4; ++i) x.insert(x.end(), one.begin(), one.end());
  const auto product = SplitProduct::make(g, /*shares_y=*/true);
  ASSERT_NE(product, nullptr);
  EXPECT_LT(errors_of(p, x, y, multiply(*product, p, one, y)).worst, 2e-7);
}

// Some take all matrices at a time, some a few, some one.
TEST_F(SplitProducts, SplitAMatrixOfManyProductsOnce) {
  for (Problem p : {Problem{6, 2000, 130, 96}, {7, 300, 64, 512}, {3, 70, 200, 700}, {3, 30, 330, 700}}) {
    SCOPED_TRACE(p.name());
    MatmulGeometry g = p.geometry();
    g.x_batch = 0;
    const auto one = draw(p.x_size() / static_cast<size_t>(p.batch), 1), y = draw(p.y_size(), 2);
    std::vector<float> x;
    for (int64_t i = 0; i < p.batch; ++i) x.insert(x.end(), one.begin(), one.end());
    const auto product = SplitProduct::make(g, /*shares_y=*/false);
    ASSERT_NE(product, nullptr);
    EXPECT_LT(errors_of(p, x, y, multiply(*product, p, one, y)).worst, 2e-7);
  }
}

TEST_F(SplitProducts, TakeNumbersOfAnySize) {
  const Problem p{1, 150, 200, 300};
  const auto product = SplitProduct::make(p.geometry(), false);
  ASSERT_NE(product, nullptr);
  for (const auto& [x_scale, y_scale] : {std::pair<float, float>{1e36f, 1e-36f},
                                         {1e-36f, 1e36f},
                                         {1e30f, 1e5f},
                                         {1e-30f, 1e-3f},
                                         {1e-38f, 1e20f},
                                         {0, 1}}) {
    auto x = draw(p.x_size(), 1, x_scale);
    const auto y = draw(p.y_size(), 2, y_scale);
    EXPECT_LT(errors_of(p, x, y, multiply(*product, p, x, y)).worst, 2e-7) << x_scale << " " << y_scale;
  }
  // Rows of all sizes side by side, the largest number there is among them.
  auto x = draw(p.x_size(), 1);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::ldexp(x[i], static_cast<int>(i / 300) - 75);
  x[7] = std::numeric_limits<float>::max();
  const auto y = draw(p.y_size(), 2, 1e-3f);
  EXPECT_LT(errors_of(p, x, y, multiply(*product, p, x, y)).worst, 2e-7);
}

TEST_F(SplitProducts, KeepNumbersThatAreMultipliedByOne) {
  const Problem p{1, 128, 128, 128};
  const auto product = SplitProduct::make(p.geometry(), false);
  ASSERT_NE(product, nullptr);
  const auto x = draw(p.x_size(), 1);
  std::vector<float> y(p.y_size());
  for (size_t i = 0; i < 128; ++i) y[i * 129] = 1;
  EXPECT_EQ(multiply(*product, p, x, y), x);
}

// The first element of each block of inner elements, and others.
TEST_F(SplitProducts, LeaveWhatIsNotFiniteToTheOtherKernel) {
  const Problem p{1, 150, 200, 1100};
  const float infinity = std::numeric_limits<float>::infinity();
  const MatmulProgram program = MatmulProgram::compile(DType::float32, {150, 1100}, {1100, 1}, {1100, 200}, {200, 1});
  const auto kernel = make_plain_matmul(DType::float32, p.geometry());
  for (float number : {infinity, -infinity, std::nanf("")}) {
    for (size_t place : {size_t{0}, size_t{512}, size_t{1099}, size_t{1100 * 149 + 77}}) {
      for (bool in_x : {true, false}) {
        auto x = draw(p.x_size(), 1), y = draw(p.y_size(), 2);
        (in_x ? x : y)[place] = number;
        std::vector<float> got(p.to_size()), want(p.to_size());
        program.run(x.data(), y.data(), got.data());
        kernel->run(x.data(), y.data(), want.data());
        for (size_t i = 0; i < got.size(); ++i) {
          if (std::isfinite(want[i])) {
            ASSERT_NEAR(got[i], want[i], 1e-3f);
          } else {
            ASSERT_TRUE(std::isnan(want[i]) ? std::isnan(got[i]) : got[i] == want[i]) << got[i] << " " << want[i];
          }
        }
      }
    }
  }
  // Of few rows, and of a packed y as well.
  for (bool shares_y : {false, true}) {
    const auto product = SplitProduct::make(Problem{1, 32, 500, 1100}.geometry(), shares_y);
    ASSERT_NE(product, nullptr);
    std::vector<float> x(32 * 1100, 1), y(1100 * 500, 1), to(32 * 500);
    const auto runs = [&] {
      std::vector<char> packed(product->packed_bytes() + 64);
      char* const aligned = packed.data() + (64 - reinterpret_cast<uintptr_t>(packed.data()) % 64) % 64;
      if (shares_y) product->pack_y(y.data(), aligned);
      return product->run(x.data(), y.data(), aligned, to.data());
    };
    EXPECT_TRUE(runs());
    x.back() = infinity;
    EXPECT_FALSE(runs());
    x.back() = 1;
    y.back() = std::nanf("");
    EXPECT_FALSE(runs());
  }
}

TEST_F(SplitProducts, GiveTheSameBitsOnAnyNumberOfThreads) {
  const int before = thread_count();
  for (const auto& [p, shares_y] : {std::pair<Problem, bool>{{1, 333, 1000, 700}, false},
                                    {{1, 50, 1000, 700}, false},
                                    {{6, 200, 140, 300}, false},
                                    {{1, 64, 300, 600}, true},
                                    {{1, 20, 300, 600}, true}}) {
    const auto x = draw(p.x_size(), 1), y = draw(p.y_size(), 2);
    std::vector<std::vector<float>> results;
    for (int threads : {1, 2, 3, 7}) {
      set_thread_count(threads);
      const auto product = SplitProduct::make(p.geometry(), shares_y);
      ASSERT_NE(product, nullptr) << p.name();
      results.push_back(multiply(*product, p, x, y));
    }
    for (const auto& result : results) EXPECT_EQ(result, results[0]) << p.name();
  }
  set_thread_count(before);
}

TEST_F(SplitProducts, ArePaidForBySize) {
  const auto pays = [](const Problem& p, bool shares_y) {
    const auto product = SplitProduct::make(p.geometry(), shares_y);
    return product != nullptr && product->pays();
  };
  EXPECT_TRUE(pays({1, 512, 512, 512}, false));
  EXPECT_FALSE(pays({1, 8, 512, 512}, false));
  EXPECT_FALSE(pays({64, 32, 32, 32}, false));
  EXPECT_FALSE(pays({1, 512, 512, 8}, false));
  EXPECT_TRUE(pays({1, 128, 1024, 1024}, false));
  EXPECT_FALSE(pays({1, 64, 1024, 1024}, false)) << "its rows lie a page apart, which takes longer to split";
  EXPECT_TRUE(pays({1, 32, 512, 128}, true));
  EXPECT_FALSE(pays({1, 32, 512, 128}, false)) << "y would be split for few rows";
  EXPECT_FALSE(pays({1, 512, 512, 512}, true)) << "one product is enough for y";
  MatmulGeometry interleaved = Problem{1, 512, 512, 512}.geometry();
  interleaved.x_inner = 2;
  EXPECT_EQ(SplitProduct::make(interleaved, false), nullptr);
}

}  // namespace
}  // namespace mps
