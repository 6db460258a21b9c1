// Each callback is a few lines: guard, call the core, return a status. Paddle calls them from any
// thread. set_device and get_device run several times per op, so they touch one thread-local number
// and nothing else.
#include "plugin/paddle/callbacks.h"

#include <cstring>

#include "plugin/core/check.h"
#include "plugin/core/runtime.h"
#include "plugin/core/timeline.h"
#include "plugin/paddle/allocator.h"
#include "plugin/paddle/guard.h"
#include "plugin/paddle/host_copy.h"
#include "plugin/paddle/profiler.h"
#include "plugin/paddle/python_hook.h"
#include "plugin/paddle/python_signals.h"
#include "plugin/paddle/thread_context.h"

namespace mps::paddle {
namespace {

thread_local int t_device = 0;

DeviceState& state(C_Device device) { return Runtime::device(device->id); }
Stream& stream_of(C_Stream stream) { return *reinterpret_cast<Stream*>(stream); }
Event& event_of(C_Event event) { return *reinterpret_cast<Event*>(event); }

// -- devices
// ----------------------------------------------------------------------------------------------------------

C_Status initialize() {
  // Never fails: a failure here would end the process. Without a device the count is 0 and the
  // reason is kept.
  return quiet_callback("initialize", [] {
    offer_python_module();
    watch_python_signals();
  });
}

C_Status finalize() { return C_SUCCESS; }

C_Status get_device_count(size_t* count) {
  *count = static_cast<size_t>(Runtime::device_count());
  return C_SUCCESS;
}

C_Status get_device_list(size_t* devices) {
  for (int i = 0; i < Runtime::device_count(); ++i) devices[i] = static_cast<size_t>(i);
  return C_SUCCESS;
}

C_Status init_device(C_Device device) {
  return guard_callback("init_device", [&] { state(device); });
}

C_Status deinit_device(C_Device) { return C_SUCCESS; }

C_Status set_device(C_Device device) {
  if (device->id < 0 || device->id >= Runtime::device_count()) {
    return guard_callback("set_device", [&] { state(device); });
  }
  t_device = device->id;
  return C_SUCCESS;
}

C_Status get_device(C_Device device) {
  device->id = t_device;
  return C_SUCCESS;
}

C_Status synchronize_device(C_Device device) {
  return wait_callback("synchronize", [&] { state(device).synchronize(); });
}

// -- streams and events
// -------------------------------------------------------------------------------------------------

C_Status create_stream(C_Device device, C_Stream* stream) {
  return device_callback("create_stream", [&] {
    Stream* const made = state(device).create_stream();
    replace_paddle_cache(device->id, *made);
    *stream = reinterpret_cast<C_Stream>(made);
  });
}

C_Status destroy_stream(C_Device device, C_Stream stream) {
  return quiet_callback("destroy_stream", [&] { state(device).destroy_stream(reinterpret_cast<Stream*>(stream)); });
}

C_Status query_stream(C_Device, C_Stream stream) {
  return is_forked() || stream_of(stream).query() ? C_SUCCESS : C_FAILED;
}

C_Status synchronize_stream(C_Device, C_Stream stream) {
  return wait_callback("synchronize", [&] { stream_of(stream).synchronize(); });
}

C_Status stream_add_callback(C_Device device, C_Stream stream, C_Callback callback, void* user_data) {
  return device_callback("stream_add_callback", [&] {
    const int id = device->id;
    stream_of(stream).add_callback([id, stream, callback, user_data] {
      C_Device_st for_callback{id};
      C_Status status = C_SUCCESS;
      callback(&for_callback, stream, user_data, &status);
    });
  });
}

C_Status create_event(C_Device device, C_Event* event) {
  return device_callback("create_event",
                         [&] { *event = reinterpret_cast<C_Event>(state(device).device().new_event().release()); });
}

C_Status destroy_event(C_Device, C_Event event) {
  return quiet_callback("destroy_event", [&] { delete reinterpret_cast<Event*>(event); });
}

C_Status record_event(C_Device, C_Stream stream, C_Event event) {
  if (is_forked()) return C_SUCCESS;  // Paddle records events when it frees memory, in destructors
  return device_callback("record_event", [&] { stream_of(stream).record(event_of(event)); });
}

C_Status query_event(C_Device, C_Event event) { return is_forked() || event_of(event).query() ? C_SUCCESS : C_FAILED; }

C_Status synchronize_event(C_Device, C_Event event) {
  // Paddle calls this in the destructor of every event, where an error would end the process. So a failure stays with
  // its stream, whose next wait raises it.
  return quiet_callback("synchronize", [&] {
    const Interruptible interruptible;
    try {
      event_of(event).drain();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kInterrupted) throw;
      // What the signal's handler raised is on its way all the same.
    }
  });
}

C_Status stream_wait_event(C_Device, C_Stream stream, C_Event event) {
  return device_callback("stream_wait_event", [&] { stream_of(stream).wait(event_of(event)); });
}

// -- memory
// -----------------------------------------------------------------------------------------------------------

C_Status allocate(C_Device device, void** address, size_t bytes) {
  *address = nullptr;
  // Out of memory is success with a null pointer: Paddle then frees its idle chunks and tries
  // again, and at last raises MemoryError. A failure status would end in an OSError at once.
  // Only what Paddle's own cache asks for comes here: nothing, if ours is in its place.
  return device_callback("allocate", [&] {
    Memory& memory = state(device).memory();
    *address = memory.allocate(bytes).address;
    // Paddle's MemoryError has a text of its own; ours is there for those who ask.
    if (*address == nullptr) set_last_error(ErrorKind::kMemory, memory.shortage(bytes).c_str());
  });
}

C_Status deallocate(C_Device device, void* address, size_t) {
  return quiet_callback("deallocate", [&] { state(device).memory().free(address); });
}

C_Status memory_set(C_Device device, void* address, unsigned char value, size_t bytes) {
  return wait_callback("memory_set", [&] {
    state(device).memory().resolve(address, bytes);
    state(device).synchronize();
    std::memset(address, value, bytes);
  });
}

// A copy of this thread's own, which no stream does.
template <typename Copy>
void copied_here(const char* name, size_t bytes, const Copy& copy) {
  const DeviceSpan span({TimelineEvent::Kind::kCopy, name, bytes, nullptr});
  copy();
}

// Device memory is host-visible: once the work before it is done, a synchronous copy is a memcpy,
// whichever side the ends are on.
C_Status download_now(C_Device device, void* to, const void* from, size_t bytes) {
  return wait_callback("memory_copy", [&] {
    const Submission submission("download");
    state(device).synchronize();
    copied_here("download", bytes, [&] { copy_to_host(to, from, bytes); });
  });
}

C_Status copy_now(C_Device device, void* to, const void* from, size_t bytes) {
  return wait_callback("memory_copy", [&] {
    const Submission submission("copy");
    state(device).synchronize();
    copied_here("copy", bytes, [&] { std::memcpy(to, from, bytes); });
  });
}

C_Status copy_between_devices(C_Device to_device, C_Device from_device, void* to, const void* from, size_t bytes) {
  return wait_callback("memory_copy", [&] {
    const Submission submission("copy");
    state(from_device).synchronize();
    state(to_device).synchronize();
    copied_here("copy", bytes, [&] { std::memcpy(to, from, bytes); });
  });
}

// Paddle copies to and from memory of any stream, on whichever stream its shared context has. With several streams in
// use that orders nothing, so such copies are done when they return.
bool copies_at_once(C_Device device) { return has_thread_context() || state(device).computes_on_several_streams(); }

// A static program writes on a stream of its own, into memory that was allocated for the computing stream: what had it
// before may still be written by work that is queued there.
bool writes_at_once(C_Device device, C_Stream stream) {
  return copies_at_once(device) || &stream_of(stream) != &current_stream(device->id);
}

C_Status upload(C_Device device, C_Stream stream, void* to, const void* from, size_t bytes) {
  if (writes_at_once(device, stream)) return copy_now(device, to, from, bytes);
  return wait_callback("memory_copy", [&] {
    const Submission submission("upload");
    stream_of(stream).upload(state(device).memory().resolve(to, bytes, &stream_of(stream)), from);
  });
}

// In stream order, but done on return. That is what CUDA does for pageable memory, and Paddle counts on it: its static
// executor copies results on a stream of its own, behind an event of the computing stream, and then waits for the
// computing stream alone before it reads them.
C_Status download(C_Device device, C_Stream stream, void* to, const void* from, size_t bytes) {
  if (copies_at_once(device)) return download_now(device, to, from, bytes);
  return wait_callback("memory_copy", [&] {
    const Submission submission("download");
    stream_of(stream).synchronize();
    copied_here("download", bytes, [&] { copy_to_host(to, from, bytes); });
  });
}

C_Status copy_in_stream(C_Device device, C_Stream stream, void* to, const void* from, size_t bytes) {
  if (writes_at_once(device, stream)) return copy_now(device, to, from, bytes);
  return wait_callback("memory_copy", [&] {
    const Submission submission("copy");
    Memory& memory = state(device).memory();
    Stream& in = stream_of(stream);
    in.copy(memory.resolve(to, bytes, &in), memory.resolve(from, bytes, &in));
  });
}

C_Status copy_between_devices_in_stream(C_Device to_device, C_Device from_device, C_Stream stream, void* to,
                                        const void* from, size_t bytes) {
  if (to_device->id == from_device->id) return copy_in_stream(to_device, stream, to, from, bytes);
  stream_of(stream).drain();  // the stream belongs to one of the two; both are waited for
  return copy_between_devices(to_device, from_device, to, from, bytes);
}

C_Status memory_stats(C_Device device, size_t* total, size_t* free) {
  *total = *free = 0;
  return quiet_callback("memory_stats", [&] {
    const MemoryStats stats = state(device).memory().stats();
    *total = stats.limit;
    *free = stats.limit - stats.allocated;
  });
}

C_Status min_chunk_size(C_Device device, size_t* bytes) {
  return guard_callback("min_chunk_size", [&] { *bytes = state(device).device().properties().alignment; });
}

C_Status extra_padding_size(C_Device, size_t* bytes) {
  *bytes = 0;
  return C_SUCCESS;
}

// -- properties
// -------------------------------------------------------------------------------------------------------

C_Status is_float16_supported(C_Device device, bool* supported) {
  return guard_callback("is_float16_supported", [&] { *supported = state(device).device().properties().float16; });
}

C_Status is_bfloat16_supported(C_Device device, bool* supported) {
  return guard_callback("is_bfloat16_supported", [&] { *supported = state(device).device().properties().bfloat16; });
}

C_Status multi_processors(C_Device device, size_t* count) {
  return guard_callback("multi_processors",
                        [&] { *count = static_cast<size_t>(state(device).device().properties().core_count); });
}

}  // namespace

