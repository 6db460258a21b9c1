#include "plugin/core/timeline.h"

#include <pthread.h>
#include <unistd.h>

#include <chrono>
#include <mutex>
#include <utility>

#include "plugin/core/check.h"

namespace mps {
namespace {

struct Recorded {
  std::mutex mutex;  // guards what follows
  std::vector<TimelineEvent> events;
  size_t most = 0;
  size_t lost = 0;
};

Recorded& recorded() {
  static auto* const it = new Recorded;  // the device's threads may outlive the statics of this library
  return *it;
}

std::atomic<uint32_t> g_submissions{0};
thread_local uint32_t t_submission = 0;

uint64_t thread_number() {
#ifdef __linux__
  return static_cast<uint64_t>(gettid());
#else
  uint64_t number = 0;
  pthread_threadid_np(nullptr, &number);
  return number;
#endif
}

}  // namespace

std::atomic<bool> Timeline::on_{false};

void Timeline::start(size_t most) {
  MPS_CHECK(most > 0, kArgument, "bad number of events to keep: expected at least 1, got 0.");
  Recorded& all = recorded();
  std::lock_guard<std::mutex> lock(all.mutex);
  all.events.clear();
  all.most = most;
  all.lost = 0;
  on_.store(true);
}

void Timeline::stop() { on_.store(false); }

void Timeline::add(TimelineEvent event) {
  event.thread = thread_number();
  Recorded& all = recorded();
  std::lock_guard<std::mutex> lock(all.mutex);
  if (all.events.size() >= all.most) {
    ++all.lost;
  } else {
    all.events.push_back(std::move(event));
  }
}

std::vector<TimelineEvent> Timeline::take(size_t* lost) {
  Recorded& all = recorded();
  std::lock_guard<std::mutex> lock(all.mutex);
  *lost = std::exchange(all.lost, 0);
  return std::exchange(all.events, {});
}

int64_t Timeline::now_ns() {
  using std::chrono::duration_cast, std::chrono::nanoseconds, std::chrono::system_clock;
  return duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count();
}

uint32_t Timeline::submission() { return t_submission; }

void Submission::begin(const char* name) {
  if (t_submission != 0) return;
  name_ = name;
  start_ns_ = Timeline::now_ns();
  do {
    t_submission = g_submissions.fetch_add(1, std::memory_order_relaxed) + 1;
  } while (t_submission == 0);
}

void Submission::end() {
  TimelineEvent event;
  event.submission = std::exchange(t_submission, 0);
  event.name = name_;
  event.start_ns = start_ns_;
  event.end_ns = Timeline::now_ns();
  Timeline::add(std::move(event));
}

void DeviceSpan::end() {
  TimelineEvent event;
  event.kind = work_.kind;
  event.submission = work_.submission;
  event.name = work_.name;
  event.bytes = work_.bytes;
  event.stream = work_.stream;
  event.start_ns = start_ns_;
  event.end_ns = Timeline::now_ns();
  Timeline::add(std::move(event));
}

}  // namespace mps
