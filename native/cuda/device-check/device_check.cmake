# conclave_device_check(NAME KERNELS target CASES name SMALL bool CEILINGS file): the program that checks a device, over the
# kernels of the device or over their emulation, with the cases of the conformance suite that are called CASES.

set(CONCLAVE_DEVICE_CHECK_FOLDER ${CMAKE_CURRENT_LIST_DIR})

function(conclave_device_check name)
  cmake_parse_arguments(check "" "KERNELS;CASES;SMALL;CEILINGS" "" ${ARGN})
  set(test ${PROJECT_SOURCE_DIR}/test)
  file(GLOB cases CONFIGURE_DEPENDS ${test}/conformance/*.cc)
  set(sources conformance.cc main.cc report.cc timings.cc workload.cc)
  list(TRANSFORM sources PREPEND ${CONCLAVE_DEVICE_CHECK_FOLDER}/)
  add_executable(${name} EXCLUDE_FROM_ALL ${sources} ${cases} ${check_CEILINGS})
  target_include_directories(${name} PRIVATE ${test} ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE
    ${check_KERNELS} conclave_kernels_cpu conclave_kernels_reference conclave_weights GTest::gtest)
  target_compile_definitions(${name} PRIVATE
    CONCLAVE_DEVICE_CHECK_CASES="${check_CASES}"
    CONCLAVE_DEVICE_CHECK_SMALL=${check_SMALL})
endfunction()
