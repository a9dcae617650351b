"""Lines of the kernel's log, as kernels of several versions spell them; the values are made up."""

ALARMING = {
    "hung_task": (
        "INFO: task jbd2/sda1-8:412 blocked for more than 120 seconds.",
        "INFO: task ptlrpcd_00_01:9012 blocked for more than 368 seconds.",
        "INFO: task my task: 1:77 blocked in I/O wait for more than 122 seconds.",
    ),
    "soft_lockup": (
        "BUG: soft lockup - CPU#7 stuck for 67s! [python:1234]",
        "NMI watchdog: BUG: soft lockup - CPU#7 stuck for 23s! [kworker/7:1:99]",
        "INFO: rcu_sched self-detected stall on CPU { 5}  (t=60000 jiffies g=1 c=2 q=3)",
        "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
        "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 33s!",
    ),
    "hard_lockup": (
        "watchdog: Watchdog detected hard LOCKUP on cpu 3",
        "watchdog: CPU3: Watchdog detected hard LOCKUP on cpu 3",
        "watchdog: CPU 5 self-detected hard LOCKUP @ plpar_hcall_norets+0x1c/0x28",
    ),
    "machine_check": ("[Hardware Error]: CPU 4: Machine Check: 0 Bank 5: bea0000000000108",),
    "uncorrected": (
        "[Hardware Error]: Uncorrected, software restartable error.",
        "[Hardware Error]: System Fatal error.",
        "mce: Uncorrected hardware memory error in user-access at 3b116c400",
        "EDAC MC0: 2 UE on mc#0csrow#2channel#1 (csrow:2 channel:1 page:0x1 offset:0x0 grain:64)",
        "EDAC DEVICE0: UE: soc-ecc instance: 0 block: 0 count: 1 'L3'",
        "NMI: PCI system error (SERR) for reason b1 on CPU 0.",
    ),
    "pcie_error": (
        "mlx5_core 0000:9c:00.0: AER: PCIe Bus Error: severity=Uncorrectable (Non-Fatal), type=Transaction Layer",
        "pcieport 10000:00:02.0: PCIe Bus Error: severity=Correctable, type=Physical Layer, (Receiver ID)",
        "nvme 0000:e1:00.0: PCIe Bus Error: severity=Uncorrected (Fatal), type=Inaccessible, (Unregistered Agent ID)",
    ),
    "io_error": (
        "end_request: I/O error, dev sdc, sector 8192",
        "print_req_error: I/O error, dev sdc, sector 8192",
        "blk_update_request: I/O error, dev nvme0n1, sector 123456",
        "critical target error, dev sdc, sector 77 op 0x1:(WRITE) flags 0x4000 phys_seg 1 prio class 2",
        "Buffer I/O error on device sdc1, logical block 1",
    ),
    "disk_lost": (
        "sd 0:2:0:0: rejecting I/O to offline device",
        "sd 0:2:0:0: Device offlined - not ready after error recovery",
        "nvme nvme1: Removing after probe failure status: -19",
    ),
    "disk_trouble": (
        "nvme nvme0: I/O 22 QID 5 timeout, reset controller",
        "nvme nvme0: I/O 3 (I/O Cmd) QID 2 timeout, aborting",
        "nvme nvme0: I/O 9 QID 2 timeout, completion polled",
        "nvme nvme0: frozen state error detected, reset controller",
        "ata1.00: failed command: FLUSH CACHE EXT",
    ),
    "array_degraded": ("md/raid:md127: Disk failure on nvme2n1p1, disabling device.",),
    "array_lost": (
        "md/raid:md127: Cannot continue operation (2/4 failed).",
        "md/linear:md1: Disk failure on sdb detected, failing array.",
    ),
    "fs_error": (
        "EXT3-fs error (device sda1): ext3_lookup: deleted inode referenced: 77",
        "XFS (nvme1n1): Corruption detected. Unmount and run xfs_repair",
        'XFS (sdb1): metadata I/O error in "xfs_trans_read_buf_map" at daddr 0x1 len 8 error 5',
        "XFS (sdb1): Filesystem has been shut down due to log error (0x2).",
        "BTRFS: error (device sda2 state A) in btrfs_commit_transaction:2494: errno=-5 IO failure",
        "BTRFS info (device sda2: state EA): forced readonly",
        "WARNING: Pool 'tank' has encountered an uncorrectable I/O failure and has been suspended.",
    ),
    "out_of_memory": (
        "Out of memory: Kill process 4242 (python) score 917 or sacrifice child",
        "Out of memory: Killed process 99 ((sd-pam)), UID 1000, total-vm:1kB, anon-rss:1kB, file-rss:0kB",
        "Out of memory (oom_kill_allocating_task): Killed process 7 (a) b (c) total-vm:9kB, UID:1000 pgtables:1kB",
    ),
    "oops": (
        "BUG: unable to handle page fault for address: ffffc90000000000",
        "BUG: Bad page state in process python3  pfn:12345",
        "BUG: scheduling while atomic: nvidia-smi/99/0x00000002",
        "general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1] PREEMPT SMP PTI",
        "Oops: general protection fault, probably for non-canonical address 0xdead: 0000 [#2] SMP",
        "Internal error: Oops: 0000000096000004 [#1] PREEMPT SMP",
        "invalid opcode: 0000 [#1] SMP NOPTI",
        "Unable to handle kernel paging request at virtual address ffff800000000000",
        "Kernel panic - not syncing: hung_task: blocked tasks",
    ),
    "throttled": (
        "CPU5: Package temperature above threshold, cpu clock throttled (total events = 1270)",
        "mce: CPU11: Core temperature is above threshold, cpu clock is throttled (total events = 3)",
    ),
    "overheated": ("thermal thermal_zone0: critical temperature reached (105 C), shutting down",),
}

