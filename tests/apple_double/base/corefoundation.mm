// What Core Foundation and IOKit are asked for: the number of GPU cores, which stands in the registry entry of the
// GPU's driver. Their objects are Foundation objects under other names, as on a Mac.
#import <Foundation/Foundation.h>
#include <IOKit/IOKitLib.h>

#include <cstring>

#include "tests/apple_double/base/control.h"
#include "tests/apple_double/base/violation.h"

namespace {

enum : CFTypeID { kUnknownType, kStringType, kNumberType, kDataType };
constexpr io_object_t kGpu = 1, kGpuIterator = 2, kGpuIteratorAtEnd = 3;

id object(CFTypeRef reference) { return (id)reference; }

}  // namespace

CFAllocatorRef const kCFAllocatorDefault = nullptr;
mach_port_t const kIOMainPortDefault = 0;

CFTypeRef CFRetain(CFTypeRef reference) { return [object(reference) retain]; }
void CFRelease(CFTypeRef reference) {
  apple_double::require(reference != nullptr, "CFRelease(NULL): Core Foundation ends the program.");
  [object(reference) release];
}

CFTypeID CFStringGetTypeID() { return kStringType; }
CFTypeID CFNumberGetTypeID() { return kNumberType; }
CFTypeID CFDataGetTypeID() { return kDataType; }
CFTypeID CFGetTypeID(CFTypeRef reference) {
  if ([object(reference) isKindOfClass:[NSString class]]) return kStringType;
  if ([object(reference) isKindOfClass:[NSNumber class]]) return kNumberType;
  if ([object(reference) isKindOfClass:[NSData class]]) return kDataType;
  return kUnknownType;
}

Boolean CFNumberGetValue(CFNumberRef number, CFNumberType type, void* to) {
  NSNumber* const value = object(number);
  switch (type) {
    case kCFNumberSInt32Type:
    case kCFNumberIntType:
      *static_cast<int*>(to) = [value intValue];
      return 1;
    case kCFNumberSInt64Type:
    case kCFNumberLongLongType:
      *static_cast<long long*>(to) = [value longLongValue];
      return 1;
    case kCFNumberFloat64Type:
      *static_cast<double*>(to) = [value doubleValue];
      return 1;
  }
  return 0;
}

const UInt8* CFDataGetBytePtr(CFDataRef data) { return static_cast<const UInt8*>([object(data) bytes]); }
CFIndex CFDataGetLength(CFDataRef data) { return static_cast<CFIndex>([object(data) length]); }

CFMutableDictionaryRef IOServiceMatching(const char* name) {
  @autoreleasepool {
    NSString* const service = [NSString stringWithUTF8String:name];
    return (
        CFMutableDictionaryRef)[[NSMutableDictionary alloc] initWithObjectsAndKeys:service, @"IOProviderClass", nil];
  }
}

// Takes over the dictionary, whatever the answer.
static bool matches_gpu(CFDictionaryRef matching) {
  @autoreleasepool {
    NSDictionary* const wanted = [object(matching) autorelease];
    return apple_double::machine() != apple_double::Machine::kVirtual &&
           [[wanted objectForKey:@"IOProviderClass"] isEqual:@"AGXAccelerator"];
  }
}

io_service_t IOServiceGetMatchingService(mach_port_t, CFDictionaryRef matching) {
  return matches_gpu(matching) ? kGpu : 0;
}

kern_return_t IOServiceGetMatchingServices(mach_port_t, CFDictionaryRef matching, io_iterator_t* iterator) {
  *iterator = matches_gpu(matching) ? kGpuIterator : kGpuIteratorAtEnd;
  return 0;
}

io_object_t IOIteratorNext(io_iterator_t iterator) {
  static thread_local bool given = false;
  given = iterator == kGpuIterator && !given;
  return given ? kGpu : 0;
}

kern_return_t IOObjectRelease(io_object_t object) {
  apple_double::require(object != 0, "IOObjectRelease(IO_OBJECT_NULL).");
  return 0;
}

CFTypeRef IORegistryEntryCreateCFProperty(io_registry_entry_t entry, CFStringRef key, CFAllocatorRef, IOOptionBits) {
  if (entry != kGpu || ![object(key) isEqual:@"gpu-core-count"]) return nullptr;
  @autoreleasepool {
    return (CFTypeRef)[[NSNumber numberWithInt:apple_double::machine() == apple_double::Machine::kM4 ? 10 : 38] retain];
  }
}

CFTypeRef IORegistryEntrySearchCFProperty(io_registry_entry_t entry, const char*, CFStringRef key,
                                          CFAllocatorRef allocator, IOOptionBits options) {
  return IORegistryEntryCreateCFProperty(entry, key, allocator, options);
}
