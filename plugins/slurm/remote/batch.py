"""The batch script of an attempt on Slurm: it begins once, runs srun, and writes down how that ended.

Standard library only, Python 3.6, imports nothing of ours but what a node remembers of controllers: with one call of
`main` behind it, it is what `sbatch` is given. It runs as the job's user on the first node of the allocation. slurmctld
forgets a job after MinJobAge, so both records are the attempt's own: files of its folder, on the disk before anything
rests on them.

A job may wait for long, and the head that has submitted it may be lost meanwhile, and its store restored on another.
So before anything is run the script looks whether its node has seen a later controller, and then ends itself.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time

from .terms import Terms

BEGUN = "begun.json"
END = "end.json"
REFUSED = 73
"""Exit status (EX_CANTCREAT) of a script that was not allowed to begin; it has run nothing."""

LOOK = 0.1
LINGER = 1.0
"""Seconds that srun has to end by itself once it is asked to."""
SUPERSEDED = "superseded"
"""How an attempt ends whose controller is not the latest any more; as in layers/l2_jobs/report.py."""

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


def overtaken(base, term):
    """Why the controller that has submitted this may have nothing run any more, and its end; both empty where it may.

    Args:
        base: The folder of all attempts.
        term: The lineage and number of its term; None where nobody is to be told apart.
    """
    if term is None:
        return "", ""
    try:
        later = Terms(base, term[0], term[1]).outranked()
    except (OSError, ValueError) as error:
        return "it cannot be read here whether a later controller looks after the jobs: %s" % error, ""
    if later:
        return "a later controller of this cluster (term %d, not %d) looks after the jobs" % (
            later,
            term[1],
        ), SUPERSEDED
    return "", ""


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


def run(commands, environment, ask):
    """Run all sruns to their ends; return the first bad status (-N after signal N) and the signals that came meanwhile.

    SIGUSR1 comes some time before the time limit, SIGTERM with `scancel` and at the limit. Neither ends this script:
    the record of the end has still to be written. Those whom srun runs are asked once to save and leave, by `ask`.
    At SIGUSR2, and where one of them ends badly, all steps are killed; srun has a moment to say how that ended, and
    then it is ended too, for it waits for what it has started on a lost node.
    """
    came, asking, ending = [], [], []
    job = os.environ.get("SLURM_JOB_ID", "")
    kill = ["scancel", "--signal=KILL"] + ["%s.%d" % (job, number) for number in range(len(commands))]

    def told(number, _frame):
        came.append(int(number))
        if number == signal.SIGUSR2 and not ending:
            ending.append(time.time() + LINGER)
            aside(kill)
        if number == signal.SIGUSR1 and not asking:
            asking.append(True)
            aside(ask)

    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, told)
    # In a session of its own: what Slurm sends to this script's group must not be passed on by srun to every process.
    running, ended = begun(commands, environment), []
    while running:
        ended += [process for process in running if process.poll() is not None]
        running = [process for process in running if process not in ended]
        if not ending and any(process.returncode for process in ended):
            # A launcher that could not begin; one that has begun ends well. A gang without one of them is of no use.
            ending.append(time.time() + LINGER)
            aside(kill)
        if ending and time.time() >= ending[0]:
            killed(running)
        if running:
            time.sleep(LOOK)
    return next((process.returncode for process in ended if process.returncode), 0), came


def aside(words):
    """Run a command beside all else, whatever becomes of it."""
    try:
        subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        sys.stderr.write("aiops: %s: %s\n" % (words[0], error))


def begun(commands, environment):
    """Start all; none where one of them cannot be started."""
    running = []
    try:
        for words in commands:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, env=environment, start_new_session=True)
            running.append(process)
    except OSError:
        killed(running)
        raise
    return running


def killed(running):
    """End processes and all that they have started, at once."""
    for process in running:
        os.killpg(process.pid, signal.SIGKILL)


def main(folder, key, commands, ask, own, *, term=None):
    """Begin, run srun with each of `commands`, write the end, and end as srun did.

    Args:
        folder: The attempt's, on this node; it was made before the job was submitted.
        key: The attempt, `JOB.NUMBER`.
        commands: srun's words, of each.
        ask: The command that asks those whom it runs to save and leave; `JOB` in it stands for Slurm's number.
        own: Of the user's own command, where srun is given it as it is: see `unready`, and `environment`, its variables
            beside those of Slurm; empty for a launcher.
        term: Of the controller that submits it: see `overtaken`.
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
    status, came = None, []
    reason, ended = overtaken(os.path.dirname(folder), term)
    reason = reason or unready(own, attempted, epoch)  # which raises the epoch: not for one that is overtaken
    if reason:
        sys.stderr.write("aiops: %s\n" % reason)
    else:
        try:
            status, came = run(
                commands,
                dict(os.environ, **own.get("environment", {})),
                [job if word == "JOB" else word for word in ask],
            )
        except OSError as error:
            reason = "%s: %s" % (commands[0][0], error)
            sys.stderr.write("aiops: %s\n" % reason)
    about.update(begun=about["at"], at=time.time(), end=ended)
    end(folder, dict(about, status=status, signals=came, reason=reason))
    sys.exit(REFUSED if status is None else status if status >= 0 else 128 - status)
