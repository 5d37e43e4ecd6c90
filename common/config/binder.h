// Describes a binary's configuration by binding keys to the fields of plain structs. The fields'
// values at the time of binding are the defaults. One description serves the YAML file, the
// environment, the flags, --help,
// --check-config and --print-config; see load.h.
//
//   struct GrpcConfig {
//     uint16_t port = 8082;
//     absl::Duration drain_timeout = absl::Seconds(10);
//   };
//   void Bind(config::Binder& binder, GrpcConfig& c) {
//     binder.Int("port", &c.port, {.min = 0, .max = 65535}, "TCP port of gRPC; 0 picks a free
//     one"); binder.Duration("drain_timeout", &c.drain_timeout,
//                     {.min = absl::ZeroDuration(), .max = absl::Minutes(10)},
//                     "How long a stop waits for running calls");
//   }
//   void Bind(config::Binder& binder, ServerConfig& c) {
//     binder.Section("grpc", [&](config::Binder& b) { Bind(b, c.grpc); });
//   }
//
// A key is a word of a-z, 0-9 and _ that starts with a letter. A mistake in a description (a bad or
// repeated key, two keys with one environment name, a default outside its range) is a fault of
// every load.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"

namespace saldo::config {

inline constexpr int64_t kKiB = 1024;
inline constexpr int64_t kMiB = 1024 * kKiB;
inline constexpr int64_t kGiB = 1024 * kMiB;
inline constexpr int64_t kTiB = 1024 * kGiB;

// All ranges include both ends.
struct IntRange {
  int64_t min;
  int64_t max;
};
struct ByteRange {
  int64_t min;
  int64_t max;
};
struct FloatRange {
  double min;
  double max;
};
struct DurationRange {
  absl::Duration min;
  absl::Duration max;
};
// Of a text, in bytes. A value that may not be empty and has no default is thereby required.
struct LengthRange {
  size_t min = 0;
  size_t max = 1024;
};
// Of a list, in items. A list that may not be empty and has no default is thereby required.
struct CountRange {
  size_t min = 0;
  size_t max = 64;
};

namespace internal {

struct Node;

// Fields whose exact type the library does not see.
struct IntField {
  std::function<int64_t()> get;
  std::function<void(int64_t)> set;
  bool fits = true;  // whether every value of the range fits the field's type
};
struct EnumField {
  std::vector<std::string> names;
  std::function<size_t()> get;  // names.size() when the field holds none of the choices
  std::function<void(size_t)> set;
};

}  // namespace internal

class Binder {
 public:
  // Library use: binds into the section `node`.
  explicit Binder(internal::Node* node) : node_(node) {}

  Binder(const Binder&) = delete;
  Binder& operator=(const Binder&) = delete;

  // Keys bound in `bind` lie under `key`.
  void Section(std::string_view key, absl::FunctionRef<void(Binder&)> bind,
               std::string_view help = "");

  // A count or another whole number; say in `help` what it counts.
  template <std::integral T>
  void Int(std::string_view key, T* field, IntRange range, std::string_view help) {
    static_assert(!std::same_as<T, bool>, "use Bool");
    BindInt(key, MakeIntField(field, range.min, range.max), range, help);
  }

  // A size in bytes, written "64KiB", "4MiB", or as a plain number of bytes.
  template <std::integral T>
  void Bytes(std::string_view key, T* field, ByteRange range, std::string_view help) {
    static_assert(!std::same_as<T, bool>, "use Bool");
    BindBytes(key, MakeIntField(field, range.min, range.max), range, help);
  }

  // Written with a unit: "250ms", "30s", "1h30m".
  void Duration(std::string_view key, absl::Duration* field, DurationRange range,
                std::string_view help);

  // true or false. As a flag also --key alone, which means true.
  void Bool(std::string_view key, bool* field, std::string_view help);

