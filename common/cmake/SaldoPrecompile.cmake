# Precompiled headers: what most sources include of the standard library, Abseil, gRPC and Catch2, parsed once a build.
# Four sets, since the headers of gRPC and Catch2 pull their libraries into every object that sees them.

set(SALDO_COMMON_HEADERS
  <algorithm> <array> <atomic> <chrono> <cstdint> <cstdlib> <deque> <functional> <limits> <map> <memory> <optional> <set>
  <string> <string_view> <tuple> <utility> <variant> <vector>
  <absl/base/thread_annotations.h> <absl/container/flat_hash_map.h> <absl/functional/any_invocable.h>
  <absl/functional/function_ref.h> <absl/status/status.h> <absl/status/statusor.h> <absl/strings/escaping.h>
  <absl/strings/match.h> <absl/strings/numbers.h> <absl/strings/str_cat.h> <absl/strings/str_format.h>
  <absl/strings/str_join.h> <absl/strings/str_split.h> <absl/synchronization/mutex.h> <absl/time/clock.h>
  <absl/time/time.h> <absl/types/span.h>)
set(SALDO_GRPC_HEADERS
  <google/protobuf/message.h> <google/protobuf/util/json_util.h> <grpcpp/grpcpp.h> <grpcpp/support/server_callback.h>)
set(SALDO_CATCH2_HEADERS <catch2/catch.hpp> <random>)

# Without this ccache cannot know what a precompiled header holds.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)
endif()

# Sets OUT of the caller: whether TARGET links WHAT, itself or through others.
function(saldo_linked out target what)
  set(seen "")
  set(waiting ${target})
  while(waiting)
    list(POP_FRONT waiting next)
    if(next STREQUAL what)
      set(${out} TRUE PARENT_SCOPE)
      return()
    endif()
    if(TARGET ${next} AND NOT next IN_LIST seen)
      list(APPEND seen ${next})
      get_target_property(linked ${next} INTERFACE_LINK_LIBRARIES)
      get_target_property(type ${next} TYPE)
      if(NOT type STREQUAL INTERFACE_LIBRARY)
        get_target_property(own ${next} LINK_LIBRARIES)
        list(APPEND linked ${own})
      endif()
      list(FILTER linked EXCLUDE REGEX "NOTFOUND$|^\\$<LINK_ONLY")
      list(APPEND waiting ${linked})
    endif()
  endwhile()
  set(${out} FALSE PARENT_SCOPE)
endfunction()

# Gives each of our libraries and programs the set that fits what it links. Called once all of them are known.
function(saldo_precompile_headers)
  get_property(targets GLOBAL PROPERTY SALDO_PRECOMPILED)
  foreach(target IN LISTS targets)
    set(headers ${SALDO_COMMON_HEADERS})
    set(set saldo_headers)
    saldo_linked(grpc ${target} gRPC::grpc++)
    if(grpc)
      string(APPEND set _grpc)
      list(APPEND headers ${SALDO_GRPC_HEADERS})
    endif()
    saldo_linked(catch2 ${target} saldo_catch_main)
    if(catch2)
      string(APPEND set _catch2)
      list(APPEND headers ${SALDO_CATCH2_HEADERS})
    endif()
    if(NOT TARGET ${set})
      # A set belongs to a library, and a library needs a source.
      file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/gen_headers/${set}.cc CONTENT "")
      add_library(${set} OBJECT ${CMAKE_BINARY_DIR}/gen_headers/${set}.cc)
      target_precompile_headers(${set} PRIVATE ${headers})
    endif()
    target_precompile_headers(${target} REUSE_FROM ${set})
  endforeach()
endfunction()
