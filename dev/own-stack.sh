# shellcheck shell=bash
# For dev/test and dev/bench: an empty stack for one run. Sourced after dev/shared.sh, never run.

# Starts the stack of DEV_DIR empty, exports its addresses, and stops it when the script ends.
with_own_stack() {
    mkdir -p "$DEV_DIR"
    exec 8>"$DEV_DIR/run.lock"
    flock -n 8 || die "another run uses $DEV_DIR"
    trap finish EXIT
    # Otherwise the exit code would be that of the last successful command.
    trap 'exit 130' INT
    trap 'exit 143' TERM
    # A killed run may have left its stack.
    "$ROOT/dev/stack" reset
    "$ROOT/dev/stack" up
    eval "$("$ROOT/dev/stack" env)"
}

# Keeps the exit code. The data of a red run may explain the failure, so only a green run wipes it.
finish() {
    local code=$?
    trap - EXIT
    if [ "$code" -eq 0 ]; then
        "$ROOT/dev/stack" reset || code=1
    else
        "$ROOT/dev/stack" down || true
        warn "failed; the stack's logs are in $DEV_DIR/logs"
    fi
    exit "$code"
}
