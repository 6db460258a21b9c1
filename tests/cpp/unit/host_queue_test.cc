// The queue under a host stream: order, tickets, errors, and the two ends of a process.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "plugin/host/queue_host.h"
#include "plugin/host/threads.h"
#include "tests/cpp/unit/testing.h"

namespace mps {
namespace {

using std::chrono::milliseconds;

void sleep_ms(int ms) { std::this_thread::sleep_for(milliseconds(ms)); }

TEST(HostQueue, RunsAtOnceOnlyIfNothingIsBefore) {
  const auto queue = HostQueue::make(0);
  const auto caller = std::this_thread::get_id();
  std::thread::id ran_on;
  EXPECT_TRUE(queue->run_if_idle("op", [&] { ran_on = std::this_thread::get_id(); }));
  EXPECT_EQ(ran_on, caller);
  EXPECT_EQ(queue->last(), 1u);
  EXPECT_TRUE(queue->reached(1));

  std::atomic<bool> release{false};
  queue->push("op", [&] {
    while (!release) std::this_thread::yield();
  });
  EXPECT_FALSE(queue->run_if_idle("op", [] { FAIL() << "overtook queued work"; }));
  EXPECT_FALSE(queue->reached(2));
  release = true;
  queue->wait(2);
  EXPECT_TRUE(queue->run_if_idle("op", [] {}));
}

TEST(HostQueue, QueuedWorkRunsThoughNobodyWaits) {
  const auto queue = HostQueue::make(0);
  for (int i = 0; i < 100; ++i) {
    queue->push("op", [] {});
    if (i % 10 == 0) sleep_ms(1);  // long enough for the worker to fall asleep
    while (!queue->reached(queue->last())) std::this_thread::yield();
  }
}

TEST(HostQueue, SeveralThreadsMayWaitForDifferentTasks) {
  const auto queue = HostQueue::make(0);
  std::atomic<int> ran{0};
  for (int i = 0; i < 50; ++i) {
    queue->push("op", [&] {
      sleep_ms(1);
      ++ran;
    });
  }
  std::vector<std::thread> threads;
  for (int ticket : {40, 10, 25, 50}) {
    threads.emplace_back([&, ticket] {
      queue->wait(static_cast<Ticket>(ticket));
      EXPECT_GE(ran, ticket);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ran, 50);
}

TEST(HostQueue, AWaitingThreadTakesPartInTheLoopsOfTheWorker) {
  const int before = thread_count();
  set_thread_count(2);
  const auto queue = HostQueue::make(0);
  const auto waiting = std::this_thread::get_id();
  std::atomic<int> helped{0};
  // A helper that is awake may be faster, but not every time.
  for (Ticket round = 1; round <= 1000 && helped == 0; ++round) {
    std::atomic<bool> begun{false};
    std::atomic<int> visits{0};
    queue->push("op", [&] {
      begun = true;
      std::this_thread::sleep_for(std::chrono::microseconds(100));
      parallel_for(100, 1, [&](int64_t begin, int64_t end) {
        visits += static_cast<int>(end - begin);
        if (std::this_thread::get_id() == waiting) ++helped;
        std::this_thread::sleep_for(std::chrono::microseconds(10));
      });
    });
    while (!begun) std::this_thread::yield();  // or this thread would take the task itself
    queue->wait(round);
    ASSERT_EQ(visits, 100);
  }
  EXPECT_GT(helped, 0);
  set_thread_count(before);
}

TEST(HostQueue, AnErrorInALoopThatAWaitingThreadHelpsWithIsTheTasks) {
  const int before = thread_count();
  set_thread_count(2);
  const auto queue = HostQueue::make(0);
  for (int round = 1; round <= 20; ++round) {
    queue->push("op", [] {
      for (int loop = 0;; ++loop) {
        parallel_for(16, 1, [&](int64_t begin, int64_t) {
          std::this_thread::sleep_for(std::chrono::microseconds(20));
          MPS_CHECK(loop < 5 || begin != 8, kArgument, "this is wrong");
        });
      }
    });
    queue->wait(static_cast<Ticket>(round));
    const std::string message = error_of(ErrorKind::kArgument, [&] { queue->rethrow(static_cast<Ticket>(round)); });
    EXPECT_NE(message.find("[op] this is wrong"), std::string::npos) << message;
  }
  set_thread_count(before);
}

TEST(HostQueue, QueuesMayWaitForEachOther) {
  // Each task waits for the one before it, of the other queue: a thread that helps one queue then helps both.
  const auto a = HostQueue::make(0), b = HostQueue::make(0);
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < 10; ++i) {
      a->push("wait", [b, mark = b->last()] { b->wait(mark); });
      b->push("wait", [a, mark = a->last()] { a->wait(mark); });
    }
    if (round % 2 == 0) a->wait(a->last());
    if (round % 3 == 0) b->wait(b->last());
  }
  a->wait(a->last());
  b->wait(b->last());
}

TEST(HostQueue, KeepsTheOrderOfEveryMix) {
  const auto queue = HostQueue::make(0);
  std::vector<int> seen;
  for (int i = 0; i < 20000; ++i) {
    const auto work = [&seen, i] { seen.push_back(i); };
    if (i % 3 != 0 || !queue->run_if_idle("op", work)) queue->push("op", work);
    if (i % 1000 == 0) queue->wait(queue->last());
  }
  queue->wait(queue->last());
  ASSERT_EQ(seen.size(), 20000u);
  for (int i = 0; i < 20000; ++i) ASSERT_EQ(seen[static_cast<size_t>(i)], i);
}

TEST(HostQueue, WithADelayEverythingGoesThroughTheWorker) {
  const auto queue = HostQueue::make(100);
  EXPECT_FALSE(queue->run_if_idle("op", [] {}));
  int ran = 0;
  for (int i = 0; i < 20; ++i) queue->push("op", [&] { ++ran; });
  queue->wait(queue->last());
  EXPECT_EQ(ran, 20);
}

TEST(HostQueue, KeepsTheFirstErrorUntilItIsAskedFor) {
  const auto queue = HostQueue::make(0);
  int ran = 0;
  EXPECT_TRUE(queue->run_if_idle("matmul", [] { MPS_THROW(kDevice, "first."); }));  // kept, not thrown
  queue->push("add", [] { MPS_THROW(kArgument, "second."); });
  queue->push("add", [&] { ++ran; });
  queue->wait(queue->last());
  EXPECT_EQ(ran, 1);
  queue->rethrow(0);  // before the failure
  EXPECT_EQ(error_of(ErrorKind::kDevice, [&] { queue->rethrow(queue->last()); }), "[matmul] first.");
  queue->rethrow(queue->last());
  queue->push("add", [] { MPS_THROW(kArgument, "third."); });
  queue->wait(queue->last());
  EXPECT_EQ(error_of(ErrorKind::kArgument, [&] { queue->rethrow(queue->last()); }), "[add] third.");
}

TEST(HostQueue, EveryExceptionBecomesAnErrorThatNamesItsOp) {
  const auto queue = HostQueue::make(0);
  const auto failure_of = [&](ErrorKind kind, std::function<void()> work) {
    queue->push("sum", std::move(work));
    queue->wait(queue->last());
    return error_of(kind, [&] { queue->rethrow(queue->last()); });
  };
  EXPECT_EQ(failure_of(ErrorKind::kDevice, [] { throw std::runtime_error("boom"); }), "[sum] the device failed: boom.");
  EXPECT_EQ(failure_of(ErrorKind::kMemory, [] { throw std::bad_alloc(); }).rfind("[sum] no memory", 0), 0u);
  EXPECT_EQ(failure_of(ErrorKind::kInternal, [] { throw 3; }).rfind("[sum] ", 0), 0u);
}

TEST(HostQueue, ALongQueueHoldsUpItsCaller) {
  const auto queue = HostQueue::make(0);
  std::atomic<int> ran{0};
  queue->push("op", [] { sleep_ms(20); });
  for (int i = 0; i < 20000; ++i) queue->push("op", [&] { ++ran; });
  EXPECT_GT(ran, 10000);  // the rest is what the queue may hold
  queue->wait(queue->last());
  EXPECT_EQ(ran, 20000);
}

TEST(HostQueue, ManyThreadsSubmitAndWait) {
  const auto queue = HostQueue::make(0);
  int counter = 0;  // only tasks touch it: they must exclude each other
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        const auto work = [&] { ++counter; };
        if (!queue->run_if_idle("op", work)) queue->push("op", work);
        if (i % 50 == 0) queue->wait(queue->last());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  queue->wait(queue->last());
  EXPECT_EQ(counter, 8000);
}

TEST(HostQueue, AbandoningDropsWhatIsQueued) {
  const auto queue = HostQueue::make(0);
  std::atomic<int> ran{0};
  std::atomic<bool> started{false};
  queue->push("op", [&] {
    started = true;
    sleep_ms(30);
    ++ran;
  });
  for (int i = 0; i < 5; ++i) queue->push("op", [&] { ran += 100; });
  while (!started) std::this_thread::yield();
  queue->abandon();
  EXPECT_EQ(ran, 1);  // the running task was waited for
  EXPECT_TRUE(queue->reached(queue->last()));
  queue->wait(queue->last());
  queue->push("op", [&] { ++ran; });  // now on the caller
  EXPECT_EQ(ran, 2);
}

// -- exit and fork ---------------------------------------------------------------------------------------------------

// Runs `child` in a forked process; its exit code, or -1 if it hangs or dies.
template <typename F>
int run_in_child(F&& child) {
  const pid_t pid = fork();
  if (pid == 0) child();
  for (int i = 0; i < 1000; ++i) {
    int status = 0;
    if (waitpid(pid, &status, WNOHANG) == pid) return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    sleep_ms(10);
  }
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  return -1;
}

TEST(HostQueueDeathTest, AProcessMayExitWithWorkInFlight) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        // Like the streams of a Runtime: never destroyed.
        auto* const queue = new std::shared_ptr<HostQueue>(HostQueue::make(0));
        auto* const other = new std::shared_ptr<HostQueue>(HostQueue::make(0));
        for (int i = 0; i < 1000; ++i) (*queue)->push("op", [] { sleep_ms(5); });
        (*other)->push("wait", [queue] { (*queue)->wait((*queue)->last()); });
        std::exit(7);
      },
      ::testing::ExitedWithCode(7), "");
}

TEST(HostQueueDeathTest, AChildOfForkGetsAnErrorAndDoesNotHang) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        auto queue = HostQueue::make(0);
        std::atomic<bool> started{false};
        queue->push("op", [&] {
          started = true;
          sleep_ms(100);
        });
        // In its sleep: sanitizers do not survive a fork while another thread allocates.
        while (!started) std::this_thread::yield();
        sleep_ms(20);
        const int code = run_in_child([&] {
          queue->wait(queue->last());  // nobody would ever finish it here
          queue->rethrow(queue->last());
          std::string error;
          try {
            queue->push("op", [] {});
          } catch (const Error& refused) {
            error = refused.what();
          }
          queue.reset();
          std::exit(error.find("forked process") != std::string::npos ? 3 : 4);  // its handlers must not hang either
        });
        queue->wait(queue->last());
        std::_Exit(code);
      },
      ::testing::ExitedWithCode(3), "");
}

}  // namespace
}  // namespace mps
