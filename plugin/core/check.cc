#include "plugin/core/check.h"

namespace mps {
namespace {
thread_local const char* t_current_op = "mps";
}  // namespace

const char* current_op() { return t_current_op; }

OpScope::OpScope(const char* name) : previous_(t_current_op) { t_current_op = name; }
OpScope::~OpScope() { t_current_op = previous_; }

namespace detail {
void raise(ErrorKind kind, const std::string& text) {
  std::string message = "[";
  message += t_current_op;
  message += "] ";
  message += text;
  if (kind == ErrorKind::kInternal) {
    message +=
        " This is a bug in paddle_mps; please report it with the output of `python -m "
        "paddle_mps.info`.";
  }
  throw Error(kind, message);
}
}  // namespace detail
}  // namespace mps
