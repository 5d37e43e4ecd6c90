// LogisticPackageApiService: validates a request, has the store do it, measures and answers.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "common/config/binder.h"
#include "common/observability/metrics.h"
#include "common/rpc/dispatcher.h"
#include "common/rpc/field_checks.h"
#include "hablof/logistic_package_api/v1/logistic_package_api.grpc.pb.h"
#include "server/packages/store.h"

namespace saldo::packages {

struct PackagesConfig {
  std::string topic = "omp-package-events";
  rpc::PageLimits page;
};
void Bind(config::Binder& binder, PackagesConfig& config);

namespace internal {

// Each method takes its messages as bytes, see rpc::Method::Unary.
using Api = api::LogisticPackageApiService;
using RawPackageApi =
    Api::WithRawCallbackMethod_CreatePackageV1<Api::WithRawCallbackMethod_DescribePackageV1<
        Api::WithRawCallbackMethod_ListPackagesV1<Api::WithRawCallbackMethod_RemovePackageV1<
            Api::WithRawCallbackMethod_UpdatePackageV1<Api::Service>>>>>;

}  // namespace internal

class PackageService final : public internal::RawPackageApi {
 public:
  // All arguments outlive the service.
  PackageService(const PackagesConfig& config, PackageStore& store, rpc::Dispatcher& dispatcher,
                 metrics::Registry& registry);

 private:
  absl::Status Create(rpc::Call& call, const api::CreatePackageV1Request& request,
                      api::CreatePackageV1Response& response);
  absl::Status Describe(rpc::Call& call, const api::DescribePackageV1Request& request,
                        api::DescribePackageV1Response& response);
  absl::Status List(rpc::Call& call, const api::ListPackagesV1Request& request,
                    api::ListPackagesV1Response& response);
  absl::Status Remove(rpc::Call& call, const api::RemovePackageV1Request& request,
                      api::RemovePackageV1Response& response);
  absl::Status Update(rpc::Call& call, const api::UpdatePackageV1Request& request,
                      api::UpdatePackageV1Response& response);
  // Counts NOT_FOUND, and returns the status.
  absl::Status Counted(absl::Status status);

  grpc::ServerUnaryReactor* CreatePackageV1(grpc::CallbackServerContext* c,
                                            const grpc::ByteBuffer* q,
                                            grpc::ByteBuffer* p) override {
    return create_.Unary(c, q, p, &PackageService::Create, this);
  }
  grpc::ServerUnaryReactor* DescribePackageV1(grpc::CallbackServerContext* c,
                                              const grpc::ByteBuffer* q,
                                              grpc::ByteBuffer* p) override {
    return describe_.Unary(c, q, p, &PackageService::Describe, this);
  }
  grpc::ServerUnaryReactor* ListPackagesV1(grpc::CallbackServerContext* c,
                                           const grpc::ByteBuffer* q,
                                           grpc::ByteBuffer* p) override {
    return list_.Unary(c, q, p, &PackageService::List, this);
  }
  grpc::ServerUnaryReactor* RemovePackageV1(grpc::CallbackServerContext* c,
                                            const grpc::ByteBuffer* q,
                                            grpc::ByteBuffer* p) override {
    return remove_.Unary(c, q, p, &PackageService::Remove, this);
  }
  grpc::ServerUnaryReactor* UpdatePackageV1(grpc::CallbackServerContext* c,
                                            const grpc::ByteBuffer* q,
                                            grpc::ByteBuffer* p) override {
    return update_.Unary(c, q, p, &PackageService::Update, this);
  }

  const PackagesConfig config_;
  PackageStore& store_;
  metrics::Counter& not_found_;
  metrics::Counter& created_;
  metrics::Counter& updated_;
  metrics::Counter& removed_;
  rpc::Method create_;
  rpc::Method describe_;
  rpc::Method list_;
  rpc::Method remove_;
  rpc::Method update_;
};

}  // namespace saldo::packages
