// What events know of time: when a mark was reached, and what lies between two.
#include <chrono>
#include <thread>

#include "plugin/core/check.h"
#include "plugin/core/elapsed.h"
#include "tests/cpp/conformance/exam.h"

namespace mps::exam {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::seconds(30);

double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

class Time : public Exam {
 protected:
  explicit Time(int64_t delay_us = 0) : Exam(delay_us) {}

  std::unique_ptr<Event> timed_event() {
    std::unique_ptr<Event> event = device().device().new_event();
    event->enable_timing();
    return event;
  }

  void ask_elapsed();
  void ask_moving_marks();
};

class DelayedTime : public Time {
 protected:
  DelayedTime() : Time(2000) {}
};

void Time::ask_elapsed() {
  const auto start = timed_event(), middle = timed_event(), end = timed_event();
  Block block(device(), 8 << 20);
  stream().synchronize();
  const Clock::time_point begin = Clock::now();
  stream().record(*start);
  stream().fill(block.range(), 1);
  stream().record(*middle);
  stream().fill(block.range(), 2);
  stream().record(*end);
  end->synchronize();
  const double most = ms_since(begin);
  const double first = elapsed_ms(*start, *middle), second = elapsed_ms(*middle, *end), both = elapsed_ms(*start, *end);
  EXPECT_GE(first, 0);
  EXPECT_GE(second, 0);
  EXPECT_NEAR(first + second, both, 1e-3);
  EXPECT_LE(both, most);
  EXPECT_NEAR(elapsed_ms(*end, *start), -both, 1e-6);
  EXPECT_EQ(elapsed_ms(*end, *end), 0);
}

void Time::ask_moving_marks() {
  const auto first = timed_event(), event = timed_event();
  stream().record(*first);
  stream().record(*event);
  event->synchronize();
  const double before = elapsed_ms(*first, *event);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  stream().record(*event);
  event->synchronize();
  EXPECT_GE(elapsed_ms(*first, *event), before + 4);
}

TEST_F(Time, IsMeasuredBetweenMarks) { ask_elapsed(); }
TEST_F(DelayedTime, IsMeasuredBetweenMarks) { ask_elapsed(); }
TEST_F(Time, MovesWithTheMark) { ask_moving_marks(); }
TEST_F(DelayedTime, MovesWithTheMark) { ask_moving_marks(); }

TEST_F(DelayedTime, IsKnownOnceTheMarkIsReached) {
  for (int i = 0; i < 20; ++i) {
    const auto event = timed_event();
    stream().record(*event);
    const auto end = Clock::now() + kPatience;
    while (!event->query() && Clock::now() < end) std::this_thread::yield();
    EXPECT_TRUE(event->reached_at().has_value());
  }
}

TEST_F(DelayedTime, IsUnknownBeforeTheMarkIsReached) {
  const auto event = timed_event();
  for (int i = 0; i < 50; ++i) {
    stream().record(*event);
    const bool was_known = event->reached_at().has_value();
    EXPECT_TRUE(event->query() || !was_known);
    event->synchronize();
  }
}

TEST_F(Time, IsNotKeptWithoutBeingAskedFor) {
  const std::unique_ptr<Event> event = device().device().new_event();
  EXPECT_FALSE(event->reached_at().has_value());
  stream().record(*event);
  event->synchronize();
  EXPECT_FALSE(event->reached_at().has_value());
  event->enable_timing();
  EXPECT_FALSE(event->reached_at().has_value());  // not of the mark that is there
  stream().record(*event);
  event->synchronize();
  EXPECT_TRUE(event->reached_at().has_value());
}

TEST_F(Time, OfAnEventThatWasNeverRecordedIsUnknown) {
  const auto event = timed_event(), other = timed_event();
  EXPECT_FALSE(event->reached_at().has_value());
  stream().record(*other);
  other->synchronize();
  EXPECT_THROW(elapsed_ms(*event, *other), Error);
  EXPECT_THROW(elapsed_ms(*other, *event), Error);
}

TEST_F(Time, IncludesWaitingForAnotherStream) {
  Stream* const other = device().create_stream();
  const auto start = timed_event(), theirs = timed_event(), end = timed_event();
  Block block(device(), 4 << 20);
  stream().record(*start);
  other->fill(block.range(), 1);
  other->record(*theirs);
  stream().wait(*theirs);
  stream().record(*end);
  end->synchronize();
  EXPECT_TRUE(theirs->query());
  EXPECT_GE(elapsed_ms(*theirs, *end), 0);
  device().destroy_stream(other);
}

}  // namespace
}  // namespace mps::exam
