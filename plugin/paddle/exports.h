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

#define PADDLE_MPS_EXPORTS_VERSION 1

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

// Bytes. What tensors hold is Paddle's own statistic (its cache hands out parts of these blocks)
// and not here; these are the plugin's: blocks given to Paddle and heaps taken from the system.
typedef struct PaddleMpsMemory {
  uint64_t requested_bytes, peak_requested_bytes;  // what Paddle asked for; blocks are rounded up
  uint64_t blocks_bytes, peak_blocks_bytes;
  uint64_t reserved_bytes, peak_reserved_bytes;
  uint64_t block_count, heap_count;
  uint64_t limit_bytes, largest_free_block_bytes;
  uint64_t driver_allocated_bytes;
} PaddleMpsMemory;

typedef struct PaddleMpsCacheInfo {
  uint64_t hits, misses, evictions, entries, bytes, max_entries, max_bytes;
} PaddleMpsCacheInfo;

// where: 0 = ran on mps, 1 = Paddle ran it on the CPU for want of an mps kernel
typedef void (*PaddleMpsOpVisitor)(void* context, const char* op, const char* dtype, int32_t where, uint64_t count);
typedef void (*PaddleMpsEnvVisitor)(void* context, const char* variable, const char* type, const char* default_value,
                                    const char* sentence);

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
  bool (*cache_info)(int32_t device, PaddleMpsCacheInfo* out);
  bool (*clear_cache)(int32_t device);
  void (*visit_ops)(PaddleMpsOpVisitor visitor, void* context);
  void (*reset_ops)(void);
  const char* (*fallback_tracking_problem)(void);  // why CPU fallbacks cannot be counted; empty if they are
  void (*visit_env)(PaddleMpsEnvVisitor visitor, void* context);
  // For tests, in a process with PADDLE_MPS_FAULT; see plugin/core/fault.h.
  bool (*inject_faults)(int32_t device, const char* faults);
  bool (*count_calls)(int32_t device, const char* fault, uint64_t* calls);
} PaddleMpsExports;

#ifdef __cplusplus
}
#endif
