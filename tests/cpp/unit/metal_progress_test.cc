// How far a stream of Metal has come: tickets, groups, failures, and waits that may end early.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "plugin/core/interrupt.h"
#include "plugin/metal/progress_metal.h"
#include "tests/cpp/unit/testing.h"

namespace mps {
namespace {

using std::chrono::milliseconds;

std::exception_ptr failure(const char* words) { return std::make_exception_ptr(Error(ErrorKind::kDevice, words)); }

// A group of so many pieces, committed.
Ticket group(Progress* progress, int pieces) {
  Ticket last = 0;
  for (int i = 0; i < pieces; ++i) last = progress->add();
  progress->commit(last);
  return last;
}

TEST(MetalProgress, CountsPiecesAndGroups) {
  Progress progress;
  EXPECT_TRUE(progress.reached(0));
  EXPECT_EQ(progress.add(), 1u);
  EXPECT_EQ(progress.add(), 2u);
  EXPECT_EQ(progress.submitted(), 2u);
  EXPECT_EQ(progress.committed(), 0u);
  EXPECT_EQ(progress.in_flight(), 0u);
  progress.commit(2);
  EXPECT_EQ(progress.committed(), 2u);
  EXPECT_EQ(progress.in_flight(), 1u);
  EXPECT_FALSE(progress.reached(1));
  progress.done(2, nullptr);
  EXPECT_TRUE(progress.reached(2));
  EXPECT_FALSE(progress.reached(3));
  EXPECT_EQ(progress.in_flight(), 0u);
  progress.wait(2);
  progress.rethrow(2);
}

TEST(MetalProgress, AGroupCountsOnceThoseBeforeItDo) {
  Progress progress;
  const Ticket first = group(&progress, 2), second = group(&progress, 3), third = group(&progress, 1);
  progress.done(second, nullptr);
  EXPECT_EQ(progress.completed(), 0u);
  EXPECT_EQ(progress.in_flight(), 3u);
  progress.done(first, nullptr);
  EXPECT_EQ(progress.completed(), second);
  EXPECT_EQ(progress.in_flight(), 1u);
  progress.done(third, nullptr);
  EXPECT_EQ(progress.completed(), third);
}

TEST(MetalProgress, KeepsTheFirstFailureUntilItIsThrown) {
  Progress progress;
  const Ticket first = group(&progress, 2), second = group(&progress, 3), third = group(&progress, 1);
  progress.done(first, nullptr);
  progress.done(second, failure("one"));
  progress.done(third, failure("two"));
  progress.wait(third);     // waiting throws nothing
  progress.rethrow(first);  // before it
  // All pieces of a failed command buffer have failed.
  const std::string error = error_of(ErrorKind::kDevice, [&] { progress.rethrow(first + 1); });
  EXPECT_EQ(error, "one");
  progress.rethrow(third);
}

TEST(MetalProgress, CallsBackInTheOrderOfItsPieces) {
  Progress progress;
  const Ticket first = group(&progress, 1), second = group(&progress, 1);
  std::vector<int> called;
  progress.when_reached(second, [&] { called.push_back(2); });
  progress.when_reached(first, [&] {
    called.push_back(1);
    EXPECT_TRUE(progress.reached(first));
    progress.when_reached(first, [&] { called.push_back(11); });  // reached already
  });
  progress.when_reached(second, [&] { called.push_back(22); });
  EXPECT_TRUE(called.empty());
  progress.done(first, nullptr);
  EXPECT_EQ(called, (std::vector<int>{1, 11}));
  progress.done(second, nullptr);
  EXPECT_EQ(called, (std::vector<int>{1, 11, 2, 22}));
}

TEST(MetalProgress, WaitsForAnotherThread) {
  Progress progress;
  const Ticket first = group(&progress, 1), second = group(&progress, 1);
  std::atomic<bool> done{false};
  std::thread gpu([&] {
    std::this_thread::sleep_for(milliseconds(20));
    progress.done(first, nullptr);
    std::this_thread::sleep_for(milliseconds(20));
    done = true;
    progress.done(second, nullptr);
  });
  progress.wait_for_room(2);
  EXPECT_LT(progress.in_flight(), 2u);
  progress.wait(second);
  EXPECT_TRUE(done);
  gpu.join();
}

TEST(MetalProgress, AWaitThatAllowsItEndsEarly) {
  Progress progress;
  const Ticket ticket = group(&progress, 1);
  set_interrupt_check([] { return true; });
  {
    const Interruptible interruptible;
    error_of(ErrorKind::kInterrupted, [&] { progress.wait(ticket); });
    error_of(ErrorKind::kInterrupted, [&] { progress.wait_for_room(1); });
  }
  set_interrupt_check(nullptr);
  EXPECT_FALSE(progress.reached(ticket));
  progress.done(ticket, nullptr);
  progress.wait(ticket);
}

TEST(MetalProgress, AForkedChildWaitsForNothing) {
  Progress progress;
  const Ticket ticket = group(&progress, 1);
  const pid_t child = fork();
  if (child == 0) {
    progress.wait(ticket);
    progress.wait_for_room(1);
    progress.rethrow(ticket);
    _exit(progress.reached(ticket) ? 7 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_FALSE(progress.reached(ticket));
}

}  // namespace
}  // namespace mps
