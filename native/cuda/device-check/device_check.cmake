# conclave_device_check(NAME KERNELS target CASES name SMALL bool CEILINGS file): the program that checks a device, over the
# kernels of the device or over their emulation, with the cases of the conformance suite that are called CASES.

set(CONCLAVE_DEVICE_CHECK_FOLDER ${CMAKE_CURRENT_LIST_DIR})

function(conclave_device_check name)
  cmake_parse_arguments(check "" "KERNELS;CASES;SMALL;CEILINGS" "" ${ARGN})
  set(sources ${check_CEILINGS} companions.cc conformance.cc main.cc report.cc timings.cc
    models/carried.cc models/goldens.cc models/json.cc models/large_model.cc models/whole_model.cc
    workload/attention.cc workload/experts.cc workload/linear.cc workload/materials.cc workload/workload.cc)
  list(TRANSFORM sources PREPEND ${CONCLAVE_DEVICE_CHECK_FOLDER}/)
  # The suite as the native tests have compiled it, where they are; else of its own, over the kernels of the device.
  if(TARGET conclave_conformance_cases)
    set(cases $<TARGET_OBJECTS:conclave_conformance_cases>)
    set(harness conclave_conformance)
  else()
    file(GLOB cases CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/test/conformance/*.cc)
    set(harness conclave_kernels_cpu conclave_kernels_reference conclave_weights GTest::gtest)
  endif()
  # The reader of specs, over documents rather than JavaScript.
  set(readers read.cc read_matrix.cc read_mixers.cc read_operator.cc read_spec.cc)
  list(TRANSFORM readers PREPEND ${PROJECT_SOURCE_DIR}/binding/convert/)
  add_executable(${name} EXCLUDE_FROM_ALL ${sources} ${readers} ${cases})
  target_include_directories(${name} PRIVATE
    ${CONCLAVE_DEVICE_CHECK_FOLDER}/models ${PROJECT_SOURCE_DIR}/test ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${check_KERNELS} ${harness} conclave_engine GTest::gtest)
  target_compile_definitions(${name} PRIVATE
    CONCLAVE_DEVICE_CHECK_CASES="${check_CASES}" CONCLAVE_DEVICE_CHECK_SMALL=${check_SMALL})
endfunction()
