#include "plugin/metal/progress_metal.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "plugin/core/interrupt.h"
#include "plugin/core/process.h"

namespace mps {

Ticket Progress::completed() const { return is_forked() ? UINT64_MAX : completed_.load(std::memory_order_acquire); }

Ticket Progress::add() { return submitted_.fetch_add(1, std::memory_order_acq_rel) + 1; }

void Progress::commit(Ticket last) {
  std::lock_guard<std::mutex> lock(mutex_);
  groups_.push_back({committed_.load(std::memory_order_relaxed) + 1, last, false});
  in_flight_.store(groups_.size(), std::memory_order_release);
  committed_.store(last, std::memory_order_release);
}

void Progress::done(Ticket last, std::exception_ptr failure) {
  std::vector<Later> due;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (Group& group : groups_) {
      if (group.last != last) continue;
      group.done = true;
      if (failure != nullptr && failure_ == nullptr) {
        failure_ = std::move(failure);
        failed_ = group.first;
      }
      break;
    }
    // Command buffers of a queue end in order; should one be heard of too early, it counts once those before it do.
    while (!groups_.empty() && groups_.front().done) {
      completed_.store(groups_.front().last, std::memory_order_release);
      groups_.pop_front();
    }
    in_flight_.store(groups_.size(), std::memory_order_release);
    const auto first_due =
        std::stable_partition(later_.begin(), later_.end(), [&](const Later& later) { return !reached(later.ticket); });
    due.assign(std::make_move_iterator(first_due), std::make_move_iterator(later_.end()));
    later_.erase(first_due, later_.end());
  }
  done_.notify_all();
  for (const Later& later : due) later.then();
}

void Progress::when_reached(Ticket ticket, std::function<void()> then) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!reached(ticket)) return later_.push_back({ticket, std::move(then)});
  }
  then();
}

template <typename Condition>
void Progress::wait_until(const Condition& condition) {
  if (condition()) return;
  using Clock = std::chrono::steady_clock;
  auto next_check = Clock::now() + kInterruptPeriod;
  std::unique_lock<std::mutex> lock(mutex_);
  while (!condition()) {
    if (!is_interruptible()) {
      done_.wait(lock);
    } else if (Clock::now() < next_check) {
      done_.wait_until(lock, next_check);
    } else {
      lock.unlock();
      check_interrupt();
      next_check = Clock::now() + kInterruptPeriod;
      lock.lock();
    }
  }
}

void Progress::wait(Ticket ticket) {
  wait_until([&] { return reached(ticket); });
}

void Progress::wait_for_room(size_t most) {
  wait_until([&] { return in_flight() < most || is_forked(); });
}

void Progress::rethrow(Ticket ticket) {
  if (is_forked()) return;
  std::exception_ptr failure;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (failure_ == nullptr || failed_ > ticket) return;
    failure = std::exchange(failure_, nullptr);
  }
  std::rethrow_exception(failure);
}

}  // namespace mps
