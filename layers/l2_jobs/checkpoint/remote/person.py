"""Who looks at checkpoints: their job's user, who has named the folder. Root follows no link that a user has laid.

Standard library, Python 3.6.
"""

import os
import pwd
import sys


def become(name, uid, gid):
    """Be that user for good, with all groups of his, where we are root."""
    if os.geteuid() != 0 or uid == 0:
        return
    try:
        known = pwd.getpwnam(name).pw_uid == uid
    except KeyError:
        known = False
    os.setgroups(os.getgrouplist(name, gid) if known else [])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def main(person, module, arguments):
    """Run `main` of a module that was sent along as `person`: name, uid, gid."""
    become(*person)
    sys.modules["%s.%s" % (__package__, module)].main(*arguments)
