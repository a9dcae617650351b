"""Drives and arrays."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.l1_cluster.health.case import AT, Case, hung, read, said

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health.drive_reading import NVME, NVME_LOGS, SMART
from aiops.layers.l1_cluster.health.drives import MDSTAT
from aiops.layers.l1_cluster.health.expected import Expected
from aiops.layers.l1_cluster.health.past import Past, Sample

DRIVES = 9
"""Eight for data, one to boot from."""


def address(number: int) -> str:
    return f"0000:{0x40 + number:02x}:00.0"


def serial(number: int) -> str:
    return f"S0TEST0000{number:04d}"


def nvme(drivers: Mapping[int, str | None] | None = None, states: Mapping[int, str | None] | None = None) -> Answer:
    """The drives on the bus and in the kernel; some with another driver or state, None: without."""
    blocks: list[str] = []
    files: dict[str, str] = {}
    for number in range(DRIVES):
        driver = (drivers or {}).get(number, "nvme")
        lines = [f"DRIVER={driver}"] if driver else []
        lines += ["PCI_CLASS=10802", "PCI_ID=144D:A824", f"PCI_SLOT_NAME={address(number)}"]
        blocks.append("".join(f"{line}\n" for line in lines) + "\n")
        state = {number: "live" if driver == "nvme" else None, **(states or {})}[number]
        if state is not None:
            folder = f"/sys/class/nvme/nvme{number}"
            files |= {
                f"{folder}/state": f"{state}\n",
                f"{folder}/transport": "pcie\n",
                f"{folder}/address": f"{address(number)}\n",
                f"{folder}/serial": f"{serial(number)}      \n",
            }
    return Answer(NVME, 0, stdout="".join(blocks) + ".\n", files=files)


WELL: Mapping[str, Any] = {
    "critical_warning": 0,
    "temperature": 312,
    "avail_spare": 100,
    "spare_thresh": 10,
    "percent_used": 3,
    "endurance_grp_critical_warning_summary": 0,
    "data_units_read": 1454046,
    "media_errors": 0,
    "num_err_log_entries": 17,
    "warning_temp_time": 0,
}
"""As nvme-cli 2 tells it."""


def logs(name: str, texts: Mapping[str, str], statuses: Mapping[str, object] | None = None) -> Answer:
    """The logs of several drives."""
    parts = [f"\n== {drive} {(statuses or {}).get(drive, 0)}\n{text}\n" for drive, text in texts.items()]
    return said(name, "".join(parts) + f"\n== . {len(texts)}\n")


def nvme_logs(different: Mapping[int, Mapping[str, Any]] | None = None, **texts: str) -> Answer:
    """The logs of all NVMe drives; some with other values, or with another text altogether."""
    well = {f"nvme{number}": json.dumps({**WELL, **(different or {}).get(number, {})}) for number in range(DRIVES)}
    return logs(NVME_LOGS, {**well, **texts})


SATA: Mapping[str, Any] = {
    "json_format_version": [1, 0],
    "smartctl": {"version": [7, 3], "argv": ["smartctl", "--json=c", "-i", "-H", "-A", "/dev/sda"], "exit_status": 0},
    "device": {"name": "/dev/sda", "info_name": "/dev/sda [SAT]", "type": "sat", "protocol": "ATA"},
    "rotation_rate": 7200,
    "smart_status": {"passed": True},
    "ata_smart_attributes": {
        "revision": 16,
        "table": [
            {"id": 5, "name": "Reallocated_Sector_Ct", "value": 100, "raw": {"value": 8, "string": "8"}},
            {"id": 190, "name": "Airflow_Temperature_Cel", "value": 60, "raw": {"value": 40, "string": "40"}},
            {"id": 197, "name": "Current_Pending_Sector", "value": 100, "raw": {"value": 0, "string": "0"}},
        ],
    },
}
SAS: Mapping[str, Any] = {
    "smartctl": {"version": [7, 2], "exit_status": 0},
    "device": {"name": "/dev/bus/0", "type": "megaraid,8", "protocol": "SCSI"},
    "rotation_rate": 0,
    "smart_status": {"passed": True},
    "scsi_percentage_used_endurance_indicator": 11,
}


def refused(words: str) -> str:
    """What smartctl says of what it cannot ask."""
    return json.dumps({"smartctl": {"messages": [{"string": words, "severity": "error"}], "exit_status": 1}})


def smart(**different: str) -> Answer:
    """The logs of the other drives: a SATA disk, a SAS disk behind a controller, and that controller's volume."""
    volume = refused("Smartctl open device: /dev/sdb failed: DELL or MegaRaid controller, please try adding '-d'")
    texts = {"sda": json.dumps(SATA), "sas": json.dumps(SAS), "sdb": volume} | different
    names = {"sda": "/dev/sda", "sas": "/dev/bus/0 megaraid,8", "sdb": "/dev/sdb"}
    return logs(SMART, {names.get(name, name): text for name, text in texts.items()}, {"/dev/sdb": 2})


