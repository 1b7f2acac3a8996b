"""Asks sites for a page over HTTP/3, each by a connection of its own. Run on the desk: version, port, address, names."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys

from aioquic.asyncio.client import connect
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.packet import QuicProtocolVersion

VERSIONS = {"v1": QuicProtocolVersion.VERSION_1, "v2": QuicProtocolVersion.VERSION_2}
AT_ONCE = 16


async def ask(version: str, host: str, port: int, name: str, gate: asyncio.Semaphore) -> None:
    """Ask *name*, which is at *host*, for its first page."""
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_NONE, server_name=name)
    configuration.original_version = VERSIONS[version]
    configuration.supported_versions = [VERSIONS[version], *(v for v in VERSIONS.values() if v != VERSIONS[version])]
    async with gate:
        with contextlib.suppress(ConnectionError, TimeoutError, asyncio.TimeoutError):
            async with asyncio.timeout(10), connect(host, port, configuration=configuration) as client:
                http = H3Connection(client._quic)
                stream = client._quic.get_next_available_stream_id()
                fields = {":method": "GET", ":scheme": "https", ":authority": name, ":path": "/"}
                http.send_headers(stream, [(k.encode(), v.encode()) for k, v in fields.items()], end_stream=True)
                client.transmit()
                await asyncio.sleep(0.05)


async def main() -> None:
    """Ask all of them, a few at a time."""
    version, port, host, *names = sys.argv[1:]
    gate = asyncio.Semaphore(AT_ONCE)
    await asyncio.gather(*(ask(version, host, int(port), name, gate) for name in names))


if __name__ == "__main__":
    asyncio.run(main())
