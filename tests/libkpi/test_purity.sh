#!/bin/sh
# Law 7, libkpi is pure: it computes and nothing else, and must not need a symbol that reads a clock, opens a file or a
# socket, starts a thread, prints, exits or allocates. Whatever is not known to be harmless fails.
#
#   test_purity.sh LIBKPI.A
set -eu

allowed='
mem(cpy|move|set|cmp|chr)
str(len|n?cmp|n?len|r?chr|c?spn)
__(mem(cpy|move|set)|strncpy)_chk
bcmp
qsort|bsearch
is(nan|inf|finite)|__is(nan|inf)|f(abs|max|min|mod)|floor|ceil|round|trunc|sqrt|pow|exp|log|log1p|expm1|l?lround|erfc|hypot|lgamma_r
__assert_fail
__stack_chk_fail
__errno_location
(roaring|container|array_container|bitset_container|run_container)_[a-z0-9_]*
XXH(3|32|64|128|_)[A-Za-z0-9_]*
__(u?div|u?mod|mul)ti3|__u?divmodti4|__float(un)?tidf|__muloti4|__popcountdi2
_GLOBAL_OFFSET_TABLE_
'
pattern="^($(printf '%s' "$allowed" | sed '/^$/d' | paste -sd '|' -))\$"

archive=$1
defined=$(nm --defined-only --extern-only "$archive" | awk 'NF == 3 { print $3 }' | sort -u)
needed=$(nm --undefined-only "$archive" | awk '$1 == "U" || $1 == "w" { print $2 }' | sort -u)
if [ -z "$defined" ] || [ -z "$needed" ]; then
    echo "nm shows nothing of $archive" >&2
    exit 1
fi

status=0
for symbol in $needed; do
    printf '%s\n' "$defined" | grep -qxF "$symbol" && continue
    # what the sanitizers put in
    case $symbol in
    __asan_* | __ubsan_* | __tsan_* | __msan_* | __sanitizer_* | __gcov_* | __llvm_*) continue ;;
    esac
    if ! printf '%s\n' "$symbol" | grep -qE "$pattern"; then
        echo "libkpi needs $symbol" >&2
        status=1
    fi
done

# Nothing that is written to may be shared by two plans or two threads. (Tables of pointers are in
# .data.rel.ro, which is read-only once it is relocated.)
variables=$(size -A "$archive" | awk '$1 ~ /^\.(data|bss|tdata|tbss)$/ { n += $2 } END { print n + 0 }')
if [ "$variables" -ne 0 ]; then
    echo "libkpi has $variables bytes of variables" >&2
    status=1
fi
exit $status
