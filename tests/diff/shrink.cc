#include "diff/shrink.h"

#include <algorithm>
#include <functional>
#include <utility>

#include <fmt/format.h>

namespace cairn::diff {
namespace {

using google::protobuf::FieldDescriptor;
using process::Clock;
using Script = std::vector<Step>;

// The answers of a withheld request are never looked at, so that the judge's own counts are not
// those of the run.
class Shrinker {
  public:
    Shrinker(const Programs& programs, Difference found, Clock::time_point end)
        : programs_(programs), best_(std::move(found)), end_(end) {}

    Difference run() {
        drop_steps();
        simplify_requests();
        drop_steps();
        return std::move(best_);
    }

  private:
    [[nodiscard]] bool is_over() const { return Clock::now() > end_; }

    bool accept(const Script& script) {
        auto found = replay(programs_, script);
        if (!found.has_value()) {
            return false;
        }
        best_ = std::move(*found);
        return true;
    }

    // Ever smaller runs of steps; the last one is what fails and stays.
    void drop_steps() {
        for (std::size_t chunk = std::max<std::size_t>(1, best_.script.size() / 2); chunk > 0;
             chunk /= 2) {
            std::size_t end = best_.script.size() - 1;
            while (end > 0 && !is_over()) {
                const std::size_t begin = end - std::min(end, chunk);
                Script shorter = best_.script;
                shorter.erase(shorter.begin() + static_cast<std::ptrdiff_t>(begin),
                              shorter.begin() + static_cast<std::ptrdiff_t>(end));
                end = accept(shorter) ? std::min(begin, best_.script.size() - 1) : begin;
            }
        }
    }

    void simplify_requests() {
        for (std::size_t i = 0; i < best_.script.size(); ++i) {
            while (!is_over() && simplify(i)) {
            }
        }
    }

    // Takes one field or one element out of request `index`; false when none can go.
    bool simplify(std::size_t index) {
        const Step& step = best_.script[index];
        if (step.call == Call::kRestart) {
            return false;
        }
        for (int cut = 0; !is_over(); ++cut) {
            std::shared_ptr<Message> smaller(step.request->New());
            smaller->CopyFrom(*step.request);
            int left = cut;
            if (!remove_part(*smaller, left)) {
                return false;
            }
            Script script = best_.script;
            script[index].request = std::move(smaller);
            if (accept(script)) {
                return index < best_.script.size();
            }
        }
        return false;
    }

    // Removes part number `left` in depth-first order; false when there are not so many.
    static bool remove_part(Message& message, int& left) {
        const auto* reflection = message.GetReflection();
        std::vector<const FieldDescriptor*> fields;
        reflection->ListFields(message, &fields);
        for (const auto* field : fields) {
            if (field->is_repeated() ? remove_element(message, *field, left)
                                     : remove_field(message, *field, left)) {
                return true;
            }
        }
        return false;
    }

    static bool remove_field(Message& message, const FieldDescriptor& field, int& left) {
        const auto* reflection = message.GetReflection();
        if (left-- == 0) {
            reflection->ClearField(&message, &field);
            return true;
        }
        return field.message_type() != nullptr &&
               remove_part(*reflection->MutableMessage(&message, &field), left);
    }

    static bool remove_element(Message& message, const FieldDescriptor& field, int& left) {
        const auto* reflection = message.GetReflection();
        const int size = reflection->FieldSize(message, &field);
        for (int i = 0; i < size; ++i) {
            if (left-- == 0) {
                for (int j = i; j + 1 < size; ++j) {
                    reflection->SwapElements(&message, &field, j, j + 1);
                }
                reflection->RemoveLast(&message, &field);
                return true;
            }
            if (remove_part(*reflection->MutableRepeatedMessage(&message, &field, i), left)) {
                return true;
            }
        }
        return false;
    }

    const Programs& programs_;
    Difference best_;
    Clock::time_point end_;
};

}  // namespace

std::string Difference::describe() const {
    std::string all = fmt::format("a script of {} steps on empty servers:\n", script.size());
    for (const auto& step : script) {
        all += "  " + diff::describe(step) + "\n";
    }
    return all + fmt::format("etcd : {}\ncairn: {}\ndifference:\n{}", diff::describe(last.etcd),
                             diff::describe(last.cairn), text);
}

std::optional<Difference> replay(const Programs& programs, const std::vector<Step>& script) {
    Pair pair(programs);
    Judge judge;
    for (std::size_t i = 0; i < script.size(); ++i) {
        if (judge.is_withheld(script[i])) {
            continue;
        }
        auto exchange = pair.run(script[i]);
        if (auto text = judge.difference(exchange)) {
            const auto end = script.begin() + static_cast<std::ptrdiff_t>(i) + 1;
            return Difference{.script = {script.begin(), end},
                              .last = std::move(exchange),
                              .text = std::move(*text)};
        }
    }
    return std::nullopt;
}

Difference shrink(const Programs& programs, Difference found, std::chrono::seconds time) {
    return Shrinker(programs, std::move(found), Clock::now() + time).run();
}

}  // namespace cairn::diff
