#include "tests/apple_double/base/violation.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace apple_double {

void violation(const std::string& sentence) {
  std::fprintf(stderr, "[apple_double] %s\n", sentence.c_str());
  std::fflush(stderr);
  // Where the error output of a process is lost, as that of pytest's workers.
  if (const char* const path = std::getenv("PADDLE_MPS_DOUBLE_LOG")) {
    if (std::FILE* const file = std::fopen(path, "a")) {
      std::fprintf(file, "%s\n", sentence.c_str());
      std::fclose(file);
    }
  }
  // Past the handlers of the program: Paddle's prints a stack for seconds and may hang.
  std::signal(SIGABRT, SIG_DFL);
  std::abort();
}

}  // namespace apple_double
