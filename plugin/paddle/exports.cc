#include "plugin/paddle/exports.h"

#include <cstring>
#include <string>

#include "plugin/core/elapsed.h"
#include "plugin/core/env.h"
#include "plugin/core/runtime.h"
#include "plugin/paddle/fallback.h"
#include "plugin/paddle/guard.h"
#include "plugin/paddle/in_use.h"
#include "plugin/paddle/op_counts.h"
#include "plugin/paddle/thread_context.h"

namespace mps::paddle {
namespace {

// Runs `body`; a failure is kept for last_error().
template <typename F>
bool guarded(const char* name, F&& body) {
  return guard_callback(name, body) == C_SUCCESS;
}

template <size_t N>
void copy_text(char (&to)[N], const std::string& from) {
  const size_t length = from.size() < N - 1 ? from.size() : N - 1;
  std::memcpy(to, from.data(), length);
  to[length] = '\0';
}

int32_t error_kind() { return static_cast<int32_t>(last_error_kind()); }
const char* plugin_version() { return MPS_VERSION; }
const char* paddle_version() { return MPS_PADDLE_VERSION; }
const char* unavailable_reason() { return Runtime::unavailable_reason().c_str(); }
int32_t device_count() { return Runtime::device_count(); }

bool device_properties(int32_t device, PaddleMpsProperties* out) {
  return guarded("get_device_properties", [&] {
    const DeviceProperties& from = Runtime::device(device).device().properties();
    copy_text(out->name, from.name);
    copy_text(out->backend, from.backend);
    copy_text(out->architecture, from.architecture);
    out->total_memory = from.total_memory;
    out->recommended_memory = from.recommended_memory;
    out->max_buffer_bytes = from.max_buffer_bytes;
    out->unified_memory = from.unified_memory;
    out->core_count = from.core_count;
    out->float16 = from.float16;
    out->bfloat16 = from.bfloat16;
  });
}

bool synchronize(int32_t device) {
  return guarded("synchronize", [&] {
    Runtime::device(device).synchronize();
    release_held_memory();
  });
}

bool memory(int32_t device, PaddleMpsMemory* out) {
  return guarded("memory", [&] {
    DeviceState& state = Runtime::device(device);
    const MemoryStats stats = state.memory().stats();
    *out = {stats.requested,
            stats.peak_requested,
            stats.allocated,
            stats.peak_allocated,
            stats.reserved,
            stats.peak_reserved,
            stats.blocks,
            stats.heaps,
            stats.limit,
            stats.largest_free_block,
            state.device().driver_allocated_bytes()};
  });
}

bool reset_peak_memory(int32_t device) {
  return guarded("reset_peak_memory", [&] { Runtime::device(device).memory().reset_peaks(); });
}

bool release_unused(int32_t device, uint64_t* released) {
  return guarded("empty_cache", [&] { *released = Runtime::device(device).memory().release_unused(); });
}

bool cache_info(int32_t device, PaddleMpsCacheInfo* out) {
  return guarded("graph_cache_info", [&] {
    const CacheInfo info = Runtime::device(device).cache().info();
    *out = {info.hits, info.misses, info.evictions, info.entries, info.bytes, info.max_entries, info.max_bytes};
  });
}

bool clear_cache(int32_t device) {
  return guarded("clear_graph_cache", [&] { Runtime::device(device).cache().clear(); });
}

void visit_ops(PaddleMpsOpVisitor visitor, void* context) { visit_op_counts(visitor, context); }

void visit_env(PaddleMpsEnvVisitor visitor, void* context) {
  int count = 0;
  const env::Row* rows = env::rows(&count);
  for (int i = 0; i < count; ++i) {
    visitor(context, rows[i].variable, rows[i].type, rows[i].default_value, rows[i].sentence);
  }
}

Stream& stream_of(PaddleMpsHandle handle) { return *reinterpret_cast<Stream*>(handle); }
Event& event_of(PaddleMpsHandle handle) { return *reinterpret_cast<Event*>(handle); }

bool synchronize_stream(PaddleMpsHandle stream) {
  return guarded("synchronize", [&] {
    stream_of(stream).synchronize();
    release_held_memory();
  });
}

bool add_callback(PaddleMpsHandle stream, void (*callback)(void*), void* context) {
  return guarded("add_callback", [&] { stream_of(stream).add_callback([callback, context] { callback(context); }); });
}

bool synchronize_event(PaddleMpsHandle event) {
  return guarded("synchronize", [&] { event_of(event).synchronize(); });
}

bool enable_timing(PaddleMpsHandle event) {
  return guarded("enable_timing", [&] { event_of(event).enable_timing(); });
}

bool elapsed(PaddleMpsHandle start, PaddleMpsHandle end, double* ms) {
  return guarded("elapsed_time", [&] { *ms = elapsed_ms(event_of(start), event_of(end)); });
}

bool enter_context(int32_t device) {
  return guarded("stream", [&] { enter_thread_context(device); });
}

bool leave_context(int32_t device) {
  return guarded("stream", [&] { leave_thread_context(device); });
}

bool owns(int32_t device, uint64_t address, int32_t* owned) {
  return guarded("owns", [&] { *owned = Runtime::device(device).memory().owns(reinterpret_cast<void*>(address)); });
}

bool upload(int32_t device, uint64_t to, const void* from, uint64_t bytes) {
  return guarded("from_numpy", [&] {
    const Memory& memory = Runtime::device(device).memory();
    current_stream(device).upload(memory.resolve(reinterpret_cast<void*>(to), bytes), from);
  });
}

bool external_memory(int32_t device, uint64_t* ranges, uint64_t* bytes) {
  return guarded("memory_stats", [&] {
    const External& external = Runtime::device(device).memory().external();
    *ranges = external.count();
    *bytes = external.bytes();
  });
}

constexpr PaddleMpsExports kExports = {
    PADDLE_MPS_EXPORTS_VERSION,
    sizeof(PaddleMpsExports),
    last_error,
    error_kind,
    plugin_version,
    paddle_version,
    unavailable_reason,
    device_count,
    device_properties,
    synchronize,
    memory,
    reset_peak_memory,
    release_unused,
    cache_info,
    clear_cache,
    visit_ops,
    reset_op_counts,
    fallback_tracking_problem,
    visit_env,
    synchronize_stream,
    add_callback,
    synchronize_event,
    enable_timing,
    elapsed,
    enter_context,
    leave_context,
    owns,
    upload,
    external_memory,
};

}  // namespace
}  // namespace mps::paddle

extern "C" __attribute__((visibility("default"))) const PaddleMpsExports* paddle_mps_exports() {
  return &mps::paddle::kExports;
}
