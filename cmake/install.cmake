# Where results go, below the prefix (a site-packages folder, or the root of a wheel):
#   paddle_custom_device/libpaddle-mps.so   the loader; Paddle opens every library in this folder, so nothing else may lie there
#   paddle_mps/lib/libpaddle_mps_plugin.so  the plugin
#   paddle_mps/_C.*.so                      the Python extension
#   paddle_mps/selftest/mps_conformance_*   the exam of the plugin's device (tests/cpp/CMakeLists.txt)
if(APPLE)
  set(here "@loader_path")
else()
  set(here "$ORIGIN")
endif()

set_target_properties(mps_plugin PROPERTIES PREFIX lib OUTPUT_NAME paddle_mps_plugin INSTALL_RPATH "")
# PREFIX and SUFFIX: Paddle looks for *.so on Linux and *.dylib on macOS, whatever kind of library it is.
set_target_properties(mps_loader PROPERTIES PREFIX lib OUTPUT_NAME paddle-mps SUFFIX ${CMAKE_SHARED_LIBRARY_SUFFIX} INSTALL_RPATH "")
if(TARGET mps_python)
  set_target_properties(mps_python PROPERTIES OUTPUT_NAME _C INSTALL_RPATH "${here}/lib")
  install(TARGETS mps_python LIBRARY DESTINATION paddle_mps COMPONENT package)
endif()
if(APPLE)
  # The Paddle that is linked against may be the one from PyPI, which lacks custom devices; the one that it runs with has
  # them. tests/test_macos_library.py checks that nothing else is left open.
  target_link_options(mps_plugin PRIVATE -Wl,-undefined,dynamic_lookup)
else()
  # Paddle closes its plugins at exit and calls into them afterwards: unmapping would end static-graph programs in SIGSEGV.
  # (On macOS both libraries pin themselves from inside.)
  # -z defs: a missing symbol is an error here, not in the user's `import paddle`.
  target_link_options(mps_plugin PRIVATE -Wl,-z,nodelete -Wl,-z,defs)
  target_link_options(mps_loader PRIVATE -Wl,-z,nodelete)
endif()

install(TARGETS mps_plugin LIBRARY DESTINATION paddle_mps/lib COMPONENT package)
install(TARGETS mps_loader LIBRARY DESTINATION paddle_custom_device COMPONENT loader)