def pending(count: int) -> str:
    """A SATA disk with sectors that it cannot read."""
    row = {"id": 197, "name": "Current_Pending_Sector", "value": 99, "raw": {"value": count, "string": str(count)}}
    return json.dumps({**SATA, "ata_smart_attributes": {"revision": 16, "table": [row]}})


ARRAYS = """Personalities : [raid0] [raid1] [raid6] [raid5] [raid4]
md0 : active raid0 nvme7n1[7] nvme6n1[6] nvme5n1[5] nvme4n1[4] nvme3n1[3] nvme2n1[2] nvme1n1[1] nvme0n1[0]
      29299212288 blocks super 1.2 512k chunks

md1 : active raid1 sdb1[1] sda1[0]
      468718592 blocks super 1.2 [2/2] [UU]
      [=====>...............]  check = 28.3% (132853248/468718592) finish=27.9min speed=200340K/sec
      bitmap: 1/4 pages [4KB], 65536KB chunk

md127 : inactive sdd[1](S) sdc[0](S)
      10402 blocks super external:imsm

unused devices: <none>
"""


def arrays(text: str) -> Answer:
    """/proc/mdstat."""
    return read(MDSTAT, {"/proc/mdstat": text})


HEALTHY = {NVME: nvme(), NVME_LOGS: nvme_logs(), SMART: smart(), MDSTAT: arrays(ARRAYS)}

_ERRORS = f"nvme.media_errors {serial(3)}"

