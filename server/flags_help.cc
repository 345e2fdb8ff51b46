#include "server/flags_help.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "server/flags.h"

namespace cairn::server {
namespace {

constexpr std::string_view kExamples = R"(Examples:
  A single node on the default ports, data in default.cairn:
    cairnd

  The first of three members on one machine (scripts/cluster starts all three):
    cairnd --name n1 --data-dir n1.data \
      --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
      --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
      --initial-cluster n1=http://127.0.0.1:2380,n2=http://127.0.0.1:22380,n3=http://127.0.0.1:32380

  The same flag as a variable:
    CAIRN_DATA_DIR=/var/lib/cairn cairnd
)";

constexpr std::string_view kMarkdownHead =
    R"(# Flags of cairnd

Made by `cairnd --help-markdown` from the table in `server/flags_table.cc`; a test keeps it fresh.

Each flag may be written `--name value`, `--name=value`, `-name value` or `-name=value`; a switch
also without a value. Each is also a variable: `--data-dir` is `CAIRN_DATA_DIR`, or else
`ETCD_DATA_DIR`. The flag wins over `CAIRN_…`, that over `ETCD_…`, that over the default.
Durations are written as in Go (`1h30m`, `100ms`); those in milliseconds say so.

| Support | meaning |
|---|---|
| yes | does what it says |
| default only | a flag of etcd whose feature is not here yet: )"
    R"(etcd's default is accepted, another value is an error |
| no effect | accepted with any value; )"
    R"(tunes a part of etcd that cairn does not have; the log says so |
| never | accepted with etcd's default; the feature will not come |
)";

std::string_view support_text(FlagSupport support) {
    switch (support) {
        case FlagSupport::kSupported: return "yes";
        case FlagSupport::kLater: return "default only";
        case FlagSupport::kNoEffect: return "no effect";
        case FlagSupport::kNever: return "never";
    }
    return "?";
}

std::string wrapped(std::string_view text, std::size_t indent) {
    constexpr std::size_t kWidth = 96;
    std::string result;
    std::size_t column = 0;
    while (!text.empty()) {
        const std::size_t space = std::min(text.find(' '), text.size());
        if (column == 0 || column + 1 + space > kWidth - indent) {
            result += column == 0 ? "" : "\n";
            result.append(indent, ' ');
            column = 0;
        } else {
            result += ' ';
            ++column;
        }
        result += text.substr(0, space);
        column += space;
        text.remove_prefix(std::min(space + 1, text.size()));
    }
    return result + "\n";
}

std::string without_bars(std::string_view choices) {
    std::string text(choices);
    std::replace(text.begin(), text.end(), '|', ' ');
    return text;
}

std::string escaped(std::string_view text) {
    std::string result;
    for (const char letter : text) {
        result += letter == '|' ? "\\|" : letter == '<' ? "&lt;" : std::string(1, letter);
    }
    return result;
}

}  // namespace

std::string flags_help() {
    std::string text =
        "cairnd: a replicated key-value store that speaks etcd's v3 API.\n\n"
        "Usage:\n"
        "  cairnd [flags]\n"
        "  cairnd --help | --version | --help-markdown\n\n"
        "Every flag of etcd 3.5 is known; docs/flags.md tells what became of those not here. Each\n"
        "flag is also a variable: --data-dir is CAIRN_DATA_DIR, or else ETCD_DATA_DIR.\n";
    std::optional<FlagGroup> group;
    for (const FlagSpec& flag : all_flags()) {
        if (flag.support != FlagSupport::kSupported) {
            continue;
        }
        if (group != flag.group) {
            text += fmt::format("\n{}:\n", group_title(flag.group));
            group = flag.group;
        }
        text += fmt::format("  --{} '{}'\n", flag.name, flag.value_default);
        text += wrapped(flag.help, 6);
        if (!flag.choices.empty()) {
            text += wrapped("One of: " + without_bars(flag.choices), 6);
        }
    }
    return text + "\n" + std::string(kExamples);
}

std::string flags_markdown() {
    std::string text(kMarkdownHead);
    std::optional<FlagGroup> group;
    for (const FlagSpec& flag : all_flags()) {
        if (group != flag.group) {
            text += fmt::format(
                "\n## {}\n\n| Flag | Default | Support | Meaning |\n|---|---|---|---|\n",
                group_title(flag.group));
            group = flag.group;
        }
        const std::string choices =
            flag.choices.empty() ? "" : fmt::format(" One of: {}.", without_bars(flag.choices));
        const std::string value =
            flag.value_default.empty() ? "" : fmt::format("`{}`", flag.value_default);
        text += fmt::format("| `--{}` | {} | {} | {}{} |\n", flag.name, value,
                            support_text(flag.support), escaped(flag.help), choices);
    }
    return text;
}

}  // namespace cairn::server
