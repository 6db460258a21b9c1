#include "plugin/host/queue_host.h"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <set>
#include <system_error>

#include "plugin/core/interrupt.h"
#include "plugin/core/process.h"
#include "plugin/host/threads.h"

namespace mps {
namespace {

using Clock = std::chrono::steady_clock;

// A worker looks for the next task this long before it sleeps: waking it takes some 70 us, of which the submitting
// thread spends 30. A program submits some thirty ops in that time; what is small among them it does by itself, and
// what is larger follows. Meanwhile the worker helps where it can.
constexpr auto kWorkerSpin = std::chrono::microseconds(300);
// A waiting thread takes part in the loops of the work that it waits for: it is awake, and its core is free. Between
// two loops it spins so long before it sleeps. Where one thread does all loops it is shorter: that may be the only
// core.
constexpr auto kWaiterSpin = std::chrono::microseconds(300), kWaiterSpinAlone = std::chrono::microseconds(5);
// A program that submits faster than the device works should not fill the memory with tasks.
constexpr size_t kMaxQueued = 4096;
// A task that runs longer than this at exit is left alone: an exit must not hang.
constexpr auto kExitPatience = std::chrono::seconds(5);

// Every queue, for the exit of the process. Never destroyed, since queues may outlive static destructors.
struct Registry {
  std::mutex mutex;
  std::set<HostQueue*> queues;
};

Registry& registry() {
  static Registry* const instance = new Registry;
  return *instance;
}

void abandon_all() {
  if (is_forked()) return;
  Registry& all = registry();
  std::lock_guard<std::mutex> lock(all.mutex);
  for (HostQueue* queue : all.queues) queue->abandon();
}

void watch_process_once() {
  static const bool watching = [] {
    // Registered after the handlers of the libraries that tasks use were loaded, hence run before theirs.
    std::atexit(abandon_all);
    return true;
  }();
  (void)watching;
}

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Whoever else may be on this core, of the program too, goes first.
template <typename Condition>
bool spin(Clock::duration time, const Condition& condition) {
  const auto end = Clock::now() + time;
  do {
    for (int i = 0; i < 16; ++i) {
      if (condition()) return true;
      pause();
    }
    std::this_thread::yield();
  } while (Clock::now() < end);
  return false;
}

}  // namespace

std::shared_ptr<HostQueue> HostQueue::make(int64_t delay_us) {
  check_not_forked();
  watch_process_once();
  // A forked child must not touch the thread and the condition variables that it inherited, not even to destroy them.
  std::shared_ptr<HostQueue> queue(new HostQueue(delay_us), [](HostQueue* last) {
    if (!is_forked()) delete last;
  });
  std::lock_guard<std::mutex> lock(registry().mutex);
  registry().queues.insert(queue.get());
  return queue;
}

HostQueue::HostQueue(int64_t delay_us) : delay_us_(delay_us), random_(reinterpret_cast<uintptr_t>(this) | 1u) {}

HostQueue::~HostQueue() {
  {
    std::lock_guard<std::mutex> lock(registry().mutex);
    registry().queues.erase(this);
  }
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (worker_.joinable()) worker_.join();
}

bool HostQueue::begin_inline() {
  check_not_forked();
  std::lock_guard<std::mutex> lock(mutex_);
  if (delay_us_ > 0 || running_ || !tasks_.empty()) return false;
  running_ = true;
  submitted_.store(submitted_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  return true;
}

void HostQueue::end_task(std::exception_ptr failure) {
  bool wake_worker, wake_waiters;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const Ticket ticket = completed_.load(std::memory_order_relaxed) + 1;
    if (failure != nullptr && failure_ == nullptr) {
      failure_ = std::move(failure);
      failed_ = ticket;
    }
    running_ = false;
    completed_.store(ticket, std::memory_order_release);
    wake_worker = worker_sleeps_ && !tasks_.empty();  // submitted while this one ran
    wake_waiters = ticket >= wake_at_;
    if (wake_waiters) wake_at_ = UINT64_MAX;  // those who wait for a later one set it again
  }
  if (wake_worker) wake_.notify_one();
  if (wake_waiters) done_.notify_all();
}

void HostQueue::push(const char* op, std::function<void()> work, bool waits) {
  check_not_forked();
  if (queued_.load(std::memory_order_relaxed) >= kMaxQueued) wait(last() - kMaxQueued / 2);
  Lock lock(mutex_);
  if (!worker_.joinable() && !abandoned_.load()) start_worker();
  submitted_.store(submitted_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  if (abandoned_.load()) {
    lock.unlock();
    return end_task(guarded(op, work));
  }
  the_device_is_given_work();
  tasks_.push_back({op, std::move(work), waits});
  queued_.store(tasks_.size(), std::memory_order_release);
  const bool wake_worker = worker_sleeps_;
  lock.unlock();
  if (wake_worker) wake_.notify_one();
}

Ticket HostQueue::completed() const {
  const bool over = abandoned_.load(std::memory_order_acquire) || is_forked();
  return over ? UINT64_MAX : completed_.load(std::memory_order_acquire);
}

void HostQueue::wait(Ticket ticket) {
  if (reached(ticket)) return;
  auto next_check = Clock::now() + kInterruptPeriod;
  Lock lock(mutex_);
  bool has_spun = false;
  std::optional<WaitingForDevice> waiting;
  while (!reached(ticket)) {
    if (is_interruptible() && Clock::now() >= next_check) {
      lock.unlock();
      check_interrupt();
      next_check = Clock::now() + kInterruptPeriod;
      lock.lock();
      continue;
    }
    if (may_help()) {
      waiting.reset();
      Task task = take_task();
      lock.unlock();
      run(std::move(task));
      lock.lock();
    } else if (!has_spun) {
      waiting.emplace();
      lock.unlock();
      // Who was interrupted by a look for signals goes on helping.
      has_spun = !help_until(ticket, next_check);
      lock.lock();
    } else {
      if (!waiting) waiting.emplace();
      wake_at_ = std::min(wake_at_, ticket);
      if (is_interruptible()) {
        done_.wait_until(lock, next_check);
      } else {
        done_.wait(lock);
      }
    }
  }
}

// Takes part in loops until the ticket is reached, or the deadline: then it is true. False if there was nothing to do.
bool HostQueue::help_until(Ticket ticket, Clock::time_point deadline) const {
  const auto patience = thread_count() > 1 ? kWaiterSpin : kWaiterSpinAlone;
  SpareThread spare;
  bool helped;
  do {
    helped = false;
    const auto condition = [&] {
      helped = spare.help();
      return helped || reached(ticket);
    };
    spin(patience, condition);
    if (reached(ticket)) return true;
  } while (helped && Clock::now() < deadline);
  return helped;
}

bool HostQueue::may_help() const {
  if (!worker_sleeps_ || running_ || tasks_.empty() || delay_us_ > 0) return false;
  // In the middle of a task nothing can be interrupted, and this one may take as long as another queue is.
  return !(tasks_.front().waits && is_interruptible());
}

void HostQueue::rethrow(Ticket ticket) {
  if (is_forked()) return;
  std::exception_ptr failure;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (failure_ == nullptr || failed_ > ticket) return;
    failure = std::exchange(failure_, nullptr);
  }
  std::rethrow_exception(failure);
}

void HostQueue::abandon() {
  std::deque<Task> dropped;
  Lock lock(mutex_);
  dropped.swap(tasks_);
  queued_.store(0);
  // From here on nobody waits: marks behind the running task will never be reached in any other way.
  abandoned_.store(true);
  done_.notify_all();
  const bool on_worker = worker_.joinable() && worker_.get_id() == std::this_thread::get_id();
  if (on_worker) return;
  wake_at_ = 0;  // whatever ends next
  done_.wait_for(lock, kExitPatience, [&] { return !running_; });
}

void HostQueue::start_worker() {
  // Signals are for the program's own threads: Python expects them on its main thread.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    worker_ = std::thread([this] { work_loop(); });
  } catch (const std::system_error& error) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    MPS_THROW(kDevice, "the system refused to start a thread for a stream: ", error.what(), ". Raise its limit.");
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

HostQueue::Task HostQueue::take_task() {
  Task task = std::move(tasks_.front());
  tasks_.pop_front();
  queued_.store(tasks_.size(), std::memory_order_release);
  running_ = true;
  return task;
}

void HostQueue::run(Task task) {
  const Uninterruptible uninterruptible;
  std::exception_ptr failure = guarded(task.op, task.work);
  task.work = nullptr;  // what it held is freed before anyone hears that it is done
  end_task(std::move(failure));
}

void HostQueue::work_loop() {
  this_is_a_background_thread();
  Lock lock(mutex_);
  for (;;) {
    if (!tasks_.empty() && !running_) {
      worker_sleeps_ = false;
      Task task = take_task();
      lock.unlock();
      delay();
      run(std::move(task));
      // The next task usually follows at once.
      SpareThread spare;
      const auto follows = [&] {
        spare.help();
        return queued_.load(std::memory_order_acquire) != 0;
      };
      spin(kWorkerSpin, follows);
      lock.lock();
    } else if (tasks_.empty() && stopping_) {
      return;
    } else {
      worker_sleeps_ = true;
      wake_.wait(lock);
    }
  }
}

void HostQueue::delay() {
  if (delay_us_ <= 0) return;
  random_ ^= random_ << 13;  // xorshift64
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  std::this_thread::sleep_for(std::chrono::microseconds(random_ % static_cast<uint64_t>(delay_us_ + 1)));
}

std::exception_ptr HostQueue::named_failure() {
  // Everything that leaves a stream is an Error that names its op.
  try {
    try {
      throw;
    } catch (const Error&) {
      return std::current_exception();
    } catch (const std::bad_alloc&) {
      MPS_THROW(kMemory, "no memory for temporaries: expected room on the host, got none. Free some tensors.");
    } catch (const std::exception& error) {
      MPS_THROW(kDevice, "the device failed: ", error.what(), ".");
    } catch (...) {
      MPS_THROW(kInternal, "queued work threw something that is no std::exception.");
    }
  } catch (const Error&) {
    return std::current_exception();
  }
}

}  // namespace mps
