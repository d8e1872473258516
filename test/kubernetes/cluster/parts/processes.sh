# Processes of the cluster. Each has a file in $STATE/pid with its id and start time, so that an id that was given to
# another process since is not taken for it. Sourced.

# PID: when it started, in the kernel's ticks; nothing where it does not run.
started() { awk '{ sub(/.*\) /, ""); print $20 }' "/proc/$1/stat" 2>/dev/null || true; }

alive() { # NAME
  local pid start
  [ -r "$STATE/pid/$1" ] && read -r pid start <"$STATE/pid/$1" && [ -n "$start" ] && [ "$(started "$pid")" = "$start" ]
}

# NAME COMMAND...: starts it, unless it runs.
service() {
  local name=$1 pid
  shift
  if alive "$name"; then return; fi
  setsid "$@" >>"$STATE/log/$name.log" 2>&1 </dev/null &
  pid=$!
  disown "$pid"
  printf '%s %s\n' "$pid" "$(started "$pid")" >"$STATE/pid/$name"
}

# SECONDS NAME COMMAND...: waits until COMMAND succeeds; the process NAME must stay alive meanwhile.
until_ok() {
  local end name=$2
  end=$(($(date +%s) + $1))
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ! alive "$name"; then
      tail -n 20 "$STATE/log/$name.log" >&2
      die "$name ended"
    fi
    if [ "$(date +%s)" -ge "$end" ]; then
      tail -n 20 "$STATE/log/$name.log" >&2
      die "waited too long: $*"
    fi
    sleep 0.2
  done
}

# NAME...: asks all to end, waits up to 10 s for each, then kills those that are left.
end() {
  local name
  for name in "$@"; do alive "$name" && kill "$(cut -d' ' -f1 "$STATE/pid/$name")"; done
  for name in "$@"; do
    for _ in $(seq 100); do
      alive "$name" || break
      sleep 0.1
    done
    alive "$name" && kill -KILL "$(cut -d' ' -f1 "$STATE/pid/$name")"
    rm -f "$STATE/pid/$name"
  done
}
