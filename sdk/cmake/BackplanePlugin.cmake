# How every plugin is built and tested: included by Backplane's own source tree and by the installed package.

# backplane_add_plugin(name SOURCES a.cpp ... [TESTS test.cpp ...] [LIBRARIES x ...] [INCLUDES dir ...])
# Builds the shared library <name>.so. ctest knows <name>-lint, which looks for what a plugin must not do, and, with TESTS,
# <name>-test, a Catch2 program of the same sources. `cmake --install` puts the plugin where a program of that prefix looks for it.
function(backplane_add_plugin name)
    cmake_parse_arguments(PARSE_ARGV 1 P "" "" "SOURCES;TESTS;LIBRARIES;INCLUDES")
    if(P_UNPARSED_ARGUMENTS OR NOT P_SOURCES)
        message(FATAL_ERROR "backplane_add_plugin(${name} SOURCES a.cpp ... [TESTS ...] [LIBRARIES ...] [INCLUDES ...]): "
                            "no sources, or unknown arguments: ${P_UNPARSED_ARGUMENTS}")
    endif()
    set(map ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin.map)
    # The objects are compiled once and serve both the plugin and its test.
    add_library(${name}-objects OBJECT ${P_SOURCES})
    set_target_properties(${name}-objects PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_link_libraries(${name}-objects PUBLIC Backplane::sdk ${P_LIBRARIES})
    target_include_directories(${name}-objects PUBLIC ${CMAKE_CURRENT_SOURCE_DIR} ${P_INCLUDES})
    # A unique symbol would keep the library in memory for ever.
    target_compile_options(${name}-objects PRIVATE -fvisibility=hidden -fvisibility-inlines-hidden
                           $<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique>)

    add_library(${name} MODULE $<TARGET_OBJECTS:${name}-objects>)
    target_link_libraries(${name} PRIVATE Backplane::sdk ${P_LIBRARIES})
    target_link_options(${name} PRIVATE -Wl,--exclude-libs,ALL -Wl,-z,defs -Wl,--gc-sections -Wl,--version-script=${map})
    set_property(TARGET ${name} APPEND PROPERTY LINK_DEPENDS ${map})
    set_target_properties(${name} PROPERTIES PREFIX "" LINKER_LANGUAGE CXX)
    install(TARGETS ${name} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/backplane/plugins)

    if(DEFINED BUILD_TESTING AND NOT BUILD_TESTING)
        return()
    endif()
    # Sanitizers bring imports of their own.
    if(TARGET Backplane::program AND NOT BACKPLANE_SANITIZE)
        add_test(NAME ${name}-lint COMMAND $<TARGET_FILE:Backplane::program> plugin lint $<TARGET_FILE:${name}>)
        set_tests_properties(${name}-lint PROPERTIES LABELS plugin TIMEOUT 60)
    endif()
    if(P_TESTS)
        backplane_add_test(${name}-test SOURCES ${P_TESTS} $<TARGET_OBJECTS:${name}-objects> LIBRARIES ${P_LIBRARIES}
                           INCLUDES ${CMAKE_CURRENT_SOURCE_DIR} ${P_INCLUDES})
    endif()
endfunction()

# backplane_add_test(name SOURCES ... [LIBRARIES ...] [INCLUDES ...]): a Catch2 program, known to ctest with label "unit".
function(backplane_add_test name)
    cmake_parse_arguments(PARSE_ARGV 1 T "" "" "SOURCES;LIBRARIES;INCLUDES")
    backplane_catch_library()
    if(NOT TARGET backplane-catch)
        message(WARNING "${name} is left out: there is no catch2/catch.hpp (Catch2 version 2; Debian's package catch2)")
        return()
    endif()
    add_executable(${name} ${T_SOURCES})
    # g++ 12 sees overlaps where there are none (GCC bug 105651).
    target_compile_options(${name} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
    target_link_libraries(${name} PRIVATE Backplane::sdk backplane-catch ${T_LIBRARIES})
    target_include_directories(${name} PRIVATE ${T_INCLUDES})
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 300)
endfunction()

# The target backplane-catch: main() of all test programs, compiled once.
function(backplane_catch_library)
    if(TARGET backplane-catch)
        return()
    endif()
    find_path(BACKPLANE_CATCH_INCLUDE catch2/catch.hpp)
    mark_as_advanced(BACKPLANE_CATCH_INCLUDE)
    if(NOT BACKPLANE_CATCH_INCLUDE)
        return()
    endif()
    add_library(backplane-catch OBJECT ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/catch_main.cpp)
    target_include_directories(backplane-catch SYSTEM PUBLIC ${BACKPLANE_CATCH_INCLUDE})
    target_compile_features(backplane-catch PUBLIC cxx_std_20)
    # The test framework itself needs neither optimiser nor sanitizers, which take minutes over it.
    target_compile_options(backplane-catch PRIVATE -O0 -fno-sanitize=all)
endfunction()
