"""The question after mounts and the file systems on them: a shell program, run once for all checks of both.

`statfs` of a file system whose server is gone waits in the kernel, where no signal reaches it. So each file system is
asked by a child of its own; after 2 s its answer is no longer waited for.
"""

from aiops.layers.l0_nodes.ask import Ask

from .children import AWAIT

MOUNTS = "mounts.table"
MOUNTINFO, FSTAB = "/proc/self/mountinfo", "/etc/fstab"
WAIT = 2.0
"""Seconds that a file system has for its answer."""
MOST = 256
"""So many file systems are asked; a node with more has containers that made them."""

VIRTUAL = (
    *("proc", "sysfs", "devtmpfs", "devpts", "tmpfs", "ramfs", "rootfs", "cgroup", "cgroup2", "cpuset", "pstore"),
    *("efivarfs", "bpf", "debugfs", "tracefs", "securityfs", "selinuxfs", "smackfs", "configfs", "fusectl", "mqueue"),
    *("hugetlbfs", "autofs", "binfmt_misc", "rpc_pipefs", "nfsd", "nsfs", "resctrl", "functionfs", "ipathfs"),
    *("overlay", "aufs", "unionfs", "squashfs", "erofs", "cramfs", "romfs", "iso9660", "udf", "fuse.snapfuse"),
)
"""Kinds that keep nothing of their own, or nothing that can be written; asked only as the root of everything."""

PROGRAM = (
    r"""
set -f
umask 077
held=/run/aiops-statfs
running='' devices=' ' points=' ' asked=0
mkdir told || exit 1
stat -f -c %S /proc >told/0 || exit 1
"""
    + AWAIT
    + r"""
ended() {
  [ "$2" -ne 0 ] || return 0
  case $1 in link:*) return 0 ;; esac
  reason=$(cat "told/${1%%:*}")
  reason=${reason##*: }
  printf '! %s %s\n' "${1%%:*}" "${reason:-stat ended with $2}"
}
born() {
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 0
  set -- ${line##*) }
  case $1 in Z | X) ;; *) printf '%s\n' "${20}" ;; esac
}
waits() {
  [ -f "$held/$1" ] || return 1
  pid='' since=''
  read -r pid since <"$held/$1"
  [ -n "$since" ] && [ "$(born "$pid")" = "$since" ] && return 0
  rm -f "$held/$1"
  return 1
}
plain() {
  case $1 in *\\*) plain=$(printf '%bx' "$1") plain=${plain%x} ;; *) plain=$1 ;; esac
}
while read -r id parent device root point options rest; do
  points="$points$point "
  rest=${rest#*- }
  case ${rest%% *} in
    VIRTUAL) [ "$point" = / ] || continue ;;
  esac
  case $devices in *" $device "*) continue ;; esac
  devices="$devices$device "
  asked=$((asked + 1))
  [ "$asked" -le MOST ] || continue
  if waits "$device"; then
    printf '? %s earlier\n' "$id"
    continue
  fi
  plain "$point"
  stat -f -c "= $id %S %b %f %a %c %d" -- "$plain" 2>"told/$id" &
  running="$running $!:$id:$device"
done </proc/self/mountinfo
[ -r /etc/fstab ] && while read -r source point rest || [ -n "$source" ]; do
  case $source in '#'*) continue ;; esac
  case $point in /?*) point=${point%/} ;; *) continue ;; esac
  case $points in *" $point "*) continue ;; esac
  plain "$point"
  {
    real=$(readlink -f -- "$plain")
    case $real in '' | *[[:space:]]*) exit 0 ;; esac
    [ "$real" = "$plain" ] || printf '> %s %s\n' "$point" "$real"
  } 2>/dev/null &
  running="$running $!:link:"
done </etc/fstab
await TURNS
for child in $running; do
  kill -9 "${child%%:*}" 2>/dev/null
  child=${child#*:}
  [ "${child%%:*}" = link ] || printf '? %s now\n' "${child%%:*}"
done
if [ -n "$running" ]; then
  sleep 0.1
  for child in $running; do
    since=$(born "${child%%:*}")
    case $child in *:link:) continue ;; esac
    [ -n "$since" ] && mkdir -p "$held" && printf '%s %s\n' "${child%%:*}" "$since" >"$held/${child#*:*:}"
  done
fi
rmdir "$held" 2>/dev/null
printf '. %s\n' "$asked"
""".replace("VIRTUAL", " | ".join(VIRTUAL))
    .replace("MOST", str(MOST))
    .replace("TURNS", str(int(WAIT * 10)))
)
"""Says of each file system `= ID SIZE BLOCKS FREE AVAILABLE FILES FREE`, `! ID REASON`, or `? ID` when it kept silent;
of each unmounted line of fstab `> POINT REAL` where links lead elsewhere; at last `. COUNT`.

The first `stat` is there for itself: it waits until that program is in memory, so that a slow disk of the node is not
taken for the silence of a server. What cannot be ended is noted in /run, by device, and not asked again while it is
there: a dead mount holds one process of ours, not one more with each examination.
"""

MOUNT_ASK = Ask(MOUNTS, ("sh", "-c", PROGRAM), (MOUNTINFO, FSTAB), scratch=True, max_bytes=1_048_576)
