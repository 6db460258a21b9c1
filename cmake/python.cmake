# Python is asked for two things: where Paddle lies, and (for the extension) its headers. core, host and null need neither.
if(PYTHON_EXECUTABLE AND NOT Python_EXECUTABLE)
  set(Python_EXECUTABLE ${PYTHON_EXECUTABLE} CACHE FILEPATH "")
endif()

# Cross-building: headers are named, one folder for each version (MPS_CROSS_PYTHONS: "3.11=/folder;..."), and no interpreter
# of the target can be asked.
if(MPS_BUILD_PLUGIN AND NOT CMAKE_CROSSCOMPILING)
  set(Python_FIND_VIRTUALENV FIRST)
  find_package(Python 3.9 REQUIRED COMPONENTS Interpreter OPTIONAL_COMPONENTS Development.Module)
  if(NOT Python_Development.Module_FOUND)
    message(FATAL_ERROR "[build] the C headers of ${Python_EXECUTABLE} are missing: expected Python.h, found none. Install them "
                        "(Debian, Ubuntu: apt-get install python3-dev) or use another Python (make PYTHON=python3.12).")
  endif()
endif()

# Sets OUT to the folder of an installed Python package, or to "". The package is not imported: importing Paddle takes seconds
# and would load the very plugin that is being built.
function(mps_find_python_package NAME OUT)
  set(${OUT} "" PARENT_SCOPE)
  if(NOT Python_EXECUTABLE)
    return()
  endif()
  # The build folder is the working folder, so that a source tree called like the package is not taken for it.
  execute_process(
    COMMAND ${Python_EXECUTABLE} -c
            "import importlib.util as u; s = u.find_spec('${NAME}'); print(s.submodule_search_locations[0] if s else '')"
    WORKING_DIRECTORY ${PROJECT_BINARY_DIR}
    OUTPUT_VARIABLE folder OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  set(${OUT} "${folder}" PARENT_SCOPE)
endfunction()

if(MPS_BUILD_PLUGIN AND NOT CMAKE_CROSSCOMPILING)
  if(Python_INCLUDE_DIR MATCHES "/paddle_mps_headers/")
    # Debian's pyconfig.h includes another one by a path below usr/include (tools/setup/debian_headers.py).
    get_filename_component(folder ${Python_INCLUDE_DIR} DIRECTORY)
    set_property(TARGET Python::Module APPEND PROPERTY INTERFACE_INCLUDE_DIRECTORIES ${folder})
  endif()
  if(NOT pybind11_DIR)
    mps_find_python_package(pybind11 folder)
    if(folder)
      set(pybind11_DIR ${folder}/share/cmake/pybind11 CACHE PATH "")
    endif()
  endif()
  set(PYBIND11_FINDPYTHON ON)
  find_package(pybind11 CONFIG REQUIRED)
endif()
