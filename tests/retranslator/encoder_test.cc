#include "retranslator/encoder.h"

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

namespace saldo::retranslator {
namespace {

constexpr std::string_view kUnsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
constexpr std::string_view kSampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

OutboxRow Row() {
  return {.seq = 5,
          .batch_id = 42,
          .ordinal = 7,
          .created_at = absl::FromUnixMicros(1'700'000'000'123'456),
          .topic = "orders",
          .key = "k",
          .payload = "p",
          .type = "saldo.Order",
          .traceparent = std::nullopt,
          .message_id = std::nullopt};
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

Pairs HeadersOf(const Encoder& encoder, const MessageSlot& slot) {
  Encoder::Headers storage;
  Pairs pairs;
  for (const kafka::HeaderView& header : encoder.HeadersOf(slot, &storage))
    pairs.emplace_back(header.name, header.value);
  return pairs;
}

TEST_CASE("a message carries the headers of CloudEvents, and nothing else") {
  const Encoder encoder({.source = "/saldo/test"}, "eu-1");
  const OutboxRow row = Row();
  MessageSlot slot;
  encoder.Encode(row, &slot);
  CHECK(slot.row == &row);
  CHECK_FALSE(slot.span.valid());
  CHECK(HeadersOf(encoder, slot) == Pairs{{"ce_specversion", "1.0"},
                                          {"ce_id", "eu-1-42-7"},
                                          {"ce_source", "/saldo/test"},
                                          {"ce_type", "saldo.Order"},
                                          {"ce_time", "2023-11-14T22:13:20.123456Z"},
                                          {"content-type", "application/protobuf"}});
}

TEST_CASE("times are RFC 3339 in UTC with microseconds, before the epoch as well") {
  const std::pair<absl::Time, const char*> rows[] = {
      {absl::UnixEpoch(), "1970-01-01T00:00:00.000000Z"},
      {absl::FromUnixMicros(1), "1970-01-01T00:00:00.000001Z"},
      {absl::FromUnixMicros(-1), "1969-12-31T23:59:59.999999Z"},
      {absl::FromUnixMicros(-86'400'000'000), "1969-12-31T00:00:00.000000Z"},
      {absl::FromUnixMicros(-14'182'940'000'001), "1969-07-20T20:17:39.999999Z"},
      {absl::FromUnixSeconds(951'782'400), "2000-02-29T00:00:00.000000Z"},
      {absl::FromUnixSeconds(253'402'300'799), "9999-12-31T23:59:59.000000Z"},
      {absl::FromUnixSeconds(-62'135'596'800), "0001-01-01T00:00:00.000000Z"},
  };
  const Encoder encoder({}, "0");
  for (const auto& [time, text] : rows) {
    OutboxRow row = Row();
    row.created_at = time;
    MessageSlot slot;
    encoder.Encode(row, &slot);
    CHECK(slot.time == text);
  }
}

TEST_CASE("a message that is sent anew keeps its first id") {
  const Encoder encoder({}, "0");
  OutboxRow row = Row();
  row.message_id = "0-13-1";
  MessageSlot slot;
  encoder.Encode(row, &slot);
  CHECK(slot.id == "0-13-1");
}

TEST_CASE("a sampled trace goes on through a span of the send") {
  const Encoder encoder({}, "0");
  OutboxRow row = Row();
  row.traceparent = kSampled;
  MessageSlot slot;
  encoder.Encode(row, &slot);
  REQUIRE(slot.span.valid());
  CHECK(slot.span.sampled);
  CHECK(slot.span.trace_id_hex() == "0af7651916cd43dd8448eb211c80319c");
  CHECK(slot.span.span_id_hex() != "b7ad6b7169203331");
  const Pairs headers = HeadersOf(encoder, slot);
  REQUIRE(headers.size() == Encoder::kHeadersMax);
  CHECK(headers.back() ==
        std::pair<std::string, std::string>("traceparent", "00-0af7651916cd43dd8448eb211c80319c-" +
                                                               slot.span.span_id_hex() + "-01"));
}

TEST_CASE("an unsampled trace is passed on as it is, without a span") {
  const Encoder encoder({}, "0");
  OutboxRow row = Row();
  row.traceparent = kUnsampled;
  MessageSlot slot;
  encoder.Encode(row, &slot);
  CHECK_FALSE(slot.span.valid());
  CHECK(HeadersOf(encoder, slot).back() ==
        std::pair<std::string, std::string>("traceparent", kUnsampled));
}

TEST_CASE("what is no traceparent is not passed on") {
  const Encoder encoder({}, "0");
  for (const std::string_view text :
       {"", "x", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01"}) {
    INFO(text);
    OutboxRow row = Row();
    row.traceparent = text;
    MessageSlot slot;
    encoder.Encode(row, &slot);
    CHECK_FALSE(slot.span.valid());
    CHECK(HeadersOf(encoder, slot).size() == Encoder::kHeadersMax - 1);
  }
}

TEST_CASE("nothing of a slot's former message is left") {
  const Encoder encoder({}, "0");
  OutboxRow first = Row(), second = Row();
  first.traceparent = kSampled;
  first.message_id = "a-very-long-id-of-another-message";
  second.batch_id = 9;
  second.ordinal = 1;
  MessageSlot slot;
  encoder.Encode(first, &slot);
  slot.alone = true;
  encoder.Encode(second, &slot);
  CHECK_FALSE(slot.alone);
  CHECK_FALSE(slot.span.valid());
  const Pairs headers = HeadersOf(encoder, slot);
  CHECK(headers.size() == Encoder::kHeadersMax - 1);
  CHECK(headers[1].second == "0-9-1");
}

}  // namespace
}  // namespace saldo::retranslator
