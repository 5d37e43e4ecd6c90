// The parts of a process in the order in which they need each other.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "common/runtime/service.h"

namespace saldo::runtime {

// Starts its services in the order they were added and stops them in the reverse order. Itself a
// service, so groups nest. Used by one thread.
class ServiceGroup final : public Service {
 public:
  explicit ServiceGroup(std::string name) : name_(std::move(name)) {}
  ~ServiceGroup() override { Stop(); }

  // Before Start. `service` outlives the group.
  void Add(Service& service) { services_.push_back(&service); }

  std::string_view name() const override { return name_; }
  // When a service does not start, stops those before it and returns its error with its name.
  absl::Status Start() override;
  // Stops what runs and logs how long each stop took.
  void Stop() override;

 private:
  const std::string name_;
  std::vector<Service*> services_;
  size_t started_ = 0;
};

}  // namespace saldo::runtime