CASES = (
    Case(
        "an NVMe drive that no driver takes",
        "nvme.count",
        "critical",
        "service",
        about=f"NVMe at {address(5)}",
        words="on the bus, and no driver has it",
        answers={NVME: nvme(drivers={5: None})},
    ),
    Case(
        "an NVMe drive of which its driver makes none",
        "nvme.count",
        "critical",
        "service",
        about=f"NVMe at {address(5)}",
        words="its driver makes no drive of it",
        answers={NVME: nvme(states={5: None})},
    ),
    Case(
        "an NVMe drive that is dead",
        "nvme.count",
        "critical",
        "service",
        about="nvme2",
        words="its state is `dead`",
        answers={NVME: nvme(states={2: "dead"})},
    ),
    Case(
        "an NVMe drive that is missing",
        "nvme.count",
        "critical",
        "service",
        words="9 of 10 NVMe drives work (health.yml, group h100)",
        expected=Expected({"nvme.count": 10}, "health.yml, group h100"),
    ),
    Case(
        "the list of NVMe drives is cut",
        "nvme.count",
        "unknown",
        "none",
        words="has no end",
        answers={NVME: replace(nvme(), stdout="DRIVER=nvme\n")},
        also=("nvme.smart",),
    ),
    Case(
        "an NVMe drive that is no longer reliable",
        "nvme.smart",
        "critical",
        "service",
        about="nvme3",
        words="critical warning 0x04: it is no longer reliable",
        answers={NVME_LOGS: nvme_logs({3: {"critical_warning": 4}})},
    ),
    Case(
        "a warning as newer tools spell it",
        "nvme.smart",
        "critical",
        "service",
        about="nvme3",
        words="it can only be read",
        answers={NVME_LOGS: nvme_logs({3: {"critical_warning": {"value": 8, "ro": 1, "available_spare": 0}}})},
    ),
    Case(
        "an NVMe drive that is too hot",
        "nvme.smart",
        "warn",
        "service",
        about="nvme0",
        words="critical warning 0x02: it is too hot",
        answers={NVME_LOGS: nvme_logs({0: {"critical_warning": 2}})},
    ),
    Case(
        "an NVMe drive without spare blocks",
        "nvme.smart",
        "critical",
        "service",
        about="nvme1",
        words="4 % of its spare blocks left, its own limit 10 %",
        answers={NVME_LOGS: nvme_logs({1: {"avail_spare": 4}})},
    ),
    Case(
        "an NVMe drive that is worn out",
        "nvme.smart",
        "warn",
        "service",
        about="nvme1",
        words="103 % of its promised endurance used, limit 100 %",
        answers={NVME_LOGS: nvme_logs({1: {"percent_used": 103}})},
    ),
    Case(
        "an NVMe drive that begins to lose data",
        "nvme.smart",
        "warn",
        "service",
        about="nvme3",
        words="2 more media errors within 24 h, limit 1",
        answers={NVME_LOGS: nvme_logs({3: {"media_errors": 7}})},
        past=Past({_ERRORS: (Sample(AT - timedelta(hours=3), 5, "another-boot"),)}),
    ),
    Case(
        "an NVMe drive that does not answer",
        "nvme.smart",
        "unknown",
        "none",
        about="nvme4",
        words="not read within 4 s",
        answers={NVME_LOGS: logs(NVME_LOGS, {"nvme0": json.dumps(WELL), "nvme4": ""}, {"nvme4": "silent"})},
    ),
    Case(
        "an NVMe log that is garbage",
        "nvme.smart",
        "unknown",
        "none",
        about="nvme4",
        words="its log is garbled",
        answers={NVME_LOGS: nvme_logs(nvme4="{")},
    ),
    Case(
        "nvme-cli hangs as a whole",
        "nvme.smart",
        "unknown",
        "none",
        words="no answer within 6 s",
        answers={NVME_LOGS: hung(NVME_LOGS, 6.0)},
    ),
    Case(
        "a disk that says it fails",
        "disk.smart",
        "critical",
        "service",
        about="/dev/sda",
        words="it says that it is failing",
        answers={SMART: smart(sda=json.dumps({**SATA, "smart_status": {"passed": False}}))},
    ),
    Case(
        "a disk with sectors that cannot be read",
        "disk.smart",
        "warn",
        "service",
        about="/dev/sda",
        words="24 sectors that cannot be read, limit 1",
        answers={SMART: smart(sda=pending(24))},
    ),
    Case(
        "a SAS disk that is worn out",
        "disk.smart",
        "warn",
        "service",
        about="/dev/bus/0 megaraid,8",
        words="100 % of its promised endurance used",
        answers={SMART: smart(sas=json.dumps({**SAS, "scsi_percentage_used_endurance_indicator": 100}))},
    ),
    Case(
        "a disk that cannot be opened",
        "disk.smart",
        "unknown",
        "none",
        about="/dev/sdb",
        words="No such device or address",
        answers={SMART: smart(sdb=refused("Smartctl open device: /dev/sdb failed: No such device or address"))},
    ),
    Case(
        "a disk whose log is of a strange shape",
        "disk.smart",
        "unknown",
        "none",
        about="/dev/sda",
        words="garbled",
        answers={SMART: smart(sda=json.dumps({**SATA, "ata_smart_attributes": {"table": [{"id": 197}]}}))},
    ),
    Case(
        "smartctl hangs as a whole",
        "disk.smart",
        "unknown",
        "none",
        answers={SMART: hung(SMART, 6.0)},
    ),
    Case(
        "a mirror that lost a disk",
        "raid.degraded",
        "warn",
        "service",
        about="md1",
        words="raid1 works with 1 of 2 members; failed: sdb1",
        answers={MDSTAT: arrays(ARRAYS.replace("sdb1[1]", "sdb1[1](F)").replace("[2/2] [UU]", "[2/1] [U_]"))},
    ),
    Case(
        "an array that lost more than it can bear",
        "raid.degraded",
        "critical",
        "service",
        about="md5",
        words="raid5 works with 2 of 4 members",
        answers={
            MDSTAT: arrays(
                ARRAYS.replace(
                    "unused",
                    "md5 : active raid5 sdg[2](F) sdh[3](F) sdf[1] sde[0]\n"
                    "      1463794688 blocks super 1.2 level 5, 512k chunk, algorithm 2 [4/2] [UU__]\n\nunused",
                )
            )
        },
    ),
    Case(
        "a stripe that lost a disk",
        "raid.degraded",
        "critical",
        "service",
        about="md0",
        words="raid0 has lost a member that it cannot do without",
        answers={MDSTAT: arrays(ARRAYS.replace("md0 : active", "md0 : broken"))},
    ),
    Case(
        "an array that was not put together",
        "raid.degraded",
        "warn",
        "service",
        about="md0",
        words="it is inactive",
        answers={MDSTAT: arrays(ARRAYS.replace("md0 : active raid0", "md0 : inactive"))},
    ),
    Case(
        "an mdstat that is none",
        "raid.degraded",
        "unknown",
        "none",
        words="says `hello`",
        answers={MDSTAT: arrays("hello\n")},
    ),
    Case(
        "an mdstat that is cut",
        "raid.degraded",
        "unknown",
        "none",
        words="has no end",
        answers={MDSTAT: arrays(ARRAYS[:300])},
    ),
)
