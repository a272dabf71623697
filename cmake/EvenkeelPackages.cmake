# Where each outside library comes from. All are Debian packages (docs/dependencies.md).

# evenkeel_package(<name> TARGET <target> FIND <arguments of find_package...> DEBIAN <package>
#                  [PKG_CONFIG <module>] [LIBRARIES <names...>] [HEADERS_ONLY])
#
# One row per library: how CMake finds it, here and for whoever uses an installed evenkeel, the Debian
# package to name where it is missing, and how pkg-config files name it: as a module or by its
# libraries. A library of headers only is none of a consumer's business.
function(evenkeel_package name)
  cmake_parse_arguments(PACKAGE "HEADERS_ONLY" "TARGET;DEBIAN;PKG_CONFIG" "FIND;LIBRARIES" ${ARGN})
  foreach(field TARGET DEBIAN PKG_CONFIG FIND LIBRARIES HEADERS_ONLY)
    set_property(GLOBAL PROPERTY EVENKEEL_PACKAGE_${name}_${field} "${PACKAGE_${field}}")
  endforeach()
endfunction()

# evenkeel_package_field(<variable> <name> <field>)
function(evenkeel_package_field variable name field)
  get_property(known GLOBAL PROPERTY EVENKEEL_PACKAGE_${name}_TARGET)
  if(NOT known)
    message(FATAL_ERROR "evenkeel: unknown package ${name}: cmake/EvenkeelPackages.cmake has no row for it")
  endif()
  get_property(value GLOBAL PROPERTY EVENKEEL_PACKAGE_${name}_${field})
  set(${variable} "${value}" PARENT_SCOPE)
endfunction()

# evenkeel_link_package(<target> <name> [PUBLIC]): PRIVATE unless said otherwise.
function(evenkeel_link_package target name)
  evenkeel_package_field(library ${name} TARGET)
  evenkeel_package_field(arguments ${name} FIND)
  evenkeel_package_field(headers_only ${name} HEADERS_ONLY)
  if(NOT TARGET ${library})
    find_package(${arguments} REQUIRED)
  endif()
  if(headers_only)
    target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:${library}>)
  elseif("PUBLIC" IN_LIST ARGN)
    target_link_libraries(${target} PUBLIC ${library})
  else()
    target_link_libraries(${target} PRIVATE ${library})
  endif()
endfunction()

evenkeel_package(fmt TARGET fmt::fmt FIND fmt DEBIAN libfmt-dev PKG_CONFIG fmt)
# Names of the libraries are asked for once OpenMP is found: they depend on the compiler.
evenkeel_package(openmp TARGET OpenMP::OpenMP_CXX FIND OpenMP COMPONENTS CXX DEBIAN g++
  LIBRARIES gomp)
evenkeel_package(threads TARGET Threads::Threads FIND Threads DEBIAN libc6-dev LIBRARIES pthread)
evenkeel_package(hwy TARGET hwy::hwy FIND hwy DEBIAN libhwy-dev PKG_CONFIG libhwy)
evenkeel_package(dnnl TARGET EvenkeelDnnl::dnnl FIND EvenkeelDnnl DEBIAN libdnnl-dev LIBRARIES dnnl)
evenkeel_package(nlohmann_json TARGET nlohmann_json::nlohmann_json FIND nlohmann_json
  DEBIAN nlohmann-json3-dev HEADERS_ONLY)
evenkeel_package(zlib TARGET ZLIB::ZLIB FIND ZLIB DEBIAN zlib1g-dev PKG_CONFIG zlib)
evenkeel_package(png TARGET PNG::PNG FIND PNG DEBIAN libpng-dev PKG_CONFIG libpng)
evenkeel_package(tomlplusplus TARGET tomlplusplus::tomlplusplus FIND tomlplusplus
  DEBIAN libtomlplusplus-dev PKG_CONFIG tomlplusplus)
evenkeel_package(protobuf TARGET protobuf::libprotobuf-lite FIND Protobuf DEBIAN libprotobuf-dev
  PKG_CONFIG protobuf-lite)
evenkeel_package(cli11 TARGET CLI11::CLI11 FIND CLI11 DEBIAN libcli11-dev HEADERS_ONLY)
