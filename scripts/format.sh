#!/usr/bin/env bash
# Formats the project's C++ files. scripts/format.sh [--check] [file...]
#   --check  changes nothing; lists what is not formatted and fails if there is any
# Without files: all that git tracks or would add.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

check=
if [[ ${1-} == --check ]]; then
    check=1
    shift
fi
files=("$@")
if [[ ${#files[@]} -eq 0 ]]; then
    # Without git (an unpacked archive, a foreign owner) the folders are searched instead.
    listed=$(git ls-files --cached --others --exclude-standard '*.cc' '*.h' 2>/dev/null ||
        find . -name build -prune -o -name .git -prune -o \( -name '*.cc' -o -name '*.h' \) -print)
    while read -r file; do
        if [[ -f $file ]]; then
            files+=("$file")
        fi
    done <<<"$listed"
fi
[[ ${#files[@]} -gt 0 ]] || {
    echo "format: no files found" >&2
    exit 1
}

formatter=$(command -v clang-format-14 || command -v clang-format) || {
    echo "format: clang-format is not installed (scripts/setup)" >&2
    exit 1
}
if [[ -z $check ]]; then
    "$formatter" -i "${files[@]}"
    exit 0
fi
# One line for each file instead of clang-format's one for each place.
unformatted=$("$formatter" --dry-run "${files[@]}" 2>&1 |
    sed -n 's/^\([^:]*\):[0-9]*:[0-9]*: warning: .*clang-format.*/\1/p' | sort -u)
if [[ -n $unformatted ]]; then
    sed 's/^/format: not formatted: /' <<<"$unformatted"
    echo "format: run scripts/format.sh" >&2
    exit 1
fi
