// What the tests of producers share.
#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/kafka/producer.h"

namespace saldo::kafka {

// The deadline of waits that are expected to end long before.
inline absl::Time Soon() { return absl::Now() + absl::Seconds(60); }

// Keeps all reports, in the order they came.
struct Recorder {
  // absl::FunctionRef calls it as const.
  void operator()(const DeliveryReport& report) const { all.push_back(report); }

  mutable std::vector<DeliveryReport> all;
};

inline std::unique_ptr<Producer> MakeProducer(const ProducerOptions& options) {
  auto producer = Producer::Create(options);
  REQUIRE(producer.status() == absl::OkStatus());
  return *std::move(producer);
}

inline Topic* TopicOf(Producer& producer, std::string_view name) {
  auto topic = producer.TopicFor(name);
  REQUIRE(topic.status() == absl::OkStatus());
  return *topic;
}

}  // namespace saldo::kafka
