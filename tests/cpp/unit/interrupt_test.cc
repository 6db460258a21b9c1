// Waits that a signal ends early: where they may, in time, and without harm to the work that was waited for.
#include "plugin/core/interrupt.h"

#include <atomic>
#include <chrono>

#include "plugin/host/device_host.h"
#include "plugin/host/queue_host.h"
#include "tests/cpp/unit/testing.h"

namespace mps {
namespace {

using std::chrono::milliseconds;

std::atomic<int> g_asked{0};
std::atomic<bool> g_signal{false};

class Interrupt : public ::testing::Test {
 protected:
  Interrupt() {
    g_asked = 0;
    g_signal = true;
    set_interrupt_check([] {
      ++g_asked;
      return g_signal.load();
    });
  }
  ~Interrupt() override { set_interrupt_check(nullptr); }

  // A task that goes on until release(), or for so long.
  std::function<void()> held(milliseconds at_most = std::chrono::hours(1)) {
    return [this, at_most] {
      begun_ = true;
      const auto end = std::chrono::steady_clock::now() + at_most;
      while (!released_ && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(milliseconds(1));
    };
  }
  void release() { released_ = true; }

  // Waits until the worker has begun with a held task: one that waits for a queue might otherwise take the task itself,
  // and nothing interrupts the middle of a task.
  void wait_for_start() {
    while (!begun_) std::this_thread::sleep_for(milliseconds(1));
  }

 private:
  std::atomic<bool> begun_{false};
  std::atomic<bool> released_{false};
};

TEST_F(Interrupt, EndsAWaitThatAllowsIt) {
  const auto queue = HostQueue::make(0);
  queue->push("op", held());
  wait_for_start();
  {
    const Interruptible interruptible;
    const std::string error = error_of(ErrorKind::kInterrupted, [&] { queue->wait(queue->last()); });
    EXPECT_NE(error.find("the wait was interrupted"), std::string::npos) << error;
  }
  EXPECT_FALSE(queue->reached(queue->last()));
  release();
  queue->wait(queue->last());
  queue->rethrow(queue->last());  // the work did not fail
}

TEST_F(Interrupt, LeavesOtherWaitsAlone) {
  const auto queue = HostQueue::make(0);
  const auto wait_for_a_while = [&] {
    queue->push("op", [] { std::this_thread::sleep_for(3 * kInterruptPeriod); });
    queue->wait(queue->last());
  };
  wait_for_a_while();
  {
    const Interruptible interruptible;
    const Uninterruptible uninterruptible;
    wait_for_a_while();
  }
  EXPECT_EQ(g_asked, 0);
}

TEST_F(Interrupt, AWaitGoesOnWhenNobodyWantsItToEnd) {
  g_signal = false;
  const auto queue = HostQueue::make(0);
  queue->push("op", held(4 * kInterruptPeriod));
  wait_for_start();
  const Interruptible interruptible;
  queue->wait(queue->last());
  EXPECT_TRUE(queue->reached(queue->last()));
  EXPECT_GE(g_asked, 1);
}

TEST_F(Interrupt, AWaitThatRunsTasksItselfAsksBetweenThem) {
  const auto queue = HostQueue::make(0);
  for (int i = 0; i < 20; ++i) queue->push("op", [] { std::this_thread::sleep_for(milliseconds(20)); });
  const Interruptible interruptible;
  EXPECT_NE(error_of(ErrorKind::kInterrupted, [&] { queue->wait(queue->last()); }), "");
  EXPECT_FALSE(queue->reached(queue->last()));
}

TEST_F(Interrupt, AWaitBehindAnotherQueueEndsToo) {
  const auto first = HostQueue::make(0), second = HostQueue::make(0);
  first->push("op", held());
  wait_for_start();
  second->push("wait", [first, mark = first->last()] { first->wait(mark); }, /*waits=*/true);
  {
    const Interruptible interruptible;
    EXPECT_NE(error_of(ErrorKind::kInterrupted, [&] { second->wait(second->last()); }), "");
  }
  EXPECT_FALSE(second->reached(second->last()));
  release();
  second->wait(second->last());
  second->rethrow(second->last());
}

TEST_F(Interrupt, TheHandlerOfASignalMayUseTheQueue) {
  static HostQueue* queue;
  static std::function<void()> let_go;
  const auto owner = HostQueue::make(0);
  queue = owner.get();
  let_go = [this] { release(); };
  queue->push("op", held());
  wait_for_start();
  set_interrupt_check([] {
    queue->push("op", [] {});
    let_go();
    queue->wait(queue->last());
    return false;
  });
  const Interruptible interruptible;
  queue->wait(1);
  queue->wait(queue->last());
  EXPECT_GE(queue->last(), 2u);
}

TEST_F(Interrupt, ASignalTakesNoErrorFromItsStream) {
  HostOptions options;
  options.delay_us = 20'000;
  DeviceState state(0, std::make_unique<FaultDevice>(std::make_unique<HostDevice>(options), "fill:1"));
  Stream* const failed = state.create_stream();
  Stream* const busy = state.create_stream();
  const Range range = state.memory().resolve(state.memory().allocate(16).address, 16);
  failed->fill(range, 0);
  for (int i = 0; i < 50; ++i) busy->fill(range, 1);
  const Interruptible interruptible;
  EXPECT_NE(error_of(ErrorKind::kInterrupted, [&] { state.synchronize(); }), "");
  g_signal = false;
  EXPECT_EQ(error_of(ErrorKind::kDevice, [&] { state.synchronize(); }).rfind("[fill] ", 0), 0u);
  EXPECT_TRUE(busy->query());
}

}  // namespace
}  // namespace mps
