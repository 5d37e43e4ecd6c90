// What a package is, which requests are allowed, and what an update changes. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/field_checks.h"
#include "hablof/logistic_package_api/v1/logistic_package_api.pb.h"

namespace saldo::packages {

namespace api = hablof::logistic_package_api::v1;

struct Package {
  int64_t id = 0;
  std::string title;
  std::string material;
  float maximum_volume = 0;  // cm^3
  bool reusable = false;
  absl::Time created;
  std::optional<absl::Time> updated;
};

struct NewPackage {
  std::string title;
  std::string material;
  float maximum_volume;
  bool reusable;
};

// What is absent stays as it is.
struct PackageUpdate {
  int64_t package_id;
  std::optional<std::string> title;
  std::optional<std::string> material;
  std::optional<float> maximum_volume;
  std::optional<bool> reusable;
};

// A request as the rest of the slice takes it, or INVALID_ARGUMENT with a BadRequest that names
// every field at fault.
absl::StatusOr<NewPackage> Check(const api::CreatePackageV1Request& request);
absl::StatusOr<int64_t> Check(const api::DescribePackageV1Request& request);
absl::StatusOr<rpc::Page> Check(const api::ListPackagesV1Request& request,
                                const rpc::PageLimits& limits);
absl::StatusOr<int64_t> Check(const api::RemovePackageV1Request& request);
absl::StatusOr<PackageUpdate> Check(const api::UpdatePackageV1Request& request);

// Changes the package as asked. False when it is so already.
bool Apply(const PackageUpdate& update, Package& package);

// As clients and subscribers see it.
api::Package ToMessage(const Package& package);

}  // namespace saldo::packages
