"""WARC files put together by hand, byte by byte as the standard has it: none of our own code."""

import gzip
import zlib

CRAWL = "CC-MAIN-20240220190512-20240220220512-00001.warc.gz"


def record(kind, block=b"", url="", date="2024-02-20T19:05:12Z", version="1.0", **fields):
    """One record. `fields` are further headers, an underscore for each hyphen."""
    lines = [f"WARC/{version}", f"WARC-Type: {kind}", f"WARC-Date: {date}",
             "WARC-Record-ID: <urn:uuid:6c2f4c2b-0000-4000-8000-000000000001>",
             f"Content-Length: {fields.pop('length', len(block))}"]  # fmt: skip
    lines += [f"WARC-Target-URI: {url}"] if url else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + block + b"\r\n\r\n"


def http(body=b"", status="200 OK", **headers):
    """What a server sent, headers first."""
    lines = [f"HTTP/1.1 {status}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def page(url, text, **fields):
    """A response record of a small page, as Common Crawl stores it: encodings taken off."""
    body = f"<html><title>{text}</title><body><main><p>{text}</p></main></body></html>".encode()
    block = http(body, Content_Type="text/html; charset=utf-8",
                 X_Crawl_Content_Encoding="gzip", Content_Length=len(body))  # fmt: skip
    return record("response", block, url, Content_Type="application/http; msgtype=response",
                  WARC_IP_Address="93.184.216.34", **fields)  # fmt: skip


def chunked(data, size=7):
    """HTTP/1.1 chunks (RFC 9112, section 7.1)."""
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


def deflated(data, raw=False):
    packer = zlib.compressobj(wbits=-15 if raw else 15)
    return packer.compress(data) + packer.flush()


def members(*records):
    """Each record a gzip member, as a .warc.gz has them."""
    return [gzip.compress(record, mtime=0) for record in records]


def common_crawl(*pages):
    """A file in Common Crawl's layout: warcinfo, then request, response, metadata for each page."""
    info = b"isPartOf: CC-MAIN-2024-10\r\nformat: WARC File Format 1.0\r\n"
    parts = [record("warcinfo", info, Content_Type="application/warc-fields", WARC_Filename=CRAWL)]
    for url, response in pages:
        asked = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        about = b"fetchTimeMs: 150\r\ncharset-detected: UTF-8\r\n"
        parts.append(
            record("request", asked, url, Content_Type="application/http; msgtype=request")
        )
        parts.append(response)
        parts.append(record("metadata", about, url, Content_Type="application/warc-fields"))
    return members(*parts)
