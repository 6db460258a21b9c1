// Some of Paddle's headers include glog, which its wheel does not ship. Their log lines are dropped.
#pragma once

#include <iostream>

#define VLOG(level) \
  if (true) {       \
  } else            \
    std::cerr
