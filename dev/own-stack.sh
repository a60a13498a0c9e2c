# shellcheck shell=bash
# For dev/test and dev/bench: an empty stack for the time of one run. Sourced after dev/shared.sh, never run.

# Brings up the stack of DEV_DIR, empty, exports its addresses, and takes it down when the script ends.
with_own_stack() {
    mkdir -p "$DEV_DIR"
    exec 8>"$DEV_DIR/run.lock"
    flock -n 8 || die "another run uses $DEV_DIR"
    trap finish EXIT
    # Or the code seen there would be that of the last command that ended well.
    trap 'exit 130' INT
    trap 'exit 143' TERM
    # A run that was killed may have left its own.
    "$ROOT/dev/stack" reset
    "$ROOT/dev/stack" up
    eval "$("$ROOT/dev/stack" env)"
}

# Keeps the exit code. What a red run left behind may explain it, so only a green one wipes.
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
