"""Clients that send requests as fast as the server responds, on plain sockets to save its CPU."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Load:
    """The results of the clients."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    """Seconds of each response with status 200."""
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def per_second(self) -> float:
        """Responses with status 200 per second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Return the latency in seconds of a `share` of the responses: its quantile."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def __add__(self, other: Load) -> Load:
        return Load(
            self.seconds + other.seconds,
            self.latencies + other.latencies,
            self.statuses + other.statuses,
        )


def press(port: int, texts: Sequence[str], *, clients: int, seconds: float) -> Load:
    """Send texts to /predict on so many connections, each its next one after the response."""
    return asyncio.run(_press(port, texts, clients, seconds))


async def _press(port: int, texts: Sequence[str], clients: int, seconds: float) -> Load:
    load = Load()
    begin = time.perf_counter()
    ends = begin + seconds
    turns = [texts[start::clients] or texts for start in range(clients)]
    await asyncio.gather(*(_client(port, turn, ends, load) for turn in turns))
    load.seconds = time.perf_counter() - begin
    return load


async def _client(port: int, texts: Sequence[str], ends: float, load: Load) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    requests = [_request(text) for text in texts]
    count = 0
    while (begin := time.perf_counter()) < ends:
        writer.write(requests[count % len(requests)])
        status = await _answer(reader)
        load.statuses[status] += 1
        if status == 200:
            load.latencies.append(time.perf_counter() - begin)
        elif status == 429:
            await asyncio.sleep(0.05)
        count += 1
    writer.close()


def _request(text: str) -> bytes:
    body = json.dumps({"inputs": text}).encode()
    return (
        b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )


async def _answer(reader: asyncio.StreamReader) -> int:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head.split()[1])
