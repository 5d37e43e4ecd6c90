#include "server/packages/event.h"

#include <catch2/catch.hpp>
#include <string>

namespace saldo::packages {
namespace {

using hablof::proto::v1::EventType;
using hablof::proto::v1::PackageEvent;

const absl::Time kCreated = absl::FromUnixMicros(1'700'000'000'123'456);
const absl::Time kUpdated = absl::FromUnixMicros(1'700'000'060'000'000);

PackageEvent Parsed(const outbox::Message& message) {
  PackageEvent event;
  REQUIRE(event.ParseFromString(message.payload));
  return event;
}

TEST_CASE("the event of a new package") {
  const Package package{.id = 7,
                        .title = "бокс \"7\"",
                        .material = "wood",
                        .maximum_volume = 0.5F,
                        .reusable = false,
                        .created = kCreated,
                        .updated = std::nullopt};
  const auto message = EventMessage(
      "topic", {.event_id = 40, .type = EventType::Created, .made = kCreated}, package);
  REQUIRE(message.ok());
  CHECK(message->topic == "topic");
  CHECK(message->key == "7");
  CHECK(message->type == "hablof.proto.v1.PackageEvent");
  const PackageEvent event = Parsed(*message);
  CHECK(event.id() == 40);
  CHECK(event.package_id() == 7);
  CHECK(event.type() == EventType::Created);
  CHECK(event.created().seconds() == 1'700'000'000);
  CHECK(event.created().nanos() == 123'456'000);
  CHECK(event.payload() ==
        R"({"ID":"7","Title":"бокс \"7\"","Material":"wood","MaximumVolume":0.5,"Reusable":false,)"
        R"("Created":"2023-11-14T22:13:20.123456Z"})");
}

TEST_CASE("the event of a changed package holds when it was updated") {
  const Package package{.id = 9'223'372'036'854'775'807,
                        .title = "a",
                        .material = "b",
                        .maximum_volume = 2.5F,
                        .reusable = true,
                        .created = kCreated,
                        .updated = kUpdated};
  const EventType type = GENERATE(EventType::Updated, EventType::Removed);
  const auto message =
      EventMessage("topic", {.event_id = 41, .type = type, .made = kUpdated}, package);
  REQUIRE(message.ok());
  CHECK(message->key == "9223372036854775807");
  const PackageEvent event = Parsed(*message);
  CHECK(event.type() == type);
  CHECK(event.package_id() == 9'223'372'036'854'775'807U);
  CHECK(event.created().seconds() == 1'700'000'060);
  CHECK(event.payload() ==
        R"({"ID":"9223372036854775807","Title":"a","Material":"b","MaximumVolume":2.5,)"
        R"("Reusable":true,"Updated":{"Time":"2023-11-14T22:14:20Z"},)"
        R"("Created":"2023-11-14T22:13:20.123456Z"})");
}

}  // namespace
}  // namespace saldo::packages
