// What clang includes for -fblocks with the GNU Objective-C runtime.
#pragma once
#include <Block.h>
