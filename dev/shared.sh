# shellcheck shell=bash
# Shared by the scripts of this folder: paths, ports, and starting, finding and ending processes.
# Sourced, never run.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
DEV_DIR=$(realpath -m -- "${DEV_DIR:-$ROOT/.dev}")
DEV_LIBS=$(realpath -m -- "${DEV_LIBS:-$ROOT/.dev/libs}")
# A folder records the ports of its stack, so that `DEV_DIR=... dev/stack down` is enough.
DEV_BASE_PORT=${DEV_BASE_PORT:-$(cat "$DEV_DIR/base-port" 2>/dev/null || echo 29000)}

port_of() { # PART
    case $1 in
        webhooks) echo $((DEV_BASE_PORT + 80)) ;;
        registry) echo $((DEV_BASE_PORT + 81)) ;;
        close) echo $((DEV_BASE_PORT + 87)) ;;
        rest) echo $((DEV_BASE_PORT + 83)) ;;
        connect) echo $((DEV_BASE_PORT + 84)) ;;
        kafka) echo $((DEV_BASE_PORT + 92)) ;;
        controller) echo $((DEV_BASE_PORT + 93)) ;;
        postgres) echo $((DEV_BASE_PORT + 432)) ;;
        *) die "unknown part: $1" ;;
    esac
}

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
die() {
    warn "error: $*"
    exit 1
}

# Without a login shell (CI, cron) rustup's folder is not on the path.
if ! command -v cargo >/dev/null && [ -x "${CARGO_HOME:-${HOME:-}/.cargo}/bin/cargo" ]; then
    PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
fi

# --- Processes ------------------------------------------------------------------------------------------------------
# A pid file holds the pid and the kernel's start time of the process: a pid that has been
# reused by another process is never taken for ours.

start_time_of() { # PID
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # The name in parentheses may hold spaces; field 22 is counted after it.
    # shellcheck disable=SC2086 # split on purpose
    set -- ${stat##*) }
    # A zombie has ended; its parent has not reaped it yet.
    [ "$1" != Z ] && echo "${20}"
}

# Starts a command in a separate session (Ctrl-C of the caller does not reach it), without the caller's locks.
launch() { # PIDFILE LOGFILE COMMAND...
    local pidfile=$1 logfile=$2 pid
    shift 2
    mkdir -p "$(dirname "$pidfile")" "$(dirname "$logfile")"
    setsid "$@" </dev/null >>"$logfile" 2>&1 7>&- 8>&- 9>&- &
    pid=$!
    echo "$pid $(start_time_of "$pid")" >"$pidfile"
}

running_pid() { # PIDFILE; prints the pid if the same process still runs
    local pid started
    read -r pid started 2>/dev/null <"$1" || return 1
    [ -n "$started" ] && [ "$(start_time_of "$pid")" = "$started" ] && echo "$pid"
}

# SIGTERM, then SIGKILL if the process still runs after SECONDS.
end_process() { # PIDFILE SECONDS
    local pid ticks=$(($2 * 10))
    if pid=$(running_pid "$1"); then
        kill -TERM "$pid" 2>/dev/null || true
        while running_pid "$1" >/dev/null; do
            if ((ticks-- <= 0)); then
                warn "pid $pid did not end within $2 s: killed"
                kill -KILL "$pid" 2>/dev/null || true
                wait_gone "$1"
            fi
            sleep 0.1
        done
    fi
    rm -f "$1"
}

wait_gone() { # PIDFILE
    while running_pid "$1" >/dev/null; do sleep 0.05; done
}

port_open() { # PORT
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Ends with an error that names the process on the port, if visible.
require_free() { # PORT NAME
    port_open "$1" || return 0
    local holder=''
    if command -v ss >/dev/null; then
        holder=$(ss -Hltnp "sport = :$1" 2>/dev/null | sed -n '1s/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (pid \2)/p' || true)
    fi
    die "port $1 ($2) is in use${holder:+ by $holder}: stop that process, or choose another ${DEV_PORT_VARIABLE:-DEV_BASE_PORT} (now $DEV_BASE_PORT)"
}
