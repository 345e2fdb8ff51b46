// Coverage: which rows of the .proto descriptors and of the error table the requests have hit.
// Owned by the test; one thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "diff/pair.h"
#include "diff/vary.h"

namespace cairn::diff {

class Coverage {
  public:
    // `error_table`: the path of tests/api/testdata/errors.txt.
    explicit Coverage(const std::string& error_table);

    void observe(const Exchange& exchange);

    // For people: every row with its hits, every exemption with its reason.
    [[nodiscard]] std::string table() const;
    // Rows never hit and not exempt, exemptions hit or of no row, errors that are in no row.
    [[nodiscard]] std::vector<std::string> holes() const;

  private:
    struct Error {
        std::string name;
        std::string code;
        std::string text;
    };

    void observe(const Message& request);
    void observe_pairs(const Message& range);
    void observe_error(const Step& step, const Answer& answer);
    [[nodiscard]] std::string pair_table() const;
    [[nodiscard]] std::string error_table() const;
    void field_holes(std::vector<std::string>& holes) const;
    void error_holes(std::vector<std::string>& holes) const;

    std::map<std::string, std::array<std::uint64_t, kClassNames.size()>> fields_;
    std::map<std::pair<std::string, std::string>, std::uint64_t> pairs_;
    std::vector<Error> error_rows_;
    std::map<std::string, std::uint64_t> errors_;  // by name
    std::set<std::string> strangers_;              // errors without a row
};

}  // namespace cairn::diff
