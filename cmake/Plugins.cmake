# What the plugins and tests of this source tree have beyond those outside it: warnings, the common output folder.
include(${CMAKE_SOURCE_DIR}/sdk/cmake/BackplanePlugin.cmake)

# Random accesses in the longest case of each plugin's conformance check: in every run of the tests, and in the long one.
set(BACKPLANE_CHECK_ACCESSES 20000)
set(BACKPLANE_LONG_CHECK_ACCESSES 1000000)

# backplane_plugin(kind/name SOURCES a.cpp ... [TESTS test.cpp ...] [LIBRARIES x ...] [INCLUDES dir ...] [CHECK option ...])
# Builds plugins/<kind>/<name> as <kind>-<name>.so and what belongs to it (backplane_add_plugin). Every plugin has to pass
# `backplane plugin check`, with the options CHECK.
function(backplane_plugin id)
    cmake_parse_arguments(PARSE_ARGV 1 P "" "" "SOURCES;TESTS;LIBRARIES;INCLUDES;CHECK")
    string(REPLACE "/" "-" target ${id})
    backplane_add_plugin(${target} SOURCES ${P_SOURCES} TESTS ${P_TESTS} LIBRARIES backplane-warnings ${P_LIBRARIES}
                         INCLUDES ${P_INCLUDES})
    set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${BACKPLANE_PLUGIN_DIR})
    if(TARGET ${target}-test)
        backplane_tune_test(${target}-test)
    endif()
    if(TARGET backplane AND BUILD_TESTING)
        backplane_check_test(${target}-check unit ${target} --accesses ${BACKPLANE_CHECK_ACCESSES} ${P_CHECK})
        backplane_check_test(long-${target}-check long ${target} --accesses ${BACKPLANE_LONG_CHECK_ACCESSES} ${P_CHECK})
    endif()
endfunction()

# backplane_check_test(name label target options...): the conformance check of a plugin.
function(backplane_check_test name label target)
    add_test(NAME ${name} COMMAND backplane plugin check ${ARGN} $<TARGET_FILE:${target}>)
    set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT 1200)
endfunction()

# backplane_unit_test(name SOURCES ... [LIBRARIES ...] [INCLUDES ...]): a Catch2 program, known to ctest with label "unit".
function(backplane_unit_test name)
    backplane_add_test(${name} ${ARGN})
    backplane_tune_test(${name})
    target_link_libraries(${name} PRIVATE backplane-warnings)
endfunction()

# Tests are compiled more often than they run. Sanitizers are for what they test: with them, and in the sight of UBSan, the
# assertions alone take minutes.
function(backplane_tune_test name)
    if(BACKPLANE_SANITIZE)
        target_compile_options(${name} PRIVATE -O0 -fno-sanitize=undefined)
    else()
        target_compile_options(${name} PRIVATE -O1)
    endif()
endfunction()
