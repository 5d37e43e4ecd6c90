#include "server/accounts/reading/page_token.h"

#include <array>
#include <cstring>

#include "absl/strings/escaping.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"

namespace saldo::accounts {
namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kNumbers = 5;
constexpr size_t kBytes = 1 + kNumbers * 8 + 8;

void Put(uint64_t number, std::string* bytes) {
  for (int shift = 56; shift >= 0; shift -= 8) bytes->push_back(static_cast<char>(number >> shift));
}

uint64_t Get(std::string_view bytes) {
  uint64_t number = 0;
  for (size_t i = 0; i < 8; ++i) number = number << 8 | static_cast<uint8_t>(bytes[i]);
  return number;
}

// FNV-1a: it finds mistakes. Who forges a token on purpose only sees what he may ask for anyway.
uint64_t Hash(std::string_view bytes, uint64_t hash = 0xcbf29ce484222325) {
  for (const char byte : bytes) hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100000001b3;
  return hash;
}

// Of the query and of the token's numbers.
uint64_t Checksum(v1::ListEventsRequest request, std::string_view numbers) {
  request.clear_page_token();
  std::string query;
  {
    google::protobuf::io::StringOutputStream stream(&query);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);  // or maps have no order
    request.SerializeToCodedStream(&coded);
  }
  return Hash(numbers, Hash(query));
}

}  // namespace

std::string MakePageToken(const v1::ListEventsRequest& request, const PagePosition& position) {
  std::string bytes(1, static_cast<char>(kVersion));
  for (const absl::Time time : {position.from, position.to, position.occurred_at})
    Put(static_cast<uint64_t>(absl::ToUnixMicros(time)), &bytes);
  Put(static_cast<uint64_t>(position.batch_id), &bytes);
  Put(static_cast<uint64_t>(position.ordinal), &bytes);
  Put(Checksum(request, bytes), &bytes);
  return absl::WebSafeBase64Escape(bytes);
}

std::optional<PagePosition> ReadPageToken(const v1::ListEventsRequest& request) {
  std::string bytes;
  if (!absl::WebSafeBase64Unescape(request.page_token(), &bytes) || bytes.size() != kBytes ||
      bytes[0] != static_cast<char>(kVersion)) {
    return std::nullopt;
  }
  const std::string_view all = bytes;
  if (Get(all.substr(kBytes - 8)) != Checksum(request, all.substr(0, kBytes - 8)))
    return std::nullopt;
  std::array<int64_t, kNumbers> numbers{};
  for (size_t i = 0; i < kNumbers; ++i)
    numbers[i] = static_cast<int64_t>(Get(all.substr(1 + i * 8)));
  return PagePosition{.from = absl::FromUnixMicros(numbers[0]),
                      .to = absl::FromUnixMicros(numbers[1]),
                      .occurred_at = absl::FromUnixMicros(numbers[2]),
                      .batch_id = numbers[3],
                      .ordinal = static_cast<int32_t>(numbers[4])};
}

}  // namespace saldo::accounts
