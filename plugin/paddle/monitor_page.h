// What this process shows of itself to others: a file with the figures of its devices, for `python -m
// paddle_mps.monitor`.
//
// The file is <temporary folder>/paddle_mps-<user id>/<process id>, with the temporary folder of TMPDIR, else /tmp. It
// is mapped, and Memory and Cache count right in it (plugin/core/figures.h), so there is no thread and no copying. It
// is locked (flock) as long as the process lives: a file that can be locked was left behind by a process that ended
// without a goodbye, and whoever comes next, reader or writer, removes it.
//
// Nothing here may fail: without a folder that can be written there is no file, a line in the log at level "debug", and
// figures where nobody else sees them. A child of fork() has no file, and cannot touch its parent's.
#pragma once

#include <cstdint>

#include "plugin/core/device.h"
#include "plugin/core/figures.h"

namespace mps::paddle {

// The file begins with this. `names_bytes` of text at `names_offset` name the figures of a device in their order, a
// line each. Records of devices come at `device_offset`, `device_bytes` each: a name, zeros after it, and at
// `figures_offset` the sequence number and the figures, 8 bytes each. Numbers are in the machine's byte order.
struct MonitorHeader {
  char magic[8];     // "mpspage", a zero at its end
  uint32_t version;  // of this layout
  uint32_t bytes;    // of the file
  int64_t pid;
  int64_t start_time_ns;  // when the devices were opened; since 1970
  uint32_t names_offset, names_bytes;
  uint32_t device_count, device_offset, device_bytes;
  uint32_t figures_offset;  // in the record of a device
  char allocator[16];       // PADDLE_MPS_ALLOCATOR
  char plugin_version[16];
};

// Room for the figures of one of `count` devices; null if there is no file. The first call makes the file.
Figures* figures_in_monitor_page(int index, int count, const Device& device);
// The path of the file; empty if there is none.
const char* monitor_page();
// Removes the file; its memory stays.
void remove_monitor_page();
// In a child of fork(): leaves the parent's file alone from now on.
void leave_monitor_page();

}  // namespace mps::paddle
