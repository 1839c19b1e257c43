#!/bin/sh
# Instructions an event of kpid's decoder and of cJSON, counted by callgrind on the same corpus.
# Usage: decode_instructions.sh PROGRAM   (the built bench program `decode`)
set -eu

program=${1:?usage: decode_instructions.sh PROGRAM}
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

# Prints the instructions an event inside run_$1().
count() {
    valgrind --tool=callgrind --callgrind-out-file="$directory/$1" --toggle-collect="run_$1" \
        "$program" --once "$1" >"$directory/$1.out" 2>"$directory/$1.err"
    events=$(sed -n 's/ events$//p' "$directory/$1.out")
    total=$(sed -n 's/^summary: //p' "$directory/$1")
    echo $((total / events))
}

kpid=$(count kpid)
cjson=$(count cjson)
echo "kpid  $kpid instructions an event"
echo "cJSON $cjson instructions an event"
awk -v k="$kpid" -v c="$cjson" 'BEGIN { printf "ratio %.1f\n", c / k }'