void fill_device_interface(C_DeviceInterface* interface) {
  const size_t size = interface->size;
  std::memset(interface, 0, sizeof *interface);
  interface->size = size;

  interface->initialize = initialize;
  interface->finalize = finalize;
  interface->init_device = init_device;
  interface->deinit_device = deinit_device;
  interface->set_device = set_device;
  interface->get_device = get_device;
  interface->get_device_count = get_device_count;
  interface->get_device_list = get_device_list;
  interface->synchronize_device = synchronize_device;

  interface->create_stream = create_stream;
  interface->destroy_stream = destroy_stream;
  interface->query_stream = query_stream;
  interface->synchronize_stream = synchronize_stream;
  interface->stream_add_callback = stream_add_callback;
  interface->create_event = create_event;
  interface->destroy_event = destroy_event;
  interface->record_event = record_event;
  interface->query_event = query_event;
  interface->synchronize_event = synchronize_event;
  interface->stream_wait_event = stream_wait_event;

  interface->device_memory_allocate = allocate;
  interface->device_memory_deallocate = deallocate;
  interface->device_memory_set = memory_set;
  interface->memory_copy_h2d = copy_now;
  interface->memory_copy_d2h = download_now;
  interface->memory_copy_d2d = copy_now;
  interface->memory_copy_p2p = copy_between_devices;
  interface->async_memory_copy_h2d = upload;
  interface->async_memory_copy_d2h = download;
  interface->async_memory_copy_d2d = copy_in_stream;
  interface->async_memory_copy_p2p = copy_between_devices_in_stream;
  interface->device_memory_stats = memory_stats;
  interface->device_min_chunk_size = min_chunk_size;
  interface->device_extra_padding_size = extra_padding_size;

  interface->is_float16_supported = is_float16_supported;
  interface->is_bfloat16_supported = is_bfloat16_supported;
  interface->get_multi_process = multi_processors;

  fill_profiler_interface(interface);
}

}  // namespace mps::paddle
