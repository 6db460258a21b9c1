// The host's thread pool: all of the range, once; errors; callers that meet; fork and exit.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <vector>

#include "plugin/core/check.h"
#include "plugin/host/threads.h"

namespace mps {
namespace {

class Threads : public ::testing::Test {
 protected:
  void SetUp() override { set_thread_count(4); }
  void TearDown() override { set_thread_count(before_); }
  const int before_ = thread_count();
};

// ThreadSanitizer cannot follow threads that a forked child starts.
#if defined(__SANITIZE_THREAD__)
#define MPS_SKIP_FORK_UNDER_TSAN() GTEST_SKIP() << "ThreadSanitizer does not support threads after fork()"
#else
#define MPS_SKIP_FORK_UNDER_TSAN() static_cast<void>(0)
#endif

// Counts how often each index is visited.
void expect_each_once(int64_t count, int64_t grain) {
  std::vector<std::atomic<int>> visits(static_cast<size_t>(count));
  parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    ASSERT_LT(begin, end);
    ASSERT_EQ(begin % grain, 0);
    for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
  });
  for (const std::atomic<int>& visit : visits) ASSERT_EQ(visit, 1);
}

TEST_F(Threads, VisitEachIndexOnce) {
  for (int64_t count : {0, 1, 2, 3, 4, 5, 63, 1000, 4097}) {
    for (int64_t grain : {1, 2, 7, 1000, 5000}) expect_each_once(count, grain);
  }
  for (int i = 0; i < 2000; ++i) expect_each_once(16, 1);
}

TEST_F(Threads, HelpersWakeAfterSleep) {
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    expect_each_once(100, 1);
  }
}

TEST_F(Threads, WorkOnSeveralThreadsAtOnce) {
  // Each range waits until two threads are in the loop: this returns only if a helper takes part.
  std::atomic<int> inside{0};
  std::atomic<bool> met{false};
  parallel_for(4, 1, [&](int64_t, int64_t) {
    if (++inside >= 2) met = true;
    const auto start = std::chrono::steady_clock::now();
    while (!met && std::chrono::steady_clock::now() - start < std::chrono::seconds(20)) std::this_thread::yield();
    --inside;
  });
  EXPECT_TRUE(met);
}

// A loop that returns only when two threads are in it.
void meet_in_a_loop() {
  std::atomic<int> inside{0};
  parallel_for(64, 1, [&](int64_t, int64_t) {
    ++inside;
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1);
    while (inside < 2 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  });
  EXPECT_GE(inside, 2);
}

TEST_F(Threads, HelpersComeToALongLoopOfABackgroundThread) {
  set_thread_count(2);
  meet_in_a_loop();
  std::this_thread::sleep_for(std::chrono::milliseconds(2));  // the helper falls asleep
  the_device_is_given_work();
  std::thread([] {
    this_is_a_background_thread();
    meet_in_a_loop();
    expect_each_once(1000, 1);
  }).join();
}

TEST_F(Threads, ASpareThreadTakesPart) {
  set_thread_count(2);
  meet_in_a_loop();
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  std::atomic<bool> over{false}, ready{false};
  std::atomic<int> helped{0};
  std::thread spare([&] {
    SpareThread self;
    ready = true;
    while (!over) self.help();
  });
  while (!ready) std::this_thread::yield();
  const auto id = spare.get_id();
  parallel_for(1000, 1, [&](int64_t, int64_t) {
    if (std::this_thread::get_id() == id) ++helped;
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  });
  over = true;
  spare.join();
  EXPECT_GT(helped, 0);
}

TEST_F(Threads, ASpareThreadSaysWhetherItTookPart) {
  SpareThread self;
  EXPECT_FALSE(self.help());
  // Inside a loop it is not spare: the loop would wait for itself.
  std::atomic<int> took_part{0};
  parallel_for(100, 1, [&](int64_t, int64_t) { took_part += self.help() ? 1 : 0; });
  EXPECT_EQ(took_part, 0);
  EXPECT_FALSE(self.help());
}

TEST_F(Threads, WaitingForTheDeviceKeepsHelpersAwake) {
  const WaitingForDevice waiting;
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(100));
    expect_each_once(100, 1);
  }
}

TEST_F(Threads, NestedLoopsRunAlone) {
  std::atomic<int> visits{0};
  parallel_for(8, 1, [&](int64_t begin, int64_t end) {
    const std::thread::id self = std::this_thread::get_id();
    for (int64_t i = begin; i < end; ++i) {
      parallel_for(10, 1, [&](int64_t first, int64_t last) {
        EXPECT_EQ(std::this_thread::get_id(), self);
        visits += static_cast<int>(last - first);
      });
    }
  });
  EXPECT_EQ(visits, 80);
}

TEST_F(Threads, ErrorsReachTheCallerAndThePoolLivesOn) {
  for (int round = 0; round < 50; ++round) {
    try {
      parallel_for(64, 1, [&](int64_t begin, int64_t) {
        if (begin >= 20) throw std::runtime_error("from a body");
      });
      FAIL() << "expected the body's exception";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "from a body");
    }
    expect_each_once(64, 1);
  }
}

TEST_F(Threads, CallersMayMeet) {
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([] {
      for (int i = 0; i < 500; ++i) expect_each_once(64, 1);
    });
  }
  for (std::thread& caller : callers) caller.join();
}

TEST_F(Threads, CountIsChecked) {
  EXPECT_THROW(set_thread_count(0), Error);
  EXPECT_THROW(set_thread_count(-1), Error);
  set_thread_count(1);
  const std::thread::id self = std::this_thread::get_id();
  parallel_for(100, 1, [&](int64_t, int64_t) { EXPECT_EQ(std::this_thread::get_id(), self); });
}

TEST_F(Threads, AForkedChildComputesAndExits) {
  MPS_SKIP_FORK_UNDER_TSAN();
  expect_each_once(64, 1);
  std::fflush(stdout);  // or the child would write it again
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // The child: no assertions, its exit status tells.
    std::atomic<int64_t> sum{0};
    for (int i = 0; i < 100; ++i) {
      parallel_for(64, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
    }
    std::exit(sum == 6400 ? 0 : 1);  // with destructors and exit handlers, while helpers sleep
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << status;
  EXPECT_EQ(WEXITSTATUS(status), 0);
  expect_each_once(64, 1);
}

TEST_F(Threads, AChildForkedWhileALoopRunsComputes) {
  MPS_SKIP_FORK_UNDER_TSAN();
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) parallel_for(64, 1, [](int64_t, int64_t) {});
  });
  for (int round = 0; round < 20; ++round) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      std::atomic<int64_t> sum{0};
      parallel_for(64, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
      _exit(sum == 64 ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  stop = true;
  busy.join();
}

}  // namespace
}  // namespace mps
