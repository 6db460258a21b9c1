// Chains of steps that are taken row by row.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "plugin/host/plan_host.h"
#include "plugin/host/row_chains_host.h"
#include "plugin/host/threads.h"
#include "plugin/host/tile_kernels.h"

namespace mps {
namespace {

constexpr int64_t kRows = 40, kRow = 8;  // bytes of a row

class Threads {
 public:
  explicit Threads(int count) : before_(thread_count()) { set_thread_count(count); }
  ~Threads() { set_thread_count(before_); }

 private:
  const int before_;
};

struct Ran {
  int step;
  int64_t begin, end;
};

// A step that only says what it would do.
class FakeStep final : public PlanStep {
 public:
  FakeStep(int number, RowAccesses accesses, int64_t rows, std::vector<Ran>* ran, std::mutex* mutex)
      : number_(number), accesses_(std::move(accesses)), rows_(rows), ran_(ran), mutex_(mutex) {
    for (const RowAccess& access : accesses_) {
      if (access.writes) writes.push_back(access.at.slot);
      if (!access.writes) reads.push_back({access.at.slot, true});
    }
  }
  void run(char* const*) const override { FAIL() << "step " << number_ << " ran by itself"; }
  int64_t rows() const override { return rows_; }
  std::optional<RowAccesses> row_accesses(int64_t rows) const override {
    return rows == kRows ? std::optional<RowAccesses>(accesses_) : std::nullopt;
  }
  void run_rows(char* const*, int64_t, int64_t begin, int64_t end) const override {
    const std::lock_guard<std::mutex> lock(*mutex_);
    ran_->push_back({number_, begin, end});
  }
  uint64_t cost_ns() const override { return 1; }
  size_t bytes() const override { return 1; }

 private:
  const int number_;
  const RowAccesses accesses_;
  const int64_t rows_;
  std::vector<Ran>* const ran_;
  std::mutex* const mutex_;
};

RowAccess rows_of(uint32_t slot, bool writes, int64_t stride = kRow, int64_t offset = 0) {
  return {{slot, offset}, writes, stride, kRow};
}
RowAccess all_of(uint32_t slot) { return {{slot, 0}}; }

class RowChains : public ::testing::Test {
 protected:
  // Slot 0 is a feed, 1 a result, and the others temporaries of `bytes` each.
  void add(RowAccesses accesses, bool is_product = false) {
    for (const RowAccess& access : accesses) plan_.slots = std::max(plan_.slots, access.at.slot + 1);
    const int number = static_cast<int>(plan_.steps.size());
    plan_.steps.push_back(
        std::make_unique<FakeStep>(number, std::move(accesses), is_product ? kRows : 0, &ran_, &mutex_));
  }
  void product(uint32_t from, uint32_t to) { add({rows_of(from, false), rows_of(to, true)}, true); }
  void pointwise(uint32_t from, uint32_t to) { add({rows_of(from, false), rows_of(to, true)}); }

  void chain() {
    plan_.feeds = plan_.results = 1;
    for (uint32_t slot = 2; slot < plan_.slots; ++slot) temporaries_.push_back({slot, kRows * kRow});
    chain_rows(&plan_, &temporaries_);
  }
  size_t steps() const { return plan_.steps.size(); }

