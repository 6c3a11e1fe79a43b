"""Network addresses."""

from __future__ import annotations

from ipaddress import ip_interface, ip_network
from typing import Any

from cdcsync.core.codecs.base import Codec, Sent, refusal
from cdcsync.words.nouns import StorageClass

# Above the last 32 bits: what makes PostgreSQL write an IPv6 address with an IPv4 one inside.
_EMBEDDING = {0, 0xFFFF}
_IPV6, _IPV4_BITS = 6, 32


class Network(Codec):
    """inet and cidr take an address as they would write it themselves: one spelling, so it is safe in a key too."""

    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:
        if storage != "text":
            raise refusal(storage, "a network address")
        if self._spelled(value) != value:
            message = f"{value[:50]!r} is no address as {self._name} spells it"
            raise ValueError(message)
        return str(value)

    def _spelled(self, value: str) -> str | None:
        """Return the address as PostgreSQL writes it, None where only PostgreSQL can tell."""
        try:
            if self._name.base == "cidr":
                network = ip_network(value)
                address, written = network.network_address, network.with_prefixlen
            else:
                host = ip_interface(value)
                address = host.ip
                whole = host.network.prefixlen == host.max_prefixlen
                written = str(address) if whole else host.with_prefixlen
        except ValueError:
            return None
        embeds = address.version == _IPV6 and int(address) >> _IPV4_BITS in _EMBEDDING and int(address) > 1
        return None if embeds or "%" in value else written
