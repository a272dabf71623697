# Debian packages: `cpack -G DEB` in the build folder. One for the command, one for development, and
# for shared builds one with the libraries.

set(CPACK_PACKAGE_NAME evenkeel)
set(CPACK_PACKAGE_VENDOR evenkeel)
set(CPACK_PACKAGE_CONTACT "evenkeel maintainers <maintainers@evenkeel.example>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")  # each package has one of its own
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_VERBATIM_VARIABLES ON)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)

# The version that dpkg compares; a dependency among our own packages is on exactly this one.
set(version ${PROJECT_VERSION})
set(library libevenkeel${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})

# A consumer of the static libraries links what is behind them; of the shared ones, what the public
# headers include.
set(development_depends)
foreach(room IN LISTS EVENKEEL_BUILT_ROOMS)
  evenkeel_room_field(packages ${room} PUBLIC)
  if(NOT BUILD_SHARED_LIBS)
    evenkeel_room_field(private ${room} PRIVATE)
    list(APPEND packages ${private})
  endif()
  foreach(package IN LISTS packages)
    evenkeel_package_field(headers_only ${package} HEADERS_ONLY)
    evenkeel_package_field(debian ${package} DEBIAN)
    if(NOT headers_only)
      list(APPEND development_depends ${debian})
    endif()
  endforeach()
endforeach()
list(REMOVE_DUPLICATES development_depends)

# evenkeel_debian_package(<component> <package> <section> <description>)
macro(evenkeel_debian_package component package section description)
  string(TOUPPER ${component} upper)
  list(APPEND CPACK_COMPONENTS_ALL ${component})
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${package})
  set(CPACK_DEBIAN_${upper}_PACKAGE_SECTION ${section})
  set(CPACK_COMPONENT_${upper}_DESCRIPTION "${description}")
  install(FILES ${PROJECT_SOURCE_DIR}/cmake/debian/copyright
    DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/${package} COMPONENT ${component})
endmacro()

set(CPACK_COMPONENTS_ALL)
if(BUILD_SHARED_LIBS)
  evenkeel_debian_package(evenkeel_runtime ${library} libs
    "batch normalization: shared libraries\nThe libraries that programs built with evenkeel run with.")
  set(CPACK_DEBIAN_EVENKEEL_RUNTIME_PACKAGE_SHLIBDEPS ON)
  list(PREPEND development_depends "${library} (= ${version})")
endif()
evenkeel_debian_package(evenkeel_development libevenkeel-dev libdevel
  "batch normalization: headers and libraries\nHeaders and libraries, one per room, with their CMake and pkg-config files: normalization kernels, which link alone; networks, optimizers, data and training on top of them.")
list(JOIN development_depends ", " CPACK_DEBIAN_EVENKEEL_DEVELOPMENT_PACKAGE_DEPENDS)
if(TARGET evenkeel)
  evenkeel_debian_package(evenkeel_command evenkeel science
    "batch normalization: the command\nTrains networks with batch normalization, compares them with and without it, evaluates, predicts and looks inside.")
  set(CPACK_DEBIAN_EVENKEEL_COMMAND_PACKAGE_SHLIBDEPS ON)
  if(BUILD_SHARED_LIBS)
    set(CPACK_DEBIAN_EVENKEEL_COMMAND_PACKAGE_DEPENDS "${library} (= ${version})")
    # Where dpkg-shlibdeps finds our own libraries.
    set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR})
  endif()
endif()

include(CPack)
