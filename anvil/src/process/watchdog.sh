# Runs anvil ("$@") for an owner that holds the other end of this shell's standard input. When that end closes, because
# the owner let go of it or was killed, anvil is ended; when anvil ends by itself, so does this shell, with its code.
exec 3<&0
"$@" 3<&- </dev/null &
anvil=$!
echo "anvil-pid $anvil"
{
    while read -r _; do :; done
    kill -CONT "$anvil"
    kill -TERM "$anvil"
    tries=0
    while kill -0 "$anvil" && [ "$tries" -lt 20 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    kill -KILL "$anvil"
} <&3 >/dev/null 2>&1 &
watch=$!
exec 3<&-
wait "$anvil"
code=$?
kill "$watch" 2>/dev/null
exit "$code"
