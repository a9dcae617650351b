"""Answers of `npu-smi`, as captured (identifying values changed), and records made of them."""

from datetime import UTC, datetime
from pathlib import Path

from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l0_nodes.vendor import Reading
from aiops.plugins.ascend.reading import read

LAYOUTS = Path(__file__).parent / "layouts" / "ascend"
AT = datetime(2026, 11, 21, tzinfo=UTC)
WELL = """\tHealth Status                  : OK
\tError Code                     : NA
\tError Information              : NA
"""
ALARM = """\tHealth Status                  : Alarm
\tError Code                     : 80E3A203 80E18401
\tError Information              : node type=LPM, sensor type=Chip Hardware, event state=abnormal

\t                               : another
"""
ECC = """        NPU ID                                   : 0
        HBM Single Bit Error Count               : 7
        HBM Double Bit Error Count               : 2
        HBM Single Bit Aggregate Total Err Cnt   : 40
        HBM Double Bit Aggregate Total Err Cnt   : 3
        HBM Single Bit Isolated Pages Count      : 0
        HBM Double Bit Isolated Pages Count      : 4
        HBM Single Bit Next-Isolated Pages Count : 0
        HBM Double Bit Next-Isolated Pages Count : 1
"""
ECC_910A = """        NPU ID                                   : 1
        Chip Count                               : 1

        DDR Single Bit Error Count               : 1
        DDR Double Bit Error Count               : 0
        DDR Single Bit Aggregate Total Err Cnt   : 1
        DDR Double Bit Aggregate Total Err Cnt   : 0
        DDR Single Bit Isolated Pages Count      : 0
        DDR Double Bit Isolated Pages Count      : 0
        HBM Single Bit Error Count               : 2
        HBM Double Bit Error Count               : 0
        HBM Single Bit Aggregate Total Err Cnt   : 9
        HBM Double Bit Aggregate Total Err Cnt   : 1
        HBM Single Bit Isolated Pages Count      : 0
        HBM Double Bit Isolated Pages Count      : 2
        Chip ID                                  : 0
"""
LINKS_OLD = """        hccs health status              : {}
        hccs link num in used           : {}
        hccs total bandwidth(GB/s)      : 89.4
        HCCS lane detail info
                lane 0                  : 1
                lane 1                  : 1
                lane 2                  : 1
"""
LINKS_NEW = """\thccs health status             : OK
\thccs lane mode                 : [4    4    4]
\thccs link lane list            : [1111 1111 {}]
\thccs link speed                : [224  224  224]
\thccs tx packets                : [1993002168   1434439505   1588783520]
\thccs retry count               : [0            0            0]
\thccs error count               : [0            2            1]
\thccs first error lane          : NA
"""
BOARD = """\tNPU ID                         : 0
\tProduct Name                   : IT21HMDC
\tSerial Number                  : 10350000000001
\tSoftware Version               : 25.2.0
\tFirmware Version               : 7.7.0.3.220
\tCompatibility                  : {}
\tPCIe Bus Info                  : 0000:E9:00.0
"""
UNSUPPORTED = "This device does not support querying {}.\n"


def layout(name: str) -> str:
    """A captured table, its bus addresses changed."""
    return (LAYOUTS / f"{name}.txt").read_text("utf-8")


def chips(places: list[tuple[int, int]], text: str, **others: str) -> str:
    """The answers of chips below each other; `c1_0="..."` is that of NPU 1, chip 0."""
    return "".join(f"== {card} {chip}\n{others.get(f'c{card}_{chip}', text)}" for card, chip in places)


def judged(**answers: Answer | str) -> Reading:
    """Read a record; `info="..."` is `ascend.info` with exit status 0."""
    made = {
        f"ascend.{name}": Answer(f"ascend.{name}", 0, stdout=value) if isinstance(value, str) else value
        for name, value in answers.items()
    }
    return read(Record("npu01", AT, made))


def whole(name: str, places: list[tuple[int, int]], **answers: Answer | str) -> Reading:
    """A table, with good answers of every chip but where `answers` has others."""
    told: dict[str, Answer | str] = {
        "info": layout(name),
        "health": chips(places, WELL),
        "ecc": chips(places, ECC),
        "hccs": chips(places, UNSUPPORTED.format("hccs")),
        "board": chips([place for place in places if place[1] == 0], BOARD.format("OK")),
        **answers,
    }
    return judged(**told)


PLACES = [(0, 0), (1, 0)]
"""The chips of `25.2_910B`."""
