"""The batch script of an attempt on Slurm: it begins once, runs srun, and writes down how that ended.

Standard library only, Python 3.6, imports nothing of ours: the text of this file, with one call of `main` behind it,
is what `sbatch` is given. It runs as the job's user on the first node of the allocation. slurmctld forgets a job after
MinJobAge, so both records are the attempt's own: files of its folder, on the disk before anything rests on them.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time

BEGUN = "begun.json"
END = "end.json"
REFUSED = 73
"""Exit status (EX_CANTCREAT) of a script that was not allowed to begin; it has run nothing."""

LOOK = 0.5
LINGER = 1.0
"""Seconds that srun has to end by itself once it is asked to."""

EPOCH = ".aiops-epoch"
"""What the name of a fence begins with, as in layers/l2_jobs/remote/fence.py; a dot and the job's id follow."""


def kept(path, record):
    """Write `record` below a new name in the folder of `path`, on the disk; return that name."""
    temporary = "%s.%d" % (path, os.getpid())
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as stream:
        json.dump(record, stream)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    return temporary


def settle(folder):
    """Have the names in `folder` on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def begin(folder, record):
    """Write the record of the beginning; False where one is there: another job of Slurm has run this attempt."""
    path = os.path.join(folder, BEGUN)
    temporary = kept(path, record)
    try:
        os.link(temporary, path)  # unlike a rename, it fails where there is one
    except FileExistsError:
        return False
    finally:
        os.unlink(temporary)
    settle(folder)
    return True


def end(folder, record):
    """Write the record of the end: all of it or nothing."""
    path = os.path.join(folder, END)
    os.rename(kept(path, record), path)
    settle(folder)


def raised(folder, job, epoch):
    """Raise the epoch of `job` in a checkpoint folder; False where a newer attempt was there.

    Raises:
        OSError: It cannot be read or written.
        ValueError: What is there is no number.
    """
    if known(folder, job) > epoch:
        return False
    # As fence.py does it: a file of its own first, then the number, then a look for a newer one that came between.
    os.close(os.open(os.path.join(folder, "%s.%s.%d" % (EPOCH, job, epoch)), os.O_WRONLY | os.O_CREAT, 0o644))
    written(folder, job, epoch)
    newest = known(folder, job)
    if newest > epoch:
        written(folder, job, newest)
    return newest == epoch


def known(folder, job):
    """The newest attempt of `job` that has used a checkpoint folder; 0 where none has."""
    try:
        with open(os.path.join(folder, "%s.%s" % (EPOCH, job))) as stream:
            found = int(stream.read(64).strip() or "0")
    except FileNotFoundError:
        found = 0
    head = "%s.%s." % (EPOCH, job)
    own = [name[len(head) :] for name in os.listdir(folder) if name.startswith(head)]
    return max([found] + [int(one) for one in own if re.match("[0-9]{1,9}$", one)])


def written(folder, job, epoch):
    """Write the number, whole and on the disk."""
    path = os.path.join(folder, "%s.%s" % (EPOCH, job))
    temporary = "%s.new-%d" % (path, os.getpid())
    with open(temporary, "w") as stream:
        stream.write("%d\n" % epoch)
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(temporary, path)
    settle(folder)


def unready(own, job, epoch):
    """Why the user's own command cannot be given to srun; empty where it can. A launcher looks at this itself.

    Args:
        own: `folder`: where it begins; `checkpoints`: its checkpoint folder, or None. Empty for a launcher.
        job: Its id.
        epoch: Of the attempt.
    """
    if not own:
        return ""
    if not os.path.isdir(own["folder"]):
        return "there is no folder %s on %s" % (own["folder"], os.uname().nodename)
    checkpoints = own.get("checkpoints")
    if checkpoints and os.path.isdir(checkpoints):
        try:
            if not raised(checkpoints, job, epoch):
                return "a newer attempt has begun in %s" % checkpoints
        except (OSError, ValueError) as error:
            return "%s: %s" % (checkpoints, error)
    return ""


def run(words, environment, ask):
    """Run srun to its end; return its status (-N after signal N) and the signals that came meanwhile.

    SIGUSR1 comes some time before the time limit, SIGTERM with `scancel` and at the limit. Neither ends this script:
    the record of the end has still to be written. Those whom srun runs are asked once to save and leave, by `ask`.
    SIGUSR2 comes once all that srun has started was killed: srun has a moment to say how that ended, and then it is
    ended too, for it waits for what it has started on a lost node.
    """
    came = []
    asking = []
    ending = []

    def told(number, _frame):
        came.append(int(number))
        if number == signal.SIGUSR2 and not ending:
            ending.append(time.time() + LINGER)
        if number == signal.SIGUSR1 and not asking:
            try:
                asking.append(subprocess.Popen(ask, stdin=subprocess.DEVNULL, start_new_session=True))
            except OSError as error:
                sys.stderr.write("aiops: %s: %s\n" % (ask[0], error))

    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, told)
    # In a session of its own: what Slurm sends to this script's group must not be passed on by srun to every process.
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, env=environment, start_new_session=True)
    while True:
        try:
            return process.wait(timeout=LOOK), came
        except subprocess.TimeoutExpired:
            if ending and time.time() >= ending[0]:
                os.killpg(process.pid, signal.SIGKILL)


def main(folder, key, words, ask, own):
    """Begin, run srun with `words`, write the end, and end as srun did.

    Args:
        folder: The attempt's, on this node; it was made before the job was submitted.
        key: The attempt, `JOB.NUMBER`.
        words: srun's command.
        ask: The command that asks those whom it runs to save and leave; `JOB` in it stands for Slurm's number.
        own: Of the user's own command, where srun is given it as it is: see `unready`, and `environment`, its variables
            beside those of Slurm; empty for a launcher.
    """
    job = os.environ.get("SLURM_JOB_ID", "")
    attempted, _, number = key.rpartition(".")
    epoch = int(number)
    about = {"v": 1, "key": key, "epoch": epoch, "job": job, "at": time.time()}
    try:
        fresh = begin(folder, about)
    except OSError as error:
        sys.stderr.write("aiops: %s: %s\n" % (folder, error))
        sys.exit(REFUSED)
    if not fresh:
        sys.stderr.write("aiops: attempt %s was begun before; job %s runs nothing\n" % (key, job))
        sys.exit(REFUSED)
    status, came, reason = None, [], unready(own, attempted, epoch)
    if reason:
        sys.stderr.write("aiops: %s\n" % reason)
    else:
        try:
            status, came = run(
                words, dict(os.environ, **own.get("environment", {})), [job if word == "JOB" else word for word in ask]
            )
        except OSError as error:
            reason = "%s: %s" % (words[0], error)
            sys.stderr.write("aiops: %s\n" % reason)
    end(folder, dict(about, status=status, signals=came, reason=reason, begun=about["at"], at=time.time()))
    sys.exit(REFUSED if status is None else status if status >= 0 else 128 - status)
