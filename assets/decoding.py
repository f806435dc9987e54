"""Decoder processes: foreign pictures are decoded where a crash, a hang or a bomb costs only the picture at hand.

`Decoders` keeps one process per core and hands them pictures; `python -m assets.decoding` is such a process. It is a
plain subprocess, because the children of a Celery worker may not have `multiprocessing` children, and it knows neither
Django nor the secrets in our environment. What protects whom:

- a segmentation fault or an abort ends the decoder: the picture gets one more try in a new one and is then broken;
- memory (address space) is capped by the picture's size before it is decoded, and if the machine itself runs out of
  memory, the kernel ends decoders first;
- time is capped by the parent's clock and, for a decoder whose parent is gone, by the kernel's CPU limit;
- a decoder cannot write files, and its answer is read up to a cap.

Messages are length-prefixed: a request is JSON, an answer is JSON and the thumbnail's bytes.
"""

import json
import os
import queue
import resource
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

from assets.shrinking import Picture, PictureError, shrink

MIB = 1024 * 1024
SECONDS = 60.0  # for one picture; the largest allowed ones take about five
PICTURES_PER_DECODER = 5_000  # then a new one takes over: decoders leak
LARGE_PIXELS = 50_000_000  # larger pictures are decoded one at a time: each may take 24 bytes per pixel
TRIES = 2  # a decoder may also die of something else than its picture
MAX_ANSWER = 4 * MIB  # bytes; a thumbnail has about 10,000

# Address space in bytes, above what the process has already. Measured: the dearest format (WebP) takes 17 per pixel,
# 9 of them on opening the file.
MEMORY = 256 * MIB
MEMORY_PER_PIXEL = 24
MEMORY_PER_PIXEL_OPENING = 12

COMMAND = (sys.executable, "-m", "assets.decoding")
ROOT = Path(__file__).resolve().parent.parent
# All that a decoder gets to see of our environment, which holds the passwords of the installation.
ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
CGROUP_CPU = Path("/sys/fs/cgroup/cpu.max")

REQUEST = struct.Struct(">I")
ANSWER = struct.Struct(">II")
Answer = tuple[dict[str, Any], bytes]


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """What the picture is, and its small WebP."""

    picture: Picture
    data: bytes


class DecodersUnwell(Exception):
    """Decoder processes do not even start: no picture is to blame."""


class DecodersClosed(Exception):
    """The work was stopped while this picture was being decoded."""


def available_cores() -> int:
    """How many cores this process may use, by its affinity and by the container's CPU limit."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = CGROUP_CPU.read_text().split()
        if quota != "max":
            cores = min(cores, -(-int(quota) // int(period)))
    return max(1, cores)


# --- Our side ---------------------------------------------------------------------------------------------------------


class Decoders:
    """A pool of decoder processes, for use by any number of threads; use it in a `with` statement.

    `count` defaults to the cores we may use, `seconds` is the longest that one picture may take. Processes start with
    their first picture.
    """

    def __init__(
        self, *, max_pixels: int, count: int = 0, seconds: float = SECONDS, command: Sequence[str] = COMMAND
    ) -> None:
        self.count = count or available_cores()
        self._max_pixels = max_pixels
        self._idle: queue.LifoQueue[_Decoder] = queue.LifoQueue()
        self._all = [_Decoder(command, seconds) for _ in range(self.count)]
        for decoder in self._all:
            self._idle.put(decoder)
        self._large = threading.Lock()

    def shrink(self, path: Path, pixels: int = 0) -> Thumbnail:
        """Decode the picture file and make its thumbnail, waiting for a decoder to be free.

        `pixels` is what the picture is known to have, if it is. Raises PictureError if the picture is broken or breaks
        its decoder, OSError if the file cannot be opened, DecodersUnwell, and DecodersClosed.
        """
        with self._large if pixels > LARGE_PIXELS else nullcontext():
            decoder = self._idle.get()
            try:
                return decoder.shrink(path, self._max_pixels)
            finally:
                self._idle.put(decoder)

    @property
    def pids(self) -> list[int]:
        """The process ids of the decoders that run."""
        return [pid for decoder in self._all if (pid := decoder.pid)]

    def close(self) -> None:
        """End the processes; pictures in work, and those that still come, raise DecodersClosed."""
        for decoder in self._all:
            decoder.close()
        idle = []
        with suppress(queue.Empty):
            while True:
                idle.append(self._idle.get_nowait())
        for decoder in idle:
            decoder.end()
            self._idle.put(decoder)  # for threads that still wait for one

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Died(Exception):
    """The decoder ended without an answer."""


class _TooSlow(Exception):
    """The picture's time is up."""


