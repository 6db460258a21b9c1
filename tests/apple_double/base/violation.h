// The end of a program that broke a rule of the frameworks.
#pragma once

#include <sstream>
#include <string>

namespace apple_double {

[[noreturn]] void violation(const std::string& sentence);

namespace internal {
template <typename... Parts>
std::string join(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}
}  // namespace internal

// The sentence says what was done, which rule that breaks, and what the real frameworks do then.
template <typename... Parts>
void require(bool fine, const Parts&... parts) {
  if (__builtin_expect(!fine, 0)) violation(internal::join(parts...));
}

}  // namespace apple_double
