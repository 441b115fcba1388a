# What the plugins and tests of this source tree have beyond those outside it: warnings, the common output folder.
include(${CMAKE_SOURCE_DIR}/sdk/cmake/BackplanePlugin.cmake)

# backplane_plugin(kind/name SOURCES a.cpp ... [TESTS test.cpp ...] [LIBRARIES x ...] [INCLUDES dir ...])
# Builds plugins/<kind>/<name> as <kind>-<name>.so and what belongs to it (backplane_add_plugin).
function(backplane_plugin id)
    cmake_parse_arguments(PARSE_ARGV 1 P "" "" "SOURCES;TESTS;LIBRARIES;INCLUDES")
    string(REPLACE "/" "-" target ${id})
    backplane_add_plugin(${target} SOURCES ${P_SOURCES} TESTS ${P_TESTS} LIBRARIES backplane-warnings ${P_LIBRARIES}
                         INCLUDES ${P_INCLUDES})
    set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${BACKPLANE_PLUGIN_DIR})
    if(TARGET ${target}-test)
        target_compile_options(${target}-test PRIVATE -O1)  # tests are compiled more often than they run
    endif()
endfunction()

# backplane_unit_test(name SOURCES ... [LIBRARIES ...] [INCLUDES ...]): a Catch2 program, known to ctest with label "unit".
function(backplane_unit_test name)
    backplane_add_test(${name} ${ARGN})
    target_compile_options(${name} PRIVATE -O1)
    target_link_libraries(${name} PRIVATE backplane-warnings)
endfunction()
