// Autoreleasing where no pool is in place. On a Mac that leaks, silently: threads of Python, of C++ and of dispatch
// have no pool of their own. Here it is a violation.
#include "tests/apple_double/base/pools.h"

#include "tests/apple_double/base/object.h"

namespace apple_double {
namespace {

constexpr const char* kRemedy = " was autoreleased on a thread without a pool: it would never be released. Put "
                                "@autoreleasepool around the code that "
                                "gets it.";

using Autorelease = id (*)(id, SEL);
Autorelease original_autorelease = nullptr;

id autorelease(id self, SEL selector) {
  require([NSAutoreleasePool currentPool] != nil, "an object of class ", public_name(self), kRemedy);
  return original_autorelease(self, selector);
}

// Some of GNUstep's classes get there without -autorelease. GNUstep then logs a line.
void read_log(NSString* line) {
  const std::string words = text(line);
  if (words.find("autorelease called without pool") != std::string::npos) {
    const size_t begin = words.find("of class "), end = words.find(" in thread");
    violation("an object " + words.substr(begin, end - begin) + kRemedy);
  }
  std::fputs(words.c_str(), stderr);
}

}  // namespace

void install_pool_checks() {
  const Method method = class_getInstanceMethod([NSObject class], @selector(autorelease));
  original_autorelease = reinterpret_cast<Autorelease>(method_setImplementation(method, implementation(autorelease)));
  _NSLog_printf_handler = read_log;
}

}  // namespace apple_double
