"""A shell's own children, each for one thing that may hang: they run at the same time, and none holds up the others.

What waits in the kernel cannot be ended, so nobody may wait for it: a program looks for those that have ended, for a
number of turns, and goes on. What is left is ended by the probe, as far as it can be.
"""

AWAIT = r"""
await() {
  turns=$1
  while :; do
    waiting=
    for child in $running; do
      if kill -0 "${child%%:*}" 2>/dev/null; then
        waiting="$waiting $child"
      else
        wait "${child%%:*}"
        ended "${child#*:}" "$?"
      fi
    done
    running=$waiting
    [ -n "$running" ] || return 0
    [ "$turns" -gt 0 ] || return 0
    turns=$((turns - 1))
    sleep 0.1
  done
}
"""
"""`await TURNS`: for each of `$running` (words `PID:NAME`) that ends within so many tenths of a second, call
`ended NAME STATUS`; the others stay in `$running`."""
