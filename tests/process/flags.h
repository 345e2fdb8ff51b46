// Flags of the test programs: --name=value. Owned by a main; one thread.
// Must never take a flag that the program does not know.
#pragma once

#include <charconv>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace cairn::process {

class Flags {
  public:
    static std::optional<Flags> parse(int argc, char** argv, const std::set<std::string>& known) {
        Flags flags;
        for (int i = 1; i < argc; ++i) {
            const std::string_view text(argv[i]);
            const auto equals = text.find('=');
            const auto name = std::string(text.substr(0, equals));
            if (!known.contains(name)) {
                return std::nullopt;
            }
            flags.values_[name] = equals == text.npos ? "" : text.substr(equals + 1);
        }
        return flags;
    }

    [[nodiscard]] bool has(const std::string& name) const { return values_.contains(name); }
    [[nodiscard]] std::string text(const std::string& name) const {
        const auto found = values_.find(name);
        return found == values_.end() ? std::string() : found->second;
    }
    [[nodiscard]] std::uint64_t number(const std::string& name, std::uint64_t otherwise) const {
        const std::string value = text(name);
        std::from_chars(value.data(), value.data() + value.size(), otherwise);
        return otherwise;
    }

  private:
    std::map<std::string, std::string> values_;
};

}  // namespace cairn::process
