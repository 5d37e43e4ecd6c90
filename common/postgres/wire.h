// Big-endian numbers and timestamps as PostgreSQL's binary format has them.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

#include "absl/time/time.h"

namespace saldo::postgres::wire {

inline uint32_t Load32(const char* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap32(v);
}

inline uint64_t Load64(const char* p) {
  uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap64(v);
}

inline void Store32(char* p, uint32_t v) {
  v = __builtin_bswap32(v);
  std::memcpy(p, &v, sizeof v);
}

inline void Store64(char* p, uint64_t v) {
  v = __builtin_bswap64(v);
  std::memcpy(p, &v, sizeof v);
}

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "the byte swaps above assume a little-endian machine");

// A timestamptz is microseconds since 2000-01-01 00:00 UTC; the extremes stand for the infinities.
constexpr int64_t kEpochOffsetMicros = 946'684'800'000'000;
constexpr int64_t kInfinity = std::numeric_limits<int64_t>::max();
constexpr int64_t kMinusInfinity = std::numeric_limits<int64_t>::min();

inline int64_t FromTime(absl::Time time) {
  if (time == absl::InfiniteFuture()) return kInfinity;
  if (time == absl::InfinitePast()) return kMinusInfinity;
  return absl::ToUnixMicros(time) - kEpochOffsetMicros;
}

inline absl::Time ToTime(int64_t micros) {
  if (micros == kInfinity) return absl::InfiniteFuture();
  if (micros == kMinusInfinity) return absl::InfinitePast();
  return absl::FromUnixMicros(micros) + absl::Microseconds(kEpochOffsetMicros);
}

}  // namespace saldo::postgres::wire
