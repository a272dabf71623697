# What `cmake --install` puts where: libraries and headers by room, the files by which CMake and
# pkg-config find them. The command's rules stand beside it. Nothing names an absolute path, so the
# installed folder can be moved.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(EVENKEEL_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/evenkeel)
set(EVENKEEL_PKGCONFIG_DIR ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# Sets <variable> to the way from one installed folder to another.
function(evenkeel_relative_path variable from to)
  cmake_path(ABSOLUTE_PATH from BASE_DIRECTORY /prefix NORMALIZE)
  cmake_path(ABSOLUTE_PATH to BASE_DIRECTORY /prefix NORMALIZE)
  cmake_path(RELATIVE_PATH to BASE_DIRECTORY ${from} OUTPUT_VARIABLE relative)
  string(REGEX REPLACE "/$" "" relative ${relative})
  set(${variable} ${relative} PARENT_SCOPE)
endfunction()

# evenkeel_write_pc(<file name> <description> REQUIRES ... PRIVATE ... [LIBRARY <name>] PACKAGES ...)
#
# REQUIRES: modules that a consumer needs anyway. PACKAGES: outside libraries, which a consumer links
# itself where evenkeel is static; a shared evenkeel brings them.
function(evenkeel_write_pc PC_NAME PC_DESCRIPTION)
  cmake_parse_arguments(PC "" "LIBRARY" "REQUIRES;PACKAGES" ${ARGN})
  evenkeel_relative_path(PC_PREFIX ${EVENKEEL_PKGCONFIG_DIR} .)
  set(PC_LIBDIR "\${prefix}")
  cmake_path(APPEND PC_LIBDIR ${CMAKE_INSTALL_LIBDIR})
  set(PC_INCLUDEDIR "\${prefix}")
  cmake_path(APPEND PC_INCLUDEDIR ${CMAKE_INSTALL_INCLUDEDIR})
  set(private_modules)
  set(private_libraries)
  if(NOT BUILD_SHARED_LIBS)
    foreach(package IN LISTS PC_PACKAGES)
      evenkeel_package_field(module ${package} PKG_CONFIG)
      evenkeel_package_field(libraries ${package} LIBRARIES)
      if(package STREQUAL "openmp" AND OpenMP_CXX_LIB_NAMES)
        set(libraries ${OpenMP_CXX_LIB_NAMES})
      endif()
      list(APPEND private_modules ${module})
      list(TRANSFORM libraries PREPEND -l)
      list(APPEND private_libraries ${libraries})
    endforeach()
    list(REMOVE_DUPLICATES private_libraries)
  endif()
  list(JOIN PC_REQUIRES ", " PC_REQUIRES)
  list(JOIN private_modules ", " PC_REQUIRES_PRIVATE)
  list(JOIN private_libraries " " PC_LIBS_PRIVATE)
  set(PC_CFLAGS)
  set(PC_LIBS)
  if(PC_LIBRARY)
    set(PC_CFLAGS "-I\${includedir}")
    set(PC_LIBS "-L\${libdir} -l${PC_LIBRARY}")
  endif()
  configure_file(${PROJECT_SOURCE_DIR}/cmake/evenkeel.pc.in
    ${PROJECT_BINARY_DIR}/package/${PC_NAME}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/package/${PC_NAME}.pc
    DESTINATION ${EVENKEEL_PKGCONFIG_DIR} COMPONENT evenkeel_development)
endfunction()

# evenkeel_install_target(<component> <target>): a library and the file that describes it to CMake.
function(evenkeel_install_target component target)
  install(TARGETS ${target} EXPORT evenkeel-${component}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
      COMPONENT evenkeel_runtime NAMELINK_COMPONENT evenkeel_development
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT evenkeel_development)
  install(EXPORT evenkeel-${component} FILE evenkeel-${component}-targets.cmake NAMESPACE evenkeel::
    DESTINATION ${EVENKEEL_CMAKE_DIR} COMPONENT evenkeel_development)
endfunction()

# Appends what evenkeel-config.cmake must know to EVENKEEL_CONFIG_TABLE: the rooms that each room uses,
# and the outside libraries that its consumers have to find.
function(evenkeel_describe_rooms)
  set(described)
  foreach(name IN LISTS ARGN)
    evenkeel_room_field(uses ${name} USES)
    evenkeel_room_field(packages ${name} PUBLIC)
    if(NOT BUILD_SHARED_LIBS)
      evenkeel_room_field(private ${name} PRIVATE)
      list(APPEND packages ${private})
    endif()
    set(kept)
    foreach(package IN LISTS packages)
      evenkeel_package_field(headers_only ${package} HEADERS_ONLY)
      if(NOT headers_only)
        list(APPEND kept ${package})
      endif()
    endforeach()
    list(APPEND described ${kept})
    list(JOIN uses " " uses)
    list(JOIN kept " " kept)
    string(APPEND EVENKEEL_CONFIG_TABLE
      "set(_evenkeel_${name}_uses ${uses})\nset(_evenkeel_${name}_packages ${kept})\n")
  endforeach()
  list(REMOVE_DUPLICATES described)
  foreach(package IN LISTS described)
    foreach(field TARGET FIND DEBIAN)
      evenkeel_package_field(value ${package} ${field})
      string(TOLOWER ${field} key)
      list(JOIN value " " value)
      string(APPEND EVENKEEL_CONFIG_TABLE "set(_evenkeel_${package}_${key} ${value})\n")
    endforeach()
  endforeach()
  set(EVENKEEL_CONFIG_TABLE ${EVENKEEL_CONFIG_TABLE} PARENT_SCOPE)
endfunction()

function(evenkeel_install_room name)
  evenkeel_install_target(${name} evenkeel_${name})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/evenkeel/${name}
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/evenkeel
    COMPONENT evenkeel_development FILES_MATCHING PATTERN *.h)

  evenkeel_room_field(summary ${name} SUMMARY)
  evenkeel_room_field(uses ${name} USES)
  evenkeel_room_field(public ${name} PUBLIC)
  evenkeel_room_field(private ${name} PRIVATE)
  set(requires)
  foreach(lower IN LISTS uses)
    list(APPEND requires "evenkeel-${lower} = ${PROJECT_VERSION}")
  endforeach()
  foreach(package IN LISTS public)
    evenkeel_package_field(module ${package} PKG_CONFIG)
    list(APPEND requires ${module})
  endforeach()
  evenkeel_write_pc(evenkeel-${name} "${summary}" LIBRARY evenkeel_${name}
    REQUIRES ${requires} PACKAGES ${private})
