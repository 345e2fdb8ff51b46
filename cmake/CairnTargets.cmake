# How every target of the project is made: one place for warnings, sanitizers and test registration.

include(GNUInstallDirs)

find_program(CAIRN_CCACHE ccache)
if(CAIRN_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CAIRN_CCACHE})
endif()

add_library(cairn_options INTERFACE)
target_include_directories(cairn_options INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/cairn>)
if(CAIRN_DCHECKS)
  target_compile_definitions(cairn_options INTERFACE CAIRN_DCHECKS)
endif()

add_library(cairn_warnings INTERFACE)
target_compile_options(cairn_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wswitch-enum
  -Wnon-virtual-dtor -Wold-style-cast -Woverloaded-virtual
  # Not at -O2, where GCC 12 reports it falsely inside of the standard library.
  $<$<CONFIG:Debug>:-Wnull-dereference>)
if(CAIRN_WERROR)
  target_compile_options(cairn_warnings INTERFACE -Werror)
  # GCC 12 reports these falsely at -O2 and under sanitizers; they stay visible as warnings.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(cairn_warnings INTERFACE
      -Wno-error=restrict -Wno-error=maybe-uninitialized -Wno-error=null-dereference
      -Wno-error=dangling-pointer -Wno-error=array-bounds -Wno-error=stringop-overflow
      -Wno-error=stringop-overread -Wno-error=free-nonheap-object -Wno-error=mismatched-new-delete)
  endif()
endif()

# From here on everything is for the whole build: mixing these between linked objects invites
# trouble with the one-definition rule.
add_compile_definitions(BOOST_ASIO_NO_DEPRECATED)
if(CAIRN_SANITIZE)
  # ThreadSanitizer does not see fences. Asio's stand beside the mutex of its queue, which it sees.
  if(CAIRN_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-tsan)
  endif()
  add_compile_options(-fsanitize=${CAIRN_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${CAIRN_SANITIZE})
endif()
if(CAIRN_GLIBCXX_ASSERTIONS)
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
endif()
if(CAIRN_HARDENING)
  # Some toolchains predefine a lower level, and redefining it is a warning.
  add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
    -fstack-protector-strong -fstack-clash-protection)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64|AMD64|i.86")
    add_compile_options(-fcf-protection)
  endif()
  add_link_options(-Wl,-z,relro,-z,now,-z,noexecstack)
endif()
# Position-independent executables, where CMAKE_POSITION_INDEPENDENT_CODE alone only compiles so.
include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)
if(CAIRN_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

find_program(CAIRN_LLD ld.lld)
if(CAIRN_LLD)
  add_link_options(-fuse-ld=lld)
endif()

# cairn_library(NAME [DEPENDS target...] [PRIVATE target...]): all .cc of this folder, one static library.
# A folder links only what the layer table allows (scripts/tidy.py holds the includes to it).
function(cairn_library name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;PRIVATE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc ${CMAKE_CURRENT_SOURCE_DIR}/mvcc/*.cc)
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC cairn_options ${ARG_DEPENDS}
    PRIVATE $<BUILD_INTERFACE:cairn_warnings> ${ARG_PRIVATE})
endfunction()

# cairn_label(TARGET LABEL...): makes the target tests_<label> build what the tests of that label need.
function(cairn_label target)
  foreach(label ${ARGN})
    if(NOT TARGET tests_${label})
      add_custom_target(tests_${label})
    endif()
    add_dependencies(tests_${label} ${target})
  endforeach()
endfunction()

# cairn_fuzzer(NAME SOURCE file [DEPENDS target...] [PLANTED]): a program around LLVMFuzzerTestOneInput,
# with its first inputs in the folder corpus/NAME beside the source. In the preset fuzz it is a libFuzzer
# program and a test (label fuzz) that searches for half a minute; with PLANTED one that must find a
# fault, which is made there only. Elsewhere it is a test (labels commit, unit, fuzz, asan) that runs
# the inputs and seeded mutations of them.
function(cairn_fuzzer name)
  cmake_parse_arguments(ARG "PLANTED" "SOURCE" "DEPENDS" ${ARGN})
  if(ARG_PLANTED AND NOT CAIRN_FUZZ)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCE})
  target_link_libraries(${name} PRIVATE cairn_options cairn_base cairn_warnings ${ARG_DEPENDS})
  if(CAIRN_FUZZ)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    set(search python3 ${PROJECT_SOURCE_DIR}/tests/fuzz/run.py)
    if(ARG_PLANTED)
      list(APPEND search --expect-crash)
    endif()
    add_test(NAME ${name} COMMAND ${search} $<TARGET_FILE:${name}>)
    # Room for CAIRN_FUZZ_SECONDS=600.
    set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT 660)
    cairn_label(${name} fuzz)
    return()
  endif()
  target_sources(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/fuzz_main.cc)
  add_test(NAME ${name} COMMAND ${name} ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name})
  set_tests_properties(${name} PROPERTIES LABELS "commit;unit;fuzz;asan" TIMEOUT 120)
  cairn_label(${name} commit unit fuzz asan)
endfunction()

# cairn_test(NAME [DEPENDS target...] [LABELS label...] [TIMEOUT s]): all *_test.cc and helpers of this
# folder and below as one Catch2 program, run by ctest as one test.
function(cairn_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "DEPENDS;LABELS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE cairn_test_main cairn_warnings ${ARG_DEPENDS})
  add_test(NAME ${name} COMMAND ${name})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
  cairn_label(${name} ${ARG_LABELS})
endfunction()

# cairn_mutants(LIBRARY source...): the named sources of the target LIBRARY once more, with the faults of
# base/mutant.h: objects LIBRARY_mutants. A program that links them takes them in place of LIBRARY's own,
# whose archive has the rest. Compiled as one file, which takes a fraction of the time.
function(cairn_mutants library)
  set(sources ${ARGN})
  get_target_property(folder ${library} SOURCE_DIR)
  list(TRANSFORM sources PREPEND ${folder}/)
  add_library(${library}_mutants OBJECT EXCLUDE_FROM_ALL ${sources})
  set_target_properties(${library}_mutants PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)
  target_compile_definitions(${library}_mutants PRIVATE CAIRN_MUTANTS)
  # The one file includes the others, which makes their unnamed namespaces look like a header's.
  target_compile_options(${library}_mutants PRIVATE
    $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  get_target_property(linked ${library} LINK_LIBRARIES)
  target_link_libraries(${library}_mutants PRIVATE ${linked})
endfunction()
