"""A decoder process in which some files do what the worst files do: `fault("crash")` crashes it, and so on."""

import json
import os
import signal
import sys
import time

from assets import decoding
from assets.shrinking import Picture, PictureError, shrink

FAULTY = (sys.executable, "-m", "tests.assets.faulty_decoder")
MARK = b"FAULT "


def fault(name: str) -> bytes:
    """A file that has this fault."""
    return MARK + name.encode().ljust(10)


def shrink_or_fail(content, max_pixels, before_decoding):
    """Do as the file says."""
    head = content.read(len(MARK) + 10)
    if not head.startswith(MARK):
        return shrink(content, max_pixels, before_decoding)
    match head[len(MARK) :].strip():
        case b"crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case b"hang":
            while True:
                pass
        case b"sleep":
            time.sleep(3600)
        case b"exit":
            os._exit(7)
        case b"memory":
            while True:
                content.seek(0)
                hoard = [bytearray(64 * 1024 * 1024) for _ in range(1000)]
                del hoard
        case b"print":
            os.write(1, b"libtiff says hello\n" * 100)
            raise PictureError("printed")
        case b"write":
            with open("written-by-a-decoder", "w") as target:
                target.write("loot")
        case b"see":
            raise PictureError(json.dumps(sorted(os.environ)))
        case b"long":
            return Picture("png", 1, 1), b"x" * 5 * 1024 * 1024
    raise PictureError("no such fault")


decoding.shrink = shrink_or_fail

if __name__ == "__main__":
    decoding.main()
