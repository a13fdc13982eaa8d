"""The way to a service: its address, the proxy before it, whom it is trusted by, and why it can't be reached."""

from __future__ import annotations

import os
import re
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.request import getproxies, proxy_bypass

import httpx

from slotlang.client.problems import UNREACHABLE, ServiceProblem
from slotlang.client.straight import CONNECT
from slotlang.diagnostics import SlotError, error
from slotlang.files import reason_of
from slotlang.service.addresses import is_loopback

_HOST = re.compile(rb"[A-Za-z0-9._-]+|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(%[\w.-]+)?")
_PROXIES = ("http", "https", "socks5", "socks5h")


@dataclass(frozen=True)
class Address:
    """Where a service is. ``text``: as messages say it; ``prefix``: what its paths begin with."""

    text: str
    host: str
    port: int
    secure: bool
    prefix: str

    @classmethod
    def of(cls, url: str) -> Address:
        """Raises ``SlotError`` SL005 for what is no address, and SL563 for another machine's without TLS."""
        try:
            parsed = httpx.URL(url)
            parsed.host.encode("idna")
        except (httpx.InvalidURL, TypeError, ValueError) as problem:
            raise error("SL005", f"{url!r:.200} is not an address: {problem}"[:400], hint=_EXAMPLE) from None
        if parsed.userinfo:
            # neither shown nor sent
            raise error("SL005", "an address names no user: the token says who asks", hint=_EXAMPLE)
        secure = parsed.scheme == "https"
        port = (443 if secure else 80) if parsed.port is None else parsed.port
        if parsed.scheme not in ("http", "https") or not _HOST.fullmatch(parsed.raw_host) or not 0 < port < 1 << 16:
            raise error("SL005", f"{url!r:.200} is not an address", hint=_without_scheme(url) or _EXAMPLE)
        if parsed.query or parsed.fragment:
            raise error("SL005", f"{url!r:.200} is not an address: it has more than a path", hint=_EXAMPLE)
        if not secure and not is_loopback(parsed.host):
            raise error("SL563", f"{url} is not on this machine, and without TLS the token would travel in the clear")
        return cls(str(parsed).rstrip("/"), parsed.host, port, secure, parsed.path.rstrip("/"))

    @property
    def local(self) -> bool:
        """Whether it is on this machine."""
        return is_loopback(self.host)


_EXAMPLE = "for example http://127.0.0.1:8400"


def _without_scheme(url: str) -> str:
    """A hint for an address without its beginning; empty for anything else."""
    for scheme in ("http", "https") if "://" not in url else ():
        with suppress(SlotError):
            return f"did you mean {Address.of(f'{scheme}://{url}').text:.200}?"
    return ""


@dataclass(frozen=True)
class Proxy:
    """The proxy that stands before a service. ``name``: the environment's variable, for messages; the value may hold a
    password."""

    name: str
    proxy: httpx.Proxy

    @classmethod
    def before(cls, address: Address) -> Proxy | None:
        """The one that the environment names for an address: by ``HTTPS_PROXY``, else ``ALL_PROXY``, unless
        ``NO_PROXY`` names the address. None between two processes of one machine. Raises ``ServiceProblem``."""
        if address.local:
            return None
        named = {key: value.strip() for key, value in getproxies().items() if value.strip()}
        scheme = next((key for key in ("https", "all") if key in named), None)
        names = (address.host, f"{address.host}:{address.port}")
        if scheme is None or any(map(proxy_bypass, names)):
            return None
        name = f"{scheme.upper()}_PROXY"
        text = named[scheme] if "://" in named[scheme] else f"http://{named[scheme]}"
        hint = f"give {name} as http://HOST:PORT, or have NO_PROXY name {address.host}"
        try:
            url = httpx.URL(text)
            url.host.encode("idna")
            usable = (
                url.scheme in _PROXIES
                and _HOST.fullmatch(url.raw_host)
                and (url.port is None or 0 < url.port < 1 << 16)
            )
        except (httpx.InvalidURL, ValueError):
            usable = False
        if not usable:
            raise ServiceProblem(UNREACHABLE, f"{address.text} can't be reached: {name} is not a proxy's address", hint)
        if url.scheme.startswith("socks") and find_spec("socksio") is None:
            raise ServiceProblem(
                UNREACHABLE,
                f"{address.text} can't be reached: {name} names a SOCKS proxy, for which a package is missing",
                f"pip install 'httpx[socks]', or {hint}",
            )
        return cls(name, httpx.Proxy(url))


