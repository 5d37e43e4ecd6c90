#include "common/runtime/service_group.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/observability/log.h"

namespace saldo::runtime {
namespace {

// The same code and details, with the name of the service before the message.
absl::Status WithName(std::string_view name, const absl::Status& status) {
  absl::Status named(status.code(),
                     absl::StrCat("cannot start ", std::string(name), ": ", status.message()));
  status.ForEachPayload([&named](absl::string_view type, const absl::Cord& payload) {
    named.SetPayload(type, payload);
  });
  return named;
}

}  // namespace

absl::Status ServiceGroup::Start() {
  for (Service* service : services_) {
    const absl::Time begin = absl::Now();
    const absl::Status status = service->Start();
    if (!status.ok()) {
      // It may have started a part of itself, and a stop without a start is allowed.
      service->Stop();
      Stop();
      return WithName(service->name(), status);
    }
    ++started_;
    log::Debug("started", {{"part", service->name()}, {"took", absl::Now() - begin}});
  }
  return absl::OkStatus();
}

void ServiceGroup::Stop() {
  while (started_ > 0) {
    Service* service = services_[--started_];
    log::Debug("stopping", {{"part", service->name()}});
    const absl::Time begin = absl::Now();
    service->Stop();
    log::Info("stopped", {{"part", service->name()}, {"took", absl::Now() - begin}});
  }
}

}  // namespace saldo::runtime
