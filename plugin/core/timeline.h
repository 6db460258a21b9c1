// What was submitted and what the device did, when, while a profiler records: off, it costs one relaxed load a launch.
//
// A Submission stands on the caller's side, from the request to the return. The device's side, a DeviceSpan or
// Timeline::add(), names the submission that it belongs to by a number, which tools draw an arrow along. Times are
// nanoseconds since 1970, of the system's clock. Thread-safe.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace mps {

struct TimelineEvent {
  enum class Kind : uint8_t {
    kSubmission,  // a caller handed work over
    kGraph,       // the device computed
    kCopy,        // bytes moved
    kFill,        // bytes were set
  };

  Kind kind = Kind::kSubmission;
  uint32_t submission = 0;  // its number, from 1; 0: none that was recorded
  std::string name;
  uint64_t bytes = 0;  // of copies and fills
  int64_t start_ns = 0;
  int64_t end_ns = 0;
  const void* stream = nullptr;  // null: on the caller's thread, outside of any
  uint64_t thread = 0;           // the system's number of the thread that ended it
};

class Timeline {
 public:
  static bool is_on() { return on_.load(std::memory_order_relaxed); }
  // Forgets what was recorded before. Beyond `most` events no more are kept.
  static void start(size_t most = kMost);
  static void stop();
  static void add(TimelineEvent event);
  // What was recorded, which is forgotten; how many found no room.
  static std::vector<TimelineEvent> take(size_t* lost);

  static int64_t now_ns();
  // Of this thread's submission; 0 outside of one.
  static uint32_t submission();

 private:
  static constexpr size_t kMost = size_t{4} << 20;
  static std::atomic<bool> on_;
};

// The life of the object is a submission of this thread's. Inner ones belong to the outermost.
class Submission {
 public:
  explicit Submission(const char* name) {
    if (Timeline::is_on()) begin(name);
  }
  ~Submission() {
    if (name_ != nullptr) end();
  }
  Submission(const Submission&) = delete;
  Submission& operator=(const Submission&) = delete;

 private:
  void begin(const char* name);
  void end();

  const char* name_ = nullptr;
  int64_t start_ns_ = 0;
};

// A piece of work as its caller describes it, for the thread that does it.
struct Work {
  TimelineEvent::Kind kind;
  const char* name;
  uint64_t bytes;
  const void* stream;
  uint32_t submission = Timeline::is_on() ? Timeline::submission() : 0;
};

// The life of the object is the time the work takes.
class DeviceSpan {
 public:
  explicit DeviceSpan(const Work& work) : work_(work), start_ns_(Timeline::is_on() ? Timeline::now_ns() : 0) {}
  ~DeviceSpan() {
    if (start_ns_ != 0) end();
  }
  DeviceSpan(const DeviceSpan&) = delete;
  DeviceSpan& operator=(const DeviceSpan&) = delete;

 private:
  void end();

  const Work work_;
  const int64_t start_ns_;
};

}  // namespace mps
