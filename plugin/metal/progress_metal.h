// How far a stream has come: plain bookkeeping, without Metal.
//
// Pieces of work are numbered from 1 as they are encoded; such a number is a ticket, and a point in a stream is nothing
// but a ticket. Pieces are committed to the GPU in groups, one command buffer each, and done by groups.
//
// Waits ask for signals where they may (interrupt.h) and return at once in a child of fork() (process.h). Thread-safe;
// add() and commit() are called in order, under the stream's encoding lock.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <vector>

namespace mps {

using Ticket = uint64_t;

class Progress {
 public:
  Ticket submitted() const { return submitted_.load(std::memory_order_acquire); }
  Ticket committed() const { return committed_.load(std::memory_order_acquire); }
  // The largest there is in a child of fork().
  Ticket completed() const;
  bool reached(Ticket ticket) const { return completed() >= ticket; }
  // Command buffers that are committed and not done.
  size_t in_flight() const { return in_flight_.load(std::memory_order_acquire); }

  // One more piece; its ticket.
  Ticket add();
  // The pieces behind the last commit, up to this one, are on their way.
  void commit(Ticket last);
  // The group that ends with this piece is done. A failure is one of all its pieces; the first one is kept.
  void done(Ticket last, std::exception_ptr failure);

  // Returns when the piece, which was committed, and every one before it is done.
  void wait(Ticket ticket);
  // Returns when fewer than `most` command buffers are in flight.
  void wait_for_room(size_t most);
  // Calls `then` once the piece is done: now, or on the thread that says so.
  void when_reached(Ticket ticket, std::function<void()> then);
  // Throws the first failure since the last call that threw, if it is of this piece or an earlier one.
  void rethrow(Ticket ticket);

 private:
  struct Group {
    Ticket first, last;
    bool done;
  };
  struct Later {
    Ticket ticket;
    std::function<void()> then;
  };
  template <typename Condition>
  void wait_until(const Condition& condition);

  std::atomic<Ticket> submitted_{0}, committed_{0}, completed_{0};
  std::atomic<size_t> in_flight_{0};  // groups_.size(), to look at without the lock

  std::mutex mutex_;  // guards what follows
  std::condition_variable done_;
  std::deque<Group> groups_;
  std::vector<Later> later_;
  std::exception_ptr failure_;
  Ticket failed_ = 0;
};

}  // namespace mps
