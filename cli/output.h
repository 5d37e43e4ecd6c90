// What several commands need to print.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace saldo::cli {

// Rows of cells, each column as wide as its widest cell but for the last.
std::string Table(const std::vector<std::vector<std::string>>& rows);

// "12 KiB", "3.4 MiB", "5.6 GiB".
std::string BytesText(int64_t bytes);

// As a string of JSON.
std::string Quoted(std::string_view text);

}  // namespace saldo::cli
