"""What is on a host that a deploy might touch, as text: for telling whether all of it was undone."""

VOLATILE = {
    "var/lib/aiops": "the fence of a reset that found nothing",
    "var/lib/apt/lists": "apt's own, it makes a folder there when it first downloads",
    "var/lib/dpkg/status-old": "dpkg's backup of before its last change",
    "var/lib/dpkg/statoverride-old": "likewise",
    "var/lib/systemd": "timers note when they ran; seeds and clocks",
    "var/lib/ucf": "ucf's backups of before its last changes; the newest are as before",
    "etc/.updated": "systemd notes that it has booted",
}
"""What is left out below the folders that are looked at, and why."""

_LEAVE = " -o ".join(f"-path {path}" for path in VOLATILE)
_FOLDERS = "etc home opt root srv usr var/lib"
LISTING = (
    "dpkg-query --show --showformat='${Package} ${Version} ${Status}\\n';"
    " systemctl list-unit-files --no-legend --no-pager | sort; cat /etc/passwd /etc/group;"
    f" cd / && find {_FOLDERS} -xdev \\( {_LEAVE} \\) -prune -o -printf '%p %y %m %U %G %l\\n' | sort;"
    f" find etc opt srv usr/local var/lib -xdev \\( {_LEAVE} \\) -prune -o -type f -print0"
    " | sort -z | xargs -0 sha256sum"
)
"""A shell line: packages, units, accounts, every name with its rights, and the contents of what is configured."""
