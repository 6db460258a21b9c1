# MPS_SANITIZE: instruments core, host, null, legalisation and their tests. Never the plugin: the run time of a sanitizer must
# be the first library of its process, and under Paddle that process is Python.
if(MPS_SANITIZE)
  if(MPS_BUILD_PLUGIN)
    message(FATAL_ERROR "[build] sanitizers do not reach the plugin: set -DMPS_BUILD_PLUGIN=OFF with -DMPS_SANITIZE=...")
  endif()
  list(JOIN MPS_SANITIZE "," kinds)
  foreach(target mps_core mps_host mps_null mps_legal mps_exam mps_unit_test mps_legal_test mps_conformance_host
                 mps_conformance_null)
    if(TARGET ${target})
      target_compile_options(${target} PRIVATE -fsanitize=${kinds} -fno-omit-frame-pointer -fno-sanitize-recover=all)
      target_link_options(${target} PUBLIC -fsanitize=${kinds})
    endif()
  endforeach()
endif()
