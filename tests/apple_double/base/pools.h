#pragma once

namespace apple_double {

// From now on, autoreleasing without a pool is a violation, for objects of any class.
void install_pool_checks();

}  // namespace apple_double
