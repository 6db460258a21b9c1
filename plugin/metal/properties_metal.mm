#include "plugin/metal/properties_metal.h"

#import <IOKit/IOKitLib.h>
#import <MetalPerformanceShaders/MetalPerformanceShaders.h>
#include <unistd.h>

#include "plugin/core/env.h"
#include "plugin/metal/buffer_metal.h"
#include "plugin/metal/objc.h"
#include "plugin/metal/os.h"

namespace mps {
namespace {

// Metal does not tell, the driver's entry in the registry does; 0 if it is not there.
int core_count() {
  const io_service_t service = IOServiceGetMatchingService(kIOMainPortDefault, IOServiceMatching("AGXAccelerator"));
  if (service == 0) return 0;
  const CFTypeRef number =
      IORegistryEntryCreateCFProperty(service, (__bridge CFStringRef) @"gpu-core-count", kCFAllocatorDefault, 0);
  IOObjectRelease(service);
  int count = 0;
  if (number == nullptr) return 0;
  if (CFGetTypeID(number) == CFNumberGetTypeID()) {
    CFNumberGetValue(static_cast<CFNumberRef>(number), kCFNumberIntType, &count);
  }
  CFRelease(number);
  return count;
}

// "applegpu_g13s", or on macOS 12 and 13 "apple7" for the family.
std::string architecture(id<MTLDevice> device) {
  if (MPS_AVAILABLE(14, 0)) return text_of([[device architecture] name]);
  int family = 0;
  for (int number = 1; number <= 9; ++number) {
    if ([device supportsFamily:static_cast<MTLGPUFamily>(MTLGPUFamilyApple1 + number - 1)]) family = number;
  }
  return "apple" + std::to_string(family);
}

}  // namespace

DeviceProperties describe(id<MTLDevice> device) {
  MPS_POOL;
  DeviceProperties properties;
  properties.name = text_of([device name]);
  properties.backend = "metal";
  properties.architecture = architecture(device);
  properties.total_memory = [[NSProcessInfo processInfo] physicalMemory];
  properties.recommended_memory = [device recommendedMaxWorkingSetSize];
  properties.max_buffer_bytes = [device maxBufferLength];
  const HeapAlignment heaps = heap_alignment(device);
  properties.alignment = heaps.alignment;
  properties.small_bytes = heaps.small_bytes;
  properties.page_bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  properties.unified_memory = [device hasUnifiedMemory];
  properties.core_count = core_count();
  properties.bfloat16 = os_at_least(14, 0);  // MPSGraph's
  return properties;
}

std::string refusal(id<MTLDevice> device) {
  MPS_POOL;
  const std::string name = text_of([device name]);
  const bool is_virtual = [[device name] containsString:@"Paravirtual"];
  if (is_virtual && !env::virtual_gpu()) {
    return name +
           " is a virtual machine's, with which Apple does not support computing (PADDLE_MPS_VIRTUAL_GPU=1 tries).";
  }
  if (![device hasUnifiedMemory]) return name + " has memory of its own, which needs copies that we do not make.";
  if (!is_virtual && ![device supportsFamily:MTLGPUFamilyApple7]) return name + " is no Apple silicon (M1 or newer).";
  if (!MPSSupportsMTLDevice(device)) return name + " is not supported by Metal Performance Shaders.";
  return {};
}

}  // namespace mps
