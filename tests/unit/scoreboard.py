# SPDX-License-Identifier: Apache-2.0
"""A worker's scoreboard (include/cgw_scoreboard.h) as the supervisor sees it."""

import fcntl
import mmap
import os
import re
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
F_ADD_SEALS, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW = 1033, 1, 2, 4
SLOT = struct.Struct("=IIi4xQQQQQQ256sQQQ16Q90Q90QQ")


def states():
    """Names in order, from the contract itself."""
    path = os.path.join(HERE, "..", "..", "include", "cgw_scoreboard.h")
    with open(path) as file:
        table = file.read().split("#define CGW_SLOT_STATES(X)")[1]
    return re.findall(r'X\(\w+, "(\w+)"\)', table.split("enum")[0])


class Slot:
    def __init__(self, values):
        (self.sequence, state, self.tid, self.id, self.started, self.deadline,
         self.lock_since, self.ended, self.sent, text, self.requests, self.bytes,
         self.busy) = values[:13]
        self.state = states()[state]
        self.text = text.split(b"\0")[0].decode("latin-1")
        self.failures = values[13:29]
        self.latency, self.queue = values[29:119], values[119:209]


class Board:
    def __init__(self, threads):
        assert SLOT.size == 1920
        self.threads = threads
        self.descriptor = os.memfd_create("board", os.MFD_ALLOW_SEALING)
        os.ftruncate(self.descriptor, threads * SLOT.size)
        fcntl.fcntl(self.descriptor, F_ADD_SEALS,
                    F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW)
        self.memory = mmap.mmap(self.descriptor, threads * SLOT.size,
                                prot=mmap.PROT_READ)

    def fileno(self):
        return self.descriptor

    def slots(self):
        return [Slot(SLOT.unpack_from(self.memory, n * SLOT.size))
                for n in range(self.threads)]

    def close(self):
        self.memory.close()
        os.close(self.descriptor)
