"""What the simulated tools of vendors have in common: the state that the lab writes, hanging, and how they end.

On a host it stands beside a tool, whose `answer(host, words)` gives the exit status and the text.
"""

import hashlib
import json
import os
import signal
import sys
import time

MACHINE_ID = "/etc/machine-id"


class Card(object):
    """One device that is there; `card["temperature"]` is a value of its state."""

    def __init__(self, host, index, own):
        self.host = host
        self.index = index
        self.own = own

    def __getitem__(self, name):
        return self.own[name]

    def identity(self, what, length):
        """Upper-case hex digits: different on every host, device and `what`, the same at every call."""
        seed = "%s/%s/%d" % (self.host.machine_id, what, self.index)
        return hashlib.sha256(seed.encode()).hexdigest()[:length].upper()


class Host(object):
    """The host, as the lab's state tells it."""

    def __init__(self, state, machine_id):
        self.state = state
        self.machine_id = machine_id
        cards = [Card(self, index, own) for index, own in enumerate(state.get("cards", []))]
        self.cards = [card for card in cards if not card.own.get("lost")]

    @property
    def driver(self):
        """The driver's version as it is told: a skewed host tells another."""
        return self.state.get("reported_driver") or self.state.get("driver") or self.state.get("version", "")

    def called(self, word):
        """The devices of this index or bus address (`0000:18:00.0`, in any case and with a longer domain)."""
        return [card for card in self.cards if word.lower() in (str(card.index), card["bus"], "0000" + card["bus"])]

    def csv(self, values, names, form):
        """Rows of chosen fields, as `csv[,noheader][,nounits]` asks for; None where a field or the format is unknown.

        `values(card)` gives (value, unit) by field.
        """
        rows = [values(card) for card in self.cards]
        if not rows or "csv" not in form or not all(name in rows[0] for name in names):
            return None
        units = "nounits" not in form
        lines = []
        if "noheader" not in form:
            heads = [(name, rows[0][name][1]) for name in names]
            lines.append(", ".join("%s [%s]" % head if units and head[1] else head[0] for head in heads))
        for row in rows:
            cells = [row[name] for name in names]
            lines.append(", ".join("%s %s" % one if units and one[1] else str(one[0]) for one in cells))
        return "\n".join(lines) + "\n"


def read(path):
    """The host at this moment."""
    state, machine_id = {}, ""
    try:
        with open(path, encoding="utf-8") as stream:
            state = json.load(stream)
    except (OSError, ValueError):
        pass
    try:
        with open(MACHINE_ID, encoding="ascii") as stream:
            machine_id = stream.read().strip()
    except OSError:
        pass
    return Host(state, machine_id)


def run(answer, path):
    """Answer the command line and end this process."""
    host = read(path)
    tool = host.state.get("tool", {})
    if tool.get("hang"):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        while True:  # a call into a wedged driver: only SIGKILL ends it
            time.sleep(3600)
    time.sleep(tool.get("seconds", 0))
    status, text = answer(host, sys.argv[1:])
    try:
        sys.stdout.buffer.write(text.encode("utf-8"))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = 1
    sys.exit(status)