  const Threads two_{2};
  HostPlan plan_;
  std::vector<PlanTemporary> temporaries_;
  std::vector<Ran> ran_;
  std::mutex mutex_;
};

TEST_F(RowChains, TakeAllRowsThroughAllStepsInOrder) {
  product(0, 2);
  pointwise(2, 3);
  product(3, 4);
  pointwise(4, 1);
  chain();
  ASSERT_EQ(steps(), 1u);
  plan_.steps[0]->run(nullptr);
  std::vector<int> next(kRows, 0);  // by row: the step that is due
  for (const Ran& ran : ran_) {
    for (int64_t row = ran.begin; row < ran.end; ++row) EXPECT_EQ(next[static_cast<size_t>(row)]++, ran.step);
  }
  EXPECT_EQ(next, std::vector<int>(kRows, 4));
  // Seen from outside, the chain is one step: a result may not lie where it reads.
  ASSERT_EQ(plan_.steps[0]->writes.back(), 1u);
  for (const PlanStep::Read& read : plan_.steps[0]->reads) EXPECT_FALSE(read.elementwise);
}

TEST_F(RowChains, EndWhereAStepReadsAllRowsOfWhatAnotherWrote) {
  product(0, 2);
  pointwise(2, 3);
  add({all_of(3), rows_of(4, true)});
  pointwise(4, 1);
  chain();
  EXPECT_EQ(steps(), 3u);
}

TEST_F(RowChains, EndWhereAStepWritesWhatAnotherReadsAllOf) {
  product(0, 2);
  add({all_of(3), rows_of(2, false), rows_of(4, true)});
  pointwise(4, 3);
  chain();
  EXPECT_EQ(steps(), 2u);
}

TEST_F(RowChains, EndWhereRowsLieDifferently) {
  product(0, 2);
  add({rows_of(2, false, 2 * kRow), rows_of(3, true)});  // every other row
  chain();
  EXPECT_EQ(steps(), 2u);
}

TEST_F(RowChains, EndWhereOneReadsTheRowsOfOthers) {
  product(0, 2);
  add({rows_of(2, false, kRow, kRow), rows_of(3, true)});  // each row the one after it
  chain();
  EXPECT_EQ(steps(), 2u);
}

TEST_F(RowChains, GoOnWhereManyMatricesLieInOneSlot) {
  product(0, 2);
  add({rows_of(2, false, kRow, 3 * kRows * kRow), rows_of(3, true)});
  chain();
  EXPECT_EQ(steps(), 1u);
}

TEST_F(RowChains, BeginWithProducts) {
  pointwise(0, 2);
  pointwise(2, 3);
  chain();
  EXPECT_EQ(steps(), 2u);
}

TEST_F(RowChains, LeaveFewRowsToManyThreads) {
  const Threads many(8);
  product(0, 2);
  pointwise(2, 1);
  chain();
  EXPECT_EQ(steps(), 2u);
}

TEST_F(RowChains, TemporariesThatFollowOneAnotherShareAPlaceIfTheirRowsLieAlike) {
  product(0, 2);
  pointwise(2, 3);
  product(3, 4);                                         // 2 is needed no more
  add({rows_of(4, false), rows_of(5, true, 2 * kRow)});  // nor is 3, but its rows lie closer than those of 5
  add({rows_of(5, false, 2 * kRow), rows_of(6, true)});
  pointwise(6, 1);
  chain();
  ASSERT_EQ(steps(), 1u);
  ASSERT_EQ(temporaries_.size(), 3u);
  EXPECT_EQ(temporaries_[0].slot, 2u);
  EXPECT_EQ(temporaries_[0].others, (std::vector<uint32_t>{4, 6}));
  EXPECT_EQ(temporaries_[1].slot, 3u);
  EXPECT_TRUE(temporaries_[1].others.empty());
  EXPECT_EQ(temporaries_[2].slot, 5u);
  EXPECT_TRUE(temporaries_[2].others.empty());
}

TEST_F(RowChains, TemporariesThatOthersReadKeepTheirPlaces) {
  product(0, 2);
  pointwise(2, 3);
  product(3, 4);
  add({all_of(4), all_of(2), rows_of(1, true)});
  chain();
  ASSERT_EQ(steps(), 2u);
  for (const PlanTemporary& temporary : temporaries_) EXPECT_TRUE(temporary.others.empty());
}

// -- a network -------------------------------------------------------------------------------------------------------

constexpr int64_t kSteps = 7, kHidden = 64;

// h = tanh(x_t + h W), the rows of x apart from one another, and what all steps made.
std::vector<float> recurrent(int64_t rows, const std::vector<float>& x, const std::vector<float>& w) {
  Graph g;
  const Value inputs = g.placeholder(DType::float32, {kSteps, rows, kHidden});
  const Value weights = g.placeholder(DType::float32, {kHidden, kHidden});
  std::vector<Value> all;
  Value h = g.broadcast(g.constant(0, DType::float32), {rows, kHidden});
  for (int64_t t = 0; t < kSteps; ++t) {
    const Value here = g.slice(inputs, {t, 0, 0}, {t + 1, rows, kHidden}, {1, 1, 1});
    const Value sum = g.addition(g.reshape(here, {rows, kHidden}), g.matrix_multiplication(h, weights));
    h = g.tanh(sum);
    all.push_back(g.reshape(h, {1, rows, kHidden}));
  }
  g.result(g.concatenation({all.data(), all.size()}, 0));
  std::vector<float> result(x.size());
  HostBinding feeds[2], to;
  feeds[0].address = reinterpret_cast<char*>(const_cast<float*>(x.data()));
  feeds[0].bytes = x.size() * sizeof(float);
  feeds[1].address = reinterpret_cast<char*>(const_cast<float*>(w.data()));
  feeds[1].bytes = w.size() * sizeof(float);
  to.address = reinterpret_cast<char*>(result.data());
  to.bytes = result.size() * sizeof(float);
  compile_plan(g, std::make_shared<Scratch>())->run({feeds, 2}, {&to, 1});
  return result;
}

// The same in double.
std::vector<double> expected(int64_t rows, const std::vector<float>& x, const std::vector<float>& w) {
  std::vector<double> result(x.size()), h(static_cast<size_t>(rows * kHidden), 0), next(h.size());
  for (size_t t = 0; t < kSteps; ++t) {
    for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
      for (size_t j = 0; j < kHidden; ++j) {
        double sum = static_cast<double>(x[t * h.size() + row * kHidden + j]);
        for (size_t k = 0; k < kHidden; ++k) sum += h[row * kHidden + k] * static_cast<double>(w[k * kHidden + j]);
        next[row * kHidden + j] = std::tanh(sum);
      }
    }
    h = next;
    std::copy(h.begin(), h.end(), result.begin() + static_cast<ptrdiff_t>(t * h.size()));
  }
  return result;
}

std::vector<float> draw(int64_t count, float scale) {
  std::mt19937 engine(static_cast<uint32_t>(count));
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> numbers(static_cast<size_t>(count));
  for (float& number : numbers) number = normal(engine);
  return numbers;
}

TEST(RowChainsOfAPlan, GiveTheSameBitsOnAnyNumberOfThreads) {
  if (tile_kernels() == nullptr) GTEST_SKIP() << "this processor has no tiles, and no chains";
  for (int64_t rows : {1, 15, 16, 17, 32, 33, 47, 64}) {
    const std::vector<float> x = draw(kSteps * rows * kHidden, 1), w = draw(kHidden * kHidden, 0.1f);
    std::vector<float> first;
    for (int threads : {1, 2, 3, 4}) {
      const Threads some(threads);
      const std::vector<float> found = recurrent(rows, x, w);
      if (first.empty()) first = found;
      EXPECT_TRUE(found == first) << rows << " rows on " << threads << " threads";
    }
    const std::vector<double> truth = expected(rows, x, w);
    double worst = 0;
    for (size_t i = 0; i < truth.size(); ++i) {
      worst = std::max(worst, std::fabs(static_cast<double>(first[i]) - truth[i]));
    }
    EXPECT_LT(worst, 2e-6) << rows << " rows";
  }
}

TEST(RowChainsOfAPlan, LeaveNumbersThatAreNotFiniteToTheirRows) {
  const Threads two(2);
  const int64_t rows = 32;
  std::vector<float> x = draw(kSteps * rows * kHidden, 1);
  const std::vector<float> w = draw(kHidden * kHidden, 0.1f);
  const std::vector<float> before = recurrent(rows, x, w);
  x[2 * rows * kHidden + 20 * kHidden + 3] = std::numeric_limits<float>::quiet_NaN();  // step 2, row 20
  const std::vector<float> found = recurrent(rows, x, w);
  for (int64_t t = 0; t < kSteps; ++t) {
    for (int64_t row = 0; row < rows; ++row) {
      int64_t nans = 0;
      for (int64_t j = 0; j < kHidden; ++j) {
        const size_t at = static_cast<size_t>((t * rows + row) * kHidden + j);
        nans += std::isnan(found[at]) ? 1 : 0;
        if (row != 20 || t < 2) {
          EXPECT_NEAR(found[at], before[at], 1e-5f) << t << " " << row << " " << j;
        }
      }
      EXPECT_EQ(nans, row != 20 || t < 2 ? 0 : t == 2 ? 1 : kHidden) << t << " " << row;
    }
  }
}

}  // namespace
}  // namespace mps
