#include "server/packages/service.h"

#include <utility>
#include <vector>

#include "common/base/status_macros.h"
#include "server/outbox/topic_name.h"
#include "server/packages/rules.h"

namespace saldo::packages {
namespace {

using Api = api::LogisticPackageApiService;

metrics::Counter& EventCounter(metrics::Registry& registry, const std::string& operation) {
  return registry.AddCounter("logistic_package_api_cud_event_total",
                             "Changes of packages that were committed with their event.",
                             {{"operation", operation}});
}

}  // namespace

void Bind(config::Binder& binder, PackagesConfig& config) {
  binder.String("topic", &config.topic, {.min = 1, .max = 249}, "Kafka topic of package events");
  binder.Int("list_default_limit", &config.page.default_limit, {.min = 1, .max = 10'000},
             "Packages in a list when the request asks for 0");
  binder.Int("list_max_limit", &config.page.max_limit, {.min = 1, .max = 10'000},
             "The most packages in a list, whatever the request asks for");
  binder.Check([&config] {
    if (!outbox::IsTopicName(config.topic)) {
      return absl::InvalidArgumentError("topic may hold letters, digits, '.', '_' and '-' only");
    }
    if (config.page.default_limit > config.page.max_limit) {
      return absl::InvalidArgumentError("list_default_limit must not exceed list_max_limit");
    }
    return absl::OkStatus();
  });
}

PackageService::PackageService(const PackagesConfig& config, PackageStore& store,
                               rpc::Dispatcher& dispatcher, metrics::Registry& registry)
    : config_(config),
      store_(store),
      not_found_(registry.AddCounter("logistic_package_api_not_found_total",
                                     "Calls that named a package which does not exist.")),
      created_(EventCounter(registry, "create")),
      updated_(EventCounter(registry, "update")),
      removed_(EventCounter(registry, "delete")),
      create_(dispatcher, Api::service_full_name(), "CreatePackageV1"),
      describe_(dispatcher, Api::service_full_name(), "DescribePackageV1"),
      list_(dispatcher, Api::service_full_name(), "ListPackagesV1"),
      remove_(dispatcher, Api::service_full_name(), "RemovePackageV1"),
      update_(dispatcher, Api::service_full_name(), "UpdatePackageV1") {}

absl::Status PackageService::Counted(absl::Status status) {
  if (absl::IsNotFound(status)) not_found_.Increment();
  return status;
}

absl::Status PackageService::Create(rpc::Call& call, const api::CreatePackageV1Request& request,
                                    api::CreatePackageV1Response& response) {
  SALDO_ASSIGN_OR_RETURN(const NewPackage package, Check(request));
  SALDO_ASSIGN_OR_RETURN(const int64_t id, store_.Create(call.context(), package));
  created_.Increment();
  response.set_id(static_cast<uint64_t>(id));
  return absl::OkStatus();
}

absl::Status PackageService::Describe(rpc::Call& call, const api::DescribePackageV1Request& request,
                                      api::DescribePackageV1Response& response) {
  SALDO_ASSIGN_OR_RETURN(const int64_t id, Check(request));
  const absl::StatusOr<Package> package = store_.Describe(call.context(), id);
  SALDO_RETURN_IF_ERROR(Counted(package.status()));
  *response.mutable_value() = ToMessage(*package);
  return absl::OkStatus();
}

absl::Status PackageService::List(rpc::Call& call, const api::ListPackagesV1Request& request,
                                  api::ListPackagesV1Response& response) {
  SALDO_ASSIGN_OR_RETURN(const rpc::Page page, Check(request, config_.page));
  SALDO_ASSIGN_OR_RETURN(const std::vector<Package> packages, store_.List(call.context(), page));
  for (const Package& package : packages) *response.add_packages() = ToMessage(package);
  return absl::OkStatus();
}

absl::Status PackageService::Remove(rpc::Call& call, const api::RemovePackageV1Request& request,
                                    api::RemovePackageV1Response& response) {
  SALDO_ASSIGN_OR_RETURN(const int64_t id, Check(request));
  SALDO_RETURN_IF_ERROR(Counted(store_.Remove(call.context(), id)));
  removed_.Increment();
  response.set_suc(true);
  return absl::OkStatus();
}

absl::Status PackageService::Update(rpc::Call& call, const api::UpdatePackageV1Request& request,
                                    api::UpdatePackageV1Response& response) {
  SALDO_ASSIGN_OR_RETURN(const PackageUpdate update, Check(request));
  const absl::StatusOr<bool> changed = store_.Update(call.context(), update);
  SALDO_RETURN_IF_ERROR(Counted(changed.status()));
  if (*changed) updated_.Increment();
  response.set_suc(true);
  return absl::OkStatus();
}

}  // namespace saldo::packages
