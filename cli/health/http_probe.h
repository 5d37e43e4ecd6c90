// One GET of a status page.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace saldo::cli {

struct HttpUrl {
  std::string host;
  std::string port;
  std::string path;  // from '/' on
};

// http://HOST[:PORT][/PATH], where HOST may be [an IPv6 address]. INVALID_ARGUMENT for the rest.
absl::StatusOr<HttpUrl> ParseHttpUrl(std::string_view url);

// OK on an answer of 2xx, FAILED_PRECONDITION with the answer's text on another one, UNAVAILABLE
// without one. Names are resolved with the system's own patience, the rest ends after `timeout`.
absl::Status ProbeHttp(const HttpUrl& url, absl::Duration timeout);

}  // namespace saldo::cli
