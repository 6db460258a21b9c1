// The plugin's front door. The loader (plugin/loader), which Paddle opens, has checked that this
// Paddle is the one the plugin was built for, and calls paddle_mps_init_plugin() once.
#include <cstring>

#include "paddle/phi/backends/device_ext.h"
#include "plugin/core/log.h"
#include "plugin/core/runtime.h"
#include "plugin/paddle/backends.h"
#include "plugin/paddle/callbacks.h"
#include "plugin/paddle/fallback.h"
#include "plugin/paddle/fork_guard.h"
#include "plugin/paddle/monitor_page.h"
#include "plugin/paddle/register.h"

extern "C" __attribute__((visibility("default"))) void paddle_mps_init_plugin(CustomRuntimeParams* params) {
  PADDLE_CUSTOM_RUNTIME_CHECK_VERSION(params);
  static char device_type[] = "mps";
  params->device_type = device_type;
  mps::paddle::fill_device_interface(params->interface);

  mps::Runtime::open(mps::paddle::linked_backends(), mps::paddle::figures_in_monitor_page);
  if (mps::Runtime::device_count() == 0) {
    mps::paddle::remove_monitor_page();
    MPS_LOG(kWarning, mps::Runtime::unavailable_reason());
    return;  // count 0: Paddle goes on with the CPU
  }
  mps::paddle::guard_against_fork();
  mps::paddle::register_kernels();
  mps::paddle::install_fallback_tracking();
}