class _Decoder:
    """A place in the pool: one process, and whichever comes after it. Used by one thread at a time, closed by any."""

    def __init__(self, command: Sequence[str], seconds: float) -> None:
        self._command, self._seconds = command, seconds
        self._process: _Process | None = None
        self._closed = False
        self._changing = threading.Lock()

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process else None

    def shrink(self, path: Path, max_pixels: int) -> Thumbnail:
        request = json.dumps({"path": str(path), "max_pixels": max_pixels, "seconds": self._seconds}).encode()
        ends = set()
        for _ in range(TRIES):
            try:
                return _thumbnail(*self._ask(request))
            except _TooSlow:
                raise PictureError(f"decoding it takes longer than {self._seconds:g} seconds") from None
            except _Died as end:
                ends.add(str(end))
        raise PictureError(f"decoding it crashes the decoder ({', '.join(sorted(ends))})")

    def _ask(self, request: bytes) -> Answer:
        deadline = time.monotonic() + self._seconds
        process = self._process
        if process is None or process.pictures >= PICTURES_PER_DECODER:
            process = self._start(deadline)
        try:
            return process.ask(request, deadline)
        except BaseException as error:
            self.end()  # what it may still say would be taken for the answer to the next request
            if isinstance(error, _Died) and self._closed:
                raise DecodersClosed from None
            raise

    def _start(self, deadline: float) -> "_Process":
        self.end()
        with self._changing:
            if self._closed:
                raise DecodersClosed
            self._process = process = _Process(self._command)
        try:
            process.answer(deadline)
        except (_Died, _TooSlow) as error:
            self.end()
            if self._closed:
                raise DecodersClosed from None
            told = str(error) or f"silent for {self._seconds:g} seconds"
            raise DecodersUnwell(f"The decoder of pictures does not start ({told}).") from None
        return process

    def end(self) -> None:
        with self._changing:
            process, self._process = self._process, None
        if process is not None:
            process.end()

    def close(self) -> None:
        with self._changing:
            self._closed = True
            if self._process is not None:
                self._process.kill()  # a thread that waits for its answer sees the end of it


class _Process:
    """A running decoder and the pipes to it."""

    def __init__(self, command: Sequence[str]) -> None:
        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        self._process = subprocess.Popen(  # noqa: S603 - a fixed command
            command,
            cwd=ROOT,
            env={**environment, "MALLOC_ARENA_MAX": "1"},  # each arena reserves address space
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # libtiff prints its warnings there
            bufsize=0,
        )
        self.pid = self._process.pid
        self.pictures = 0
        self._requests = cast(IO[bytes], self._process.stdin)
        self._answers = cast(IO[bytes], self._process.stdout)
        self._waiter = select.poll()
        self._waiter.register(self._answers, select.POLLIN | select.POLLHUP)

    def ask(self, request: bytes, deadline: float) -> Answer:
        self.pictures += 1
        with suppress(BrokenPipeError):  # then there is no answer either
            self._requests.write(REQUEST.pack(len(request)) + request)
        return self.answer(deadline)

    def answer(self, deadline: float) -> Answer:
        told, data = ANSWER.unpack(self._read(ANSWER.size, deadline))
        if told + data > MAX_ANSWER:
            raise _Died("its answer is too long")
        try:
            return json.loads(self._read(told, deadline)), self._read(data, deadline)
        except ValueError:
            raise _Died("its answer makes no sense") from None

    def _read(self, size: int, deadline: float) -> bytes:
        parts: list[bytes] = []
        while size:
            left = deadline - time.monotonic()
            if left <= 0 or not self._waiter.poll(left * 1000):
                raise _TooSlow
            part = os.read(self._answers.fileno(), size)
            if not part:
                raise self._last_words()
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _last_words(self) -> Exception:
        code = self._process.wait()
        if -code == signal.SIGXCPU:
            return _TooSlow()
        return _Died(signal.Signals(-code).name if code < 0 else f"exit code {code}")

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._requests.close()
        self._answers.close()


def _thumbnail(answer: dict[str, Any], data: bytes) -> Thumbnail:
    if "picture" in answer:
        return Thumbnail(Picture(**answer["picture"]), data)
    if "errno" in answer:
        raise OSError(answer["errno"], answer["error"])
    raise PictureError(answer["error"])


# --- The decoder's side -----------------------------------------------------------------------------------------------


def main() -> None:
    """Be a decoder: answer requests from stdin on stdout until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; our parent decides
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints must not look like an answer
    _confine()
    _say(answers, {"ready": True})
    while head := sys.stdin.buffer.read(REQUEST.size):
        request = json.loads(sys.stdin.buffer.read(REQUEST.unpack(head)[0]))
        _say(answers, *_work(request, shrink))


def _work(
    request: Mapping[str, Any], shrink: Callable[[IO[bytes], int, Callable[[Picture], None]], tuple[Picture, bytes]]
) -> tuple[dict[str, Any], bytes]:
    max_pixels = request["max_pixels"]
    used = _address_space()
    _limit(resource.RLIMIT_CPU, int(time.process_time() + request["seconds"]) + 1)
    _limit(resource.RLIMIT_AS, used + MEMORY + MEMORY_PER_PIXEL_OPENING * max_pixels)
    try:
        content = open(request["path"], "rb")  # noqa: SIM115 - opening fails otherwise than decoding does
    except OSError as error:
        return {"errno": error.errno, "error": error.strerror or str(error)}, b""
    try:
        with content:
            picture, data = shrink(
                content,
                max_pixels,
                lambda seen: _limit(resource.RLIMIT_AS, used + MEMORY + MEMORY_PER_PIXEL * seen.pixels),
            )
    except PictureError as error:
        return {"error": str(error)}, b""
    except MemoryError:
        return {"error": "decoding it takes more memory than a picture of its size may"}, b""
    return {"picture": asdict(picture)}, data


def _say(answers: IO[bytes], answer: Mapping[str, Any], data: bytes = b"") -> None:
    told = json.dumps(answer).encode()
    answers.write(ANSWER.pack(len(told), len(data)) + told + data)
    answers.flush()


def _confine() -> None:
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _limit(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with suppress(ValueError, OSError):  # macOS does not limit address space
        resource.setrlimit(which, (value, hard))


def _address_space() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


if __name__ == "__main__":
    main()
