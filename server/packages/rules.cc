#include "server/packages/rules.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/rpc/timestamps.h"

namespace saldo::packages {
namespace {

constexpr size_t kTextMax = 32;

void CheckVolume(float volume, bool zero_allowed, rpc::BadRequestBuilder& bad) {
  if (std::isfinite(volume) && (volume > 0 || (zero_allowed && volume == 0))) return;
  bad.Add("maximum_volume", absl::StrCat("must be ", zero_allowed ? "at least" : "more than",
                                         " 0 and finite, is ", volume));
}

// True when `wanted` is there and differs.
template <typename T>
bool Assign(const std::optional<T>& wanted, T& field) {
  if (!wanted.has_value() || *wanted == field) return false;
  field = *wanted;
  return true;
}

absl::StatusOr<int64_t> CheckPackageId(uint64_t package_id) {
  rpc::BadRequestBuilder bad;
  const int64_t id = rpc::CheckId("package_id", package_id, bad);
  SALDO_RETURN_IF_ERROR(bad.Build());
  return id;
}

}  // namespace

absl::StatusOr<NewPackage> Check(const api::CreatePackageV1Request& request) {
  rpc::BadRequestBuilder bad;
  rpc::CheckText("title", request.title(), {.min = 1, .max = kTextMax}, bad);
  rpc::CheckText("material", request.material(), {.min = 1, .max = kTextMax}, bad);
  CheckVolume(request.maximum_volume(), /*zero_allowed=*/false, bad);
  SALDO_RETURN_IF_ERROR(bad.Build());
  return NewPackage{.title = request.title(),
                    .material = request.material(),
                    .maximum_volume = request.maximum_volume(),
                    .reusable = request.reusable()};
}

absl::StatusOr<int64_t> Check(const api::DescribePackageV1Request& request) {
  return CheckPackageId(request.package_id());
}

absl::StatusOr<int64_t> Check(const api::RemovePackageV1Request& request) {
  return CheckPackageId(request.package_id());
}

absl::StatusOr<rpc::Page> Check(const api::ListPackagesV1Request& request,
                                const rpc::PageLimits& limits) {
  rpc::BadRequestBuilder bad;
  const rpc::Page page = rpc::CheckPage(request.offset(), request.limit(), limits, bad);
  SALDO_RETURN_IF_ERROR(bad.Build());
  return page;
}

absl::StatusOr<PackageUpdate> Check(const api::UpdatePackageV1Request& request) {
  rpc::BadRequestBuilder bad;
  PackageUpdate update;
  update.package_id = rpc::CheckId("package_id", request.package_id(), bad);
  rpc::CheckText("title", request.title(), {.min = 0, .max = kTextMax}, bad);
  rpc::CheckText("material", request.material(), {.min = 0, .max = kTextMax}, bad);
  CheckVolume(request.maximum_volume(), /*zero_allowed=*/true, bad);
  SALDO_RETURN_IF_ERROR(bad.Build());
  // The empty values of proto3 mean that the client left the field out.
  if (!request.title().empty()) update.title = request.title();
  if (!request.material().empty()) update.material = request.material();
  if (request.maximum_volume() != 0) update.maximum_volume = request.maximum_volume();
  if (request.has_reusable()) update.reusable = request.reusable().reusable();
  return update;
}

bool Apply(const PackageUpdate& update, Package& package) {
  bool changed = Assign(update.title, package.title);
  changed = Assign(update.material, package.material) || changed;
  changed = Assign(update.maximum_volume, package.maximum_volume) || changed;
  return Assign(update.reusable, package.reusable) || changed;
}

api::Package ToMessage(const Package& package) {
  api::Package message;
  message.set_id(static_cast<uint64_t>(package.id));
  message.set_title(package.title);
  message.set_material(package.material);
  message.set_maximum_volume(package.maximum_volume);
  message.set_reusable(package.reusable);
  *message.mutable_created() = rpc::ToTimestamp(package.created);
  if (package.updated.has_value()) {
    *message.mutable_updated()->mutable_time() = rpc::ToTimestamp(*package.updated);
  }
  return message;
}

}  // namespace saldo::packages