HARMLESS = """\
EDAC MC: Ver: 3.0.0
EDAC MC0: Giving out device to module i10nm_edac controller Intel_10nm Socket#0 IMC#0: DEV 0000:7e:0c.0 (INTERRUPT)
EDAC MC0: 1 CE memory read error on CPU_SrcID#0_MC#1_Chan#0_DIMM#0 (channel:0 slot:0 page:0x1 offset:0x0 grain:32)
EDAC i10nm MC1: HANDLING MCE MEMORY ERROR
mce: CPU supports 32 MCE banks
mce: CPU0: Thermal monitoring enabled (TM1)
mce: [Hardware Error]: Machine check events logged
mce: [Hardware Error]: CPU 3: Machine Check: 0 Bank 7: 8c00004000010091
[Hardware Error]: Corrected error, no action required.
[Hardware Error]: Deferred error, no action required.
{1}[Hardware Error]: It has been corrected by h/w and requires no further action
{1}[Hardware Error]: event severity: corrected
{1}[Hardware Error]:   section_type: PCIe error
BERT: Error records from previous boot:
[Hardware Error]: event severity: fatal
[Hardware Error]:   section_type: memory error
soft offline: 0x12345: page already poisoned
pcieport 0000:00:1d.3: AER: Corrected error received: id=00eb
pcieport 0000:00:1d.3: PCIe Bus Error: severity=Corrected, type=Physical Layer, id=00eb(Receiver ID)
pcieport 0000:00:1d.3:   device [8086:a33b] error status/mask=00000001/00002000
pcieport 0000:00:1d.3:    [ 0] Receiver Error         (First)
pcieport 0000:00:1d.3: AER: Multiple Correctable error message received from 0000:04:00.0
pcieport 0000:64:02.0: AER: enabled with IRQ 42
pcieport 0000:64:02.0: DPC: enabled with IRQ 43
pcieport 0000:64:02.0: AER: device recovery successful
nvme nvme0: Shutdown timeout set to 10 seconds
nvme nvme0: missing or invalid SUBNQN field.
nvme nvme0: 64/0/0 default/read/poll queues
nvme nvme0: allocated 64 MiB host memory buffer.
nvme nvme0: Abort status: 0x0
nvme nvme0: resetting controller
nvme nvme0: rescanning namespaces.
nvme nvme1: Reconnecting in 10 seconds...
nvme0: Identify(0x6), Invalid Field in Command (sct 0x0 / sc 0x2) DNR
ata1: SATA link up 6.0 Gbps (SStatus 133 SControl 300)
ata2.00: failed command: READ LOG DMA EXT
ata5.00: failed command: PACKET
sd 0:0:0:0: [sda] Synchronizing SCSI cache
sd 10:0:0:0: [sdz] Attached SCSI removable disk
I/O error, dev sdz, sector 0 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2
blk_update_request: I/O error, dev fd0, sector 0 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 0
Buffer I/O error on dev sr0, logical block 0, async page read
I/O error, dev loop3, sector 8 op 0x0:(READ) flags 0x80700 phys_seg 1 prio class 2
EXT4-fs error (device loop4): ext4_lookup:1700: inode #2: comm ls: iget: checksum invalid
critical target error, dev sda, sector 4096 op 0x9:(WRITE_ZEROES) flags 0x800 phys_seg 0 prio class 2
blk_update_request: operation not supported error, dev sda, sector 0 op 0x3:(DISCARD) flags 0x0 phys_seg 1
md/raid1:md0: active with 2 out of 2 mirrors
md: data-check of RAID array md0
EXT4-fs (nvme0n1p2): mounted filesystem with ordered data mode. Opts: errors=remount-ro
EXT4-fs (nvme0n1p2): re-mounted. Opts: errors=remount-ro. Quota mode: none.
EXT4-fs (nvme0n1p2): recovery complete
EXT4-fs warning (device sda1): ext4_dirblock_csum_verify:377: inode #2: comm ls: No space for directory leaf checksum
XFS (md0): Mounting V5 Filesystem
XFS (md0): Ending clean mount
XFS (sdb1): User initiated shutdown received.
FAT-fs (sda1): Volume was not properly unmounted. Some data may be corrupt. Please run fsck.
BTRFS info (device sdb): bdev /dev/sdb errs: wr 0, rd 0, flush 0, corrupt 5, gen 0
LustreError: 11-0: scratch-OST0003-osc-ffff: operation ost_statfs to node 10.0.0.9@o2ib failed: rc = -107
nfs: server storage01 not responding, still trying
nfs: server storage01 OK
Memory cgroup out of memory: Killed process 63333 (uwsgi) total-vm:31kB, anon-rss:16kB, file-rss:5kB, UID:0 pgtables:1kB
oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=job_7,mems_allowed=0-1,task=python3,pid=4242,uid=2001
python3 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
oom_reaper: reaped process 63333 (uwsgi), now anon-rss:0kB, file-rss:0kB, shmem-rss:92kB
python3: page allocation failure: order:5, mode:0x40cc0(GFP_KERNEL|__GFP_COMP), nodemask=(null)
OOM killer disabled.
CPU1: Core temperature above threshold, cpu clock throttled (total events = 208)
CPU1: Core temperature/speed normal
ACPI: thermal: Thermal Zone [TZ00] (28 C)
thermal LNXTHERM:00: registered as thermal_zone0
traps: python3[4242] general protection fault ip:7f0011 sp:7ffe22 error:0 in libtorch_cpu.so[7f0000+100]
python3[4242]: segfault at 0 ip 00007f0011 sp 00007ffe22 error 4 in libc.so.6[7f00+195000]
WARNING: CPU: 3 PID: 77 at kernel/sched/core.c:1 sched_exec+0x1/0x2
------------[ cut here ]------------
---[ end trace 0000000000000000 ]---
BUG: Bad rss-counter state mm:ffff type:MM_ANONPAGES val:1
nvidia: module license 'NVIDIA' taints kernel.
Kernel command line: BOOT_IMAGE=/vmlinuz root=/dev/sda1 panic=10 hung_task_panic=0
Future hung task reports are suppressed, see sysctl kernel.hung_task_warnings
INFO: task python3:4242 is blocked on a mutex likely owned by task python3:4243.
rcu: Adjusting geometry for rcu_fanout_leaf=16, nr_cpu_ids=192
rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 12-... } 22 jiffies s: 277 root: 0x1/.
NMI watchdog: Enabled. Permanently consumes one hw-PMU counter.
perf: interrupt took too long (2509 > 2500), lowering kernel.perf_event_max_sample_rate to 79500
systemd[1]: Kernel panic - not syncing: so said a user
Normal zone: 524111 pages used for memmap
BIOS-e820: [mem 0x000001a020000000-0x000001a0401fffff] reserved
SRAT: PXM 6 -> APIC 0x00e7 -> Node 6
SRAT: PXM 4 -> APIC 0x00ac -> Node 4
BIOS-e820: [mem 0x0000000075ac0000-0x0000000075ffffff] reserved
"""
"""Lines of healthy machines; those that look like corrected errors or like a boot after public reports."""
