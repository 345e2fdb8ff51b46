# What `cmake --install` puts where. Component client: the library, its headers and the package that
# find_package(cairn) finds. Component programs: cairnd and cairn.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/cairn)
set_target_properties(cairn_client PROPERTIES EXPORT_NAME client)

install(TARGETS cairn_options cairn_base cairn_proto cairn_wire cairn_client EXPORT cairn
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT client)
install(EXPORT cairn NAMESPACE cairn:: FILE cairn-targets.cmake DESTINATION ${package_dir} COMPONENT client)

# The headers that client/client.h and client/async.h reach; the rest, and all generated code, stays here.
foreach(header base/assert.h base/bytes.h proto/wire/grpc_status.h
    client/async.h client/client.h client/core.h client/endpoint.h client/result.h client/snapshot.h client/txn.h
    client/types.h)
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${PROJECT_SOURCE_DIR}/${header}
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cairn/${folder} COMPONENT client)
endforeach()

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/cairn-config.cmake.in
  ${PROJECT_BINARY_DIR}/cairn-config.cmake INSTALL_DESTINATION ${package_dir})
# Before 1.0 every minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/cairn-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/cairn-config.cmake ${PROJECT_BINARY_DIR}/cairn-config-version.cmake
  DESTINATION ${package_dir} COMPONENT client)

if(CAIRN_BUILD_SERVER)
  install(TARGETS cairnd cairn RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT programs)
endif()
