set(BACKPLANE_PLUGIN_MAP ${CMAKE_CURRENT_LIST_DIR}/plugin.map)

# backplane_plugin(kind/name SOURCES a.cpp ... [TESTS test.cpp ...] [LIBRARIES x ...] [INCLUDES dir ...])
# Builds plugins/<kind>/<name> as a shared library <kind>-<name>.so and, with TESTS, a unit test of the same sources.
function(backplane_plugin id)
    cmake_parse_arguments(P "" "" "SOURCES;TESTS;LIBRARIES;INCLUDES" ${ARGN})
    string(REPLACE "/" "-" target ${id})
    # The objects are compiled once and serve both the plugin and its test.
    add_library(${target}-objects OBJECT ${P_SOURCES})
    set_target_properties(${target}-objects PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_link_libraries(${target}-objects PUBLIC backplane-sdk backplane-warnings ${P_LIBRARIES})
    target_include_directories(${target}-objects PUBLIC ${CMAKE_CURRENT_SOURCE_DIR} ${P_INCLUDES})
    target_compile_options(${target}-objects PRIVATE -fvisibility=hidden -fvisibility-inlines-hidden -fno-gnu-unique)
    add_library(${target} MODULE $<TARGET_OBJECTS:${target}-objects>)
    target_link_libraries(${target} PRIVATE backplane-sdk ${P_LIBRARIES})
    target_link_options(${target} PRIVATE -Wl,--exclude-libs,ALL -Wl,-z,defs
                        -Wl,--version-script=${BACKPLANE_PLUGIN_MAP})
    set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${BACKPLANE_PLUGIN_MAP})
    set_target_properties(${target} PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${BACKPLANE_PLUGIN_DIR})
    install(TARGETS ${target} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/backplane/plugins)
    if(P_TESTS AND BUILD_TESTING)
        backplane_unit_test(${target}-test SOURCES ${P_TESTS} $<TARGET_OBJECTS:${target}-objects> LIBRARIES ${P_LIBRARIES}
                            INCLUDES ${CMAKE_CURRENT_SOURCE_DIR} ${P_INCLUDES})
    endif()
endfunction()

# backplane_unit_test(name SOURCES ... [LIBRARIES ...] [INCLUDES ...]): a Catch2 program, known to ctest with label "unit".
function(backplane_unit_test name)
    cmake_parse_arguments(T "" "" "SOURCES;LIBRARIES;INCLUDES" ${ARGN})
    add_executable(${name} ${T_SOURCES})
    target_compile_options(${name} PRIVATE -O1)  # tests are compiled more often than they run
    target_link_libraries(${name} PRIVATE backplane-sdk backplane-warnings backplane-catch ${T_LIBRARIES})
    target_include_directories(${name} PRIVATE ${T_INCLUDES})
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 300)
endfunction()
