#include "plugin/paddle/exports.h"

#include <cstring>
#include <string>

#include "plugin/core/check.h"
#include "plugin/core/elapsed.h"
#include "plugin/core/env.h"
#include "plugin/core/fault.h"
#include "plugin/core/runtime.h"
#include "plugin/paddle/allocator.h"
#include "plugin/paddle/fallback.h"
#include "plugin/paddle/guard.h"
#include "plugin/paddle/monitor_page.h"
#include "plugin/paddle/op_counts.h"
#include "plugin/paddle/thread_context.h"

namespace mps::paddle {
namespace {

// Runs `body`, which uses the device; a failure is kept for last_error().
template <typename F>
bool guarded(const char* name, F&& body) {
  OpScope scope(name);
  try {
    check_not_forked();
    body();
    return true;
  } catch (...) {
    keep_last_error();
    return false;
  }
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
  const Interruptible interruptible;
  return guarded("synchronize", [&] { Runtime::device(device).synchronize(); });
}

bool memory(int32_t device, PaddleMpsMemory* out) {
  return guarded("memory", [&] {
    const MemoryStats stats = Runtime::device(device).memory().stats();
#define MPS_MEMORY_FIGURE(field, public_name) out->public_name = stats.field;
#include "plugin/core/figures.def"
  });
}

bool reset_peak_memory(int32_t device) {
  return guarded("reset_peak_memory", [&] { Runtime::device(device).memory().reset_peaks(); });
}

bool release_unused(int32_t device, uint64_t* released) {
  return guarded("empty_cache", [&] { *released = Runtime::device(device).memory().release_unused(); });
}

bool set_memory_limit(int32_t device, uint64_t bytes) {
  return guarded("set_memory_limit", [&] { Runtime::device(device).memory().set_limit(bytes); });
}

bool visit_memory(int32_t device, PaddleMpsArenaVisitor visit_arena, PaddleMpsBlockVisitor visit_block, void* context) {
  return guarded("memory_snapshot", [&] {
    Runtime::device(device).memory().for_each_block(
        [&](const Arena& arena) {
          const PaddleMpsArena row = {arena.base(), arena.bytes(), arena.unit_bytes(), arena.slot(), arena.is_small()};
          visit_arena(context, &row);
        },
        [&](const Arena& arena, uint32_t unit, uint32_t units, const Block* block) {
          const uint64_t bytes = uint64_t{units} * arena.unit_bytes();
          PaddleMpsBlock row = {arena.address_of(unit), bytes, 0, 0};
          if (block != nullptr && block->in_use()) {
            row.state = 1;
            row.requested_bytes = bytes - block->slack;
          } else if (block != nullptr) {
            row.state = block->slack == Block::kWaiting ? 3 : 2;
          }
          visit_block(context, &row);
        });
  });
}

bool start_memory_history(int32_t device, uint64_t events, PaddleMpsStackHook hook) {
  return guarded("record_memory_history", [&] { Runtime::device(device).memory().start_history(events, hook); });
}

bool stop_memory_history(int32_t device) {
  return guarded("record_memory_history", [&] { Runtime::device(device).memory().stop_history(); });
}

bool visit_memory_history(int32_t device, PaddleMpsMemoryEventVisitor visitor, void* context) {
  return guarded("memory_history", [&] {
    Runtime::device(device).memory().for_each_event([&](const MemoryEvent& event) {
      const PaddleMpsMemoryEvent row = {event.number, event.time_ns,     static_cast<int32_t>(event.kind),
                                        event.slot,   event.op,          event.address,
                                        event.bytes,  event.block_bytes, event.stack};
      visitor(context, &row);
    });
  });
}

bool cache_info(int32_t device, PaddleMpsCacheInfo* out) {
  return guarded("graph_cache_info", [&] {
    const CacheInfo info = Runtime::device(device).cache().info();
#define MPS_CACHE_FIGURE(name) out->name = info.name;
#include "plugin/core/figures.def"
  });
}

bool clear_cache(int32_t device) {
  return guarded("clear_graph_cache", [&] { Runtime::device(device).cache().clear(); });
}

bool graph_folder(int32_t device, PaddleMpsTextVisitor visitor, void* context) {
  return guarded("graph_folder",
                 [&] { visitor(context, Runtime::device(device).device().kept_graphs_folder().c_str()); });
}

bool clear_graph_folder(int32_t device) {
  return guarded("clear_graph_cache", [&] {
    Device& from = Runtime::device(device).device();
    MPS_CHECK(from.clear_kept_graphs(), kDevice,
              "the folder of compiled graphs cannot be emptied: expected the right "
              "to remove everything below ",
              from.kept_graphs_folder(), ". Remove that folder yourself.");
  });
}

void visit_ops(PaddleMpsOpVisitor visitor, void* context) { visit_op_counts(visitor, context); }

void visit_env(PaddleMpsEnvVisitor visitor, void* context) {
  int count = 0;
  const env::Row* rows = env::rows(&count);
  for (int i = 0; i < count; ++i) {
    visitor(context, rows[i].variable, rows[i].type, rows[i].default_value, rows[i].sentence);
  }
}

Faults& faults_of(int32_t device) {
  auto* const found = dynamic_cast<FaultDevice*>(&Runtime::device(device).device());
  MPS_CHECK(found != nullptr, kUnsupported,
            "faults cannot be injected: expected a process with PADDLE_MPS_FAULT, got one without. Start it with "
            "PADDLE_MPS_FAULT=none.");
  return found->faults();
}

bool inject_faults(int32_t device, const char* faults) {
  return guarded("inject_faults", [&] { faults_of(device).fail(faults); });
}

bool count_calls(int32_t device, const char* fault, uint64_t* calls) {
  return guarded("count_calls", [&] { *calls = faults_of(device).count(fault_of(fault)); });
}

bool allocator(int32_t device, const char** name) {
  return guarded("allocator", [&] {
    Runtime::device(device);
    *name = keeps_idle_memory(device) ? "mps" : "paddle";
  });
}

Stream& stream_of(PaddleMpsHandle handle) { return *reinterpret_cast<Stream*>(handle); }
Event& event_of(PaddleMpsHandle handle) { return *reinterpret_cast<Event*>(handle); }

bool synchronize_stream(PaddleMpsHandle stream) {
  const Interruptible interruptible;
  return guarded("synchronize", [&] { stream_of(stream).synchronize(); });
}

bool add_callback(PaddleMpsHandle stream, void (*callback)(void*), void* context) {
  return guarded("add_callback", [&] { stream_of(stream).add_callback([callback, context] { callback(context); }); });
}

bool synchronize_event(PaddleMpsHandle event) {
  const Interruptible interruptible;
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
    Stream& stream = current_stream(device);
    Memory& memory = Runtime::device(device).memory();
    stream.upload(memory.resolve(reinterpret_cast<void*>(to), bytes, &stream), from);
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
    set_memory_limit,
    visit_memory,
    start_memory_history,
    stop_memory_history,
    visit_memory_history,
    cache_info,
    clear_cache,
    graph_folder,
    clear_graph_folder,
    visit_ops,
    reset_op_counts,
    fallback_tracking_problem,
    visit_env,
    inject_faults,
    count_calls,
    allocator,
    monitor_page,
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
