// What Python may ask of the plugin: one struct of C function pointers, found by
// dlsym("paddle_mps_exports"). Python's extension (`_C`) sees nothing else, so it is independent of
// Paddle's and the plugin's C++ types.
//
// Functions that can fail return false and keep a message, per thread, for last_error(). Lists are
// returned by calling a visitor once per row.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PADDLE_MPS_EXPORTS_VERSION 3

typedef struct PaddleMpsProperties {
  char name[128];
  char backend[16];  // "metal", "host" or "null"
  char architecture[64];
  uint64_t total_memory;
  uint64_t recommended_memory;
  uint64_t max_buffer_bytes;
  int32_t unified_memory;
  int32_t core_count;
  int32_t float16;
  int32_t bfloat16;
} PaddleMpsProperties;

typedef struct PaddleMpsMemory {
#define MPS_MEMORY_FIGURE(field, public_name) uint64_t public_name;
#include "plugin/core/figures.def"
} PaddleMpsMemory;

typedef struct PaddleMpsArena {
  uint64_t address, bytes, unit_bytes;
  uint32_t stream;  // number of the stream whose memory it is
  int32_t small;    // 1: of small blocks
} PaddleMpsArena;

// state: 0 = free space, 1 = in use, 2 = idle, kept whole, 3 = freed, but another stream still uses it
typedef struct PaddleMpsBlock {
  uint64_t address, bytes, requested_bytes;
  int32_t state;
} PaddleMpsBlock;

// kind: 0 = allocate, 1 = free, 2 = reserve, 3 = release, 4 = out of memory
typedef struct PaddleMpsMemoryEvent {
  uint64_t number;
  int64_t time_ns;  // since 1970
  int32_t kind;
  uint32_t stream;
  const char* op;
  uint64_t address, bytes, block_bytes, stack;
} PaddleMpsMemoryEvent;

typedef struct PaddleMpsCacheInfo {
#define MPS_CACHE_FIGURE(name) uint64_t name;
#include "plugin/core/figures.def"
} PaddleMpsCacheInfo;

// where: 0 = ran on mps, 1 = Paddle ran it on the CPU for want of an mps kernel
typedef void (*PaddleMpsOpVisitor)(void* context, const char* op, const char* dtype, int32_t where, uint64_t count);
typedef void (*PaddleMpsTextVisitor)(void* context, const char* text);
typedef void (*PaddleMpsArenaVisitor)(void* context, const PaddleMpsArena* arena);
typedef void (*PaddleMpsBlockVisitor)(void* context, const PaddleMpsBlock* block);
typedef void (*PaddleMpsMemoryEventVisitor)(void* context, const PaddleMpsMemoryEvent* event);
typedef uint64_t (*PaddleMpsStackHook)(void);
typedef void (*PaddleMpsEnvVisitor)(void* context, const char* variable, const char* type, const char* default_value,
                                    const char* sentence);

// A stream or event of Paddle's: what its raw_stream or raw_event gives. It must be alive.
typedef uint64_t PaddleMpsHandle;

typedef struct PaddleMpsExports {
  uint32_t version;  // PADDLE_MPS_EXPORTS_VERSION
  uint32_t bytes;    // sizeof(PaddleMpsExports)

  const char* (*last_error)(void);
  int32_t (*last_error_kind)(void);  // 0 argument, 1 unsupported, 2 memory, 3 device, 4 internal
  const char* (*plugin_version)(void);
  const char* (*paddle_version)(void);      // the one it was built for
  const char* (*unavailable_reason)(void);  // empty if there is a device
  int32_t (*device_count)(void);
  bool (*device_properties)(int32_t device, PaddleMpsProperties* out);
  bool (*synchronize)(int32_t device);
  bool (*memory)(int32_t device, PaddleMpsMemory* out);
  bool (*reset_peak_memory)(int32_t device);
  bool (*release_unused)(int32_t device, uint64_t* released);
  bool (*set_memory_limit)(int32_t device, uint64_t bytes);  // 0: the device's recommendation
  // Every arena, each followed by its blocks and free space. Memory is locked meanwhile: visitors must not use it.
  bool (*visit_memory)(int32_t device, PaddleMpsArenaVisitor arena, PaddleMpsBlockVisitor block, void* context);
  // The hook (may be null) is asked before each allocation and free where the program is; it may take Python's lock.
  bool (*start_memory_history)(int32_t device, uint64_t events, PaddleMpsStackHook hook);
  bool (*stop_memory_history)(int32_t device);
  bool (*visit_memory_history)(int32_t device, PaddleMpsMemoryEventVisitor visitor, void* context);
  bool (*cache_info)(int32_t device, PaddleMpsCacheInfo* out);
  bool (*clear_cache)(int32_t device);
  bool (*graph_folder)(int32_t device, PaddleMpsTextVisitor visitor, void* context);  // empty if there is none
  bool (*clear_graph_folder)(int32_t device);
  void (*visit_ops)(PaddleMpsOpVisitor visitor, void* context);
  void (*reset_ops)(void);
  const char* (*fallback_tracking_problem)(void);  // why CPU fallbacks cannot be counted; empty if they are
  void (*visit_env)(PaddleMpsEnvVisitor visitor, void* context);
  // For tests, in a process with PADDLE_MPS_FAULT; see plugin/core/fault.h.
  bool (*inject_faults)(int32_t device, const char* faults);
  bool (*count_calls)(int32_t device, const char* fault, uint64_t* calls);

  // Who keeps idle memory: "mps" (the plugin) or "paddle". Paddle's cache holds a lock of its own while it asks for
  // memory, so what it calls must not wait for Python's.
  bool (*allocator)(int32_t device, const char** name);
  const char* (*monitor_page)(void);  // the file with this process's figures; empty if there is none

  bool (*synchronize_stream)(PaddleMpsHandle stream);
  // Calls callback(context) on some other thread once what is in the stream now is done.
  bool (*add_callback)(PaddleMpsHandle stream, void (*callback)(void* context), void* context);
  bool (*synchronize_event)(PaddleMpsHandle event);
  bool (*enable_timing)(PaddleMpsHandle event);  // from its next record on
  bool (*elapsed_ms)(PaddleMpsHandle start, PaddleMpsHandle end, double* ms);
  // Between the two, setting Paddle's current stream of the device sets it for this thread alone.
  bool (*enter_thread_context)(int32_t device);
  bool (*leave_thread_context)(int32_t device);

  // Whether the address lies in memory that the device has given out.
  bool (*owns)(int32_t device, uint64_t address, int32_t* owned);
  // Copies to device memory, in the order of this thread's current stream; `from` may be changed on return.
  bool (*upload)(int32_t device, uint64_t to, const void* from, uint64_t bytes);
  // Ranges of the program's memory that tensors of the device lie in, and the bytes of their pages.
  bool (*external_memory)(int32_t device, uint64_t* ranges, uint64_t* bytes);
} PaddleMpsExports;

#ifdef __cplusplus
}
#endif
