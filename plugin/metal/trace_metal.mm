#include "plugin/metal/trace_metal.h"

#include <os/signpost.h>

#include <mutex>

#include "plugin/core/env.h"
#include "plugin/core/log.h"
#include "plugin/metal/objc.h"

namespace mps {
namespace {

// Never released: work may be traced until the very end of the process.
os_log_t trace_log() {
  static const auto* const log = new Ref<os_log_t>(adopt(os_log_create("paddle_mps", "stream")));
  return log->get();
}

struct Capture {
  std::mutex mutex;
  int64_t opened = 0, committed = 0;  // command buffers, of all streams
  bool running = false;
};

Capture& capture() {
  static Capture* const instance = new Capture;
  return *instance;
}

void start_capture(id<MTLDevice> device) {
  MPS_POOL;
  MTLCaptureManager* const manager = [MTLCaptureManager sharedCaptureManager];
  if (![manager supportsDestination:MTLCaptureDestinationGPUTraceDocument]) {
    MPS_LOG(kWarning, "PADDLE_MPS_CAPTURE has no effect: the system captures only if METAL_CAPTURE_ENABLED=1 is set "
                      "(some releases: MTL_CAPTURE_ENABLED=1).");
    return;
  }
  const auto descriptor = adopt([[MTLCaptureDescriptor alloc] init]);
  [descriptor.get() setCaptureObject:device];
  [descriptor.get() setDestination:MTLCaptureDestinationGPUTraceDocument];
  NSString* const path = ns_string(env::capture().c_str());
  if (path != nil) [descriptor.get() setOutputURL:[NSURL fileURLWithPath:path]];
  NSError* error = nil;
  capture().running = [manager startCaptureWithDescriptor:descriptor.get() error:&error];
  if (!capture().running) {
    MPS_LOG(kWarning, "PADDLE_MPS_CAPTURE has no effect: expected a trace in ", env::capture(),
            ", got: ", text_of([error localizedDescription]));
  }
}

}  // namespace

EncodeSpan::EncodeSpan([[maybe_unused]] const char* op) : id_(os_signpost_id_generate(trace_log())) {
  os_signpost_interval_begin(trace_log(), id_, "encode", "%{public}s", op);
}

EncodeSpan::~EncodeSpan() { os_signpost_interval_end(trace_log(), id_, "encode", ""); }

uint64_t trace_commit([[maybe_unused]] size_t pieces) {
  const os_signpost_id_t id = os_signpost_id_generate(trace_log());
  os_signpost_interval_begin(trace_log(), id, "command buffer", "%zu pieces", pieces);
  return id;
}

void trace_done(uint64_t id) { os_signpost_interval_end(trace_log(), id, "command buffer", ""); }

void capture_before_open(id<MTLDevice> device) {
  if (env::capture().empty()) return;
  std::lock_guard<std::mutex> lock(capture().mutex);
  if (capture().opened++ == env::capture_first()) start_capture(device);
}

void capture_after_commit() {
  if (env::capture().empty()) return;
  std::lock_guard<std::mutex> lock(capture().mutex);
  const bool last = ++capture().committed >= env::capture_first() + env::capture_count();
  if (!capture().running || !last) return;
  [[MTLCaptureManager sharedCaptureManager] stopCapture];
  capture().running = false;
}

}  // namespace mps
