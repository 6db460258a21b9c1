// The kernels under MatmulProgram against each other, and what they leave of OpenMP's settings.
#include <dlfcn.h>

#include <cmath>
#include <fstream>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "plugin/host/matmul_host.h"
#include "plugin/host/openmp_host.h"
#include "plugin/host/threads.h"
#include "tests/cpp/unit/testing.h"

namespace mps {
namespace {

MatmulGeometry dense(int64_t batch, int64_t m, int64_t k, int64_t n, bool transpose_y) {
  MatmulGeometry g;
  g.batch = batch;
  g.rows = m;
  g.inner = k;
  g.columns = n;
  g.x_batch = m * k;
  g.x_row = k;
  g.x_inner = 1;
  g.y_batch = k * n;
  g.y_inner = transpose_y ? 1 : n;
  g.y_column = transpose_y ? k : 1;
  g.to_batch = m * n;
  g.to_row = n;
  return g;
}

std::vector<float> numbers(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(static_cast<int>(random() % 9) - 4);
  return values;
}

TEST(MatmulKernels, AgreeWithEachOther) {
  for (int64_t m : {1, 5, 40}) {
    for (int64_t k : {1, 3, 130, 5000}) {
      for (int64_t n : {1, 7, 300}) {
        for (bool transpose_y : {false, true}) {
          const MatmulGeometry g = dense(2, m, k, n, transpose_y);
          const auto x = numbers(2 * m * k, 1), y = numbers(2 * k * n, 2);
          std::vector<float> want(static_cast<size_t>(2 * m * n));
          make_plain_matmul(DType::float32, g)->run(x.data(), y.data(), want.data());
          for (const auto& kernel :
               {make_onednn_matmul(DType::float32, g), make_onednn_gemm(g), make_vector_matmul(DType::float32, g)}) {
            if (kernel == nullptr) continue;  // not built in, or not made for this
            std::vector<float> got(want.size());
            kernel->run(x.data(), y.data(), got.data());
            ASSERT_EQ(got, want) << m << " " << k << " " << n << " " << transpose_y;
          }
        }
      }
    }
  }
}

TEST(MatmulKernels, TheOneThatPacksReadsPartsOfMatricesAndTurnedOnes) {
  constexpr int64_t kBatch = 2, kRows = 37, kInner = 1030, kColumns = 70, kGap = 9;
  for (bool x_turned : {false, true}) {
    for (bool y_turned : {false, true}) {
      for (bool one_y : {false, true}) {
        MatmulGeometry g = dense(kBatch, kRows, kInner, kColumns, y_turned);
        g.x_row = x_turned ? 1 : kInner + kGap;
        g.x_inner = x_turned ? kRows + kGap : 1;
        g.x_batch = (kRows + kGap) * (kInner + kGap);
        (y_turned ? g.y_column : g.y_inner) += kGap;
        g.y_batch = one_y ? 0 : (kInner + kGap) * (kColumns + kGap);
        const auto x = numbers(kBatch * g.x_batch, 1), y = numbers(kBatch * (kInner + kGap) * (kColumns + kGap), 2);
        std::vector<float> want(static_cast<size_t>(kBatch * kRows * kColumns)), got(want.size(), std::nanf(""));
        make_plain_matmul(DType::float32, g)->run(x.data(), y.data(), want.data());
        const auto kernel = make_onednn_gemm(g);
        if (kernel == nullptr) GTEST_SKIP() << "built without oneDNN";
        kernel->run(x.data(), y.data(), got.data());
        ASSERT_EQ(got, want) << x_turned << y_turned << one_y;
      }
    }
  }
}

// Long rows, long columns, and few of either; sums of integers are exact in any order.
TEST(MatmulKernels, OneThatStreamsALargeMatrixAgreesOnAnyNumberOfThreads) {
  const int before = thread_count();
  for (const auto& [k, n] : {std::pair<int64_t, int64_t>{515, 1030}, {300, 9001}, {20000, 8}, {7, 40000}}) {
    for (bool transpose_y : {false, true}) {
      const MatmulGeometry g = dense(1, 1, k, n, transpose_y);
      const auto x = numbers(k, 1), y = numbers(k * n, 2);
      std::vector<float> want(static_cast<size_t>(n));
      make_plain_matmul(DType::float32, g)->run(x.data(), y.data(), want.data());
      for (int threads : {1, 2, 5}) {
        set_thread_count(threads);
        const auto kernel = make_streamed_matmul(DType::float32, g);
        ASSERT_NE(kernel, nullptr) << k << " " << n;
        std::vector<float> got(want.size(), -1.0f);
        kernel->run(x.data(), y.data(), got.data());
        ASSERT_EQ(got, want) << k << " " << n << " " << transpose_y << " " << threads;
      }
    }
  }
  set_thread_count(before);
  EXPECT_EQ(make_streamed_matmul(DType::float32, dense(1, 1, 100, 100, false)), nullptr);
  EXPECT_EQ(make_streamed_matmul(DType::float32, dense(2, 1, 1000, 1000, false)), nullptr);
}

TEST(MatmulKernels, EachTakesWhatItIsMadeFor) {
  EXPECT_NE(make_vector_matmul(DType::float16, dense(1, 1, 8, 8, true)), nullptr);
  EXPECT_EQ(make_vector_matmul(DType::float32, dense(1, 2, 8, 8, true)), nullptr);
  EXPECT_EQ(make_vector_matmul(DType::int32, dense(1, 1, 8, 8, true)), nullptr);
  EXPECT_EQ(make_onednn_matmul(DType::int32, dense(1, 8, 8, 8, false)), nullptr);
  EXPECT_NE(error_of(ErrorKind::kInternal, [] { make_plain_matmul(DType::float16, dense(1, 2, 8, 8, false)); }), "");
}

TEST(MatmulProgram, GivesTheSameOnAnyNumberOfThreads) {
  const int before = thread_count();
  const auto x = numbers(300 * 200, 1), y = numbers(200 * 250, 2);
  std::vector<std::vector<float>> results;
  for (int threads : {1, 2, 5}) {
    set_thread_count(threads);
    results.emplace_back(300 * 250);
    MatmulProgram::compile(DType::float32, {300, 200}, {200, 1}, {200, 250}, {250, 1})
        .run(x.data(), y.data(), results.back().data());
  }
  set_thread_count(before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(MatmulProgram, OneProgramRunsOnManyThreadsAtOnce) {
  const MatmulProgram program = MatmulProgram::compile(DType::float32, {60, 50}, {50, 1}, {50, 70}, {1, 50});
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&program, t] {
      const auto x = numbers(60 * 50, t), y = numbers(50 * 70, t + 9);
      std::vector<float> want(60 * 70), got(60 * 70);
      make_plain_matmul(DType::float32, dense(1, 60, 50, 70, true))->run(x.data(), y.data(), want.data());
      for (int i = 0; i < 200; ++i) {
        program.run(x.data(), y.data(), got.data());
        ASSERT_EQ(got, want);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

int count_threads() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("Threads:", 0) == 0) return std::stoi(line.substr(8));
  }
  return -1;
}

TEST(OpenMp, OneDnnStaysOnTheCallersThreadAndTheSettingComesBack) {
  void* const library = dlopen("libgomp.so.1", RTLD_NOW | RTLD_NOLOAD);
  if (library == nullptr) GTEST_SKIP() << "built without oneDNN: there is no OpenMP in this process";
  const auto get = reinterpret_cast<int (*)()>(dlsym(library, "omp_get_max_threads"));
  const auto set = reinterpret_cast<void (*)(int)>(dlsym(library, "omp_set_num_threads"));
  const int original = get();
  set(7);
  const auto kernel = make_onednn_matmul(DType::float32, dense(1, 256, 256, 256, false));
  ASSERT_NE(kernel, nullptr);
  const auto x = numbers(256 * 256, 1);
  std::vector<float> to(256 * 256);
  const int before = count_threads();
  kernel->run(x.data(), x.data(), to.data());
  EXPECT_EQ(count_threads(), before);
  EXPECT_EQ(get(), 7);
  {
    SingleOpenMpThread alone;
    EXPECT_EQ(get(), 1);
  }
  EXPECT_EQ(get(), 7);
  set(original);
}

}  // namespace
}  // namespace mps
