// Paddle calls prepare, start, stop and collect once per recording, and hands over the object that collects: a
// TraceEventCollector behind the opaque C_Profiler. Its own profiler_add_*_event functions live in Paddle's Python
// extension, which a library cannot link to; they do no more than what is done here.
//
// Each submission becomes a "runtime" event on its thread's line, each piece of work an event on its stream's line,
// and the number that they share lets Paddle add up the device's time by op.
#include "plugin/paddle/profiler.h"

#include <unistd.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "paddle/phi/api/profiler/trace_event_collector.h"
#include "plugin/core/log.h"
#include "plugin/core/runtime.h"
#include "plugin/core/timeline.h"
#include "plugin/paddle/guard.h"

namespace mps::paddle {
namespace {

using Kind = TimelineEvent::Kind;

phi::RuntimeTraceEvent submission_of(const TimelineEvent& event, uint64_t process) {
  return {event.name + " (submit)",
          static_cast<uint64_t>(event.start_ns),
          static_cast<uint64_t>(event.end_ns),
          process,
          event.thread,
          event.submission,
          0};
}

void set_text(char (&field)[phi::kMemKindMaxLen], const char* text) {
  std::strncpy(field, text, sizeof field - 1);
  field[sizeof field - 1] = '\0';
}

phi::DeviceTraceEvent work_of(const TimelineEvent& event, uint64_t stream) {
  const auto made = [&](phi::TracerEventType type, const auto& details) {
    return phi::DeviceTraceEvent(event.name, type, static_cast<uint64_t>(event.start_ns),
                                 static_cast<uint64_t>(event.end_ns), 0, 0, stream, event.submission, details);
  };
  switch (event.kind) {
    case Kind::kCopy: {
      phi::MemcpyEventInfo details{};
      details.num_bytes = event.bytes;
      set_text(details.copy_kind, event.name.c_str());
      set_text(details.src_kind, "shared");  // one memory for both sides
      set_text(details.dst_kind, "shared");
      return made(phi::TracerEventType::Memcpy, details);
    }
    case Kind::kFill: {
      phi::MemsetEventInfo details{};
      details.num_bytes = event.bytes;
      set_text(details.memory_kind, "shared");
      return made(phi::TracerEventType::Memset, details);
    }
    case Kind::kGraph:
    case Kind::kSubmission:
      break;
  }
  return made(phi::TracerEventType::Kernel, phi::KernelEventInfo{});
}

C_Status prepare(C_Profiler, void*) { return C_SUCCESS; }

C_Status initialize(C_Profiler, void** user_data) {
  *user_data = nullptr;
  return C_SUCCESS;
}

C_Status finalize(C_Profiler, void*) {
  Timeline::stop();
  return C_SUCCESS;
}

C_Status start(C_Profiler, void*) {
  return guard_callback("profiler_start_tracing", [] { Timeline::start(); });
}

// Work that was submitted before is recorded to its end.
C_Status stop(C_Profiler, void*) {
  return guard_callback("profiler_stop_tracing", [] {
    for (int i = 0; i < Runtime::device_count(); ++i) Runtime::device(i).drain();
    Timeline::stop();
  });
}

C_Status collect(C_Profiler profiler, uint64_t start_ns, void*) {
  return guard_callback("profiler_collect_trace_data", [&] {
    auto& collector = *reinterpret_cast<phi::TraceEventCollector*>(profiler);
    const auto process = static_cast<uint64_t>(::getpid());
    size_t lost = 0;
    std::vector<TimelineEvent> events = Timeline::take(&lost);
    if (lost > 0) {
      MPS_LOG(kWarning, "the profiler kept the first ", events.size(), " events of the device and lost ", lost,
              ". Record fewer steps.");
    }
    // Streams are numbered as they come up; 0 is what threads copy by themselves.
    std::map<const void*, uint64_t> streams{{nullptr, 0}};
    for (const TimelineEvent& event : events) {
      if (event.start_ns < static_cast<int64_t>(start_ns)) continue;
      if (event.kind == Kind::kSubmission) {
        collector.AddRuntimeEvent(submission_of(event, process));
      } else {
        const uint64_t stream = streams.emplace(event.stream, streams.size()).first->second;
        collector.AddDeviceEvent(work_of(event, stream));
      }
    }
  });
}

}  // namespace

void fill_profiler_interface(C_DeviceInterface* interface) {
  interface->profiler_initialize = initialize;
  interface->profiler_finalize = finalize;
  interface->profiler_prepare_tracing = prepare;
  interface->profiler_start_tracing = start;
  interface->profiler_stop_tracing = stop;
  interface->profiler_collect_trace_data = collect;
}

}  // namespace mps::paddle
