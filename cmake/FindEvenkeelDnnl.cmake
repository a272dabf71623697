# Finds oneDNN by its header and its library and defines EvenkeelDnnl::dnnl.
#
# oneDNN's own CMake package asks for the OpenCL headers, which only its GPU engines need. This file is
# installed with evenkeel, whose consumers find oneDNN the same way.

find_path(EvenkeelDnnl_INCLUDE_DIR oneapi/dnnl/dnnl.hpp)
find_library(EvenkeelDnnl_LIBRARY dnnl)
mark_as_advanced(EvenkeelDnnl_INCLUDE_DIR EvenkeelDnnl_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(EvenkeelDnnl
  REQUIRED_VARS EvenkeelDnnl_LIBRARY EvenkeelDnnl_INCLUDE_DIR)

if(EvenkeelDnnl_FOUND AND NOT TARGET EvenkeelDnnl::dnnl)
  add_library(EvenkeelDnnl::dnnl UNKNOWN IMPORTED)
  set_target_properties(EvenkeelDnnl::dnnl PROPERTIES
    IMPORTED_LOCATION ${EvenkeelDnnl_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${EvenkeelDnnl_INCLUDE_DIR})
endif()
