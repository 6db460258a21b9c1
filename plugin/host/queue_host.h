// The in-order queue under a host stream. Tasks run one at a time, in the order of submission: on the submitting thread
// when nothing is before them and the caller allows it, else on a worker thread of the queue's own, which starts with
// the first such task. A thread that waits runs what it waits for itself as long as the worker is asleep: waking
// another thread takes longer than most tasks. While the worker is awake, it takes part in the worker's loops.
//
// Tasks are numbered from 1; such a number is a ticket, and a point in a stream is nothing but a ticket. Any thread may
// call anything, but a task must not wait for its own queue.
//
// Waits ask for signals where they may; see interrupt.h.
//
// Two ends of a process need care. After fork() the child has no worker: submitting throws, waiting returns at once.
// When the process exits, the running task is waited for, those behind it are dropped (the libraries they use are about
// to be torn down), and whatever is submitted later runs on its caller.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "plugin/core/check.h"

namespace mps {

using Ticket = uint64_t;

class HostQueue {
 public:
  // With delay_us > 0 every task goes through the worker, after a random delay of at most that long.
  static std::shared_ptr<HostQueue> make(int64_t delay_us);
  ~HostQueue();  // waits for the tasks
  HostQueue(const HostQueue&) = delete;
  HostQueue& operator=(const HostQueue&) = delete;

  // Runs `work` on this thread if nothing is queued or running; returns whether it did. A failure is kept, not thrown.
  template <typename Work>
  bool run_if_idle(const char* op, Work&& work) {
    if (!begin_inline()) return false;
    end_task(guarded(op, std::forward<Work>(work)));
    return true;
  }

  // `op` names the task in its errors; `waits`: it does nothing but wait for another queue. Blocks while the queue is
  // very long.
  void push(const char* op, std::function<void()> work, bool waits = false);

  Ticket last() const { return submitted_.load(std::memory_order_acquire); }
  // The last ticket reached. The largest there is when nothing will run any more.
  Ticket completed() const;
  bool reached(Ticket ticket) const { return completed() >= ticket; }
  // Returns when the task of this ticket, and so every one before it, is done.
  void wait(Ticket ticket);
  // Throws the first failure since the last call that threw, if it is of this ticket or an earlier one.
  void rethrow(Ticket ticket);

  // What exit() does to every queue; see above.
  void abandon();

 private:
  struct Task {
    const char* op;
    std::function<void()> work;
    bool waits;
  };
  using Lock = std::unique_lock<std::mutex>;
  using Clock = std::chrono::steady_clock;

  explicit HostQueue(int64_t delay_us);
  bool begin_inline();
  void end_task(std::exception_ptr failure);
  void start_worker();
  void work_loop();
  Task take_task();
  bool may_help() const;
  bool help_until(Ticket ticket, Clock::time_point deadline) const;
  void run(Task task);
  void delay();

  template <typename Work>
  static std::exception_ptr guarded(const char* op, Work&& work) {
    OpScope scope(op);
    try {
      work();
    } catch (...) {
      return named_failure();
    }
    return nullptr;
  }
  static std::exception_ptr named_failure();

  const int64_t delay_us_;
  uint64_t random_;  // the worker's
  std::atomic<Ticket> submitted_{0};
  std::atomic<Ticket> completed_{0};
  std::atomic<size_t> queued_{0};  // tasks_.size(), to look at without the lock
  std::atomic<bool> abandoned_{false};

  std::mutex mutex_;  // guards what follows; not held while a task runs
  std::condition_variable wake_;
  std::condition_variable done_;
  std::deque<Task> tasks_;
  bool running_ = false;
  bool stopping_ = false;
  bool worker_sleeps_ = true;    // or was not started yet
  Ticket wake_at_ = UINT64_MAX;  // the nearest ticket that somebody sleeps for
  std::exception_ptr failure_;
  Ticket failed_ = 0;
  std::thread worker_;
};

}  // namespace mps
