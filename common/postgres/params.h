// The parameters of one execution of a statement, encoded as PostgreSQL's binary format.
//
//   C++                                              PostgreSQL
//   bool, int32_t, int64_t, float, double            bool, int4, int8, float4, float8
//   Decimal                                          numeric
//   std::string_view (valid UTF-8 without NUL)       text
//   Bytes                                            bytea
//   absl::Time (microseconds)                        timestamptz
//   std::optional<T>                                 T or NULL
//   absl::Span<const T>, std::vector<T>              T[], also of optionals
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/decimal.h"
#include "common/postgres/oid.h"

namespace saldo::postgres {

struct Bytes {
  std::string_view data;
};

namespace internal {

template <typename T>
struct WireType;
template <>
struct WireType<bool> {
  static constexpr TypeOid kOid = TypeOid::kBool, kArrayOid = TypeOid::kBoolArray;
};
template <>
struct WireType<int32_t> {
  static constexpr TypeOid kOid = TypeOid::kInt4, kArrayOid = TypeOid::kInt4Array;
};
template <>
struct WireType<int64_t> {
  static constexpr TypeOid kOid = TypeOid::kInt8, kArrayOid = TypeOid::kInt8Array;
};
template <>
struct WireType<float> {
  static constexpr TypeOid kOid = TypeOid::kFloat4, kArrayOid = TypeOid::kFloat4Array;
};
template <>
struct WireType<double> {
  static constexpr TypeOid kOid = TypeOid::kFloat8, kArrayOid = TypeOid::kFloat8Array;
};
template <>
struct WireType<Decimal> {
  static constexpr TypeOid kOid = TypeOid::kNumeric, kArrayOid = TypeOid::kNumericArray;
};
template <>
struct WireType<std::string_view> {
  static constexpr TypeOid kOid = TypeOid::kText, kArrayOid = TypeOid::kTextArray;
};
template <>
struct WireType<Bytes> {
  static constexpr TypeOid kOid = TypeOid::kBytea, kArrayOid = TypeOid::kByteaArray;
};
template <>
struct WireType<absl::Time> {
  static constexpr TypeOid kOid = TypeOid::kTimestamptz, kArrayOid = TypeOid::kTimestamptzArray;
};

// What a C++ argument is sent as.
template <typename T>
struct Sent {
  using Type = T;
};
template <>
struct Sent<std::string> {
  using Type = std::string_view;
};
template <>
struct Sent<const char*> {
  using Type = std::string_view;
};
template <size_t N>
struct Sent<char[N]> {
  using Type = std::string_view;
};

}  // namespace internal

class Params {
 public:
  template <typename... Args>
  static Params Of(const Args&... args) {
    Params params;
    (params.Add(args), ...);
    return params;
  }

  template <typename T>
  void Add(const T& value) {
    using Sent = typename internal::Sent<T>::Type;
    Begin(internal::WireType<Sent>::kOid);
    Put(static_cast<Sent>(value));
    End();
  }
  template <typename T>
  void Add(const std::optional<T>& value) {
    using Sent = typename internal::Sent<T>::Type;
    Begin(internal::WireType<Sent>::kOid);
    if (!value.has_value()) return EndNull();
    Put(static_cast<Sent>(*value));
    End();
  }
  template <typename T>
  void Add(const std::vector<T>& values) {
    Add(absl::Span<const T>(values));
  }
  void Add(const std::vector<bool>& values);  // it has no elements to make a span of
  template <typename T>
  void Add(absl::Span<const T> values) {
    using Sent = typename internal::Sent<T>::Type;
    Begin(internal::WireType<Sent>::kArrayOid);
    PutArrayHeader(values.size(), /*has_null=*/false, internal::WireType<Sent>::kOid);
    for (const auto& value : values) PutElement(static_cast<Sent>(value));
    End();
  }
  template <typename T>
  void Add(absl::Span<const std::optional<T>> values) {
    using Sent = typename internal::Sent<T>::Type;
    Begin(internal::WireType<Sent>::kArrayOid);
    PutArrayHeader(values.size(), /*has_null=*/true, internal::WireType<Sent>::kOid);
    for (const auto& value : values) {
      if (value.has_value()) {
        PutElement(static_cast<Sent>(*value));
      } else {
        PutInt32(-1);
      }
    }
    End();
  }

  struct Slot {
    TypeOid type;
    int32_t length;  // -1 for NULL
    size_t offset;
  };
  absl::Span<const Slot> slots() const { return slots_; }
  const char* data(const Slot& slot) const { return buffer_.data() + slot.offset; }
  size_t bytes() const { return buffer_.size(); }

 private:
  void Begin(TypeOid type) { slots_.push_back({type, 0, buffer_.size()}); }
  void End() { slots_.back().length = static_cast<int32_t>(buffer_.size() - slots_.back().offset); }
  void EndNull() { slots_.back().length = -1; }

  void Put(bool value);
  void Put(int32_t value) { PutInt32(value); }
  void Put(int64_t value) { PutInt64(value); }
  void Put(float value);
  void Put(double value);
  void Put(Decimal value);
  void Put(std::string_view value) { buffer_.append(value); }
  void Put(Bytes value) { buffer_.append(value.data); }
  void Put(absl::Time value);

  template <typename T>
  void PutElement(T value) {
    const size_t at = buffer_.size();
    PutInt32(0);
    Put(value);
    PatchLength(at);
  }
  void PutArrayHeader(size_t count, bool has_null, TypeOid element);
  void PutInt32(int32_t value);
  void PutInt64(int64_t value);
  void PatchLength(size_t at);

  std::string buffer_;
  absl::InlinedVector<Slot, 8> slots_;
};

}  // namespace saldo::postgres