  // For ratios only: nothing that is counted, paid or timed is a Float.
  void Float(std::string_view key, double* field, FloatRange range, std::string_view help);

  void String(std::string_view key, std::string* field, LengthRange range, std::string_view help);

  // A text that is never shown, neither in a fault nor by --print-config. Also read from the file
  // which the variable SALDO_<KEY>_FILE names, without its trailing newline; at most 64 KiB.
  void Secret(std::string_view key, std::string* field, LengthRange range, std::string_view help);

  // A list of non-empty texts. In the environment and in flags they are separated by commas.
  void StringList(std::string_view key, std::vector<std::string>* field, CountRange range,
                  std::string_view help);

  //   b.Enum("format", &c.format, {{"json", Format::kJson}, {"console", Format::kConsole}}, "...");
  template <typename E>
  void Enum(std::string_view key, E* field,
            std::vector<std::pair<std::string, std::type_identity_t<E>>> choices,
            std::string_view help) {
    internal::EnumField access;
    std::vector<E> values;
    for (auto& [name, value] : choices) {
      access.names.push_back(name);
      values.push_back(value);
    }
    access.get = [field, values] {
      size_t index = 0;
      while (index < values.size() && values[index] != *field) ++index;
      return index;
    };
    access.set = [field, values](size_t index) { *field = values[index]; };
    BindEnum(key, std::move(access), help);
  }

  // A list of sections. Given in the YAML file, which replaces the default list as a whole; the
  // keys of an item that exists can then be set by SALDO_SHARDS_0_DSN and --shards.0.dsn too.
  // `bind` runs for each item and once for --help, also after this call: it captures no locals.
  //   b.List("shards", &c.shards, {.min = 1, .max = 64},
  //          [](config::Binder& item, ShardConfig& shard) { Bind(item, shard); }, "...");
  template <typename T>
  void List(std::string_view key, std::vector<T>* items, CountRange range,
            std::function<void(Binder&, std::type_identity_t<T>&)> bind, std::string_view help) {
    ListField access;
    access.size = [items] { return items->size(); };
    access.reset = [items](size_t size) { *items = std::vector<T>(size); };
    access.bind = [items, bind](Binder& item, size_t index) { bind(item, (*items)[index]); };
    access.bind_prototype = [prototype = std::make_shared<T>(), bind](Binder& item) {
      bind(item, *prototype);
    };
    BindList(key, std::move(access), range, help);
  }

  // Whatever the file gives under `key` is somebody else's: one file, several readers.
  void Ignore(std::string_view key);

  // Runs after all values of the configuration are in place and each is allowed alone: for rules
  // between keys. A status that is not OK is a fault of this section; its message starts with the
  // key.
  // `check` runs after this call: capture the struct, no locals.
  void Check(std::function<absl::Status()> check);

  // Library use.
  struct ListField {
    std::function<size_t()> size;
    std::function<void(size_t)> reset;  // to this many items with their defaults
    std::function<void(Binder&, size_t)> bind;
    std::function<void(Binder&)> bind_prototype;  // for --help, where there may be no item
  };

 private:
  template <typename T>
  static internal::IntField MakeIntField(T* field, int64_t min, int64_t max) {
    return {.get =
                [field] {
                  return std::in_range<int64_t>(*field) ? static_cast<int64_t>(*field)
                                                        : std::numeric_limits<int64_t>::max();
                },
            .set = [field](int64_t value) { *field = static_cast<T>(value); },
            .fits = std::in_range<T>(min) && std::in_range<T>(max)};
  }

  void BindInt(std::string_view key, internal::IntField field, IntRange range,
               std::string_view help);
  void BindBytes(std::string_view key, internal::IntField field, ByteRange range,
                 std::string_view help);
  void BindEnum(std::string_view key, internal::EnumField field, std::string_view help);
  void BindList(std::string_view key, ListField field, CountRange range, std::string_view help);

  internal::Node* const node_;
};

}  // namespace saldo::config