def trusted(address: Address, certificates: Path | None) -> ssl.SSLContext:
    """Whom to believe that they are the service: certificates of a file, else of ``SSL_CERT_FILE`` or
    ``SSL_CERT_DIR``, else the usual ones. Raises ``SlotError`` SL001."""
    named = certificates or os.environ.get("SSL_CERT_FILE") or "?"
    try:
        if certificates is not None:
            return ssl.create_default_context(cafile=str(certificates))
        return httpx.create_ssl_context(trust_env=address.secure)
    except (OSError, ValueError) as problem:
        what = "these certificates" if certificates is not None else "the certificates of SSL_CERT_FILE"
        raise error("SL001", f"can't read {what}: {reason_of(problem)}"[:300], file=str(named)) from None


def unreachable(url: str, problem: Exception, proxy: Proxy | None = None) -> ServiceProblem:
    """No answer came, for what a library or the system says. ``again`` is false where the next try would end the same
    way."""
    system, again = _of_system(problem), True
    why = " ".join((str(problem) if system is None else _words_of(system)).split()) or type(problem).__name__
    hint = "is it running? `slotlang serve` says its address when it is ready"
    if proxy is not None and isinstance(problem, httpx.ConnectError):
        # who refuses is the proxy
        hint = f"is the proxy of {proxy.name} there? NO_PROXY says for which hosts there is none"
    if isinstance(problem, httpx.ConnectTimeout):
        why = f"there was no connection within {CONNECT:.0f} s"
    elif isinstance(problem, httpx.TimeoutException):
        why, hint = str(problem), "ask again later; timeout= in Python says how long a client waits"
    elif isinstance(problem, httpx.ProxyError):
        why = f"its proxy says {why}"
    elif isinstance(system, socket.gaierror):
        why, hint = f"there is no such name here ({why})", "check the name in the address, and this machine's network"
    elif isinstance(system, ssl.SSLCertVerificationError):
        why, hint, again = *_of_certificate(system), False
    elif isinstance(system, ssl.SSLError) and isinstance(problem, httpx.ConnectError):
        why, again = (
            f"TLS failed: {(system.reason or why).replace('_', ' ').lower()}",
            isinstance(system, ssl.SSLEOFError),
        )
        hint = "what answers there may not speak TLS: is it http://?"
    elif any(words in why for words in _WITHIN):
        why, hint = "its answer ended too early", "ask again; if it stays so, the service's log says more"
    elif url.startswith("http://") and not isinstance(problem, httpx.ConnectError):
        hint = "something answers there, and not by HTTP: is it https://?"
    elif not isinstance(problem, httpx.ConnectError):
        hint = "what answers there ends the connection: is it a service?"
    by = ""
    if proxy is not None:
        by, hint = f" through the proxy of {proxy.name}", f"{hint}; NO_PROXY names what is reached without the proxy"
    return ServiceProblem(UNREACHABLE, f"{url} can't be reached{by}: {why}"[:400], hint, again=again)


_WITHIN = ("within an answer", "complete message body", "incomplete chunked")
"""What libraries say of an answer that ends too early."""


def _of_certificate(problem: ssl.SSLCertVerificationError) -> tuple[str, str]:
    """Why a certificate is not taken, and what to do."""
    why = f"its certificate is not trusted: {problem.verify_message.rstrip('.')}"
    if problem.verify_code in (62, 64):
        return why, "give the address by a name that the certificate has"
    if problem.verify_code in (9, 10):
        return why, "this machine's clock may be wrong, or the certificate has to be renewed"
    return why, "trust it with --cacert FILE (certificates= in Python), if the certificate is the one that you expect"


def _of_system(problem: BaseException) -> OSError | None:
    """What the system said, behind what libraries made of it."""
    one: BaseException | None = problem
    while one is not None:
        if isinstance(one, OSError) and one.errno is not None:
            return one
        one = one.exceptions[0] if isinstance(one, BaseExceptionGroup) else one.__cause__ or one.__context__
    return None


def _words_of(system: OSError) -> str:
    if isinstance(system, socket.gaierror | ssl.SSLError) or system.errno is None:
        return reason_of(system)
    return os.strerror(system.errno)