endfunction()

# All rooms that were built, and what finds them.
function(evenkeel_install_rooms)
  set(requires)
  foreach(name IN LISTS EVENKEEL_BUILT_ROOMS)
    evenkeel_install_room(${name})
    list(APPEND requires "evenkeel-${name} = ${PROJECT_VERSION}")
  endforeach()
  evenkeel_install_target(evenkeel evenkeel_everything)
  evenkeel_write_pc(evenkeel "${PROJECT_DESCRIPTION}" REQUIRES ${requires})
  if(EVENKEEL_WHOLE_HOUSE)
    install(FILES ${PROJECT_SOURCE_DIR}/include/evenkeel/evenkeel.h
      DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/evenkeel COMPONENT evenkeel_development)
  endif()

  list(JOIN EVENKEEL_BUILT_ROOMS " " rooms)
  set(EVENKEEL_CONFIG_TABLE
    "set(_evenkeel_evenkeel_uses ${rooms})\nset(_evenkeel_evenkeel_packages)\n")
  evenkeel_describe_rooms(${EVENKEEL_BUILT_ROOMS})
  set(EVENKEEL_CONFIG_ROOMS "${rooms} evenkeel")
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/evenkeel-config.cmake.in
    ${PROJECT_BINARY_DIR}/package/evenkeel-config.cmake
    INSTALL_DESTINATION ${EVENKEEL_CMAKE_DIR}
    NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
  # Before 1.0 a minor version may change the interface.
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/evenkeel-config-version.cmake
    COMPATIBILITY SameMinorVersion)
  install(FILES
    ${PROJECT_BINARY_DIR}/package/evenkeel-config.cmake
    ${PROJECT_BINARY_DIR}/package/evenkeel-config-version.cmake
    ${PROJECT_SOURCE_DIR}/cmake/FindEvenkeelDnnl.cmake
    DESTINATION ${EVENKEEL_CMAKE_DIR} COMPONENT evenkeel_development)
endfunction()
